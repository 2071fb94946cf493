"""Self-check panel: a few questions on a reading; every answer gets its reason at once, and nothing is counted."""

import json
import math
from typing import Any

import traitlets

from course_utils.core.paths import data_file
from course_utils.data.bibliography import in_words
from course_utils.errors import TextError
from course_utils.widgets.base.numbers import number_in
from course_utils.widgets.base.panel import Panel, browser_bundle
from course_utils.widgets.base.static_view import Fact, Part


class SelfCheck(Panel):
    """A panel of questions to answer by choosing, or with a number; what is right stays in the kernel until asked.

    Parameters
    ----------
    name : str
        Which questions: a name in ``self_check.json``, such as ``"six_month_follow_up"``.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    questions : list of dict
        As the browser knows them: ask, choices (empty where a number is asked for), unit.
    answers, verdicts : dict
        By the question's number, from 1: what was answered last, and ``is_right``, ``because`` and ``source``.
    summary : str
        How many were right at the first try.

    Raises
    ------
    TextError
        There are no questions of that name.

    Examples
    --------
    >>> check = SelfCheck("six_month_follow_up")
    >>> check.answer(1, 2), check.summary
    (True, '1 of 4 answered, 1 right at the first try.')
    """

    _esm, _css = browser_bundle("self_check")
    panel_title = "Self-check"

    questions: traitlets.List[Any] = traitlets.List().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    verdicts = traitlets.Dict().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)

    def __init__(self, name: str, projector: bool = False) -> None:
        sets = json.loads(data_file(__name__, "self_check.json").read_text("utf-8"))
        if name not in sets:
            raise TextError(
                f"There are no questions called {name!r}.", f"One of {', '.join(sets)}.", f'SelfCheck("{min(sets)}")'
            )
        self._known = sets[name]
        self._firsts: dict[str, bool] = {}
        super().__init__(projector, questions=[_asked(each) for each in self._known])

    def answer(self, number: int, given: float | str) -> bool:
        """Answer a question and return whether it is right.

        Parameters
        ----------
        number : int
            Of the question, from 1.
        given : int, float or str
            The number of the choice, from 1; or the number that is asked for, which may be text such as ``"16,1 %"``.

        Raises
        ------
        TextError
            There is no such question or choice, or it is no number.
        """
        if not (isinstance(number, int) and 1 <= number <= len(self._known)):
            expected = f"A question from 1 to {len(self._known)}."
            raise TextError(f"There is no question {number!r}.", expected, "check.answer(1, 1)")
        value = _number(number, given, self.questions[number - 1])
        verdict = _judged(self._known[number - 1], value)
        key = str(number)
        self._firsts.setdefault(key, verdict["is_right"])
        verdicts = {**self.verdicts, key: verdict}
        self.set_traits(
            message="", answers={**self.answers, key: value}, verdicts=verdicts, summary=self._counted(len(verdicts))
        )
        return bool(verdict["is_right"])

    def static_parts(self) -> list[Part]:
        """Return the questions, and of those that were answered the answer and its reason."""
        parts: list[Part] = [Fact("", self.summary)] if self.summary else []
        for number, question in enumerate(self.questions, start=1):
            parts.append(Fact(f"Question {number}", question["ask"]))
            key = str(number)
            if key in self.answers:
                given = self.answers[key]
                told = question["choices"][given - 1] if question["choices"] else f"{given:g} {question['unit']}"
                verdict = self.verdicts[key]
                parts.append(Fact("Your answer", f"{told} ({'right' if verdict['is_right'] else 'not right'})"))
                parts.append(Fact("Because", verdict["because"]))
        return parts

    def _counted(self, n_answered: int) -> str:
        n_right = sum(self._firsts.values())
        return f"{n_answered} of {len(self._known)} answered, {n_right} right at the first try."

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "answer", "number": int(number), "given": int(given) | str(given)}:
                self.answer(number, given)


def _asked(question: dict) -> dict[str, object]:
    """Return what the browser may know of a question."""
    choices = [choice["text"] for choice in question.get("choices", [])]
    return {"ask": question["ask"], "choices": choices, "unit": question.get("unit", "")}


def _number(number: int, given: float | str, question: dict) -> float:
    """Read what a person gave: the number of a choice, or a number with or without its unit, comma or point."""
    n_choices = len(question["choices"])
    words = str(given).replace(question["unit"] or " ", "").strip().rstrip("%").strip()
    value = number_in(words)
    value = math.nan if value is None else value
    if n_choices and value in range(1, n_choices + 1):
        return int(value)
    if n_choices or not math.isfinite(value):
        what = f"the number of a choice, from 1 to {n_choices}" if n_choices else f"a number {question['unit']}".strip()
        wrong = f"has no choice {given}" if n_choices else f"cannot read {str(given)[:40]!r}"
        raise TextError(
            f"Question {number} {wrong}.", f"It expects {what}.", f"Answer again: check.answer({number}, 1)"
        )
    return value


def _judged(question: dict, value: float) -> dict[str, Any]:
    """Return whether an answer is right, why, and where that stands."""
    if "choices" in question:
        choice = question["choices"][value - 1]
        is_right, because = bool(choice.get("is_right")), choice["because"]
    else:
        is_right = abs(value - question["answer"]) <= question["within"]
        because = question["because"]
    return {"is_right": is_right, "because": because, "source": in_words(question["source"])}
