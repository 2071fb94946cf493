"""Evaluation of a detector on paired texts: fit on the training half, scores and metrics on the test half."""

import dataclasses
import math
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.core.result import Metric
from course_utils.experiments.core.statistics import simultaneous
from course_utils.experiments.detection.detectors import Detector, scores
from course_utils.experiments.detection.roc import MIN_HUMAN_TEXTS, measure, newcombe, resampled_auc
from course_utils.experiments.texts.pairs import PairedTexts
from course_utils.models.inference.base import Cancelled

Progress = Callable[[float, str], object]


def evaluate_detector(
    detector: Detector,
    training: PairedTexts,
    test: PairedTexts,
    seed: int,
    cancel: threading.Event | None = None,
) -> tuple[dict[str, float], pd.DataFrame]:
    """Fit a detector on the training half of one set and evaluate it on the test half of another (or the same).

    Returns
    -------
    dict, pandas.DataFrame
        The row that `roc.measure` makes; and one row a text: article, half, author, text, score (test half only).
    """
    if cancel is not None and cancel.is_set():
        raise Cancelled
    learnt, asked = training.training, test.test
    found = scores(detector, learnt, [*asked.human, *asked.machine], cancel)
    human, machine = found[: len(asked)], found[len(asked) :]
    columns = [
        {"article": half.articles, "half": name, "author": author, "text": getattr(half, author), "score": values}
        for half, name, of in ((learnt, "training", {}), (asked, "test", {"human": human, "machine": machine}))
        for author in ("human", "machine")
        for values in [of.get(author, math.nan)]
    ]
    return measure(human, machine, seed), pd.concat(map(pd.DataFrame, columns), ignore_index=True)


def scores_by_author(details: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of the human and of the machine texts of a test half, pair by pair."""
    test = details[details["half"] == "test"]
    human, machine = (test.loc[test["author"] == author, "score"].to_numpy() for author in ("human", "machine"))
    return human, machine


def auc_metric(row: pd.Series, of: str) -> Metric:
    """Return the AUC of a row that was chosen for its AUC, with the interval that allows for the choice."""
    return Metric("auc", of, row["auc"], "AUC", row["auc_low_of_all"], row["auc_high_of_all"], row["n_human"])


def resampled_of(tables: Iterable[pd.DataFrame], seed: int) -> np.ndarray:
    """Return the AUC of each table of details in each resample of its pairs, shape (R, number of tables)."""
    return np.stack([resampled_auc(*scores_by_author(table), seed) for table in tables], axis=1)


def with_ends_of_all(rows: pd.DataFrame, resampled: np.ndarray) -> pd.DataFrame:
    """Add the columns auc_low_of_all and auc_high_of_all: intervals that hold for all rows at once.

    auc_low and auc_high are 95% intervals of each row alone. They are too narrow for the row that is cited because its
    AUC is the highest or lowest of all.

    Parameters
    ----------
    rows : pandas.DataFrame
        As `roc.measure` returns them, K of them.
    resampled : np.ndarray of shape (R, K)
        As `resampled_of` returns it, in the order of the rows.
    """
    low, high = simultaneous(rows["auc"], resampled)
    for index, row in enumerate(rows.itertuples()):
        counted = newcombe(row.auc, int(row.n_human), int(row.n_machine), len(rows))
        low[index] = max(0.0, min(low[index], counted[0], row.auc_low))
        high[index] = min(1.0, max(high[index], counted[1], row.auc_high))
    return rows.assign(auc_low_of_all=low, auc_high_of_all=high)


def in_words(row: pd.Series, n_rows: int) -> str:
    """Say what the row found that was chosen for its AUC among n_rows; never one bare percentage."""
    words = f"AUC {row['auc']:.2f} ({row['auc_low_of_all']:.2f} to {row['auc_high_of_all']:.2f}"
    words += f", an interval that allows for the choice among {n_rows})" if n_rows > 1 else ")"
    if np.isnan(row["caught"]):
        few = f"{row['n_human']:.0f} human texts are too few for the rate at 1 % false alarms"
        few += f", which needs {MIN_HUMAN_TEXTS}"
        return f"{words}, and {few}"
    ends = f"{100 * row['caught_low']:.0f} % to {100 * row['caught_high']:.0f} %"
    ends += ", which does not allow for it" if n_rows > 1 else ""
    return f"{words} and catches {100 * row['caught']:.0f} % ({ends}) at 1 % false alarms"


def settings_of(sets: Sequence[PairedTexts]) -> dict[str, object]:
    """Return how the texts were made, and their hash, as plain values."""
    set_settings = [
        {"generator": text_pairs.generator, "opening": text_pairs.opening, **dataclasses.asdict(text_pairs.settings)}
        | {"n_words": text_pairs.n_words, "n_pairs": len(text_pairs), "n_left_out": text_pairs.n_left_out}
        | {"texts_sha256": sha256_of_values([text_pairs.human, text_pairs.machine])}
        for text_pairs in sets
    ]
    return {"sets": set_settings}


def models_of(sets: Sequence[PairedTexts], detectors: Sequence[Detector]) -> dict[str, str]:
    """Return the sha256 of the weights of all that wrote or read, by name."""
    readers = [detector.reader for detector in detectors if hasattr(detector, "reader")]
    written = {text_pairs.generator: text_pairs.generator_sha256 for text_pairs in sets}
    return written | {reader.name: reader.weights_sha256 for reader in readers}
