"""Comparison of detectors: by reader, generator, sampling and length, and transfer across generators."""

import dataclasses
import functools
import itertools
import threading
from collections.abc import Sequence

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Result
from course_utils.experiments.core.statistics import simultaneous
from course_utils.experiments.detection.detectors import (
    Detector,
    LikelihoodDetector,
    RankDetector,
    WordDetector,
    detector_as_input,
    detector_from_input,
)
from course_utils.experiments.detection.evaluate import (
    Progress,
    auc_metric,
    evaluate_detector,
    in_words,
    models_of,
    resampled_of,
    scores_by_author,
    settings_of,
    with_ends_of_all,
)
from course_utils.experiments.detection.roc import roc
from course_utils.experiments.texts.pairs import (
    PairedTexts,
    UnwrittenPairs,
    in_common,
    pairs_as_input,
    pairs_from_input,
    write_missing,
)
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.plots.detection import auc_of_each, auc_over, roc_curves, transfer_matrix
from course_utils.plots.picture import Picture

MEASURES = (
    Measure("auc", "AUC", "auc_low", "auc_high", "n_human"),
    Measure("accuracy", "share", "accuracy_low", "accuracy_high", "n_human"),
    Measure("caught", "share", "caught_low", "caught_high", "n_human"),
    Measure("false_alarms", "share", n="n_human"),
)


