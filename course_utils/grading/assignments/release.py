"""Assignments made from their sources: task cells and a page from the rubric, then nbgrader's release, checked."""

import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from course_utils.core.files import replace_file, write_errors
from course_utils.errors import CourseError, DamagedFile
from course_utils.grading.submissions.arrival_notes import note_release
from course_utils.grading.course.course import Course, nbgraders_own
from course_utils.grading.course.gradebook_access import gradebook_trouble, is_gradebook_trouble
from course_utils.grading.assignments.source_notebooks import read_notebook
from course_utils.grading.assignments.rubric import CELL_PREFIX, NAME, Criterion, Rubric, load_rubric
from course_utils.grading.assignments.verify import verify_checks

SCHEME = "mark_scheme.yaml"
BEGIN, END = "=== BEGIN MARK SCHEME ===", "=== END MARK SCHEME ==="
SECRETS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", "MARK SCHEME")
Say = Callable[[str], object]


def task_cell(criterion: Criterion, rubric: Rubric, scheme: str) -> NotebookNode:
    """Return the cell in which a criterion is marked: descriptors for all, a mark scheme for graders."""
    levels = [
        f"| {level.name} | {rubric.points_of(criterion.id, i):g} | {text} |"
        for i, (level, text) in enumerate(zip(rubric.levels, criterion.descriptors, strict=True))
    ]
    parts = [f"## {criterion.name} ({criterion.weight:g} points)", criterion.asks]
    parts += ["\n".join(["| level | points | what it looks like |", "| --- | --- | --- |", *levels])]
    parts += [f"{BEGIN}\n\n{scheme.strip()}\n\n{END}"] if scheme.strip() else []
    cell: NotebookNode = nbformat.v4.new_markdown_cell("\n\n".join(parts), id=CELL_PREFIX + criterion.id)
    cell.metadata = NotebookNode(nbgrader=NotebookNode(_task(criterion)))
    return cell


def with_task_cells(notebook: NotebookNode, rubric: Rubric, scheme: Mapping[str, str]) -> NotebookNode:
    """Return a notebook whose last cells are those of the rubric, one a criterion."""
    kept = [cell for cell in notebook.cells if not str(cell.get("id", "")).startswith(CELL_PREFIX)]
    made = [task_cell(criterion, rubric, scheme.get(criterion.id, "")) for criterion in rubric.criteria]
    return NotebookNode({**notebook, "cells": [*kept, *made]})


def refresh_source(course: Course, assignment: str) -> bool:
    """Bring the task cells of a source notebook up to its rubric; return whether anything had to change.

    Raises
    ------
    DamagedFile
        Rubric or mark scheme cannot be used.
    """
    folder = course.source(assignment).parent
    if not (folder / NAME).is_file():
        return False
    notebook = read_notebook(course.source(assignment))
    wanted = with_task_cells(notebook, load_rubric(folder / NAME), read_scheme(folder / SCHEME))
    if wanted == notebook:
        return False
    replace_file(course.source(assignment), nbformat.writes(wanted) + "\n")
    return True


def read_scheme(file: Path) -> dict[str, str]:
    """Return what graders are told about each criterion; empty where there is no such file."""
    if not file.is_file():
        return {}
    try:
        return {str(id): str(text) for id, text in yaml.safe_load(file.read_text("utf-8")).items()}
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError) as problem:
        raise DamagedFile(f"{file} is no mark scheme.", "criterion: text", "Mend it.") from problem


def generate(course: Course, assignment: str, say: Say = print) -> Path:
    """Make the students' version of an assignment, and return its folder.

    Raises
    ------
    CourseError
        nbgrader refuses the source, or something in the result is not for students.
    """
    read_notebook(course.source(assignment))  # a broken one is told here, with its path
    with course.gradebook():
        pass  # so is a gradebook that cannot be used
    if refresh_source(course, assignment):
        say(f"The cells of the rubric in {course.source(assignment).name} were brought up to date.")
    done = nbgraders_own("generate_assignment")(course.api(), assignment, force=True, create=True)
    if not done["success"]:
        log = f"{done.get('error') or ''}\n{done.get('log') or ''}"
        if is_gradebook_trouble(log):
            raise gradebook_trouble(course.db_url, log)
        raise CourseError(
            f"nbgrader could not make {assignment}: {_last_line(done)}", "A sound source notebook.", "See above."
        )
    folder = course.folder("assignments", "", assignment)
    source = course.source(assignment).parent
    if (source / NAME).is_file():
        replace_file(folder / "rubric.html", rubric_page(load_rubric(source / NAME)))
    if leaks := leaks_of(folder):
        raise CourseError(f"{assignment} would tell students: {leaks[0]}", "Nothing of the kind.", "Mend its source.")
    return folder


