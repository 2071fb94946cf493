"""The notebook of the essay: its form, what stands in it for students, and that it agrees with the rubric."""

import ast
import re

import nbformat
import pytest
import yaml
from nbgrader.nbgraderformat.v3 import MetadataValidatorV3
from repository import ROOT

import course_utils
from course_utils.evidence.essay.essay import read_essay
from course_utils.evidence.ledger.ledger import read
from course_utils.experiments.release.arguments import strategies
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.marking.sample_essays import TITLES, sample_ledger

FOLDER = ROOT / "source" / "release_strategy"
FILE = FOLDER / "release_strategy.ipynb"
RUBRIC = load_rubric(FOLDER / "rubric.yaml")
SCHEME = yaml.safe_load((FOLDER / "mark_scheme.yaml").read_text("utf-8"))
KEYS = ["thesis", "openai2019feb", "zhang2019", "openai2019aug", "zellers2019", "counter", "recommendation"]
READINGS = KEYS[1:5]
PLACEHOLDER = "*Write here.*"
PLAIN = ["strategy", *(f"text-{key}" for key in KEYS), "my-help", "check", "hand-in"]
BEGIN, END = "=== BEGIN MARK SCHEME ===", "=== END MARK SCHEME ==="


@pytest.fixture
def notebook():
    return nbformat.read(FILE, as_version=4)


@pytest.fixture
def cells(notebook) -> dict:
    return {cell.id: cell for cell in notebook.cells}


def is_criterion(id: str) -> bool:
    return id.startswith("criterion-")


# -- form --------------------------------------------------------------------------------------------------------------


def test_it_is_whole_and_nbgrader_takes_it(notebook):
    nbformat.validate(notebook)
    for cell in notebook.cells:
        MetadataValidatorV3().validate_cell(cell)


