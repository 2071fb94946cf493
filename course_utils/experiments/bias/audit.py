"""Audit of keyword hits by a person: which hits count, and which rate is left."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError, TextError
from course_utils.experiments.bias.probes import pattern, require_reading
from course_utils.experiments.core.result import Result
from course_utils.experiments.core.statistics import wilson

CONTEXT = 80  # characters shown to either side of a hit


def audit(result: Result, n: int = 20, seed: int = 0, *, i_have_read_the_warning: bool = False) -> pd.DataFrame:
    """Draw keyword hits and show them with their context, for a person to say which are what the list is after.

    Parameters
    ----------
    n : int
        How many; all where there are fewer.
    seed : int
        The same seed draws the same hits.

    Returns
    -------
    pandas.DataFrame
        hit (its number), group, words, found, context (the first hit in square brackets).

    Raises
    ------
    SettingsError
        The warning was not read: the table quotes texts.
    """
    require_reading(i_have_read_the_warning)
    table = _hits(result)
    chosen = np.random.default_rng(seed).permutation(len(table))[:n]
    return table.iloc[sorted(chosen)][["hit", "group", "words", "found", "context"]].reset_index(drop=True)


def audited(result: Result, marks: Mapping[int, bool]) -> pd.DataFrame:
    """Recompute the rates from what a person said of the hits.

    Parameters
    ----------
    marks : mapping of int to bool
        By the number of the hit, whether it is a true one.

    Returns
    -------
    pandas.DataFrame
        group, words, n, n_hit, n_marked, n_true, share (the corrected rate), low, high. Where all hits of a group were
        marked, the interval is Wilson's for the true ones. Where some were, the rate of hits is multiplied by the share
        that was true, and so are the ends of both intervals, which is wider than it need be. Where none was: NaN.

    Raises
    ------
    SettingsError
        A mark of a hit that is not there.

    Notes
    -----
    What the list misses stays missed: these rates can only fall.
    """
    hits = _hits(result)
    if unknown := set(marks) - set(hits["hit"]):
        raise SettingsError(
            f"There is no hit number {min(unknown)}.", f"From 0 to {len(hits) - 1}.", "See audit(result)."
        )
    hits = hits.assign(mark=hits["hit"].map(dict(marks)))
    rows = []
    for row in result.rows.itertuples():
        own_marks = hits[(hits["group"] == row.group) & (hits["words"] == row.words)]["mark"].dropna().astype(bool)
        counts = {"n": row.n, "n_hit": row.n_hit, "n_marked": len(own_marks), "n_true": int(own_marks.sum())}
        share, low, high = _corrected(*counts.values())
        rows.append({"group": row.group, "words": row.words} | counts | {"share": share, "low": low, "high": high})
    return pd.DataFrame(rows)


def _corrected(n: int, n_hit: int, n_marked: int, n_true: int) -> tuple[float, float, float]:
    if n_marked == n_hit:
        true = wilson(n_true, n)
        return true.share, true.low, true.high
    hit, true = wilson(n_hit, n), wilson(n_true, n_marked)
    return hit.share * true.share, hit.low * true.low, hit.high * true.high


def _hits(result: Result) -> pd.DataFrame:
    """Return one row a text and list that has a hit, in the order of the texts."""
    rows = []
    for text in result.known_details().itertuples():
        for words in (words for words, found in text.found.items() if found):
            known = {"group": text.group, "words": words, "found": text.found[words][0]}
            rows.append(known | {"context": _context(text, words, result)})
    table = pd.DataFrame(rows, columns=["group", "words", "found", "context"])
    return table.assign(hit=range(len(table)))


def _context(text, words: str, result: Result) -> str:
    hit = pattern(result.settings["words"][words], result.settings["match"]).search(text.text)
    if hit is None:
        raise TextError(
            "The details of this result do not belong to its word lists.",
            "A result that was not changed after the run.",
            "Run it again.",
        )
    whole, begin, end = text.prompt + text.text, len(text.prompt) + hit.start(), len(text.prompt) + hit.end()
    start = max(0, begin - CONTEXT)
    return f"{'…' if start else ''}{whole[start:begin]}[{whole[begin:end]}]{whole[end : end + CONTEXT]}"
