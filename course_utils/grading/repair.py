"""A submitted notebook made whole again: every cell of the assignment once, with its marks' place, and no text lost."""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Sequence

from nbformat import NotebookNode

from course_utils.grading.notebooks import notebook_of

ALIKE = 80  # of 100: how alike two texts must be to be taken for the same cell
SHORTEST_ALIKE = 20  # characters; shorter texts are alike by chance
PLACEHOLDER_OF_A_LOSS = "*This cell was missing from the submission; it is put back here as it was given out.*\n\n"


@dataclasses.dataclass(frozen=True)
class Repaired:
    """A notebook that can be graded.

    Parameters
    ----------
    notebook : NotebookNode
    told : tuple of str
        What was done, in sentences.
    doubts : tuple of str
        Where a person must look: an answer was missing, or its place had to be guessed.
    n_matched : int
        How many of the assignment's cells were found in it.
    """

    notebook: NotebookNode
    told: tuple[str, ...]
    doubts: tuple[str, ...]
    n_matched: int


def repair(cells: Sequence[NotebookNode], reference: NotebookNode) -> Repaired:
    """Return a notebook that holds each cell of the reference once, and all else that was written.

    Parameters
    ----------
    cells : sequence of NotebookNode
        Clean ones, as `notebooks.read_cells` returns them; they are not changed.
    reference : NotebookNode
        The notebook as it was given out.
    """
    given = [NotebookNode(cell.copy()) for cell in cells]
    expected = [cell for cell in reference.cells if name_of(cell)]
    found, how = _matched(given, expected)
    told, doubts = _told(expected, found, how, given)
    claimed = {id(cell) for cell in found.values()}
    for cell in given:
        if id(cell) not in claimed:
            cell.metadata = NotebookNode({})
    for wanted in expected:
        if (own := found.get(name_of(wanted))) is not None:
            _restore(own, wanted)
    return Repaired(notebook_of(list(_in_order(given, expected, found))), tuple(told), tuple(doubts), len(found))


def name_of(cell: NotebookNode) -> str:
    """Return by what a cell of an assignment is known: nbgrader's name, or that of an answer; "" for others."""
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
    answer = cell.metadata.get("course", {}).get("answer", "")
    return str(grade_id or (f"answer:{answer}" if answer else ""))


def is_answer(cell: NotebookNode) -> bool:
    """Tell whether a student writes in this cell of an assignment."""
    return bool(cell.metadata.get("course", {}).get("answer")) or bool(
        cell.metadata.get("nbgrader", {}).get("solution")
    )


# -- which cell is which -----------------------------------------------------------------------------------------------


def _matched(given: list[NotebookNode], expected: list[NotebookNode]) -> tuple[dict[str, NotebookNode], dict[str, str]]:
    """Return for each name the cell that is it, and how it was recognised: the surest ways first."""
    found: dict[str, NotebookNode] = {}
    how: dict[str, str] = {}
    ways: list[tuple[str, Callable]] = [
        ("name", lambda own, wanted: name_of(own) == name_of(wanted)),
        ("id", lambda own, wanted: own.id == wanted.id),
        ("text", lambda own, wanted: own.source.strip() == wanted.source.strip() and bool(own.source.strip())),
        ("likeness", _alike),
    ]
    for way, fits in ways:
        for wanted in expected:
            if name_of(wanted) in found:
                continue
            taken = {id(cell) for cell in found.values()}
            fitting = [own for own in given if id(own) not in taken and own.cell_type == wanted.cell_type]
            fitting = [own for own in fitting if fits(own, wanted)]
            if fitting:
                found[name_of(wanted)], how[name_of(wanted)] = _most_written(fitting, wanted), way
    for name, own in _by_place(given, expected, found):
        found[name], how[name] = own, "place"
    return found, how


def _alike(own: NotebookNode, wanted: NotebookNode) -> bool:
    from rapidfuzz import fuzz

    if min(len(own.source), len(wanted.source)) < SHORTEST_ALIKE or (name_of(own) and not is_answer(wanted)):
        return False
    return fuzz.ratio(own.source[:20_000], wanted.source[:20_000], score_cutoff=ALIKE) > 0


def _most_written(cells: list[NotebookNode], wanted: NotebookNode) -> NotebookNode:
    """Return of several copies the one in which most was written; the first where all are alike."""
    changed = [cell for cell in cells if cell.source.strip() != wanted.source.strip()]
    return max(changed, key=lambda cell: len(cell.source)) if changed else cells[0]


