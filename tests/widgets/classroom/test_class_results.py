"""The class's picture and the box that adds to it, without a browser: opt-in, to be taken back, and led by one page."""

import json
import re
import threading
import time
import weakref
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from course_utils.classroom import database, store
from course_utils.classroom.tally import MIN_VOTERS, Tally
from course_utils.classroom.votes import ranking_votes
from course_utils.errors import AccessRefused, TextError
from course_utils.evidence.ledger import ledger
from course_utils.experiments.core.result import Metric, Result, versions
from course_utils.experiments.readers.blind_items import HUMAN, Item
from course_utils.experiments.release.decisions import CHOICES
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.plots.picture import Picture
from course_utils.widgets.base import share_vote
from course_utils.widgets.base.keep_button import KeepButton
from course_utils.widgets.base.share_vote import VoteSharingPanel
from course_utils.widgets.blind_test.blind_test import BlindTest
from course_utils.widgets.classroom import class_results as class_words
from course_utils.widgets.classroom.class_results import NO_CLASS, REPLACED, ClassResults
from course_utils.widgets.detector_bench.detector_bench import DetectorBench
from course_utils.widgets.side_by_side.side_by_side import SideBySide
from course_utils.widgets.timeline.timeline import ReleaseTimeline
from course_utils.widgets.token_map.token_map import TokenMap
from tests.conftest import save_random_gpt2

