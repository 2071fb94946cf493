"""Prediction panel: a student's guess before a cell runs, stored, and shown beside the measured value."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from course_utils.errors import CourseError, SettingsError, TextError
from course_utils.evidence.predictions import Prediction, now, read_predictions, store_prediction
from course_utils.widgets.base.numbers import number_in, problem_of
from course_utils.widgets.base.panel import Panel, browser_bundle
from course_utils.widgets.base.static_view import Fact, Part

MAX_WORDS = 2_000  # characters of a guess in words
SCALES = ("linear", "log")


class Predict(Panel):
    """A panel in which a student guesses a value before measuring it.

    The guess is stored beside the ledger. After the measurement, `reveal` shows both values. From then on the guess
    cannot be changed.

    Parameters
    ----------
    key : str
        A name for the question, unique in the course. The guess is stored under it.
    question : str
        One question.
    unit : str
        Of a number, such as ``"tokens"`` or ``"%"``.
    low, high : float, optional
        The ends of an axis on which the guess is placed. Without them, a number is typed.
    scale : {"linear", "log"}
        Of the axis.
    choices : sequence of str
        Answers to choose from, instead of a number.
    in_words : bool
        Whether the guess is a text, instead of a number.
    ledger : str or Path, optional
        The ledger beside which the guess is stored.
    projector : bool
        Large type, for a lecture hall.

    Raises
    ------
    SettingsError
        The axis has only one end, its ends are in the wrong order, or a log axis begins at zero or below.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> panel = Predict("auc", "How high will the AUC be?", low=0.5, high=1, ledger=f"{mkdtemp()}/evidence.jsonl")
    >>> panel.guess("0,8")
    >>> panel.reveal(0.64)
    'You predicted 0.8. Measured: 0.64. The measured value is 0.16 lower.'
    """

    _esm, _css = browser_bundle("predict")
    panel_title = "Prediction"

    question = traitlets.Unicode().tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    choices: traitlets.List[Any] = traitlets.List().tag(sync=True)
    in_words = traitlets.Bool(False).tag(sync=True)
    axis = traitlets.Dict().tag(sync=True)  # low, high, scale; empty where a number is typed
    guessed = traitlets.Any(None, allow_none=True).tag(sync=True)
    measured = traitlets.Any(None, allow_none=True).tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        key: str,
        question: str,
        unit: str = "",
        *,
        low: float | None = None,
        high: float | None = None,
        scale: str = "linear",
        choices: Sequence[str] = (),
        in_words: bool = False,
        ledger: str | Path | None = None,
        projector: bool = False,
    ) -> None:
        axis = _axis(low, high, scale)
        self._ledger = ledger
        self._prediction = Prediction(key, question, unit)
        problem = ""
        try:
            earlier = read_predictions(ledger).get(key)
        except CourseError as error:  # a file that cannot be read stops no notebook
            earlier, problem = None, str(error)
        if earlier is not None:
            self._prediction = dataclasses.replace(earlier, question=question, unit=unit)
        super().__init__(
            projector,
            question=question,
            unit=unit,
            choices=list(choices),
            in_words=in_words,
            axis=axis,
            guessed=self._prediction.guess,
            measured=self._prediction.measured,
            message=problem,
        )
        self.summary = self._in_words()

    def guess(self, value: float | str) -> None:
        """Store a guess. A later guess replaces it, until the result is shown.

        Parameters
        ----------
        value : float or str
            A number, which may be typed such as ``"0,8"`` or ``"80 %"``; the text of a choice; or a text.

        Raises
        ------
        TextError
            It is none of these, or the result has been shown already.
        """
        if self.measured is not None:
            raise TextError(
                "The result has been shown, so the prediction stays as it is.",
                "A guess before the result.",
                "Go on to the next question.",
            )
        self._keep(dataclasses.replace(self._prediction, guess=self._read(value), time=now()))

    def reveal(self, measured: float | str) -> str:
        """Show the measured value beside the guess, and store it.

        Parameters
        ----------
        measured : float or str

        Returns
        -------
        str
            Both in words.
        """
        if not isinstance(measured, str):
            measured = float(measured)
            measured = int(measured) if measured.is_integer() else measured
        self._keep(dataclasses.replace(self._prediction, measured=measured))
        return self.summary

    def static_parts(self) -> list[Part]:
        """Return the question, the guess and the measured value."""
        return [Fact("Question", self.question), Fact("", self.summary)]

    def _keep(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self.set_traits(
            message="", guessed=prediction.guess, measured=prediction.measured, summary=self._in_words(prediction)
        )
        try:
            store_prediction(prediction, self._ledger)
        except CourseError as error:
            self._show_not_saved(error)

    def _read(self, value: float | str) -> float | str:
        """Return a guess as a number, a choice or a text."""
        if self.choices:
            if value not in self.choices:
                raise TextError(f"{value!r} is no choice.", f"One of {', '.join(self.choices)}.", "Choose one.")
            return value
        if self.in_words:
            if not isinstance(value, str) or not value.strip() or len(value) > MAX_WORDS:
                raise TextError(
                    "The prediction is empty or too long.", f"1 to {MAX_WORDS:,} characters.", "Write one sentence."
                )
            return value.strip()
        typed = value.strip().removesuffix(self.unit).strip().removesuffix("%") if isinstance(value, str) else value
        low, high = self.axis.get("low", -math.inf), self.axis.get("high", math.inf)
        number = number_in(typed)
        if number is None or not low <= number <= high:
            expected = f"A number from {_number(low)} to {_number(high)}" if self.axis else "A number"
            shown = problem_of("prediction", value, low, high, False).split(" Expected")[0]
            raise TextError(shown, f"{expected}{f', in {self.unit}' if self.unit else ''}.", "Correct the prediction.")
        return number

    def _in_words(self, prediction: Prediction | None = None) -> str:
        """Return the guess and the measured value in one to three sentences."""
        found = prediction or self._prediction
        guess, measured = (self._with_unit(value) for value in (found.guess, found.measured))
        if found.measured is None:
            return f"You predicted {guess}. Run the next cell to compare." if guess else ""
        if not guess:
            return f"Measured: {measured}. You made no prediction."
        return " ".join([f"You predicted {guess}. Measured: {measured}.", *self._difference(found)])

    def _difference(self, found: Prediction) -> list[str]:
        """Return how far the measured value is from the guess, where both are numbers."""
        if isinstance(found.guess, str) or isinstance(found.measured, str) or found.guess is None:
            return []
        if found.measured is None or found.guess == found.measured:
            return []
        if self.axis.get("scale") == "log" and found.guess > 0 and found.measured > 0:
            ratio = found.measured / found.guess
            if ratio > 1:
                return [f"The measured value is {_number(ratio)} times the prediction."]
            return [f"The measured value is the prediction divided by {_number(1 / ratio)}."]
        difference = found.measured - found.guess
        return [f"The measured value is {self._with_unit(abs(difference))} {'higher' if difference > 0 else 'lower'}."]

    def _with_unit(self, value: float | str | None) -> str:
        if value is None or isinstance(value, str):
            return f"“{value}”" if value else ""
        return f"{_number(value)}{'' if self.unit == '%' else ' ' if self.unit else ''}{self.unit}"

    def _handle_message(self, content: dict, _buffers: list) -> None:
        match content:
            case {"kind": "guess", "value": int(value) | float(value) | str(value)}:
                self.guess(value)


def _axis(low: float | None, high: float | None, scale: str) -> dict[str, object]:
    """Return the axis as the browser needs it; empty without ends."""
    if low is None and high is None:
        return {}
    if low is None or high is None or not low < high or scale not in SCALES or (scale == "log" and low <= 0):
        raise SettingsError(
            f"The axis goes from {low} to {high}, with scale {scale!r}.",
            "Two ends, the lower one first; above zero on a log scale; scale 'linear' or 'log'.",
            "Predict(key, question, low=1, high=1000, scale='log')",
        )
    return {"low": low, "high": high, "scale": scale}


def _number(value: float) -> str:
    """Return a number with at most four digits after rounding, and a comma between thousands."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
