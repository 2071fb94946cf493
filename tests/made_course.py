"""A course of the tests' own: two small assignments through nbgrader itself, and what students may hand in."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from repository import ROOT

from course_utils.grading.course.course import Course, find_course

ESSAY_NAME = "release_strategy"
SECTIONS = ("thesis", "openai2019feb", "zhang2019", "openai2019aug", "zellers2019", "counter", "recommendation")
RUBRIC = {
    "title": "Which strategy?",
    "words": {"least": 20, "most": 400},
    "levels": [{"name": name, "share": share} for name, share in (("None", 0), ("Some", 0.5), ("All", 1))],
    "criteria": [
        {"id": id, "name": id.title(), "weight": weight, "asks": f"Is there {id}?"}
        | {"descriptors": [f"{id} {word}" for word in ("none", "some", "all")], "next": [f"Add {id}.", f"Mend {id}."]}
        for id, weight in (("thesis", 4), ("evidence", 6))
    ],
}
SOLUTION = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
SEEN = "from course_utils.expect import expect\n\nexpect(double, 2, gives=4)"
GOOD, WRONG = "def double(x):\n    return 2 * x", "def double(x):\n    return x"
STUB = "def double(x):\n    raise NotImplementedError\n"


def _marks(name: str, **flags: object) -> dict:
    base = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3, "grade_id": name}
    return {"nbgrader": base | flags}


def exercises() -> nbformat.NotebookNode:
    """One function to write, one visible and one hidden check of two points each."""
    hidden = "### BEGIN HIDDEN TESTS\nassert double(21) == 42\n### END HIDDEN TESTS"
    cells = [
        new_markdown_cell("# Double a number", id="brief", metadata=_marks("brief", locked=True)),
        new_code_cell(SOLUTION, id="answer-double", metadata=_marks("answer-double", solution=True)),
        new_code_cell(SEEN, id="see", metadata=_marks("see", grade=True, locked=True, points=2)),
        new_code_cell(hidden, id="unseen", metadata=_marks("unseen", grade=True, locked=True, points=2)),
    ]
    return new_notebook(cells=cells)


def essay() -> nbformat.NotebookNode:
    """Sections to write in; the rubric's cells come from the rubric."""
    cells = [new_markdown_cell("# Brief", id="brief", metadata=_marks("brief", locked=True))]
    cells += [new_code_cell('strategy = ""', id="strategy")]
    for key in SECTIONS:
        mark = _marks(f"heading-{key}", locked=True) | {"course": {"section": key}}
        cells.append(new_markdown_cell(f"## About {key}", id=f"heading-{key}", metadata=mark))
        answer = {"course": {"answer": key}}
        cells.append(new_markdown_cell("*Write here.*", id=f"text-{key}", metadata=answer))
    return new_notebook(cells=cells)


@functools.cache
def _empty_database() -> bytes:
    """Let nbgrader make the database of a course without assignments: once, as it starts a program for that."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "nbgrader_config.py", folder)
        with find_course(Path(folder)).gradebook():
            pass
        return (Path(folder) / "gradebook.db").read_bytes()


def make_course(root: Path) -> Course:
    """Write a course's sources and its empty database, as they lie before the first release."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "nbgrader_config.py").write_text((ROOT / "nbgrader_config.py").read_text())
    (root / "gradebook.db").write_bytes(_empty_database())
    for name, notebook in (("size_comparison", exercises()), ("release_strategy", essay())):
        (root / "source" / name).mkdir(parents=True)
        nbformat.write(notebook, root / "source" / name / f"{name}.ipynb")
    (root / "source/release_strategy/rubric.yaml").write_text(yaml.safe_dump(RUBRIC))
    (root / "source/release_strategy/mark_scheme.yaml").write_text("thesis: secret advice\nevidence: more of it\n")
    return find_course(root)


def released(course: Course, assignment: str) -> nbformat.NotebookNode:
    return nbformat.read(course.folder("assignments", "", assignment) / f"{assignment}.ipynb", as_version=4)


def with_answer(notebook: nbformat.NotebookNode, **answers: str) -> nbformat.NotebookNode:
    """Write answers into the cells of these ids, ``_`` standing for ``-``."""
    for cell in notebook.cells:
        cell.source = answers.get(cell.id.replace("-", "_"), cell.source)
    return notebook


def hand_in(
    course: Course, student: str, assignment: str, content: object = None, name: str = "", **more: bytes
) -> Path:
    """Put a submission where it is collected to: a notebook, or any bytes; further files by name."""
    folder = course.root / "submitted" / student / assignment
    folder.mkdir(parents=True, exist_ok=True)
    if content is not None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / (name or f"{assignment}.ipynb")).write_bytes(data)
    for file, data in more.items():
        (folder / file).write_bytes(data)
    return folder
