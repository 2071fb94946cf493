"""Evasion of detectors: the p of nucleus sampling, rejection sampling against a detector, longer prompts."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Metric, Result
from course_utils.experiments.core.statistics import percentiles
from course_utils.experiments.detection.compare import MEASURES
from course_utils.experiments.detection.detectors import (
    Detector,
    RankDetector,
    WordDetector,
    detector_as_input,
    detector_from_input,
    scores,
)
from course_utils.experiments.detection.evaluate import (
    Progress,
    auc_metric,
    evaluate_detector,
    in_words,
    models_of,
    resampled_of,
    settings_of,
    with_ends_of_all,
)
from course_utils.experiments.texts.generate import write
from course_utils.experiments.texts.pairs import (
    OPENINGS,
    PairedTexts,
    UnwrittenPairs,
    in_common,
    paired_texts,
    pairs_as_input,
    pairs_from_input,
    write_missing,
)
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.inference.settings import Settings
from course_utils.plots.detection import auc_of_each, auc_over
from course_utils.plots.picture import Picture

P_VALUES = 0.8, 0.9, 0.94, 0.96, 0.98, 1.0
SEED_STEP = 100_003  # between two samples from one opening, so that none shares its noise with another opening's


@experiment(
    "hard_to_detect.nucleus_sweep",
    {
        "model": input_types.model,
        "ps": input_types.list_of(input_types.number(0.01, 1), 12),
        "n_pairs": input_types.integer(1, 1000),
        "n_words": input_types.integer(1, 500),
        "detector": input_types.optional(detector_from_input),
        "max_new_tokens": input_types.integer(1, 500),
        "seed": input_types.seed,
    },
    count_tokens=lambda given: given["n_pairs"] * given["max_new_tokens"],  # with one p
    redraw=lambda rows, run: _draw_sweep(rows),
)
def nucleus_sweep(
    model: BaseLanguageModel,
    ps: Sequence[float] = P_VALUES,
    n_pairs: int = 100,
    n_words: int = 50,
    detector: Detector | None = None,
    max_new_tokens: int = 100,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Let a model write with each p of nucleus sampling, and find the p that is hardest to detect.

    Parameters
    ----------
    model : BaseLanguageModel
    ps : sequence of float
        Each from 0.01 to 1. Grover's released code took 0.94 for its largest model and 0.96 for its medium one, the
        hardest of a grid search.
    n_pairs, n_words
        As for `paired_texts`; all p are compared on the same articles.
    detector : Detector, optional
        The generator's own ranks when left out, as Grover detected itself. It learns anew for each p.
    max_new_tokens : int
    seed : int
        Of the articles, of the sampling and of the resampling.
    progress, cancel
        As for `detection.compare_detectors`.

    Returns
    -------
    Result
        One row a p: top_p, hardest_in (the share of resamples in which this p is the hardest), what `roc.measure`
        returns, and auc_low_of_all, auc_high_of_all: see `evaluate.with_ends_of_all`.

    Raises
    ------
    SettingsError, TextError, Cancelled
    """
    ps = sorted(set(ps))
    if len(ps) < 2:
        raise SettingsError(
            f"ps is {ps}.", "At least two different values of top_p.", "Leave ps out to use the defaults."
        )
    inputs = {"model": model.name, "ps": ps, "n_pairs": n_pairs, "n_words": n_words}
    inputs |= {"detector": detector_as_input(detector), "max_new_tokens": max_new_tokens, "seed": seed}
    detector, tell = detector or RankDetector(model), progress or (lambda share, what: None)
    settings = Settings(max_new_tokens=max_new_tokens, top_k=0, seed=seed)
    sets = [
        paired_texts(model, n_pairs, settings.replace(top_p=p), n_words, seed=seed, progress=part, cancel=cancel)
        for p, part in zip(ps, _parts(tell, len(ps)), strict=True)
    ]
    sets = in_common(sets)
    rows, details = _each_judged(detector, sets, "top_p", ps, seed, cancel)
    resampled = resampled_of([table for _, table in details.groupby("top_p")], seed)
    hardest_in = np.bincount(np.argmin(resampled, axis=1), minlength=len(ps)) / len(resampled)
    rows.insert(1, "hardest_in", hardest_in)
    rows = with_ends_of_all(rows, resampled)
    tell(1.0, "done")
    hardest = rows.loc[rows["auc"].idxmin()]
    finding = (
        f"Of {len(ps)} values of p, {hardest['top_p']:g} is the hardest for {detector.name}, "
        f"{in_words(hardest, len(ps))}; it is so in {hardest['hardest_in']:.0%} of resamples "
        f"of {hardest['n_human']:.0f} pairs."
    )
    run_settings = settings_of(sets) | {"detector": detector.name, "precision": model.precision}
    head = auc_metric(hardest, f"{detector.name} on texts by {model.name} at p = {hardest['top_p']:g}")
    return Result(
        rows,
        finding,
        settings=run_settings,
        models=models_of(sets, [detector]),
        seed=seed,
        draw=_draw_sweep,
        details=details,
        headline=head,
        measures=MEASURES,
        inputs=inputs,
    )


