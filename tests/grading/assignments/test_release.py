"""What students get is made from the sources, is up to date, and holds nothing that is not for them."""

import json
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml
from made_course import ESSAY_NAME, RUBRIC, make_course, released
from repository import ROOT

from course_utils.errors import CourseError, DamagedFile, SettingsError, TextError
from course_utils.grading.assignments.generate import SECRETS, generate, find_leaks, refresh_source, rubric_page
from course_utils.grading.release.bundle import bundle
from course_utils.grading.course.course import ASSIGNMENTS, find_course
from course_utils.grading.assignments.rubric import CELL_PREFIX
from course_utils.grading.assignments.rubric import load_rubric, rubric_of

pytestmark = pytest.mark.slow


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "course")


def quietly(line: str) -> None:
    """Say nothing."""


# -- the course's own assignments --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    """The course's own assignments, made anew from their sources in another folder."""
    root = tmp_path_factory.mktemp("remade")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    shutil.copytree(ROOT / "source", root / "source", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    course = find_course(root)
    for name in ASSIGNMENTS:
        assert not refresh_source(course, name), f"the rubric's cells in {name} are old: make release"
        generate(course, name, quietly)
    return root / "assignments"


def contents(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_assignments_in_the_repository_are_those_of_the_sources(remade):
    assert contents(ROOT / "assignments").keys() == contents(remade).keys(), "make release"
    assert contents(ROOT / "assignments") == contents(remade), "make release"


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_nothing_in_them_is_for_instructors_only(name):
    folder = ROOT / "assignments" / name
    assert find_leaks(folder) == []
    told = b"\n".join(contents(folder).values()).decode()
    scheme = ROOT / "source" / name / "mark_scheme.yaml"
    for text in yaml.safe_load(scheme.read_text("utf-8")).values() if scheme.exists() else ():
        for line in filter(None, map(str.strip, text.splitlines())):
            assert line not in told


# -- any assignment ----------------------------------------------------------------------------------------------------


def test_there_is_one_task_cell_a_criterion_with_its_points(course):
    generate(course, ESSAY_NAME, quietly)
    rubric = load_rubric(course.source(ESSAY_NAME).parent / "rubric.yaml")
    cells = [cell for cell in released(course, ESSAY_NAME).cells if cell.id.startswith(CELL_PREFIX)]
    assert [cell.metadata.nbgrader.points for cell in cells] == [each.weight for each in rubric.criteria]
    for cell, criterion in zip(cells, rubric.criteria, strict=True):
        assert cell.metadata.nbgrader.task and all(text in cell.source for text in criterion.descriptors)


def test_a_changed_rubric_changes_the_cells_once(course):
    generate(course, ESSAY_NAME, quietly)
    changed = json.loads(json.dumps(RUBRIC))
    changed["criteria"][0]["weight"] = 7
    changed["criteria"] = changed["criteria"][::-1]
    (course.source(ESSAY_NAME).parent / "rubric.yaml").write_text(yaml.safe_dump(changed))
    assert refresh_source(course, ESSAY_NAME)
    assert not refresh_source(course, ESSAY_NAME)
    cells = [cell for cell in nbformat.read(course.source(ESSAY_NAME), 4).cells if cell.id.startswith(CELL_PREFIX)]
    assert [cell.metadata.nbgrader.points for cell in cells] == [6, 7]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_never_gets_out(course, secret):
    notebook = nbformat.read(course.source("size_comparison"), 4)
    notebook.cells.append(nbformat.v4.new_markdown_cell(f"as in ### {secret} ###"))
    nbformat.write(notebook, course.source("size_comparison"))
    try:
        generate(course, "size_comparison", quietly)
    except CourseError:
        return  # refused; otherwise nbgrader has taken it out
    assert secret not in str(released(course, "size_comparison"))


def test_an_assignment_that_is_not_there_is_told_with_those_that_are(course):
    with pytest.raises(TextError, match=r"release_strategy, size_comparison"):
        course.source("essay")


# -- the rubric --------------------------------------------------------------------------------------------------------


def test_a_rubrics_version_is_that_of_its_content():
    again = rubric_of(json.loads(json.dumps(RUBRIC)))
    assert again.version == rubric_of(RUBRIC).version
    changed = {**RUBRIC, "title": "Another"}
    assert rubric_of(changed).version != again.version


@pytest.mark.parametrize(
    "change",
    [
        {"levels": [{"name": "a", "share": 0}]},
        {"levels": [{"name": "a", "share": 0.5}, {"name": "b", "share": 1}]},
        {"levels": [{"name": "a", "share": 0}, {"name": "b", "share": 1}]},
        {"criteria": []},
        {"criteria": [*RUBRIC["criteria"], RUBRIC["criteria"][0]]},
        {"words": {"least": 9, "most": 3}},
        {"words": None},
        {"criteria": [{**RUBRIC["criteria"][0], "weight": -1}]},
        {"criteria": [{**RUBRIC["criteria"][0], "id": "../x"}]},
        {"criteria": [{**RUBRIC["criteria"][0], "descriptors": ["one"]}]},
        {"title": None, "levels": 5},
    ],
)
def test_a_rubric_that_is_not_whole_is_refused_with_its_file(change, tmp_path):
    file = tmp_path / "rubric.yaml"
    file.write_text(yaml.safe_dump({**RUBRIC, **change}))
    with pytest.raises(DamagedFile, match=r"rubric\.yaml cannot be used"):
        load_rubric(file)


def test_points_and_levels_agree_for_every_criterion():
    rubric = load_rubric(ROOT / "source" / ESSAY_NAME / "rubric.yaml")
    for criterion in rubric.criteria:
        for level in range(len(rubric.levels)):
            assert rubric.level_of(criterion.id, rubric.points_of(criterion.id, level)) == level
    assert rubric.points == sum(criterion.weight for criterion in rubric.criteria)
    with pytest.raises(SettingsError):
        rubric.criterion("beauty")


def test_the_rubrics_page_shows_all_of_it_and_nothing_acts_in_it():
    rubric = load_rubric(ROOT / "source" / ESSAY_NAME / "rubric.yaml")
    hostile = rubric_of({**RUBRIC, "title": "<script>alert(1)</script>"})
    assert "<script>" not in rubric_page(hostile)
    for criterion in rubric.criteria:
        assert criterion.name in rubric_page(rubric)


# -- the bundle --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a bundle is made from a git checkout")
    return bundle(find_course(ROOT), tmp_path_factory.mktemp("bundle") / "course.zip", quietly)


def test_a_student_finds_no_solution_no_hidden_test_no_mark_scheme_and_nobodys_work(zipped):
    with zipfile.ZipFile(zipped) as archive:
        names = archive.namelist()
        texts = {name: archive.read(name) for name in names}
    for name in names:
        parts = name.split("/")
        assert not {"source", "submitted", "autograded", "feedback", "reports", "marking", "exchange"} & set(parts[1:2]), (
            name
        )
        assert not name.endswith(("gradebook.db", "mark_scheme.yaml")), name
    for notebook in (ROOT / "source").glob("*/*.ipynb"):
        for cell in nbformat.read(notebook, 4).cells:
            for secret in _secrets(cell.source):
                leaks = [name for name, text in texts.items() if secret.encode() in text]
                assert leaks == [], (notebook.name, cell.id, secret)


def _secrets(source: str) -> list[str]:
    """The parts of a cell that only instructors may see, long enough not to stand elsewhere by chance."""
    pairs = (("### BEGIN SOLUTION", "### END SOLUTION"), ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"))
    pairs += (("=== BEGIN MARK SCHEME ===", "=== END MARK SCHEME ==="),)
    parts = [part.split(end)[0].strip() for begin, end in pairs for part in source.split(begin)[1:]]
    return [part for part in parts if len(part) > 60]


def test_what_students_need_is_there(zipped):
    with zipfile.ZipFile(zipped) as archive:
        names = {name.split("/", 1)[1] for name in archive.namelist()}
    needed = {"README.md", "Makefile", "requirements.txt", "notebooks/0_start_here.ipynb", "course_utils/__init__.py"}
    needed |= {f"assignments/{name}/{name}.ipynb" for name in ASSIGNMENTS} | {
        "assignments/release_strategy/rubric.yaml"
    }
    assert needed <= names


def test_the_same_course_makes_the_same_bytes(zipped, tmp_path):
    again = bundle(find_course(ROOT), tmp_path / "again.zip", quietly)
    assert again.read_bytes() == zipped.read_bytes()
