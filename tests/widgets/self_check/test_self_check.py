"""The self-check without a browser: what is right stays closed until asked for; every answer gets its reason."""

import json

import pytest

from course_utils.core.paths import PACKAGE
from course_utils.errors import TextError
from course_utils.widgets.self_check.self_check import SelfCheck

SETS = json.loads((PACKAGE / "widgets" / "self_check" / "self_check.json").read_text("utf-8"))


def right_answers(name: str) -> list[float]:
    """Return for each question the number of its right choice, or the number itself."""
    found = []
    for question in SETS[name]:
        rights = [i for i, choice in enumerate(question.get("choices", []), 1) if choice.get("is_right")]
        assert len(rights) == ("choices" in question), question["ask"]
        found.append(rights[0] if rights else question["answer"])
    return found


@pytest.mark.parametrize("name", SETS)
def test_every_question_has_one_right_answer_and_every_answer_a_reason(name):
    check = SelfCheck(name)
    for number, given in enumerate(right_answers(name), 1):
        assert check.answer(number, given)
        for choice in range(1, len(check.questions[number - 1]["choices"]) + 1):
            assert check.answer(number, choice) == (choice == given)
            assert check.verdicts[str(number)]["because"]
    n = len(SETS[name])
    assert check.summary == f"{n} of {n} answered, {n} right at the first try."


@pytest.mark.parametrize("name", SETS)
def test_the_browser_does_not_know_what_is_right_before_the_answer(name):
    check = SelfCheck(name)
    told = str(check.get_state(["questions", "answers", "verdicts", "summary"]))
    for question in SETS[name]:
        for choice in question.get("choices", [question]):
            assert choice["because"] not in told
    assert "is_right" not in told


def test_only_the_first_try_counts():
    check = SelfCheck("six_month_follow_up")
    right = right_answers("six_month_follow_up")[0]
    check.answer(1, right % 4 + 1)
    check.answer(1, right)
    assert check.verdicts["1"]["is_right"]
    assert "0 right at the first try" in check.summary


@pytest.mark.parametrize("given", [16.1, "16.1", "16,1", " 16.1 % ", "16.1%"])
def test_a_number_may_be_written_as_people_write_it(given):
    assert SelfCheck("why_we_released_grover").answer(3, given)


@pytest.mark.parametrize(
    ("number", "given"), [(0, 1), (99, 1), (1, 0), (1, 9), (1, "x"), (1, ""), (3, "many"), (3, "nan")]
)
def test_what_is_no_answer_is_told_and_changes_nothing(number, given):
    check = SelfCheck("why_we_released_grover")
    with pytest.raises(TextError, match=r"question|Question"):
        check.answer(number, given)
    check._on_message(check, {"kind": "answer", "number": number, "given": given}, [])
    assert check.message
    assert check.verdicts == {}


def test_a_set_that_does_not_exist_is_told_with_those_that_do():
    with pytest.raises(TextError, match="weighing_the_strategies"):
        SelfCheck("weighing")
