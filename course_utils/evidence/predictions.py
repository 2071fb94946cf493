"""Predictions of a student: guesses made before a measurement, stored beside the ledger with the measured values."""

import dataclasses
import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils.core.json_lines import append_object, read_lines
from course_utils.evidence.ledger.ledger import ledger_path

if TYPE_CHECKING:
    import pandas as pd

NAME = "predictions.jsonl"
HOW_TO_WRITE = "Make room on the disk, or set COURSE_LEDGER to a file in another folder."


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One prediction.

    Parameters
    ----------
    key : str
        The name that the notebook gives to the question.
    question, unit : str
    guess : float, str or None
        None where no guess was made before the result was shown.
    measured : float, str or None
        None where nothing has been measured yet.
    time : str
        When the guess was made, in UTC; empty without a guess.
    """

    key: str
    question: str
    unit: str = ""
    guess: float | str | None = None
    measured: float | str | None = None
    time: str = ""


def predictions_path(path: str | Path | None = None) -> Path:
    """Return the file of predictions: beside the ledger at the path given, or beside the course's ledger."""
    return ledger_path(path).with_name(NAME)


def read_predictions(path: str | Path | None = None) -> dict[str, Prediction]:
    """Return the last prediction for each key. Lines that are no predictions are left out; they stay in the file.

    Parameters
    ----------
    path : str or Path, optional
        Of the ledger.

    Raises
    ------
    TextError
        The file cannot be read.
    """
    found: dict[str, Prediction] = {}
    for _, line in read_lines(predictions_path(path)):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict) and isinstance(values.get("key"), str):
            found[values["key"]] = Prediction(
                key=values["key"],
                question=str(values.get("question", "")),
                unit=str(values.get("unit", "")),
                guess=_value(values.get("guess")),
                measured=_value(values.get("measured")),
                time=str(values.get("time", "")),
            )
    return found


def store_prediction(prediction: Prediction, path: str | Path | None = None) -> None:
    """Append a prediction to the file.

    Raises
    ------
    NoSpace
        The file cannot be written.
    """
    append_object(predictions_path(path), dataclasses.asdict(prediction), HOW_TO_WRITE)


def predictions(path: str | Path | None = None) -> "pd.DataFrame":
    """Return all predictions as a table: key, question, unit, guess, measured, time.

    Parameters
    ----------
    path : str or Path, optional
        Of the ledger beside which the predictions are stored.
    """
    import pandas as pd  # a panel reads predictions before it needs a table

    columns = [field.name for field in dataclasses.fields(Prediction)]
    return pd.DataFrame([dataclasses.asdict(each) for each in read_predictions(path).values()], columns=columns)


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _value(found: object) -> float | str | None:
    """Return a stored guess or measurement where it is a number or a text."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    return found
