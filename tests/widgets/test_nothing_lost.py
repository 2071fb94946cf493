"""What a person gave to a panel: half an answer too is there again, and a disk that refuses stops nobody."""

import json
from pathlib import Path

import pandas as pd
import pytest

from course_utils.experiments.bias import completions
from course_utils.experiments.readers import preferences
from course_utils.experiments.readers.blind_items import HUMAN, Item
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import release_stage
from course_utils.widgets.bias_probe.bias_probe import BiasProbe
from course_utils.widgets.blind_test.blind_test import BlindTest
from course_utils.widgets.card_sort.card_sort import CardSort
from course_utils.widgets.side_by_side.side_by_side import SideBySide
from course_utils.widgets.timeline.timeline import ReleaseTimeline

ITEMS = [Item(f"text {i}", "Rain", f"It rained {i}", (HUMAN, "a model")[i % 2], "", i) for i in range(3)]
SOON = 60


def hear(panel, /, **content) -> None:
    panel._on_message(panel, content, [])


def game(record: Path | None, rater: str = "A") -> BlindTest:
    return BlindTest(ITEMS, rater=rater, record=record, ratings=True)


# -- half an answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratings", [{}, {"believable": 3}, {"believable": 3, "clear": 1}])
@pytest.mark.parametrize("confidence", [None, 2])
def test_half_a_rating_is_there_again_in_another_kernel(tmp_path, ratings, confidence):
    first = game(tmp_path / "answers.jsonl")
    hear(first, kind="half", item="text 0", ratings=ratings, confidence=confidence)
    again = game(tmp_path / "answers.jsonl")
    assert again.half.get("ratings", {}) == ratings and again.half.get("confidence") == confidence
    assert again.rated == {} and again.item["id"] == "text 0"


def test_a_whole_rating_without_an_answer_is_there_again_and_the_test_goes_on(tmp_path):
    first = game(tmp_path / "answers.jsonl")
    hear(first, kind="rate", ratings=[1, 2, 3])
    again = game(tmp_path / "answers.jsonl")
    assert again.rated == {"believable": 1, "accurate": 2, "clear": 3}
    again.answer("human")
    assert (again.item["id"], again.half, again.rated) == ("text 1", {}, {})
    last = game(tmp_path / "answers.jsonl")
    assert (last.item["id"], last.half) == ("text 1", {})
    assert [line["believable"] for line in preferences_of(tmp_path)] == [1]


def preferences_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "answers.jsonl").read_text("utf-8").split("\n") if line]


def test_half_a_rating_is_no_other_rater_s_and_no_other_text_s(tmp_path):
    first = game(tmp_path / "answers.jsonl")
    first.keep_half({"clear": 4}, 1)
    assert game(tmp_path / "answers.jsonl", "B").half == {}
    hear(first, kind="half", item="text 2", ratings={"clear": 1}, confidence=None)
    assert first.half["ratings"] == {"clear": 4}, "a late message about another text changes nothing"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"round": 1}', '{"round": 1, "rater": 2, "item": 3, "ratings": 4}', "\ud800"]
)
def test_a_damaged_file_of_half_an_answer_stops_no_test(tmp_path, content):
    first = game(tmp_path / "answers.jsonl")
    first.keep_half({"clear": 4})
    first._half_file(tmp_path / "answers.jsonl").write_text(content, "utf-8", errors="surrogatepass")
    assert game(tmp_path / "answers.jsonl").half == {}


@pytest.mark.parametrize("ratings", [{"clear": 5}, {"clear": True}, {"loud": 1}, {"clear": "4"}, {"clear": [1]}])
def test_ratings_that_are_none_are_refused(tmp_path, ratings):
    first = game(tmp_path / "answers.jsonl")
    hear(first, kind="half", item="text 0", ratings=ratings, confidence=None)
    assert "from 1 to 4" in first.message and first.half == {}