def _by_place(
    given: list[NotebookNode], expected: list[NotebookNode], found: dict[str, NotebookNode]
) -> Iterator[tuple[str, NotebookNode]]:
    """Yield answers that are known by nothing but where they stand: between two cells that were recognised."""
    taken = {id(cell): name for name, cell in found.items()}
    anchors = [None, *[taken[id(cell)] for cell in given if id(cell) in taken], None]
    order = [name_of(cell) for cell in expected]
    for before, after in zip(anchors, anchors[1:], strict=False):
        here = _between(order, before, after)
        missing = [
            cell for cell in expected if name_of(cell) in here and name_of(cell) not in found and is_answer(cell)
        ]
        own = [cell for cell in _stretch(given, found.get(before), found.get(after)) if id(cell) not in taken]
        for wanted in missing:
            fitting = [cell for cell in own if cell.cell_type == wanted.cell_type and cell.source.strip()]
            if len(fitting) == len([each for each in missing if each.cell_type == wanted.cell_type]):
                place = [each for each in missing if each.cell_type == wanted.cell_type].index(wanted)
                yield name_of(wanted), fitting[place]


def _between(order: list[str], before: str | None, after: str | None) -> set[str]:
    start = order.index(before) + 1 if before in order else 0
    end = order.index(after) if after in order else len(order)
    return set(order[start:end])


def _stretch(given: list[NotebookNode], before: object, after: object) -> list[NotebookNode]:
    places = {id(cell): i for i, cell in enumerate(given)}
    return given[places.get(id(before), -1) + 1 : places.get(id(after), len(given))]


# -- making whole ------------------------------------------------------------------------------------------------------


def _restore(own: NotebookNode, wanted: NotebookNode) -> None:
    """Give a cell back its place in the assignment; its text stays, unless it is one that nobody may change."""
    own.metadata, own.id = NotebookNode(wanted.metadata.copy()), wanted.id
    if not is_answer(wanted):
        own.source = wanted.source


def _in_order(
    given: list[NotebookNode], expected: list[NotebookNode], found: dict[str, NotebookNode]
) -> Iterator[NotebookNode]:
    """Yield the student's cells in their order, each missing one after the cell that it followed."""
    follows: dict[object, list[NotebookNode]] = {}
    before: object = None
    for wanted in expected:
        own = found.get(name_of(wanted))
        if own is None:
            follows.setdefault(before, []).append(_put_back(wanted))
        else:
            before = id(own)
    yield from follows.get(None, ())
    for cell in given:
        yield cell
        yield from follows.get(id(cell), ())


def _put_back(wanted: NotebookNode) -> NotebookNode:
    cell = NotebookNode(wanted.copy())
    if is_answer(wanted) and wanted.cell_type == "markdown":
        cell.source = PLACEHOLDER_OF_A_LOSS + wanted.source
    return cell


# -- what is said ------------------------------------------------------------------------------------------------------


def _told(
    expected: list[NotebookNode], found: dict[str, NotebookNode], how: dict[str, str], given: list[NotebookNode]
) -> tuple[list[str], list[str]]:
    told, doubts = [], []
    words = {"id": "by its id", "text": "by its text", "likeness": "by its likeness", "place": "by its place"}
    for wanted in expected:
        name = name_of(wanted)
        if name not in found:
            told.append(f"{name} was missing and was put back as it was given out.")
            doubts += [f"The answer {name} was missing: nothing is known of what was written there."] * is_answer(
                wanted
            )
        elif how[name] != "name":
            told.append(f"{name} had lost its name and was recognised {words[how[name]]}.")
            guessed = is_answer(wanted) and how[name] in ("likeness", "place")
            doubts += [f"Which cell is the answer {name} had to be guessed {words[how[name]]}."] * guessed
    for name in {name_of(cell) for cell in given} - {""}:
        copies = [cell for cell in given if name_of(cell) == name]
        if len(copies) > 1 and name in found:
            told.append(f"{name} was there {len(copies)} times; the one with most in it is graded, the others stay.")
            different = len({cell.source for cell in copies}) > 1 and is_answer(found[name])
            doubts += [f"There are {len(copies)} different answers {name}: {_difference(copies)}"] * different
    return told, doubts


def _difference(copies: list[NotebookNode]) -> str:
    same = difflib.SequenceMatcher(None, copies[0].source[:5000], copies[1].source[:5000]).ratio()
    return f"the first two agree in {same:.0%}."
