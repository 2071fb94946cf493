"""Tally of a class's votes: counts with Wilson intervals, readers' scores, a histogram; only of five people or more."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from course_utils.classroom.votes import EVIDENCE, READERS, parse_score
from course_utils.core import safe_csv
from course_utils.core.json_types import JsonObject
from course_utils.core.safe_csv import Cell

MIN_VOTERS = 5  # people behind a picture, and behind the difference between a picture and the next
Z = 1.959963984540054  # of a 95% interval
MAX_BINS = 8
HEAD = ["session", "round", "demo", "question", "of", "n", "count", "value", "low", "high"]


@dataclasses.dataclass(frozen=True)
class Tally:
    """Count of the votes on one question, as far as it may be shown.

    Parameters
    ----------
    demo, question : str
    n : int
        Viewers whose vote counts now.
    shown : dict or None
        The picture: ``n``, and what `published_summary` made; None while too few have voted.
    waiting : int
        Viewers whose vote is not in the picture as it is.
    needed : int
        How many more viewers must vote until the picture comes, or changes.
    """

    demo: str
    question: str
    n: int
    shown: JsonObject | None
    waiting: int
    needed: int


def wilson(n_yes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share.

    By hand and not from `experiments.statistics`, whose statsmodels would take two seconds and sixty megabytes in the
    kernel of every viewer; a test holds the two together.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    share, z2 = n_yes / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))


def published_summary(demo: str, choices: Sequence[str]) -> dict[str, object]:
    """Return the summary that the projector shows of these viewers' choices; one choice a viewer.

    Examples
    --------
    >>> published_summary("timeline", ["wait", "wait", "release"])
    {'n': 3, 'counts': {'release': 1, 'wait': 2}}
    """
    if demo == READERS:
        return {"n": len(choices), **_scores(choices)}
    if demo == EVIDENCE:
        return {"n": len(choices), **_histogram([float(each) for each in choices])}
    return {"n": len(choices), "counts": dict(sorted(Counter(choices).items()))}


def _scores(choices: Sequence[str]) -> dict[str, object]:
    """Return sums over readers, and the mean of their shares right."""
    read = [parse_score(each) for each in choices]
    right_h, n_h, right_m, n_m = (sum(each) for each in zip(*read, strict=True))
    shares = [(h + m) / (of_h + of_m) for h, of_h, m, of_m in read]
    mean = sum(shares) / len(shares)
    low, high = _mean_interval(shares, right_h + right_m, n_h + n_m)
    sums = {"right": right_h + right_m, "texts": n_h + n_m, "human": n_h, "machine": n_m}
    called = {"human_called_human": right_h, "machine_called_human": n_m - right_m}
    return {**sums, **called, "mean": mean, "low": low, "high": high}


def _mean_interval(shares: Sequence[float], n_right: int, n: int) -> tuple[float, float]:
    """Return Student's interval over readers, never narrower than Wilson's over answers: readers may be alike."""
    low, high = wilson(n_right, n)
    if len(shares) > 1:
        mean = sum(shares) / len(shares)
        spread = math.sqrt(sum((each - mean) ** 2 for each in shares) / (len(shares) - 1) / len(shares))
        from scipy.special import stdtrit  # lazily: most kernels of viewers never count readers' scores

        half = float(stdtrit(len(shares) - 1, 0.975)) * spread
        low, high = min(low, max(0.0, mean - half)), max(high, min(1.0, mean + half))
    return low, high


def _histogram(values: Sequence[float]) -> dict[str, object]:
    """Return counts in a few bins with round ends, and the mean; nobody's own number can be read from the ends.

    Examples
    --------
    >>> _histogram([0.641, 0.655, 0.659, 0.702, 0.713])
    {'low': 0.6, 'width': 0.05, 'bins': [1, 2, 2], 'mean': 0.67}
    """
    least, most = min(values), max(values)
    n_bins = min(MAX_BINS, math.ceil(math.sqrt(len(values))))
    width = _round_up((most - least) / n_bins or abs(most) / 10 or 1.0)
    first = math.floor(least / width)
    places = Counter(math.floor(each / width) - first for each in values)
    bins = [places[place] for place in range(max(places) + 1)]
    mean = float(f"{math.fsum(values) / len(values):.2g}")
    return {"low": _plain(first * width), "width": width, "bins": bins, "mean": mean}


def _round_up(width: float) -> float:
    """Return the next of 1, 2, 5, 10 … that is as large."""
    power = 10.0 ** math.floor(math.log10(width))
    return _plain(next(step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)))


def _plain(number: float) -> float:
    return float(f"{number:.12g}")


# -- as a table --------------------------------------------------------------------------------------------------------


def rows(tally: Tally) -> list[list[Cell]]:
    """Return of, n, count, value, low, high of each number in a picture; nothing where there is none yet."""
    shown = tally.shown
    if not shown:
        return []
    if "counts" in shown:
        n = shown["n"]
        return [[name, n, count, count / n, *wilson(count, n)] for name, count in shown["counts"].items()]
    if "bins" in shown:
        ends = [shown["low"] + place * shown["width"] for place in range(len(shown["bins"]) + 1)]
        bins = zip(ends, ends[1:], shown["bins"], strict=False)
        return [[f"from {low:.6g} to {high:.6g}", shown["n"], count, "", low, high] for low, high, count in bins]
    right = ["readers right", shown["n"], shown["right"], shown["mean"], shown["low"], shown["high"]]
    called = [(name, shown[name], shown[f"{name}_called_human"]) for name in ("human", "machine") if shown[name]]
    return [right, *([f"{name} texts called human", n, k, k / n, *wilson(k, n)] for name, n, k in called)]


def csv_text(table: Iterable[Sequence[Cell]]) -> str:
    """Return rows under `HEAD` as CSV in which a spreadsheet takes no cell for a formula."""
    return safe_csv.csv_text([HEAD, *table])