SESSION, SOON, SECRET = "lecture-1", 120, "My name is Zyx"
VERSIONS = versions()


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No class, no hall; each test is another viewer."""
    for name in ("COURSE_CLASS", "COURSE_CLASS_SESSION", "COURSE_HALL", "COURSE_LECTURER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    monkeypatch.setattr(share_vote, "_viewers", {})
    monkeypatch.setattr(share_vote, "_ticked", set())
    monkeypatch.setattr(share_vote, "_sent", {})
    monkeypatch.setattr(share_vote, "_panels", weakref.WeakSet())
    yield
    release_stage.open_all()


@pytest.fixture
def path(monkeypatch, tmp_path) -> Path:
    """The file of a class that is open."""
    monkeypatch.setenv("COURSE_CLASS", str(tmp_path / "class.sqlite"))
    monkeypatch.setenv("COURSE_CLASS_SESSION", SESSION)
    return tmp_path / "class.sqlite"


@pytest.fixture
def hall(monkeypatch, path) -> Path:
    monkeypatch.setenv("COURSE_HALL", "1")
    return path


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> list[LanguageModel]:
    folder = tmp_path_factory.mktemp("family")
    shapes = {"small": 16, "medium": 24, "large": 32}
    return [
        LanguageModel(save_random_gpt2(folder / f"pocket-{name}", width, n_layer=1, n_embd=width, n_head=2))
        for name, width in shapes.items()
    ]


def hear(panel, **content) -> None:
    panel._on_message(panel, content, [])


def tick(panel: VoteSharingPanel, is_on: bool = True) -> None:
    hear(panel, kind="class share", is_on=is_on)


def counted() -> dict[str, int]:
    """How many votes each question has."""
    return {each.question: each.n for each in store.tallies(SESSION)}


def votes(path: Path) -> dict[str, str]:
    with database.transaction(path, is_writing=False) as db:
        return dict(db.execute("SELECT question, choice FROM votes"))


def timeline() -> ReleaseTimeline:
    panel = ReleaseTimeline(free=True)
    panel.choose("Feb 2019")
    return panel


def game() -> BlindTest:
    items = [Item(f"text {i}", "Rain", f"It rained {i}", (HUMAN, "a model")[i % 2], "", i) for i in range(4)]
    return BlindTest(items)


def button(value: float = 2.5) -> KeepButton:
    rows = pd.DataFrame({"model": ["pocket-xl"], "bits": [value]})
    headline = Metric("bits_per_character", "pocket-xl", value, "bits", 2.0, 3.0, 9)
    settings = {"n_texts": 40, "prompt": SECRET}
    models = {"pocket-xl": "0" * 64}
    again = {"experiment": "sizes.compare_sizes", "inputs": {"seed": 7, "texts": [SECRET]}}
    draw = lambda rows: Picture(Figure(), "")  # noqa: E731
    return KeepButton(
        Result(
            rows,
            SECRET,
            settings=settings,
            models=models,
            seed=7,
            versions=VERSIONS,
            draw=draw,
            headline=headline,
            **again,
        )
    )


def others(n: int, choice: str = "wait", question: str = "Feb 2019") -> None:
    for _ in range(n):
        store.add_vote(SESSION, "timeline", question, choice, store.new_viewer())


# -- the box -----------------------------------------------------------------------------------------------------------


def test_outside_a_class_there_is_no_box_and_no_file(tmp_path):
    panels = [timeline(), game(), button()]
    panels[0].decide("wait", "There is time.")
    panels[1].answer("human")
    panels[2].keep()
    for panel in panels:
        assert panel.class_share == {}
        tick(panel)
    assert list(tmp_path.rglob("class.sqlite")) == [] and not database.database_path().exists()


def test_before_the_box_is_ticked_nothing_is_written(path):
    panels = [timeline(), game(), button()]
    panels[0].decide("wait", "There is time.")
    panels[1].answer("human")
    panels[2].keep()
    assert [panel.class_share["is_on"] for panel in panels] == [False] * 3
    assert not path.exists()


def test_a_ticked_box_adds_what_was_decided_and_what_is_decided_next(path):
    panel = timeline()
    panel.decide("wait", SECRET)
    tick(panel)
    assert "1 vote of yours" in panel.class_share["said"]
    panel.decide("never", SECRET)
    assert votes(path) == {"Feb 2019": "wait", "May 2019": "never"}
    assert SECRET.encode() not in b"".join(each.read_bytes() for each in path.parent.glob("class.sqlite*"))


def test_an_unticked_box_takes_everything_back_and_sends_no_more(path):
    panel = timeline()
    tick(panel)
    panel.decide("wait", SECRET)
    others(1)
    tick(panel, False)
    assert counted() == {"Feb 2019": 1}
    assert "Taken back: 1 vote" in panel.class_share["said"]
    panel.decide("wait", SECRET)
    assert counted() == {"Feb 2019": 1}


NOTHING_LEFT = "Nothing sent from this notebook since its kernel started is in the file any more."


def test_what_other_panels_of_the_notebook_gave_is_told_when_a_box_is_unticked(path):
    """Two panels have voted and one is unticked: the page must not say that nothing is left."""
    decided, kept = timeline(), button()
    tick(decided)
    decided.decide("wait", SECRET)
    tick(kept)
    kept.keep()
    tick(decided, False)
    said = decided.class_share["said"]
    assert "Taken back: 1 vote." in said and NOTHING_LEFT not in said
    assert "1 (kept numbers)" in said and kept.class_share["is_on"]
    assert "Feb 2019" not in votes(path) and len(votes(path)) == 1
    tick(kept, False)
    assert NOTHING_LEFT in kept.class_share["said"]
    assert votes(path) == {}


@pytest.mark.parametrize("n", [1, 2, 3])
def test_boxes_of_one_kind_are_unticked_together(path, n):
    buttons = [button(value) for value in (2.5, 3.5, 4.5)][:n]
    for each in buttons:
        tick(each)
        each.keep()
    tick(buttons[0], False)
    assert sum(counted().values()) == 0
    assert all(not each.class_share["is_on"] and NOTHING_LEFT in each.class_share["said"] for each in buttons)
    buttons[-1].keep()
    assert sum(counted().values()) == 0, "an unticked box sends nothing"


def test_a_vote_of_an_earlier_round_is_taken_back_too(path):
    panel = timeline()
    tick(panel)
    panel.decide("wait", SECRET)
    store.new_round(SESSION)
    panel.decide("wait", SECRET)
    tick(panel, False)
    assert "Taken back: 2 votes." in panel.class_share["said"] and NOTHING_LEFT in panel.class_share["said"]
    assert store.count_of_viewer(SESSION, share_vote.this_viewer()) == ({}, 0)


def test_a_picture_that_still_counts_a_vote_is_told(path):
    panel = timeline()
    others(4)
    tick(panel)
    panel.decide("wait", SECRET)
    assert store.tallies(SESSION)[0].shown
    tick(panel, False)
    assert "A picture that is shown already" in panel.class_share["said"]


def test_another_kernel_s_votes_are_neither_taken_back_nor_spoken_of(path, monkeypatch):
    first = timeline()
    tick(first)
    first.decide("wait", SECRET)
    monkeypatch.setattr(share_vote, "_viewers", {})  # another process has another viewer, and panels of its own
    monkeypatch.setattr(share_vote, "_sent", {})
    monkeypatch.setattr(share_vote, "_panels", weakref.WeakSet())
    release_stage.open_all()
    second = timeline()
    tick(second)
    second.decide("never", SECRET)
    tick(second, False)
    assert "this notebook since its kernel started" in second.class_share["said"]
    assert list(votes(path).values()) == ["wait"] and first.class_share["is_on"]


def test_nothing_is_said_to_be_gone_before_the_file_says_so(path, monkeypatch):
    panel = timeline()
    tick(panel)
    panel.decide("wait", SECRET)

    def refuse(*given, **named):
        raise database.DatabaseBusy("The class's file is held.")

    with monkeypatch.context() as held:
        held.setattr(share_vote.store, "withdraw", refuse)
        tick(panel, False)
    assert panel.class_share["is_on"] and "is held" in panel.class_share["said"]
    assert "Nothing" not in panel.class_share["said"] and counted()["Feb 2019"] == 1


def test_votes_in_a_file_that_was_replaced_are_not_called_taken_back(path):
    panel = timeline()
    tick(panel)
    panel.decide("wait", SECRET)
    database._forget(path)
    path.rename(path.with_name("old.sqlite"))
    tick(panel, False)
    assert "1 vote sent before could not be found" in panel.class_share["said"]


def test_a_vote_cast_while_the_box_is_unticked_is_not_left_behind(path, monkeypatch):
    """A vote waits until the votes are taken back and the box is off; then it is not sent."""
    panel, at_work, may_go = timeline(), threading.Event(), threading.Event()
    tick(panel)
    panel.decide("wait", SECRET)
    withdraw = store.withdraw

    def slow(*given, **named):
        at_work.set()
        assert may_go.wait(SOON)
        return withdraw(*given, **named)

    monkeypatch.setattr(share_vote.store, "withdraw", slow)
    taking = threading.Thread(target=tick, args=(panel, False))
    taking.start()
    assert at_work.wait(SOON)
    voting = threading.Thread(target=panel._give, args=({"May 2019": "never"},))
    voting.start()
    may_go.set()
    taking.join(SOON)
    voting.join(SOON)
    assert votes(path) == {} and NOTHING_LEFT in panel.class_share["said"]


def test_what_was_taken_back_is_not_in_the_file_s_log_either(path):
    panel = timeline()
    tick(panel)
    panel.decide("never", SECRET)
    assert b"never" in b"".join(each.read_bytes() for each in path.parent.glob("class.sqlite*"))
    tick(panel, False)
    assert b"never" not in b"".join(each.read_bytes() for each in path.parent.glob("class.sqlite*"))


def test_a_panel_made_again_still_holds_the_box_of_its_viewer(path):
    panel = timeline()
    tick(panel)
    panel.decide("wait", SECRET)
    again = panel.recreate()
    assert again.class_share["is_on"]
    tick(again, False)
    assert counted() == {"Feb 2019": 0}


def test_a_blind_ranking_becomes_votes_on_models_and_nothing_else(path, family):
    panel = SideBySide(family, SECRET, Settings(max_new_tokens=3), blind=True)
    tick(panel)
    panel.generate()
    assert panel.wait(SOON)
    panel.rank("BCA")
    ranking = panel.rankings[-1]["ranking"]
    small, medium, large = (each.name for each in family)
    expected = {f"first {small}|{medium}|{large}": ranking[0]}
    for pair in ((small, medium), (medium, large)):
        expected["pair {}|{}".format(*pair)] = min(pair, key=ranking.index)
    assert votes(path) == expected
    panel.close()


def test_readers_send_how_often_they_were_right_and_only_the_last_count(path):
    panel = game()
    tick(panel)
    told = set()
    for answer in ("human", "human", "machine", "machine"):
        panel.answer(answer, 2)
        told.add(json.dumps(panel.class_share))
    assert votes(path) == {"score": "1/2 1/2"}
    assert len(told) == 1  # what the page is told says nothing of right and wrong before the end


def test_a_kept_number_is_counted_without_a_word_of_the_person_s(path):
    panel = button()
    tick(panel)
    panel.keep()
    assert list(counted()) == ["sizes.compare_sizes bits_per_character  pocket-xl"]
    with database.transaction(path, is_writing=False) as db:
        (row,) = db.execute("SELECT value, low, high, n, settings FROM evidence").fetchall()
    assert row == (2.5, 2.0, 3.0, 9, '{"n_texts": 40, "seed": 7}')
    assert SECRET.encode() not in b"".join(each.read_bytes() for each in path.parent.glob("class.sqlite*"))
    tick(panel, False)
    assert list(counted().values()) == [0]


def test_a_file_that_cannot_be_used_costs_nobody_a_decision(path):
    panel = timeline()
    tick(panel)
    database._forget(path)
    path.write_text("damaged " * 1000)
    panel.decide("wait", SECRET)
    assert len(panel.decisions) == 1 and panel.stage == "May 2019"
    assert "lies now at" in panel.class_share["said"]
    panel.decide("wait", SECRET)
    assert counted() == {"May 2019": 1}


def test_in_a_hall_what_is_kept_says_where_it_lies_and_can_be_saved(hall, monkeypatch):
    panel, sent = button(), []
    monkeypatch.setattr(panel, "send", sent.append)
    panel.keep()
    assert share_vote.ON_THIS_PAGE in panel.kept["warnings"]
    assert panel.class_share["kept"] == 1
    hear(panel, kind="class ledger")
    assert sent[-1]["text"] == ledger.ledger_path().read_text("utf-8")


def test_outside_a_hall_the_ledger_is_sent_to_no_page(path, monkeypatch):
    panel, sent = button(), []
    monkeypatch.setattr(panel, "send", sent.append)
    panel.keep()
    hear(panel, kind="class ledger")
    assert sent[-1]["text"] == "" and panel.kept["warnings"] == []


# -- the picture -------------------------------------------------------------------------------------------------------


def test_the_picture_is_the_class_s_and_grows_in_steps_of_five(path):
    panel, drawn = ClassResults(), []
    for n in range(1, 13):
        others(1)
        panel.look()
        (picture,) = panel.pictures
        drawn.append((picture["n"], picture["shown"]))
        assert bool(picture["rows"]) == (n >= MIN_VOTERS)
    assert drawn == [(n, n - n % MIN_VOTERS) for n in range(1, 13)]
    assert [row["words"].split(", ")[1] for row in panel.pictures[0]["rows"]] == ["0 of 10", "10 of 10", "0 of 10"]


def test_neighbours_in_size_share_a_picture_and_the_larger_one_is_counted(path):
    for ranking in (["b", "c", "a"], ["c", "b", "a"], ["b", "a", "c"], ["c", "b", "a"], ["b", "c", "a"]):
        votes = ranking_votes(ranking, {"a": 1, "b": 2, "c": 3})
        store.add_votes(SESSION, "sizes", votes, store.new_viewer())
    panel = ClassResults()
    panel.refresh()
    first, pairs = panel.pictures
    assert [(row["label"], row["value"]) for row in first["rows"]] == [("a", 0), ("b", 0.6), ("c", 0.4)]
    assert [(row["label"], row["value"]) for row in pairs["rows"]] == [("b over a", 1.0), ("c over b", 0.4)]


def test_a_page_cannot_turn_to_another_class_nor_make_itself_the_lecturer_s(hall):
    others(5)
    panel = ClassResults(session="lecture-2")
    panel.set_state({"session": SESSION, "is_lecturer": True, "about": "timeline"})
    hear(panel, kind="ready")
    assert (panel.session, panel.is_lecturer, panel.about, panel.pictures) == ("lecture-2", False, "timeline", [])
    panel.close()


def test_two_line_ups_of_as_many_models_have_two_pictures(path):
    for names in (["a", "b"], ["b", "c"]):
        votes = ranking_votes(names, {"a": 1, "b": 2, "c": 3})
        store.add_votes(SESSION, "sizes", votes, store.new_viewer())
    panel = ClassResults()
    panel.refresh()
    assert len({picture["key"] for picture in panel.pictures}) == 2


def test_every_panel_that_keeps_numbers_or_takes_votes_has_the_box():
    """Its browser half builds it once, and has what it is built of."""
    for panel in (SideBySide, BlindTest, ReleaseTimeline, KeepButton, DetectorBench, TokenMap):
        assert issubclass(panel, VoteSharingPanel)
        assert len(re.findall(r"function buildVoteSharing\(v\d*\)", panel._esm)) == 1
        assert len(re.findall(r"buildVoteSharing\(v\d*\)", panel._esm)) == 2
        assert panel.class_keeps or panel.class_words


def test_kept_numbers_and_readers_have_a_picture(path):
    for value in (2.1, 2.2, 2.25, 2.4, 2.4):
        share_vote._viewers.clear()
        panel = button(value)
        panel.share_with_class(True)
        panel.keep()
        store.add_vote(SESSION, "human_or_machine", "score", "3/4 1/4", store.new_viewer())
    results = ClassResults()
    results.refresh()
    readers, kept = results.pictures
    labels = [row["label"] for row in readers["rows"][1:]]
    assert labels == ["People's texts called human", "Machine's texts called human"]
    assert readers["rows"][0]["value"] == 0.5 and readers["rows"][2]["words"].endswith("15 of 20")
    assert sum(row["value"] for row in kept["rows"]) == pytest.approx(1)
    assert kept["title"].startswith("bits per character of pocket-xl")


def test_everybody_is_told_who_is_missing():
    assert class_words.missing(Tally("timeline", "Feb 2019", 1, None, 1, 4)).startswith("1 has voted; 4 more needed")
    assert "changes with 3 more" in class_words.missing(Tally("timeline", "Feb 2019", 7, {"n": 5}, 2, 3))
    taken_back = class_words.missing(Tally("timeline", "Feb 2019", 4, None, 1, 4))
    assert taken_back == "4 have voted; the next picture comes with 4 more.", "4 and 4 are not 5"
    assert class_words.DECISIONS == CHOICES


def test_without_a_class_the_panel_says_so_and_an_old_one_can_be_shown(tmp_path):
    panel = ClassResults()
    hear(panel, kind="ready")
    assert panel.message == NO_CLASS
    file = tmp_path / "old.sqlite"
    store.add_vote("last-year", "timeline", "Feb 2019", "wait", store.new_viewer(), file)
    old = ClassResults("last-year", path=file)
    old.refresh()
    assert old.pictures[0]["n"] == 1
    with pytest.raises(TextError, match="about"):
        ClassResults(about="all of it")


def test_on_a_viewer_s_page_nothing_is_led_and_nothing_exported(hall, monkeypatch):
    panel, sent = ClassResults(), []
    monkeypatch.setattr(panel, "send", sent.append)
    others(6)
    hear(panel, kind="ready")
    assert not panel.is_lecturer and panel.pictures
    for kind in ("new round", "export"):
        hear(panel, kind=kind)
        assert "may not" in panel.message
    assert store.current_round(SESSION) == 1 and sent == []
    with pytest.raises(AccessRefused):
        panel.csv()
    monkeypatch.setenv("COURSE_LECTURER", "1")  # set for this viewer's process, after the panel was made
    hear(panel, kind="ready")
    assert panel.is_lecturer
    hear(panel, kind="export")
    assert sent[-1]["text"] == store.export_csv(SESSION)
    hear(panel, kind="new round")
    assert panel.round == 2 and panel.pictures == []
    panel.close()


def test_it_looks_only_while_it_is_seen(path, monkeypatch):
    monkeypatch.setattr("course_utils.widgets.classroom.class_results.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("course_utils.widgets.classroom.class_results.WATCHED_S", 0.4)
    panel = ClassResults()
    others(1)
    assert not [each for each in threading.enumerate() if each.name == "course-class"]
    hear(panel, kind="seen")
    others(1)
    _until(lambda: panel.pictures and panel.pictures[0]["n"] == 2)
    _until(lambda: not panel._watcher.is_alive())
    others(1)
    assert panel.pictures[0]["n"] == 2
    hear(panel, kind="seen")
    _until(lambda: panel.pictures[0]["n"] == 3)
    panel.close()
    _until(lambda: not panel._watcher.is_alive())


def test_a_file_that_was_replaced_is_told(path):
    panel = ClassResults()
    others(2)
    panel.refresh()
    database._forget(path)
    path.rename(path.with_name("away"))
    others(1)
    panel.look()
    assert panel.message == REPLACED and panel.pictures[0]["n"] == 1


def _until(holds) -> None:
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