def test_ids_are_words_and_no_two_are_the_same(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", each)] == []


def test_it_is_stored_without_outputs(notebook):
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def test_cells_are_short(notebook):
    """Those of the criteria are made from the rubric, and may be longer."""
    n_words = {cell.id: len(cell.source.split()) for cell in notebook.cells if not is_criterion(cell.id)}
    assert {id: n for id, n in n_words.items() if n > 120} == {}


def test_all_but_what_students_write_is_locked(notebook):
    assert [cell.id for cell in notebook.cells if "nbgrader" not in cell.metadata] == PLAIN
    for cell in notebook.cells:
        if marks := cell.metadata.get("nbgrader"):
            kinds = (marks.locked, marks.grade, marks.solution, marks.task)
            assert kinds == (True, False, False, is_criterion(cell.id)), cell.id
            assert (marks.grade_id, marks.schema_version) == (cell.id, 3)


def test_each_section_is_a_heading_and_a_place_to_write(notebook):
    ids = [cell.id for cell in notebook.cells]
    headings = [cell for cell in notebook.cells if "section" in cell.metadata.get("course", {})]
    assert [cell.metadata.course.section for cell in headings] == KEYS
    for cell in headings:
        key = cell.metadata.course.section
        place = notebook.cells[ids.index(cell.id) + 1]
        assert (cell.id, place.id) == (f"heading-{key}", f"text-{key}")
        assert (place.source, place.metadata.course.answer) == (PLACEHOLDER, key)


def test_a_heading_asks_and_does_not_answer(cells):
    for key in KEYS:
        guidance = cells[f"heading-{key}"].source
        assert guidance.count("?") >= 3, key
        assert re.match(r"## .+\n", guidance), key
        assert key not in READINGS or f"`[@{key}]`" in guidance


def test_the_strategy_is_one_empty_assignment(cells):
    (statement,) = ast.parse(cells["strategy"].source).body
    assert isinstance(statement, ast.Assign)
    assert (statement.targets[0].id, ast.literal_eval(statement.value)) == ("strategy", "")


def test_what_the_code_cells_fetch_is_at_the_front_desk(cells):
    for id in ("check", "hand-in"):
        (first, *_) = ast.parse(cells[id].source).body
        assert isinstance(first, ast.ImportFrom)
        assert first.module == "course_utils"
        assert {name.name for name in first.names} <= set(course_utils.__all__)


def test_an_untouched_notebook_is_an_empty_essay(notebook):
    essay = read_essay(notebook)
    assert ([section.key for section in essay.sections], essay.n_words, essay.strategy) == (KEYS, 0, "")


def test_the_samples_sections_are_called_as_in_the_notebook(notebook):
    for section in read_essay(notebook).sections:
        assert section.title.startswith(TITLES[section.key])


def test_what_is_declared_about_help_counts_for_no_section(notebook, cells):
    cells["my-help"].source += " a language model, for the spelling"
    assert read_essay(notebook).n_words == 0


# -- what it says ------------------------------------------------------------------------------------------------------


def test_the_brief_has_the_rubrics_title_words_and_points(cells):
    brief, (least, most) = cells["brief"].source, RUBRIC.words
    assert brief.startswith(f"# {RUBRIC.title}\n")
    assert f"{least:,} to {most:,} words" in brief
    assert f"{RUBRIC.points:g} points" in brief


def test_the_brief_names_every_criterion_and_its_points(cells):
    told = re.findall(r"^- \*\*(.+)\*\*, (\S+) points", cells["marking"].source, re.MULTILINE)
    assert told == [(criterion.name, f"{criterion.weight:g}") for criterion in RUBRIC.criteria]


def test_the_strategies_on_offer_are_those_of_the_course(cells):
    offered = re.search(r"Notebook 8 has these: (.+?)\.\n", cells["your-choice"].source, re.DOTALL)[1]
    assert [" ".join(each.split()) for each in offered.split(",")] == list(strategies()["strategy"])


def test_the_examples_number_is_its_records(cells):
    """A student learns to copy exactly from a sentence that does."""
    example = next(line for line in cells["how-to-cite"].source.split("\n\n") if line.startswith(">"))
    record = read(sample_ledger()).find(re.search(r"@(E-\w+)", example)[1])
    assert f"{record.value:.2f} bits per character fewer" in example
    assert f"({record.low:.2f} to {record.high:.2f})" in example
    assert f"On {record.n} news articles" in example


def test_declining_the_bias_probes_is_said_to_cost_nothing(cells):
    assert "costs nothing" in cells["bias-probes"].source
    assert not any("bias" in text for criterion in RUBRIC.criteria for text in criterion.descriptors)


def test_nothing_for_graders_stands_outside_the_mark_scheme(notebook):
    for cell in notebook.cells:
        assert (BEGIN in cell.source, END in cell.source) in ((False, False), (is_criterion(cell.id),) * 2), cell.id


# -- the rubric's words ------------------------------------------------------------------------------------------------

VAGUE = r"\b(good|better|poor|weak|excellent|adequate|appropriate|satisfactory|insufficient|very|well)\b"


@pytest.mark.parametrize("criterion", RUBRIC.criteria, ids=lambda each: each.id)
def test_a_descriptor_speaks_of_the_work_and_not_of_its_quality(criterion):
    for text in criterion.descriptors:
        assert not re.search(VAGUE, text, re.IGNORECASE), text
        assert not re.search(r"\b(you|your|student|fails?|lazy|careless)\b", text, re.IGNORECASE), text


@pytest.mark.parametrize("criterion", RUBRIC.criteria, ids=lambda each: each.id)
def test_what_comes_next_is_one_sentence_to_act_on(criterion):
    for text in criterion.next:
        assert text.count(". ") == 0, text
        assert len(text.split()) <= 40, text


def test_each_highest_level_contains_the_one_below():
    assert all(criterion.descriptors[-1].startswith("All that Sound asks") for criterion in RUBRIC.criteria)


def test_graders_are_told_about_every_criterion():
    assert list(SCHEME) == [criterion.id for criterion in RUBRIC.criteria]
    assert all(part in text for text in SCHEME.values() for part in ("**Traps**", "**Borderline.**"))
