"""Inter-rater agreement of two graders: weighted kappa, error, bias, and the papers on which they differ most."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError, TextError
from course_utils.grading.assignments.rubric import Rubric, load_rubric
from course_utils.grading.course.course import ESSAY, Course
from course_utils.grading.marking.marks import FileMarks, marks_of
from course_utils.grading.marking.submission_status import submission_statuses
from course_utils.grading.marking.submissions_to_mark import list_papers

Levels = Mapping[str, Mapping[str, int]]  # paper: criterion: level, counted from 0
COLUMNS = ["criterion", "n", "kappa", "mean_absolute_error", "bias", "exact_share"]
ALL = "all"
FAR = 2  # levels: no two readings of one descriptor


def agreement(a: Levels, b: Levels, rubric: Rubric) -> pd.DataFrame:
    """Compare two markers criterion by criterion, and over all their marks.

    Parameters
    ----------
    a, b : mapping
        Paper, then criterion, then level, counted from 0. Only what both have marked is compared.
    rubric : Rubric

    Returns
    -------
    pandas.DataFrame
        A row a criterion, and one that is called all: n marks, quadratic-weighted kappa, mean absolute error and
        bias in levels (b minus a), and the share of marks that are the same. What cannot be known is NaN: kappa
        where both gave everybody one and the same level. ``attrs["in_words"]`` says it in a few sentences.

    Raises
    ------
    SettingsError
        A level or criterion that the rubric does not have.

    Examples
    --------
    >>> from course_utils.grading.assignments.rubric import rubric_of
    >>> levels = [{"name": "no", "share": 0}, {"name": "part", "share": 0.5}, {"name": "yes", "share": 1}]
    >>> clear = {"id": "clear", "name": "Clear", "weight": 2, "asks": "?", "descriptors": "abc", "next": "de"}
    >>> rubric = rubric_of({"title": "", "words": {"least": 1, "most": 2}, "levels": levels, "criteria": [clear]})
    >>> one = {"p": {"clear": 0}, "q": {"clear": 2}, "r": {"clear": 1}}
    >>> agreement(one, {"p": {"clear": 1}}, rubric)[["n", "bias"]].values.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    pairs = {criterion.id: _pairs(a, b, criterion.id, rubric) for criterion in rubric.criteria}
    _require_known({criterion_id for marks in (*a.values(), *b.values()) for criterion_id in marks}, rubric)
    everything = [pair for marks in pairs.values() for pair in marks]
    rows = [
        _row(criterion_id, marks, len(rubric.levels)) for criterion_id, marks in [*pairs.items(), (ALL, everything)]
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs["in_words"] = in_words(table, rubric)
    return table


def in_words(table: pd.DataFrame, rubric: Rubric) -> str:
    """Say in a few sentences what `agreement` found."""
    whole, rows = table.iloc[-1], table.iloc[:-1]
    if not whole["n"]:
        return "No paper has been marked by both yet, so nothing is known of their agreement."
    leans = abs(whole["bias"])
    milder = f"the second gives {leans:.2f} levels {'more' if whole['bias'] > 0 else 'less'} on average"
    lines = [
        f"Over {whole['n']} marks that both have given, {whole['exact_share']:.0%} are the same level.",
        f"They lie {whole['mean_absolute_error']:.2f} levels apart on average; "
        + ("neither gives more than the other." if leans < 0.005 else f"{milder}."),
        _kappa_in_words(whole["kappa"]),
    ]
    known = rows[rows["kappa"].notna()]
    if len(known) > 1 and known["kappa"].min() < known["kappa"].max():
        least = known.loc[known["kappa"].idxmin()]
        name = rubric.criterion(least["criterion"]).name
        lines.append(f"They agree least on {name} (kappa {least['kappa']:.2f}, {least['n']} papers).")
    return " ".join(lines)


def two_graders(course: Course, second: str) -> pd.DataFrame:
    """Compare the marks that count with those of a second reader.

    Parameters
    ----------
    course : Course
    second : str
        The name under which the second reader marks: ``marking/release_strategy/NAME.json``.

    Returns
    -------
    pandas.DataFrame
        As `agreement` returns it, a the marks that count, b the second reader's. ``attrs["to_talk_about"]`` holds what
        `far_apart` returns as a list, ``attrs["in_words"]`` sentences on both.

    Raises
    ------
    TextError
        There is no such second reader.
    """
    rubric = load_rubric(course.folder("source", "", ESSAY) / "rubric.yaml")
    first, other = first_levels(course, rubric), second_levels(course, second, rubric)
    table = agreement(first, other, rubric)
    apart = far_apart(first, other, rubric, {paper.key: paper.number for paper in list_papers(course)})
    advice = f"No two marks lie {FAR} levels or more apart."
    if len(apart):
        advice = f"Marks that lie {FAR} levels or more apart: {len(apart)}. Talk about them before anybody changes one."
    table.attrs["to_talk_about"] = apart.to_dict("records")
    table.attrs["in_words"] += f" {advice}" if table.iloc[-1]["n"] else ""
    return table


def far_apart(a: Levels, b: Levels, rubric: Rubric, numbers: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Return the marks that lie two levels or more apart, the furthest first: paper, criterion, first, second, apart.

    Parameters
    ----------
    a, b : mapping
        As for `agreement`.
    rubric : Rubric
    numbers : mapping of str to int, optional
        What to call a paper; its key without.
    """
    rows = []
    for paper in a.keys() & b.keys():
        for criterion in rubric.criteria:
            if criterion.id in a[paper] and criterion.id in b[paper]:
                one, other = a[paper][criterion.id], b[paper][criterion.id]
                names = rubric.levels[one].name, rubric.levels[other].name
                rows.append(((numbers or {}).get(paper, paper), criterion.name, *names, abs(other - one)))
    far = sorted((row for row in rows if row[4] >= FAR), key=lambda row: (-row[4], _order(row[0]), row[1]))
    return pd.DataFrame(far, columns=["paper", "criterion", "first", "second", "apart"])


def first_levels(course: Course, rubric: Rubric) -> dict[str, dict[str, int]]:
    """Return the marks that count, as levels."""
    found = {}
    for status in submission_statuses(course, ESSAY):
        given = {criterion_id: points for criterion_id, points in status.points.items() if points is not None}
        if status.key and given:
            found[status.key] = {
                criterion_id: rubric.level_of(criterion_id, points) for criterion_id, points in given.items()
            }
    return found


def second_levels(course: Course, second: str, rubric: Rubric) -> dict[str, dict[str, int]]:
    """Return a second reader's marks, as levels.

    Raises
    ------
    TextError
        Nobody marks under this name.
    """
    marks = marks_of(course, rubric, second or "second")
    if not isinstance(marks, FileMarks) or not marks.file.is_file():
        there = sorted(file.stem for file in course.folder("marking", "", ESSAY).glob("*.json"))
        raise TextError(
            f"No second reader is called {str(second)[:40]!r}.",
            f"One of {', '.join(there)}." if there else "A second reader who has marked a paper.",
            "Mark some papers as a second reader first.",
        )
    known, found = {criterion.id for criterion in rubric.criteria}, {}
    for paper, given in marks.all().items():
        points = {
            criterion_id: mark.points
            for criterion_id, mark in given.items()
            if criterion_id in known and mark.points is not None
        }
        found[paper] = {criterion_id: rubric.level_of(criterion_id, value) for criterion_id, value in points.items()}
    return found


def _order(paper: str | int) -> tuple[int, str]:
    """Return by what papers are sorted: numbers as numbers."""
    return (paper, "") if isinstance(paper, int) else (0, paper)


def _pairs(a: Levels, b: Levels, criterion: str, rubric: Rubric) -> list[tuple[int, int]]:
    both = [paper for paper in a if paper in b and criterion in a[paper] and criterion in b[paper]]
    found = [(a[paper][criterion], b[paper][criterion]) for paper in sorted(both)]
    for level in (level for pair in found for level in pair):
        if not isinstance(level, Integral) or isinstance(level, bool) or not 0 <= level < len(rubric.levels):
            expected = f"A whole number from 0 to {len(rubric.levels) - 1}."
            raise SettingsError(
                f"A level of {criterion} is {str(level)[:40]!r}.", expected, "rubric.level_of(id, points)"
            )
    return found


def _require_known(ids: set[str], rubric: Rubric) -> None:
    for criterion_id in sorted(map(str, ids)):
        rubric.criterion(criterion_id)


def _row(name: str, pairs: list[tuple[int, int]], n_levels: int) -> list[object]:
    if not pairs:
        return [name, 0, *[np.nan] * 4]
    one, other = (np.array(side, dtype=int) for side in zip(*pairs, strict=True))
    apart = other - one
    return [name, len(pairs), _kappa(one, other, n_levels), abs(apart).mean(), apart.mean(), (apart == 0).mean()]


def _kappa(one: np.ndarray, other: np.ndarray, n_levels: int) -> float:
    """Return quadratic-weighted kappa; NaN where chance alone would agree in everything."""
    from sklearn.metrics import cohen_kappa_score

    if len(set(one) | set(other)) == 1:
        return np.nan
    return float(cohen_kappa_score(one, other, labels=list(range(n_levels)), weights="quadratic"))


def _kappa_in_words(kappa: float) -> str:
    if np.isnan(kappa):
        return "Agreement beyond chance is unknown: everything got one and the same level."
    return f"Agreement beyond chance, weighted by distance, is {kappa:.2f}, where 1 is perfect and 0 is chance."
