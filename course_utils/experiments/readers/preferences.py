"""Preferences of readers in a blind comparison: mean places, and how often the larger model won."""

import json
import math
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.core.json_lines import append_object, read_lines
from course_utils.errors import DamagedFile
from course_utils.experiments.core.statistics import wilson

# A ranking is a dict as JSON has it: prompt, settings, seed, shown (names, in the order of the columns), ranking
# (names, best first), time, models (name: sha256 of the weights), precisions (name: fp32 or int8), n_parameters (name:
# how many).
NEEDED = ("ranking", "n_parameters")


def pairs(rankings: Iterable[dict]) -> pd.DataFrame:
    """Count, for every two models that stood side by side, how often the larger was preferred.

    Parameters
    ----------
    rankings : iterable of dict
        As ``SideBySide.rankings`` or :func:`read` has them.

    Returns
    -------
    pandas.DataFrame
        One row a pair, smallest first: smaller, larger, n, n_won (by the larger), share, low, high. The interval is
        Wilson's, 95%.

    Notes
    -----
    A ranking counts once in each row, so within a row the counts are independent if the rankings are: other prompts,
    other readers. Between rows they are not, which is why rows are not added up here.
    """
    won: dict[tuple[str, str], list[bool]] = {}
    sizes: dict[str, int] = {}
    for ranking in rankings:
        sizes |= ranking["n_parameters"]
        for better, worse in combinations(ranking["ranking"], 2):
            smaller, larger = sorted((better, worse), key=lambda name: (sizes[name], name))
            won.setdefault((smaller, larger), []).append(better == larger)
    rows = []
    for smaller, larger in sorted(won, key=lambda pair: [(sizes[name], name) for name in pair]):
        n, n_won = len(won[smaller, larger]), sum(won[smaller, larger])
        found = wilson(n_won, n)
        counts = {"n": n, "n_won": n_won, "share": found.share, "low": found.low, "high": found.high}
        rows.append({"smaller": smaller, "larger": larger} | counts)
    return pd.DataFrame(rows, columns=["smaller", "larger", "n", "n_won", "share", "low", "high"])


def tally(rankings: Iterable[dict]) -> pd.DataFrame:
    """Sum up rankings: where each model stood, and how often it beat the next smaller one.

    Parameters
    ----------
    rankings : iterable of dict
        As ``SideBySide.rankings`` or :func:`read` has them.

    Returns
    -------
    pandas.DataFrame
        One row a model, smallest first: model, n_parameters, n_rankings, mean_place (1 is best; chance is the middle),
        and against the next smaller model: against, n, n_won, preferred (the share won), preferred_low,
        preferred_high. The interval is Wilson's, 95%; the smallest model has none to beat.
    """
    rankings = list(rankings)
    sizes = {name: size for ranking in rankings for name, size in ranking["n_parameters"].items()}
    names = sorted(sizes, key=lambda name: (sizes[name], name))
    counted = {(row.smaller, row.larger): row for row in pairs(rankings).itertuples()}
    rows = []
    for smaller, name in zip([None, *names], names, strict=False):
        ranks = [ranking["ranking"].index(name) + 1 for ranking in rankings if name in ranking["ranking"]]
        about = {"model": name, "n_parameters": sizes[name], "n_rankings": len(ranks), "mean_place": np.mean(ranks)}
        pair = counted.get((smaller, name))
        shares = (pair.n, pair.n_won, pair.share, pair.low, pair.high) if pair else (0, 0, *[math.nan] * 3)
        of_pair = zip(["n", "n_won", "preferred", "preferred_low", "preferred_high"], shares, strict=True)
        rows.append(about | {"against": smaller or ""} | dict(of_pair))
    columns = ["model", "n_parameters", "n_rankings", "mean_place", "against", "n", "n_won"]
    return pd.DataFrame(rows, columns=[*columns, "preferred", "preferred_low", "preferred_high"])


def in_words(rankings: Iterable[dict]) -> str:
    """Return the tally as a few sentences; empty without rankings."""
    rankings = list(rankings)
    if not rankings:
        return ""
    table = tally(rankings)
    many = "1 ranking" if len(rankings) == 1 else f"{len(rankings)} rankings"
    mean_ranks = " · ".join(f"{row.model} {row.mean_place:.2f}" for row in table.itertuples())
    beaten = [
        f"{row.model} was preferred to {row.against} {row.n_won} of {row.n} times "
        f"({row.preferred_low:.0%} to {row.preferred_high:.0%})"
        for row in table.itertuples()
        if row.n
    ]
    return f"{many} so far. Mean place: {mean_ranks}. " + "; ".join(beaten) + "."


def append(path: Path, ranking: dict) -> None:
    """Add a ranking to a JSON Lines file, which is made if missing: the whole line or nothing.

    Raises
    ------
    NoSpace
        If the file cannot be written.
    """
    append_object(path, ranking, "Make room, or name a file in another folder.")


def read(path: str | Path) -> list[dict]:
    """Return the rankings in a JSON Lines file; none where there is no file yet.

    Raises
    ------
    DamagedFile
        If a line is not a ranking; it names the line.
    TextError
        If the path is a folder.
    """
    path = Path(path)
    return [_parsed(path, number, line) for number, line in read_lines(path)]


def _parsed(path: Path, number: int, line: bytes) -> dict:
    try:
        ranking = json.loads(line)
        if all(name in ranking["n_parameters"] for name in ranking["ranking"]):
            return ranking
    except (ValueError, TypeError, KeyError):
        pass
    raise DamagedFile(
        f"{path}, line {number}, is not a ranking: {line[:60].decode('utf-8', 'replace')!r}.",
        f"A JSON object with {' and '.join(NEEDED)}.",
        "Delete that line, or name another file.",
    )
