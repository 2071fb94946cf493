"""Self-assessment without a browser: a level brings one next step, and all of it is kept beside the notebook."""

import json

import pytest

from course_utils.errors import SettingsError
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.widgets.marking.self_assessment import NAME, TOP, SelfAssessment

RUBRIC = load_rubric()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hear(mine, **content) -> None:
    mine._on_message(mine, content | {"paper": "own"}, [])


def test_every_level_brings_the_rubrics_next_step_and_the_highest_says_so():
    mine = SelfAssessment()
    assert mine.steps == {}
    for criterion in RUBRIC.criteria:
        for level in range(len(RUBRIC.levels)):
            hear(mine, kind="level", criterion=criterion.id, typed=level)
            assert mine.steps[criterion.id] == [*criterion.next, TOP][level]
    assert set(mine.steps) == {criterion.id for criterion in RUBRIC.criteria}


def test_levels_and_notes_are_there_again_after_a_reload(folder):
    mine = SelfAssessment()
    hear(mine, kind="level", criterion="counter", typed=3)
    hear(mine, kind="comment", criterion="counter", typed="“Others will rebuild it.”")
    assert (folder / NAME).is_file() and [file.name for file in folder.iterdir()] == [NAME]
    again = SelfAssessment()
    assert again.marks["levels"]["counter"] == 3 and again.steps == mine.steps
    assert again.marks["comments"]["counter"] == "“Others will rebuild it.”"


def test_a_change_can_be_undone():
    mine = SelfAssessment()
    mine.mark_level("thesis", 1)
    mine.mark_level("thesis", 2)
    hear(mine, kind="undo")
    assert mine.steps["thesis"] == RUBRIC.criterion("thesis").next[1]
    hear(mine, kind="undo")
    assert mine.steps == {}


@pytest.mark.parametrize("level", [-1, 5, 99])
def test_a_level_that_does_not_exist_is_refused_and_the_old_one_stays(level):
    mine = SelfAssessment()
    mine.mark_level("thesis", 1)
    hear(mine, kind="level", criterion="thesis", typed=level)
    assert "level" in mine.saved["why"] and mine.marks["levels"]["thesis"] == 1
    with pytest.raises(SettingsError):
        mine.mark_level("beauty", 1)


def test_only_what_is_public_is_shown():
    sent = json.dumps(SelfAssessment().get_state(["rubric", "steps", "marks"]))
    assert all(criterion["scheme"] == [] for criterion in SelfAssessment().rubric["criteria"])
    assert "MARK SCHEME" not in sent and "Traps" not in sent
