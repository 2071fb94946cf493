"""Class report: distributions of marks, arguments and measurements, anonymous by k-anonymity."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from course_utils.core.files import replace_file
from course_utils.experiments.core.registry import can_rerun
from course_utils.experiments.release.arguments import strategies
from course_utils.grading.assignments.rubric import Rubric, load_rubric
from course_utils.grading.course.course import ESSAY, Course, find_course
from course_utils.grading.html.page import drawn, element, page, paragraph, section, table, text
from course_utils.grading.marking.submission_status import MARKED, SubmissionStatus, submission_statuses
from course_utils.grading.marking.submissions_to_mark import read_report
from course_utils.grading.reports.k_anonymity import MIN_GROUP_SIZE, Group, merge_neighbours, merge_smallest, out_of
from course_utils.plots.marking import groups_picture
from course_utils.plots.picture import Picture

COLUMNS = ["of", "group", "n", "told"]
STEPS = ("no points", "some of the points", "all points")
OTHERS = "all others"  # in own words, or too few
STATUSES = ("reproduced", "within tolerance", "not reproduced", "cannot be tried", "not sampled")
TITLES = {
    "levels": ("How each part came out", "people"),
    "strategies": ("Which strategy was argued for", "people"),
    "words": ("How long the essays are", "people"),
    "experiments": ("Which experiments were cited", "people"),
    "reproduction": ("How the cited records came out when they were done again", "records"),
}
Reports = Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class ClassReport:
    """Report on a class in which no person can be identified.

    Parameters
    ----------
    assignment, title : str
    n : int
        How many marked submissions it is about; 0 where there are fewer than five.
    tables : mapping of str to pandas.DataFrame
        levels, and for essays strategies, words, experiments and reproduction: of, group, n, told. A table that
        would tell of fewer than five people is not there.
    """

    assignment: str
    title: str
    n: int
    tables: Mapping[str, pd.DataFrame]

    @property
    def figures(self) -> dict[str, Picture]:
        """Return a picture of each table, with its description in words."""
        return {
            name: groups_picture(rows, f"{TITLES[name][0]}.", TITLES[name][1]) for name, rows in self.tables.items()
        }

    def html(self) -> str:
        """Return it as a page that is one file."""
        body = [element("h1", text(f"The class: {self.title}")), paragraph(self._about(), class_="soft")]
        figures = self.figures
        for name, rows in self.tables.items():
            title, unit = TITLES[name]
            columns = {"of": "Part", "group": "Group", "told": unit.capitalize()}
            shown = [column for column in columns if rows[column].any()]
            cells = [[text(cell) for cell in row] for row in rows[shown].itertuples(index=False)]
            inside = drawn(figures[name]), table([columns[column] for column in shown], cells, title)
            body.append(section(name, title, *inside))
        return page(f"The class: {self.title}", body)

    def _about(self) -> str:
        if not self.n:
            return f"Fewer than {MIN_GROUP_SIZE} submissions are marked; of so few nothing can be told."
        return (
            f"{self.n} marked submissions. Every number is of {MIN_GROUP_SIZE} people at least: smaller groups were "
            "put together with others. Show it once, when all is marked: two reports would tell who came in between."
        )

    def __repr__(self) -> str:
        """Return it in words."""
        descriptions = [figure.alt for figure in self.figures.values()]
        return "\n".join([f"{self.title}: {self._about()}", *descriptions])

    def _repr_html_(self) -> str:
        """Return the pictures (IPython asks for this name)."""
        about = element("p", text(self._about()))
        return about + "".join(figure._repr_html_() for figure in self.figures.values())


def class_report(course: Course | None = None, assignment: str = ESSAY) -> ClassReport:
    """Sum up what a class has handed in, so that no number is of fewer than five people.

    Parameters
    ----------
    course : Course, optional
        The one that this folder belongs to, if left out.
    assignment : str

    Raises
    ------
    TextError
        There is no such assignment, or no course here.
    """
    course = course or find_course()
    marked = [status for status in submission_statuses(course, assignment) if status.state == MARKED]
    rubric = load_rubric(course.source(assignment).with_name("rubric.yaml")) if assignment == ESSAY else None
    title = rubric.title if rubric else assignment.replace("_", " ")
    if len(marked) < MIN_GROUP_SIZE:
        return ClassReport(assignment, title, 0, {})
    tables = {"levels": _levels(marked, rubric)}
    if rubric:
        reports = {status.student: read_report(course, status.student, assignment) for status in marked}
        tables |= {name: make(reports, rubric) for name, make in OF_ESSAYS.items()}
    return ClassReport(assignment, title, len(marked), {name: rows for name, rows in tables.items() if len(rows)})


def write_class_report(course: Course, file: str | Path, assignment: str = ESSAY) -> Path:
    """Write the report as a page that is one file, and return where."""
    replace_file(Path(file), class_report(course, assignment).html())
    return Path(file)


def _levels(marked: Sequence[SubmissionStatus], rubric: Rubric | None) -> pd.DataFrame:
    """Return how many reached each level of each criterion, or how much of an exercise's points."""
    rows: list[list[object]] = []
    for part in marked[0].parts:
        steps: dict[str, list[str]] = {
            name: [] for name in ([level.name for level in rubric.levels] if rubric else STEPS)
        }
        for status in marked:
            points = status.given[part.id]
            step = rubric.level_of(part.id, points) if rubric else (points > 0) + (points >= part.most)
            list(steps.values())[step].append(status.student)
        rows += _rows(part.name, merge_neighbours(list(steps.items())))
    return pd.DataFrame(rows, columns=COLUMNS)