@experiment(
    "hard_to_detect.evade",
    {
        "model": input_types.model,
        "pairs": pairs_from_input,
        "n_tries": input_types.integer(2, 16),
        "detector": input_types.optional(detector_from_input),
        "seed": input_types.seed,
    },
    redraw=lambda rows, run: auc_of_each(rows, "attack"),
)
def evade(
    model: BaseLanguageModel,
    pairs: PairedTexts | UnwrittenPairs,
    n_tries: int = 4,
    detector: Detector | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Let an adversary who holds the detector keep, of several samples, the one that it finds most human.

    Parameters
    ----------
    model : BaseLanguageModel
        That wrote the pairs.
    pairs : PairedTexts or UnwrittenPairs
    n_tries : int
        Samples an opening, 2 to 16, the text in ``pairs`` among them.
    detector : Detector, optional
        `WordDetector` when left out.
    seed : int
        Of the resampling.
    progress, cancel
        As for `detection.compare_detectors`.

    Returns
    -------
    Result
        Three rows: attack, and what `roc.measure` returns. "none": the detector on ordinary samples; "chosen": the
        same detector on the chosen ones; "chosen, detector trained anew": on such texts of other articles.

    Raises
    ------
    SettingsError, TextError, Cancelled

    Notes
    -----
    This is rejection sampling against a detector in one's hands. Whether the chosen texts read worse is not measured.
    """
    if isinstance(n_tries, bool) or not isinstance(n_tries, int) or not 2 <= n_tries <= 16:
        raise SettingsError(f"n_tries is {n_tries!r}.", "A whole number from 2 to 16.", "Set n_tries=4.")
    (pairs,), tell = write_missing([pairs], progress or (lambda share, what: None), cancel)
    inputs = {"model": model.name, "pairs": pairs_as_input(pairs), "n_tries": n_tries}
    inputs |= {"detector": detector_as_input(detector), "seed": seed}
    detector = detector or WordDetector()
    tries = [pairs.machine, *_further_tries(model, pairs, n_tries, tell, cancel)]
    chosen = dataclasses.replace(pairs, machine=_most_human(detector, pairs, tries, cancel))
    attacks = {"none": (pairs, pairs), "chosen": (pairs, chosen), "chosen, detector trained anew": (chosen, chosen)}
    rows, details = [], []
    for attack, (training, test) in attacks.items():
        row, single = evaluate_detector(detector, training, test, seed, cancel)
        rows.append({"attack": attack} | row)
        details.append(single.assign(attack=attack))
    tell(1.0, "done")
    rows, details = pd.DataFrame(rows), pd.concat(details, ignore_index=True)
    by_attack = details.groupby("attack", sort=False)
    before, after, _ = resampled_of([table for _, table in by_attack], seed).T
    head = _change(rows, before, after, f"{detector.name} when the most human-looking of {n_tries} samples is kept")
    finding = (
        f"Keeping the most human-looking of {n_tries} samples changes the AUC of {detector.name} from "
        f"{_in_words(rows, head)}."
    )
    run_settings = settings_of([pairs]) | {"n_tries": n_tries, "detector": detector.name, "precision": model.precision}
    draw, models = functools.partial(auc_of_each, name="attack"), models_of([pairs], [detector])
    return Result(
        rows,
        finding,
        settings=run_settings,
        models=models,
        seed=seed,
        draw=draw,
        details=details,
        headline=head,
        measures=MEASURES,
        inputs=inputs,
    )


@experiment(
    "hard_to_detect.conditioning",
    {
        "model": input_types.model,
        "n_pairs": input_types.integer(1, 500),
        "settings": input_types.settings,
        "n_words": input_types.integer(1, 500),
        "detector": input_types.optional(detector_from_input),
        "openings": input_types.list_of(input_types.short_text, 2),
        "seed": input_types.seed,
    },
    redraw=lambda rows, run: auc_of_each(rows, "opening"),
)
def conditioning(
    model: BaseLanguageModel,
    n_pairs: int = 100,
    settings: Settings = Settings(max_new_tokens=100),
    n_words: int = 50,
    detector: Detector | None = None,
    openings: Sequence[str] = (OPENINGS[0], OPENINGS[2]),
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Tell the model outlet and date as well as the headline, as Grover was told, and see if detection gets harder.

    Parameters
    ----------
    model, n_pairs, settings, n_words
        As for `paired_texts`.
    detector : Detector, optional
        `WordDetector` when left out. It learns anew for each opening.
    openings : sequence of str
        Two different ones of `paired_texts.OPENINGS`.
    seed : int
        Of the articles and of the resampling.
    progress, cancel
        As for `detection.compare_detectors`.

    Returns
    -------
    Result
        One row an opening, and what `roc.measure` returns.

    Raises
    ------
    SettingsError, TextError, Cancelled
    """
    if len(set(openings)) != 2:
        raise SettingsError(f"openings is {list(openings)}.", f"Two of {', '.join(OPENINGS)}.", "Leave them out.")
    inputs = {"model": model.name, "n_pairs": n_pairs, "settings": dataclasses.asdict(settings), "n_words": n_words}
    inputs |= {"detector": detector_as_input(detector), "openings": list(openings), "seed": seed}
    detector, tell = detector or WordDetector(), progress or (lambda share, what: None)
    sets = [
        paired_texts(model, n_pairs, settings, n_words, opening, seed, part, cancel)
        for opening, part in zip(openings, _parts(tell, 2), strict=True)
    ]
    sets = in_common(sets)
    rows, details = _each_judged(detector, sets, "opening", openings, seed, cancel)
    tell(1.0, "done")
    one, other = resampled_of([table for _, table in details.groupby("opening", sort=False)], seed).T
    head = _change(rows, one, other, f"{detector.name} when {model.name} is given {openings[1]}, not {openings[0]}")
    finding = (
        f"Given {openings[1]} instead of {openings[0]}, {model.name} changes the AUC of {detector.name} from "
        f"{_in_words(rows, head)}."
    )
    run_settings = settings_of(sets) | {"detector": detector.name, "precision": model.precision}
    draw, models = functools.partial(auc_of_each, name="opening"), models_of(sets, [detector])
    return Result(
        rows,
        finding,
        settings=run_settings,
        models=models,
        seed=seed,
        draw=draw,
        details=details,
        headline=head,
        measures=MEASURES,
        inputs=inputs,
    )


def _draw_sweep(rows: pd.DataFrame) -> Picture:
    return auc_over(rows, "top_p", "p of nucleus sampling")


def _each_judged(
    detector: Detector, sets: list[PairedTexts], column: str, values: Sequence, seed: int, cancel
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, details = [], []
    for value, pairs in zip(values, sets, strict=True):
        row, single = evaluate_detector(detector, pairs, pairs, seed, cancel)
        rows.append({column: value} | row)
        details.append(single.assign(**{column: value}))
    return pd.DataFrame(rows), pd.concat(details, ignore_index=True)


def _further_tries(
    model: BaseLanguageModel, pairs: PairedTexts, n_tries: int, tell: Progress, cancel
) -> list[list[str]]:
    """Return n_tries - 1 lists of texts, one an opening, as long as the others; empty where one came out too short."""
    found = []
    for number, part in enumerate(_parts(tell, n_tries - 1), start=1):
        settings = pairs.settings.replace(seed=pairs.settings.seed_of(number * SEED_STEP))
        words = [generation.text.split() for generation in write(model, pairs.openings, settings, part, cancel)]
        found.append([" ".join(word[: pairs.n_words]) if len(word) >= pairs.n_words else "" for word in words])
    return found


def _most_human(detector: Detector, pairs: PairedTexts, tries: list[Sequence[str]], cancel) -> tuple[str, ...]:
    """Return, for each opening, the text with the lowest score."""
    asked = [(index, text) for texts in tries for index, text in enumerate(texts) if text]
    found = scores(detector, pairs.training, [text for _, text in asked], cancel)
    best: dict[int, tuple[float, str]] = {}
    for (index, text), score in zip(asked, found, strict=True):
        if index not in best or score < best[index][0]:
            best[index] = score, text
    return tuple(best[index][1] for index in range(len(pairs)))


def _change(rows: pd.DataFrame, resampled_first: np.ndarray, resampled_second: np.ndarray, of: str) -> Metric:
    """Return by how much the AUC of the second row differs from that of the first, on the same pairs."""
    low, high = percentiles(resampled_second - resampled_first)
    return Metric("auc_change", of, rows["auc"][1] - rows["auc"][0], "AUC", low, high, rows["n_human"][0])


def _in_words(rows: pd.DataFrame, change: Metric) -> str:
    ends = f"by {change.value:+.2f}, 95% interval {change.low:+.2f} to {change.high:+.2f}"
    return f"{rows['auc'][0]:.2f} to {rows['auc'][1]:.2f} ({ends}) on {change.n} pairs"


def _parts(tell: Progress, n: int) -> list[Callable[[float, str], object]]:
    """Return n functions, each of which tells its progress as one n-th of the whole, which ends elsewhere."""

    def part(i: int) -> Callable[[float, str], object]:
        return lambda done, what: tell(min((i + done) / n, 0.999), what)

    return [part(i) for i in range(n)]
