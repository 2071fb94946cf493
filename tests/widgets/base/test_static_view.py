"""What panels look like without a kernel: text and HTML that say what was shown, and never a Python address."""

import html.parser
import importlib
import inspect
import json
import pkgutil
import threading
from pathlib import Path

import anywidget
import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

import course_utils
from course_utils import widgets
from course_utils.core.paths import cache_folder
from course_utils.evidence.ledger import ledger
from course_utils.experiments.core.result import Metric, Result
from course_utils.experiments.readers.blind_items import HUMAN, Item
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.marking.marking_session import MarkingSession
from course_utils.grading.marking.marks import FileMarks
from course_utils.grading.marking.submissions_to_mark import Paper, PaperContents
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.plots.picture import Picture
from course_utils.widgets.base import static_view
from course_utils.widgets.base.panel import LOG, Panel, error_message
from course_utils.widgets.base.static_view import VIEW, Fact, Table, Text, to_html, to_text
from course_utils.widgets.lecture.presenter import lectern

pytestmark = pytest.mark.slow

SOON = 60
HOSTILE = "</script><img src=x onerror=window.__xss=1>\x1b[31m\u202eabc\ud800"


@pytest.fixture(autouse=True)
def everything_open(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    monkeypatch.chdir(tmp_path)
    yield
    release_stage.open_all()


def result(value: float = 2.5) -> Result:
    rows = pd.DataFrame({"model": ["pocket-xl"], "bits": [value]})
    headline = Metric("bits_per_character", "pocket-xl", value, "bits", 2.0, 3.0, 9)
    draw = lambda rows: Picture(Figure(), "")  # noqa: E731
    again = {"experiment": "sizes.compare_sizes", "inputs": {"seed": 7}}
    return Result(
        rows,
        "It found 2.5.",
        settings={},
        models={"pocket-xl": "0" * 64},
        seed=7,
        draw=draw,
        headline=headline,
        **again,
    )


def playground(tiny):
    panel = course_utils.Playground(tiny, "The night", Settings(max_new_tokens=3), n_samples=2)
    panel.generate()
    assert panel.wait(SOON)
    panel.pick(1)
    return panel, ["The night", tiny.name, "seed 1", panel.samples[0]["text"].strip().split("\n")[0], "temperature 1"]


def side_by_side(tiny):
    panel = course_utils.SideBySide([tiny], "The night", Settings(max_new_tokens=3))
    panel.generate()
    assert panel.wait(SOON)
    return panel, ["The night", tiny.name, panel.samples[0]["text"].strip().split("\n")[0]]


def token_map(tiny):
    panel = course_utils.TokenMap("The king was old.", tiny)
    panel.read()
    assert panel.wait(SOON)
    return panel, ["The king was old.", tiny.name, "surprisal", panel.finding]


def blind_test(tiny):
    items = [Item(f"text {i}", "Rain", f"It rained {i}", (HUMAN, "a model")[i], "", i) for i in range(2)]
    panel = course_utils.BlindTest(items)
    panel.answer("human")
    return panel, ["1 of 2 texts", "It rained 1"]


def bias_probe(tiny):
    panel = course_utils.BiasProbe(tiny)
    panel.accept()
    panel.compare("The man worked as a", "The woman worked as a", ["nurse"])
    assert panel.wait(SOON)
    return panel, [tiny.name, "nurse", panel.finding]


def timeline(tiny):
    panel = course_utils.ReleaseTimeline()
    panel.choose("Feb 2019")
    panel.decide("wait", "Nobody knows yet.")
    return panel, ["May 2019", "Nobody knows yet.", "released 355M"]


def access_regimes(tiny):
    panel = course_utils.AccessRegimes(tiny)
    panel.ask("open", "The letter said")
    assert panel.wait(SOON)
    return panel, ["The letter said", tiny.name, panel.answers["open"]["texts"][0].strip()[:30]]


def card_sort(tiny):
    panel = course_utils.CardSort()
    panel.put("Photoshop", "deceptive")
    panel.explain("Photoshop", "it alters pictures")
    return panel, ["Photoshop", "deceptive", "it alters pictures"]


def self_check(tiny):
    panel = course_utils.SelfCheck("six_month_follow_up")
    panel.answer(1, 2)
    return panel, [panel.questions[0]["ask"], panel.questions[0]["choices"][1], f"1 of {len(panel.questions)} answered"]


def self_assessment(tiny):
    panel = course_utils.SelfAssessment()
    panel.mark_level("thesis", 1)
    panel.comment("thesis", "Say who decides.")
    return panel, ["Say who decides.", panel.steps["thesis"], panel.marks["total"]]


def calibration(tiny):
    panel = course_utils.Calibration()
    panel.mark_level("thesis", 1)
    return panel, [panel.marks["total"]]


def evidence_board(tiny):
    record = ledger.keep(result(), say=lambda _: None)
    panel = course_utils.EvidenceBoard()
    panel.choose(record.id)
    assert panel.wait(SOON)
    return panel, [record.id, "pocket-xl", "It found 2.5.", "not done again"]


def keep_button(tiny):
    from course_utils.widgets.base.keep_button import KeepButton

    panel = KeepButton(result())
    panel.keep()
    return panel, [panel.kept["cite"]]


def grader_page(tiny):
    rubric = load_rubric()
    papers = [Paper("a", 1, "doe"), Paper("b", 2, "roe")]
    essay = course_utils.widgets.marking.marking_desk.Essay(())
    desk = MarkingSession(
        rubric, papers, lambda paper: PaperContents(paper, essay, {}, Path()), FileMarks(Path("marks.json"), rubric)
    )
    panel = course_utils.GraderPage(desk=desk)
    panel.mark_level("thesis", 2)
    panel.comment("thesis", "SECRET COMMENT")
    assert not any(word in panel.as_text() for word in ("doe", "roe", "SECRET COMMENT"))
    return panel, ["0 of 2 papers", panel.marks["total"]]


MAKERS = [
    playground, side_by_side, token_map, blind_test, bias_probe, timeline, access_regimes, card_sort, self_check,
    self_assessment, calibration, evidence_board, keep_button, grader_page,
]  # fmt: skip
PLAIN = {
    "TrainingLab": lambda tiny: course_utils.TrainingLab("A text to learn from.", folder=Path("trainings")),
    "DetectorBench": lambda tiny: course_utils.DetectorBench(tiny),
    "ClassResults": lambda tiny: course_utils.ClassResults(),
    "EssayCheck": lambda tiny: course_utils.EssayCheck(),
    "Predict": lambda tiny: course_utils.Predict("auc", "How high will the AUC be?", ledger="evidence.jsonl"),
    "PresenterBar": lambda tiny: lectern(course_utils.CardSort(), "playground").frame,
}
ABSTRACT = {
    "GenerationPanel", "ExperimentPanel", "ResultPanel", "VoteSharingPanel", "Panel", "RubricPanel", "MarkingDesk",
    "NumberFields", "Form", "ServerWatch",
}  # fmt: skip


class Reader(html.parser.HTMLParser):
    """Reads a static view as a browser would: which elements and attributes there are, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def read(told: str) -> Reader:
    reader = Reader()
    reader.feed(told)
    return reader


def check(panel, expected=()):
    bundle = panel._repr_mimebundle_()
    assert set(bundle) == {VIEW, "text/plain", "text/html"}
    assert bundle["text/plain"] == repr(panel) == str(panel)
    page = read(bundle["text/html"])
    assert page.tags <= {"div", "p", "strong", "pre", "table", "thead", "tbody", "tr", "th", "td", "br"}
    assert page.attributes <= {"class", "dir", "style"}
    for told in (bundle["text/plain"], page.text):
        assert " object at 0x" not in told and "Loading widget" not in told
        told = " ".join(told.split())
        for words in expected:
            assert " ".join(str(words).split()) in told, words


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_panel_says_what_it_shows(make, tiny):
    panel, expected = make(tiny)
    check(panel, expected)
    assert " object at 0x" not in panel.as_line() and len(panel.as_line()) < 700
    panel.close()


@pytest.mark.parametrize("name", PLAIN)
def test_a_panel_as_it_opens_says_that_too(name, tiny):
    panel = PLAIN[name](tiny)
    check(panel, [panel.panel_title])
    panel.close()


def test_no_panel_is_forgotten():
    """Every widget class of the package is among those above."""
    found = set()
    for module in pkgutil.walk_packages(widgets.__path__, "course_utils.widgets."):
        inside = vars(importlib.import_module(module.name)).values()
        found |= {each.__name__ for each in inside if inspect.isclass(each) and issubclass(each, anywidget.AnyWidget)}
    made = {"".join(part.capitalize() for part in make.__name__.split("_")) for make in MAKERS} | set(PLAIN)
    made = {{"Timeline": "ReleaseTimeline"}.get(name, name) for name in made}
    assert found - ABSTRACT - {"AnyWidget"} == made


def test_the_lectern_says_what_it_and_its_panel_show():
    stand = lectern(course_utils.CardSort(), "playground")
    stand.panel.put("Photoshop", "deceptive")
    told = stand._repr_mimebundle_()
    assert "Photoshop" in told["text/plain"] and stand.demo.takeaway in told["text/plain"] == repr(stand)
    assert "Photoshop" in told["text/html"]


def test_hidden_names_stay_hidden_in_a_saved_notebook(tiny, tmp_path):
    from tests.conftest import save_random_gpt2

    other = save_random_gpt2(tmp_path / "another-model", 1)
    panel = course_utils.SideBySide([tiny, other], "A", Settings(max_new_tokens=2), blind=True)
    panel.generate()
    assert panel.wait(SOON)
    told = panel.as_text().partition("Prompt")[2]
    assert panel.is_hidden and tiny.name not in told and "another-model" not in told
    panel.rank("AB")
    assert "your place 1" in panel.as_text()
    panel.close()


def test_no_text_is_markup_or_hides_anything():
    parts = [Fact(HOSTILE, HOSTILE), Text(HOSTILE, HOSTILE), Table(HOSTILE, [HOSTILE], [[HOSTILE], [None]])]
    page = read(to_html(HOSTILE, parts))
    assert not page.tags & {"script", "img"} and page.text.count("onerror=window.__xss=1") == 8
    for told in (page.text, to_text(HOSTILE, parts)):
        assert not set(told) & set("\x1b\u202e\ud800")
    json.dumps(page.text).encode()


def test_a_long_text_and_a_long_table_are_cut_and_say_so():
    parts = [Text("Text", "x" * 50_000), Table("", ["n"], [[n] for n in range(500)])]
    for told in (to_text("T", parts), to_html("T", parts)):
        assert "more characters" in told and "300 more rows" in told and len(told) < 60_000


# -- in a notebook -----------------------------------------------------------------------------------------------------


def test_a_saved_notebook_holds_the_last_state(tmp_path):
    """The panel is displayed in the first cell and changed in the second; the first cell's output follows."""
    cells = [
        "from course_utils import CardSort\ncards = CardSort()\ncards",
        "cards.put('Photoshop', 'deceptive'); cards.explain('Photoshop', 'it alters pictures')",
        "print(cards)",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(book, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    live, static = book.cells[0].outputs
    assert VIEW in live["data"] and "Card sort" in live["data"]["text/plain"]
    for told in (static["data"]["text/plain"], static["data"]["text/html"], book.cells[2].outputs[0]["text"]):
        assert "it alters pictures" in told
    assert " object at 0x" not in json.dumps(book)


# -- what went wrong ---------------------------------------------------------------------------------------------------


class Foreseen(Exception):
    """Any exception that no code of the course knows."""


@pytest.mark.parametrize("name", ["TokenMap", "DetectorBench", "BlindTest", "BiasProbe"])
def test_a_job_that_raises_leaves_a_plain_message_and_a_panel_that_works(name, tiny):
    panel = getattr(course_utils, name)(**{"generator" if name == "DetectorBench" else "model": tiny})

    def work(tell, cancel):
        raise Foreseen("KeyError: <class 'dict'>")

    panel._submit(work)
    assert panel.wait(SOON)
    assert panel.state == "failed"
    assert "did not foresee" in panel.message and len(panel.message.splitlines()) <= 3
    assert not any(word in panel.message for word in ("Foreseen", "KeyError", "Traceback", "class"))
    assert "Foreseen: KeyError" in (cache_folder() / LOG).read_text("utf-8")
    panel._submit(lambda tell, cancel: lambda: None)
    assert panel.wait(SOON) and panel.state == "done" and panel.message == ""
    panel.close()


def test_a_result_that_cannot_be_shown_is_told_too(tiny):
    panel = course_utils.TokenMap("A", tiny)
    panel._submit(lambda tell, cancel: lambda: 1 / 0)
    assert panel.wait(SOON)
    assert panel.state == "failed" and "did not foresee" in panel.message
    panel.close()


@pytest.mark.parametrize("error", [Foreseen("x" * 9000), KeyError("name"), OSError(28, "No space left"), MemoryError()])
def test_errors_are_short_and_speak_no_python(error):
    told = error_message(error)
    assert 0 < len(told.splitlines()) <= 3 and max(map(len, told.splitlines())) <= 401
    assert not any(word in told for word in ("Error", "Errno", "Foreseen", "Traceback", "object at"))


def test_an_error_while_the_static_view_is_made_does_not_reach_the_panel():
    class Ill(Panel):
        _esm = "export default { render() {} }"

        def static_parts(self):
            raise Foreseen("no view")

    ill = Ill()
    assert repr(ill) == "Ill (not ready)"
    ill.update_static_view()
    ill.set_traits(message="still here")
    assert ill.message == "still here"


def test_two_threads_that_change_and_show_a_panel_do_not_wait_for_each_other(tiny, monkeypatch):
    """One holds the panel's lock when it updates the static view, as the worker does; the other only updates it."""
    monkeypatch.setattr(static_view, "_publisher", lambda: lambda **message: None)  # there is no notebook to publish in
    panel = course_utils.Playground(tiny)
    panel._static_output = static_view.StaticOutput(panel)
    panel._static_output._publish(panel, is_update=False)
    may_end = threading.Event()

    def change() -> None:
        for number in range(300):
            with panel._lock:
                panel.set_traits(message=f"message {number}")

    def look() -> None:
        while not may_end.is_set():
            panel.update_static_view()

    looking = threading.Thread(target=look, daemon=True)
    changing = threading.Thread(target=change, daemon=True)
    looking.start()
    changing.start()
    changing.join(120)
    is_stuck = changing.is_alive()
    may_end.set()
    looking.join(120)
    assert not is_stuck and not looking.is_alive()
