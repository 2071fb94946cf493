"""However a notebook was damaged: each cell of the assignment is there once, no text is lost, no guess is silent."""

import copy
import itertools

import nbformat
import pytest
from made_course import GOOD, SECTIONS, STUB, essay, exercises
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from course_utils.grading.submissions.read_notebook import clean
from course_utils.grading.submissions.repair import is_answer, name_of, repair


def written() -> NotebookNode:
    """An essay in which every answer is of its own."""
    notebook = essay()
    for number, cell in enumerate(cell for cell in notebook.cells if is_answer(cell)):
        cell.source = f"Answer number {number}. " + "It rests on reasons of its own. " * (number + 2)
    return notebook


def repaired(notebook: NotebookNode, reference: NotebookNode | None = None):
    return repair([clean(cell) for cell in notebook.cells], reference or essay())


def answers(notebook: NotebookNode) -> dict[str, str]:
    return {name_of(cell): cell.source for cell in notebook.cells if is_answer(cell)}


def names(notebook: NotebookNode) -> list[str]:
    return [name_of(cell) for cell in notebook.cells if name_of(cell)]


def strip_names(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata = NotebookNode({})


def strip_ids(notebook: NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells):
        cell.id = f"other-{number}"


def strip_both(notebook: NotebookNode) -> None:
    strip_names(notebook)
    strip_ids(notebook)


def shuffle(notebook: NotebookNode) -> None:
    notebook.cells = notebook.cells[::-1]


def edit_locked(notebook: NotebookNode) -> None:
    next(cell for cell in notebook.cells if cell.source == "# Brief").source = "# Another brief"


def add_cells(notebook: NotebookNode) -> None:
    for place in (0, 3, 7):
        notebook.cells.insert(place, new_markdown_cell(f"A thought of my own, number {place}."))


def change_types(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata = NotebookNode({**cell.metadata, "tags": ["a"], "collapsed": True})


DAMAGE = [strip_names, strip_ids, strip_both, shuffle, edit_locked, add_cells, change_types]
CASES = [[one] for one in DAMAGE] + [list(pair) for pair in itertools.combinations(DAMAGE, 2)]


def test_a_sound_notebook_is_left_as_it_is():
    notebook = written()
    found = repaired(notebook)
    assert [(cell.id, cell.source) for cell in found.notebook.cells] == [(c.id, c.source) for c in notebook.cells]
    assert found.changes == found.doubts == ()


@pytest.mark.parametrize("damage", CASES, ids=lambda damage: "+".join(each.__name__ for each in damage))
def test_no_text_is_lost_and_no_cell_is_there_twice(damage):
    notebook = written()
    for each in damage:
        each(notebook)
    found = repaired(notebook)
    assert sorted(names(found.notebook)) == sorted(names(essay()))
    for cell in written().cells:
        if is_answer(cell):
            assert cell.source in [own.source for own in found.notebook.cells]
    nbformat.validate(found.notebook)


@pytest.mark.parametrize("damage", [strip_names, strip_ids, add_cells, change_types])
def test_what_can_be_known_is_not_doubted(damage):
    notebook = written()
    damage(notebook)
    found = repaired(notebook)
    assert answers(found.notebook) == answers(written())
    assert found.doubts == ()


def test_answers_without_name_and_id_are_found_by_their_place():
    notebook = written()
    strip_both(notebook)
    found = repaired(notebook)
    assert answers(found.notebook) == answers(written())
    assert sum("by its place" in told for told in found.changes) == len(SECTIONS)
    assert all("recommendation" in doubt for doubt in found.doubts), "the last one has no cell behind it"


def test_where_two_cells_could_be_meant_it_is_doubted():
    notebook = written()
    strip_both(notebook)
    places = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## About zhang2019")]
    del notebook.cells[places[0]]
    assert len(repaired(notebook).doubts) >= 2


@pytest.mark.parametrize("id", ["brief", "heading-counter"])
def test_what_was_written_where_nobody_should_write_stays_and_is_doubted(id):
    notebook = written()
    cell = next(cell for cell in notebook.cells if cell.id == id)
    cell.source += "\n\nMy own words, in the wrong place.\nAnd a second line."
    found = repaired(notebook)
    sources = [cell.source for cell in found.notebook.cells]
    assert sources.count("My own words, in the wrong place.\nAnd a second line.") == 1
    assert next(cell for cell in essay().cells if cell.id == id).source in sources
    assert any("is not for writing" in doubt for doubt in found.doubts)


@pytest.mark.parametrize("kind", ["code", "raw"])
def test_a_cell_that_was_made_one_of_another_type_is_still_the_answer(kind):
    notebook = written()
    for cell in notebook.cells:
        if is_answer(cell):
            cell.cell_type = kind
    found = repaired(notebook)
    assert answers(found.notebook) == answers(written()) and found.doubts == ()
    nbformat.validate(found.notebook)


def test_cells_in_another_order_stand_in_their_own_again_with_what_follows_them():
    notebook = written()
    add_cells(notebook)
    notebook.cells.reverse()
    found = repaired(notebook)
    assert names(found.notebook) == names(essay())
    assert any("another order" in told for told in found.changes)


@pytest.mark.parametrize(
    ("answer", "other", "is_noted"),
    [
        (STUB, GOOD, True),
        (STUB, "# a note", False),
        ("def double(x):\n    return (", "    2 * x)", True),
        ("def double(x):\n    y = 2 * x", "    return y", True),
        (GOOD, "y = double(4)", False),
    ],
)
def test_where_an_answer_may_stand_elsewhere_is_noted(answer, other, is_noted):
    reference = exercises()
    reference.cells[1].source = STUB
    notebook = copy.deepcopy(reference)
    notebook.cells[1].source = answer
    notebook.cells.insert(2, new_code_cell(other))
    found = repair([clean(cell) for cell in notebook.cells], reference)
    assert bool(found.notes) == is_noted and found.doubts == ()


@pytest.mark.parametrize("place", range(len(essay().cells)))
def test_a_deleted_cell_comes_back_in_its_place_and_a_lost_answer_is_doubted(place):
    notebook = written()
    gone = notebook.cells.pop(place)
    found = repaired(notebook)
    if name_of(gone):
        assert names(found.notebook) == names(essay())
        assert any(name_of(gone).removeprefix("answer:") in told for told in found.changes)
        assert not any("answer:" in told for told in (*found.changes, *found.doubts))
    assert bool(found.doubts) == is_answer(gone)


def test_of_copies_the_one_with_most_in_it_counts_and_the_others_stay():
    notebook = exercises()
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "answer-double")
    twice = copy.deepcopy(notebook.cells[place])
    notebook.cells[place].source, twice.source = GOOD, "def double(x):\n    return 'a longer answer than the other'"
    notebook.cells.insert(place, twice)
    found = repaired(notebook, exercises())
    assert answers(found.notebook)["answer-double"] == twice.source
    assert GOOD in [cell.source for cell in found.notebook.cells]
    assert any("2 different answers" in doubt for doubt in found.doubts)


def test_an_untouched_copy_beside_the_answer_is_no_doubt_about_the_answer():
    notebook = written()
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "text-thesis")
    notebook.cells.insert(place, copy.deepcopy(next(cell for cell in essay().cells if cell.id == "text-thesis")))
    assert answers(repaired(notebook).notebook) == answers(written())


def test_another_notebook_matches_nothing_and_all_of_it_stays():
    other = [new_markdown_cell(f"About cooking, chapter {i}.") for i in range(5)]
    found = repair(other, essay())
    assert found.n_matched == 0
    assert all(cell.source in [own.source for own in found.notebook.cells] for cell in other)
    assert len(found.doubts) >= len(SECTIONS)


def test_the_cells_that_came_are_not_changed():
    notebook = written()
    strip_both(notebook)
    cells = [clean(cell) for cell in notebook.cells]
    before = copy.deepcopy(cells)
    repair(cells, essay())
    assert cells == before


def test_a_sheet_that_was_released_with_former_paths_is_as_it_was_given_out():
    given = exercises()
    for cell in given.cells:
        cell.source = cell.source.replace("course_utils.expect", "course_utils.grading.expect")
    assert any("course_utils.grading.expect" in cell.source for cell in given.cells)
    for reference in (given, exercises()):
        assert repaired(copy.deepcopy(given), reference).doubts == ()


def test_blank_lines_in_a_locked_cell_cost_no_time():
    notebook = exercises()
    next(cell for cell in notebook.cells if cell.id == "see").source = "\n" * 500_000 + " " * 500_000
    assert repaired(notebook, exercises()).n_matched == 4