def _strategies(reports: Reports, _rubric: Rubric) -> pd.DataFrame:
    """Return what was argued for; whatever is in somebody's own words is another one."""
    known = {_plain(name): name for name in strategies()["strategy"]}
    chosen: dict[str, list[str]] = {}
    for student, report in reports.items():
        name = known.get(_plain(_essay(report).get("strategy", "")), OTHERS)
        chosen.setdefault(name, []).append(student)
    return pd.DataFrame(_rows("", merge_smallest(chosen, OTHERS)), columns=COLUMNS)


def _words(reports: Reports, rubric: Rubric) -> pd.DataFrame:
    least, most = rubric.words
    bands: dict[str, list[str]] = {f"under {least:,}": [], f"{least:,} up to {most:,}": [], f"over {most:,}": []}
    for student, report in reports.items():
        n = _essay(report).get("n_words")
        if isinstance(n, int):
            list(bands.values())[(n >= least) + (n > most)].append(student)
    if sum(map(len, bands.values())) != len(
        reports
    ):  # the number of those whose words nobody counted would be told too
        return pd.DataFrame([], columns=COLUMNS)
    groups = merge_neighbours(list(bands.items()))
    named = [dataclasses.replace(group, names=(" or ".join(group.names),)) for group in groups]
    return pd.DataFrame(_rows("", named), columns=COLUMNS)


def _experiments(reports: Reports, _rubric: Rubric) -> pd.DataFrame:
    """Return of how many people the essay cites a record of each experiment."""
    people: dict[str, set[str]] = {}
    for student, evidence in _cited(reports):
        name = str((evidence.get("record") or {}).get("experiment", ""))
        people.setdefault(name if can_rerun(name) else OTHERS, set()).add(student)
    groups = merge_smallest({name: sorted(those) for name, those in people.items()}, OTHERS, adds_up=False)
    rows = [["", group.name, *out_of(len(group.people), len(reports))] for group in groups]
    return pd.DataFrame(rows, columns=COLUMNS)


def _reproduction(reports: Reports, _rubric: Rubric) -> pd.DataFrame:
    outcomes: dict[str, list[str]] = {}
    for student, evidence in _cited(reports):
        status = str((evidence.get("again") or {}).get("status", ""))
        outcomes.setdefault(status if status in STATUSES else OTHERS, []).append(student)
    return pd.DataFrame(_rows("", merge_smallest(outcomes, OTHERS)), columns=COLUMNS)


OF_ESSAYS: dict[str, Callable[[Reports, Rubric], pd.DataFrame]] = {
    "strategies": _strategies,
    "words": _words,
    "experiments": _experiments,
    "reproduction": _reproduction,
}


def _rows(of: str, groups: Sequence[Group]) -> list[list[object]]:
    return [[of, group.name, group.n, str(group.n)] for group in groups]


def _essay(report: Mapping[str, Any]) -> Mapping[str, Any]:
    return report.get("essay") or {}


def _cited(reports: Reports) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (student, evidence)
        for student, report in reports.items()
        for evidence in report.get("evidence") or ()
        if evidence.get("cited")
    ]


def _plain(name: object) -> str:
    return " ".join(str(name).casefold().split())