@experiment(
    "detection.compare_detectors",
    {
        "pairs": pairs_from_input,
        "readers": input_types.list_of(input_types.model, 8, least=0),
        "seed": input_types.seed,
    },
)
def compare_detectors(
    pairs: PairedTexts | UnwrittenPairs,
    readers: Sequence[BaseLanguageModel] = (),
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Compare detectors: fit each on one half of the pairs and evaluate it on the other half.

    Parameters
    ----------
    pairs : PairedTexts or UnwrittenPairs
    readers : sequence of BaseLanguageModel
        Each gives two detectors, by likelihood and by ranks. Name the generator to let it detect itself, another
        model for a mismatched detector. Word counts need none.
    seed : int
        Of the resampling.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Stops with Cancelled; what was read until then is kept.

    Returns
    -------
    Result
        One row a detector: detector, what `roc.measure` returns (intervals of each row alone), and auc_low_of_all,
        auc_high_of_all, which hold for all rows at once: see `evaluate.with_ends_of_all`. Its details hold every text
        with its half and, in the test half, its score, so that anyone can compute the rows anew.

    Raises
    ------
    TextError, Cancelled
    """
    detectors = [WordDetector(), *(kind(reader) for reader in readers for kind in (LikelihoodDetector, RankDetector))]
    (pairs,), tell = write_missing([pairs], progress or (lambda share, what: None), cancel)
    rows, details = [], []
    for number, detector in enumerate(detectors):
        tell(number / len(detectors), f"{detector.name} learns and judges")
        row, single = evaluate_detector(detector, pairs, pairs, seed, cancel)
        rows.append({"detector": detector.name} | row)
        details.append(single.assign(detector=detector.name))
    tell(1.0, "done")
    rows = with_ends_of_all(pd.DataFrame(rows), resampled_of(details, seed))
    details = pd.concat(details, ignore_index=True)
    best = rows.loc[rows["auc"].idxmax()]
    finding = (
        f"On {len(pairs.test)} pairs of {pairs.n_words} words, machine text by {pairs.generator} ({pairs.sampling}), "
        f"the best of {len(rows)} detectors, {best['detector']}, reaches {in_words(best, len(rows))}."
    )
    draw = functools.partial(_draw_roc, details=details, seed=seed)
    head = auc_metric(best, f"{best['detector']} on texts by {pairs.generator} ({pairs.sampling})")
    inputs = {"pairs": pairs_as_input(pairs), "readers": [reader.name for reader in readers], "seed": seed}
    return Result(
        rows,
        finding,
        settings=settings_of([pairs]) | precision_of(detectors),
        models=models_of([pairs], detectors),
        seed=seed,
        draw=draw,
        details=details,
        headline=head,
        measures=MEASURES,
        inputs=inputs,
    )


def differences(result: Result) -> pd.DataFrame:
    """Compare every two detectors of `compare_detectors` on the same pairs.

    Returns
    -------
    pandas.DataFrame
        better, than, auc_gained, low, high (95% over pairs, for all comparisons at once): surer than two intervals
        side by side.
    """
    names, auc = list(result.rows["detector"]), result.rows.set_index("detector")["auc"]
    tables = dict(list(result.known_details().groupby("detector")))
    drawn = dict(zip(names, resampled_of([tables[name] for name in names], result.known_seed()).T, strict=True))
    pairs = [sorted(pair, key=lambda name: -auc[name]) for pair in itertools.combinations(names, 2)]
    if not pairs:
        return pd.DataFrame(columns=["better", "than", "auc_gained", "low", "high"])
    gained = [auc[better] - auc[than] for better, than in pairs]
    low, high = simultaneous(gained, np.stack([drawn[better] - drawn[than] for better, than in pairs], axis=1))
    return pd.DataFrame(pairs, columns=["better", "than"]).assign(auc_gained=gained, low=low, high=high)


@experiment(
    "detection.by_condition",
    {
        "sets": input_types.list_of(pairs_from_input, 12),
        "lengths": input_types.list_of(input_types.integer(1, 500), 12, least=0),
        "detector": input_types.optional(detector_from_input),
        "seed": input_types.seed,
    },
    redraw=lambda rows, run: _draw_conditions(rows),
)
def by_condition(
    sets: Sequence[PairedTexts | UnwrittenPairs],
    lengths: Sequence[int] = (),
    detector: Detector | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Measure one kind of detector by generator, sampling and length; it learns anew in each condition.

    Parameters
    ----------
    sets : sequence of PairedTexts or UnwrittenPairs
        One a generator and sampling, drawn with the same seed; only articles that are in all count.
    lengths : sequence of int
        Words to which texts are cut, for learning and judging; the shortest set's length when left out.
    detector : Detector, optional
        `WordDetector` when left out.
    seed, progress, cancel
        As for `compare_detectors`.

    Returns
    -------
    Result
        One row a set and length: generator, sampling, n_words, detector, and the columns of `compare_detectors`.

    Raises
    ------
    TextError, SettingsError, Cancelled
    """
    sets, tell = write_missing(sets, progress or (lambda share, what: None), cancel)
    inputs = {
        "sets": [pairs_as_input(text_pairs) for text_pairs in sets],
        "lengths": list(lengths),
        "detector": detector_as_input(detector),
    }
    detector, sets = detector or WordDetector(), in_common(sets)
    lengths, rows, details = list(lengths) or [min(text_pairs.n_words for text_pairs in sets)], [], []
    for number, (pairs, n_words) in enumerate(itertools.product(sets, lengths)):
        tell(number / (len(sets) * len(lengths)), f"{detector.name}, {n_words} words by {pairs.generator}")
        row, single = evaluate_detector(detector, pairs.cut(n_words), pairs.cut(n_words), seed, cancel)
        condition = {"generator": pairs.generator, "sampling": pairs.sampling, "n_words": n_words}
        rows.append(condition | {"detector": detector.name} | row)
        details.append(single.assign(**condition))
    tell(1.0, "done")
    rows = with_ends_of_all(pd.DataFrame(rows), resampled_of(details, seed))
    details = pd.concat(details, ignore_index=True)
    hardest = rows.loc[rows["auc"].idxmin()]
    finding = (
        f"Of {len(rows)} conditions, {hardest['n_words']} words by {hardest['generator']} ({hardest['sampling']}) come "
        f"out lowest for {detector.name}: {in_words(hardest, len(rows))}; n = {hardest['n_human']} pairs in each."
    )
    settings = settings_of(sets) | {"lengths": lengths, "detector": detector.name} | precision_of([detector])
    where = f"{hardest['n_words']} words by {hardest['generator']} ({hardest['sampling']})"
    measures = [dataclasses.replace(measure, of=("generator", "sampling", "n_words")) for measure in MEASURES]
    return Result(
        rows,
        finding,
        settings=settings,
        models=models_of(sets, [detector]),
        seed=seed,
        draw=_draw_conditions,
        details=details,
        headline=auc_metric(hardest, f"{detector.name}, {where}"),
        measures=measures,
        inputs=inputs | {"seed": seed},
    )


@experiment(
    "detection.transfer",
    {
        "sets": input_types.list_of(pairs_from_input, 8),
        "detector": input_types.optional(detector_from_input),
        "seed": input_types.seed,
    },
    redraw=lambda rows, run: transfer_matrix(rows),
)
def transfer(
    sets: Sequence[PairedTexts | UnwrittenPairs],
    detector: Detector | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Let a detector learn from each set and judge each, to see whether it knows only the generator it has met.

    Parameters
    ----------
    sets : sequence of PairedTexts or UnwrittenPairs
        Two at least, of the same articles; all are cut to the shortest set's words.
    detector, seed, progress, cancel
        As for `by_condition`.

    Returns
    -------
    Result
        One row a couple: trained_on, tested_on, and the columns of `compare_detectors`. OpenAI's matrix of this kind
        (1.5B release, 2019) is of accuracies, of a fine-tuned RoBERTa.

    Raises
    ------
    TextError, SettingsError, Cancelled
    """
    sets, tell = write_missing(sets, progress or (lambda share, what: None), cancel)
    inputs = {
        "sets": [pairs_as_input(text_pairs) for text_pairs in sets],
        "detector": detector_as_input(detector),
        "seed": seed,
    }
    detector, shared = detector or WordDetector(), in_common(sets)
    cut = [pairs.cut(min(other.n_words for other in shared)) for pairs in shared]
    names, rows, details = _names(cut), [], []
    for number, (one, other) in enumerate(itertools.product(names, names)):
        tell(number / len(names) ** 2, f"learns from {one}, judges {other}")
        row, single = evaluate_detector(detector, names[one], names[other], seed, cancel)
        rows.append({"trained_on": one, "tested_on": other} | row)
        details.append(single.assign(trained_on=one, tested_on=other))
    tell(1.0, "done")
    rows = with_ends_of_all(pd.DataFrame(rows), resampled_of(details, seed))
    details = pd.concat(details, ignore_index=True)
    worst = rows.loc[rows["auc"].idxmin()]
    finding = (
        f"A detector by {detector.name} comes out lowest when trained on {worst['trained_on']} and tested on "
        f"{worst['tested_on']}: {in_words(worst, len(rows))}; n = {worst['n_human']} pairs in each cell."
    )
    settings = settings_of(cut) | {"detector": detector.name} | precision_of([detector])
    head = auc_metric(worst, f"{detector.name}, trained on {worst['trained_on']}, tested on {worst['tested_on']}")
    measures = [dataclasses.replace(measure, of=("trained_on", "tested_on")) for measure in MEASURES]
    return Result(
        rows,
        finding,
        settings=settings,
        models=models_of(cut, [detector]),
        seed=seed,
        draw=transfer_matrix,
        details=details,
        headline=head,
        measures=measures,
        inputs=inputs,
    )


def precision_of(detectors: Sequence[Detector]) -> dict[str, str]:
    """Return in which precision readers look, as a setting; nothing where none looks."""
    precisions = {detector.reader.precision for detector in detectors if hasattr(detector, "reader")}
    return {"precision": ", ".join(sorted(precisions))} if precisions else {}


def _names(sets: Sequence[PairedTexts]) -> dict[str, PairedTexts]:
    """Name each set by its generator, and by its sampling where that is not enough."""
    generators = [text_pairs.generator for text_pairs in sets]
    short = len(set(generators)) == len(sets)
    named = {
        text_pairs.generator if short else f"{text_pairs.generator}, {text_pairs.sampling}": text_pairs
        for text_pairs in sets
    }
    if len(named) < max(2, len(sets)):
        raise SettingsError(
            f"The sets are by {', '.join(generators)}.",
            "Two sets at least, of different generators or sampling.",
            "Name each set once.",
        )
    return named


def _draw_roc(rows: pd.DataFrame, details: pd.DataFrame, seed: int) -> Picture:
    tables = {name: details[details["detector"] == name] for name in rows["detector"]}
    return roc_curves({name: roc(*scores_by_author(table), seed) for name, table in tables.items()}, rows)


def _draw_conditions(rows: pd.DataFrame) -> Picture:
    if rows["n_words"].nunique() > 1:
        return auc_over(rows, "n_words", "words in a text", ["generator", "sampling"])
    return auc_of_each(rows.assign(condition=rows["generator"] + ": " + rows["sampling"]), "condition")