def release(course: Course, assignment: str, say: Say = print) -> None:
    """Make the students' version of an assignment and put it where they fetch it.

    Raises
    ------
    CourseError
        See `generate` and `verify_checks`; or the exchange folder cannot be written.
    """
    folder = generate(course, assignment, say)
    verify_checks(course, assignment, say)
    with write_errors(course.exchange, "Set NBGRADER_EXCHANGE to another folder."):
        course.exchange.mkdir(parents=True, exist_ok=True)
    is_first = not (course.own_exchange / "outbound" / assignment).exists()
    done = nbgraders_own("release_assignment")(course.api(ExchangeReleaseAssignment={"force": True}), assignment)
    if not done["success"]:
        raise CourseError(
            f"{assignment} could not be released to {course.exchange}: {_last_line(done)}",
            "A folder that everybody can read.", "Set NBGRADER_EXCHANGE to another folder.",
        )  # fmt: skip
    if is_first:
        note_release(course, assignment)
    say(f"{assignment}: made in {folder.relative_to(course.root)}, released in {course.exchange}")


def leaks_of(folder: Path) -> list[str]:
    """Return, a sentence each, what a folder for students holds that is not for them."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.name == SCHEME:
            found.append(f"{file.name} is for graders")
        if file.is_file() and file.suffix in (".ipynb", ".py", ".yaml", ".html", ".md"):
            text = file.read_text("utf-8", "replace")
            found += [f"{file.name} holds {secret}" for secret in SECRETS if secret in text]
    return found


def rubric_page(rubric: Rubric) -> str:
    """Return the rubric as a page of its own, for students and for the wall."""
    names = "".join(f'<th scope="col">{html.escape(level.name)}</th>' for level in rubric.levels)
    rows = []
    for criterion in rubric.criteria:
        cells = "".join(
            f"<td><b>{rubric.points_of(criterion.id, i):g}</b> {html.escape(text)}</td>"
            for i, text in enumerate(criterion.descriptors)
        )
        asks = f"{criterion.weight:g} points. {html.escape(criterion.asks)}"
        head = f"{html.escape(criterion.name)}<br><small>{asks}</small>"
        rows.append(f'<tr><th scope="row">{head}</th>{cells}</tr>')
    least, most = rubric.words
    told = f"{rubric.points:g} points in all; {least:,} to {most:,} words. Version {rubric.version}."
    return PAGE.format(title=html.escape(rubric.title), told=html.escape(told), names=names, rows="\n".join(rows))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rubric: {title}</title><style>
:root {{ color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --edge: #868f99; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8eaed; --paper: #16191d; --edge: #7d8791; }} }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 80rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; min-width: 60rem; }}
th, td {{ border: 1px solid var(--edge); padding: .5rem .6rem; vertical-align: top; text-align: left; }}
tbody th {{ min-width: 11rem; }} small {{ font-weight: normal; }}
</style></head><body><main>
<h1>{title}</h1><p>How the essay is marked. {told}</p>
<div class="wide" tabindex="0" role="region" aria-label="Rubric"><table>
<thead><tr><th scope="col">Criterion</th>{names}</tr></thead><tbody>
{rows}
</tbody></table></div></main></body></html>
"""


def _task(criterion: Criterion) -> dict[str, object]:
    name = CELL_PREFIX + criterion.id
    flags = {"grade": False, "locked": True, "solution": False, "task": True, "schema_version": 3}
    return {"grade_id": name, "points": criterion.weight, "cell_type": "markdown", **flags}


def _last_line(done: Mapping[str, object]) -> str:
    told = str(done.get("error") or done.get("log") or "").strip().splitlines()
    return re.sub(r"\x1b\[[0-9;]*m", "", told[-1])[:300] if told else "it does not say why"