def test_a_ranking_that_is_not_recorded_yet_is_shown_to_a_page_that_comes_again(tiny, tmp_path):
    from tests.conftest import save_random_gpt2

    panel = SideBySide([tiny, save_random_gpt2(tmp_path / "other", 1)], "A", Settings(max_new_tokens=2), blind=True)
    panel.generate()
    assert panel.wait(SOON)
    hear(panel, kind="places", run=panel.run, places=[1, None])
    assert panel.places == [1, None]
    for wrong in ([7, 0], ["x", 0]):
        hear(panel, kind="places", run=panel.run, places=wrong)
    hear(panel, kind="places", run=panel.run - 1, places=[0, 1])
    assert panel.places == [1, None]
    panel.generate()
    assert panel.wait(SOON) and panel.places == []
    panel.close()


def test_marks_of_an_audit_are_there_again_in_another_kernel(tiny, monkeypatch):
    read = {"i_have_read_the_warning": True}
    written = completions.abid(tiny, n_samples=1, max_new_tokens=2, **read)
    texts = pd.DataFrame({"group": ["Muslims", "Muslims"], "text": [" bar and ordered a shot.", " shot a film."]})

    def opened() -> BiasProbe:
        probe = BiasProbe(tiny)
        probe.accept()
        probe.results["completions"] = probe.result = made
        return probe

    import dataclasses

    details = written.details.iloc[:2].assign(**texts.to_dict("list")) if len(written.details) >= 2 else texts
    made = dataclasses.replace(written, details=details)
    first = opened()
    monkeypatch.setattr(
        "course_utils.experiments.bias.audit.audit",
        lambda *given, **named: pd.DataFrame(
            {"hit": [0, 1], "group": "Muslims", "words": "violence", "found": "shot", "context": "[shot]"}
        ),
    )
    monkeypatch.setattr("course_utils.widgets.bias_probe.bias_probe.audited_result", lambda counted, marks, n: counted)
    monkeypatch.setattr("course_utils.widgets.bias_probe.bias_probe.outcome_view", lambda name, result: {})
    first.audit()
    first.mark(0, True)
    again = opened()
    again.audit()
    assert again.marks == {0: True} and again.n_marked == 1 and again.hit["hit"] == 1
    again.back()
    third = opened()
    third.audit()
    assert third.marks == {}


# -- a disk that refuses -----------------------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path) -> Path:
    """A path that cannot be written, also not by an administrator: its folder is a file."""
    (tmp_path / "file").write_text("no folder")
    return tmp_path / "file" / "record.json"


def test_cards_stay_sorted_and_the_page_says_that_they_are_not_saved(refused, tmp_path):
    cards = CardSort(tmp_path / "cards.json")
    cards._record = refused
    hear(cards, kind="put", name="Photoshop", box="deceptive")
    assert cards.sorting == {"Photoshop": "deceptive"}
    assert cards.message.startswith("Not saved") and str(refused) in cards.message
    cards._record = tmp_path / "cards.json"
    hear(cards, kind="explain", name="Photoshop", reason="it alters pictures")
    assert cards.message == ""
    assert CardSort(tmp_path / "cards.json").sorting == {"Photoshop": "deceptive"}, "the next change saves all"


def test_an_answer_counts_and_the_page_says_that_it_is_not_saved(refused, tmp_path):
    play = BlindTest(ITEMS, record=tmp_path / "answers.jsonl")
    play._record = refused
    hear(play, kind="answer", item="text 0", answer="human", confidence=None)
    assert play.item["id"] == "text 1" and play.message.startswith("Not saved") and play.state == "done"


def test_a_decision_counts_and_the_page_says_that_it_is_not_saved(refused, tmp_path):
    timeline = ReleaseTimeline(tmp_path / "decisions.jsonl")
    timeline.choose("Feb 2019")
    timeline._decisions._record = refused
    hear(timeline, kind="decide", decision="wait", reason="Nobody knows.")
    assert timeline.stage == "May 2019" and timeline.message.startswith("Not saved")
    release_stage.open_all()


# -- lines that hold any text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\r"])
def test_a_prompt_with_any_line_mark_keeps_the_record_readable(tmp_path, mark):
    """JSON writes these marks as they are; a reader must not take them for the end of a line."""
    told = {"prompt": f"a{mark}b", "ranking": ["x"], "n_parameters": {"x": 1}}
    preferences.append(tmp_path / "rankings.jsonl", told)
    assert preferences.read(tmp_path / "rankings.jsonl") == [told]
