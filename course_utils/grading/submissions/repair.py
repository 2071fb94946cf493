"""Repair of submitted notebooks: every cell of the assignment once, with its grading metadata, and no text lost."""

import ast
import collections
import dataclasses
import functools
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from course_utils.core.former_paths import with_present_paths
from course_utils.grading.submissions.read_notebook import notebook_of

ALIKE = 80  # of 100: how alike two texts must be to be taken for the same cell
MIN_COMPARED_CHARACTERS = 20  # characters; shorter texts are alike by chance
# A comparison takes time in proportion to the product of both lengths: in characters, and of all comparisons together.
MAX_COMPARED_CHARACTERS, MAX_COMPARED = 20_000, 20_000_000_000
MAX_ACCENTS = 30  # on one letter, as in Unicode's "stream-safe" text
MAX_PARSED_CHARACTERS = 100_000  # characters of code; longer code is taken as whole


@dataclasses.dataclass(frozen=True)
class Repaired:
    """A notebook that can be graded.

    Parameters
    ----------
    notebook : NotebookNode
    changes : tuple of str
        What was done, in sentences.
    doubts : tuple of str
        Where a person must look: an answer was missing, or its place had to be guessed.
    notes : tuple of str
        What may explain lost points, if any are lost.
    n_matched : int
        How many of the assignment's cells were found in it.
    """

    notebook: NotebookNode
    changes: tuple[str, ...]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]
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
    repair_notes, doubts = _changes_and_doubts(expected, found, how, given)
    claimed = {id(cell) for cell in found.values()}
    for cell in given:
        if id(cell) not in claimed:
            cell.metadata = NotebookNode({})
    notes = _notes(given, expected, found)
    written = _written_into_others(expected, found)
    doubts += [
        f"Something was written into the cell {spoken_name(name)}, which is not for writing; it stands beside it now."
        for name in written
    ]
    for wanted in expected:
        if (own := found.get(name_of(wanted))) is not None:
            _restore(own, wanted)
    if _is_out_of_order(given, expected, found):
        repair_notes.append("The assignment's cells were in another order; they stand in their own again.")
    cells = list(_in_order(given, expected, found, written))
    return Repaired(notebook_of(cells), tuple(repair_notes), tuple(doubts), tuple(notes), len(found))


def name_of(cell: NotebookNode) -> str:
    """Return by what a cell of an assignment is known: nbgrader's name, or that of an answer; "" for others."""
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
    answer = cell.metadata.get("course", {}).get("answer", "")
    return str(grade_id or (f"answer:{answer}" if answer else ""))


def spoken_name(name: str) -> str:
    """Return the name of a cell as a person is told it.

    Examples
    --------
    >>> spoken_name("answer:thesis"), spoken_name("interval")
    ('thesis', 'interval')
    """
    return name.removeprefix("answer:")


def is_answer(cell: NotebookNode) -> bool:
    """Tell whether a student writes in this cell of an assignment."""
    return bool(cell.metadata.get("course", {}).get("answer")) or bool(
        cell.metadata.get("nbgrader", {}).get("solution")
    )


def is_as_given_out(notebook: NotebookNode, reference: NotebookNode) -> bool:
    """Tell whether nothing was written into a notebook: each answer is empty or as given out, and no cell was added.

    Parameters
    ----------
    notebook : NotebookNode
        A repaired one; see `repair`.
    reference : NotebookNode
        The notebook as it was given out.

    Notes
    -----
    Blanks at the ends of lines, empty lines and the form in which accents are saved make no difference: editors change
    them by themselves.
    """
    given = {name_of(cell): plain_text(cell.source) for cell in reference.cells if name_of(cell)}
    others = collections.Counter(plain_text(cell.source) for cell in reference.cells if not name_of(cell))
    for cell in notebook.cells:
        text, name = plain_text(cell.source), name_of(cell)
        if not text or (name and text == given.get(name)):
            continue
        if name or not others[text]:
            return False
        others[text] -= 1
    return True


def plain_text(text: str) -> str:
    """Return a text in the form in which two are the same although editors saved them differently."""
    lines = _with_composed_accents(text).splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _with_composed_accents(text: str) -> str:
    """Return a text in Unicode's form NFC; as it is where more accents stand on one letter than any language has.

    To sort the accents of one letter takes time in proportion to the square of their number: hours for a megabyte.
    """
    return text if text.isascii() or _too_many_accents().search(text) else unicodedata.normalize("NFC", text)


@functools.cache
def _too_many_accents() -> re.Pattern[str]:
    accents = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1F000))))
    return re.compile(f"[{accents}]{{{MAX_ACCENTS + 1}}}")


# -- which cell is which -----------------------------------------------------------------------------------------------


def _matched(given: list[NotebookNode], expected: list[NotebookNode]) -> tuple[dict[str, NotebookNode], dict[str, str]]:
    """Return for each name the cell that is it, and how it was recognised: the surest ways first."""
    found: dict[str, NotebookNode] = {}
    how: dict[str, str] = {}
    likeness = _Likeness()
    ways: list[tuple[str, Callable[[NotebookNode, NotebookNode], bool]]] = [
        ("name", lambda own, wanted: name_of(own) == name_of(wanted)),
        ("id", lambda own, wanted: own.id == wanted.id),
        ("text", lambda own, wanted: own.source.strip() == wanted.source.strip() and bool(own.source.strip())),
        ("likeness", likeness.alike),
    ]
    for way, fits in ways:
        for wanted in expected:
            if name_of(wanted) in found:
                continue
            taken = {id(cell) for cell in found.values()}
            fitting = [own for own in given if id(own) not in taken and fits(own, wanted)]
            if way not in ("name", "id"):  # a name is still a name where the cell was made one of another type
                fitting = [own for own in fitting if own.cell_type == wanted.cell_type]
            if fitting:
                found[name_of(wanted)], how[name_of(wanted)] = _most_written(fitting, wanted), way
    for name, own, is_certain in list(_by_place(given, expected, found)):
        found[name], how[name] = own, "place" if is_certain else "guess"
    return found, how


class _Likeness:
    """Comparison of texts that are nearly the same, with a limit on the time of all comparisons together."""

    def __init__(self) -> None:
        self._left = MAX_COMPARED

    def alike(self, own: NotebookNode, wanted: NotebookNode) -> bool:
        """Tell whether a cell may be one of the assignment whose text was changed a little."""
        from rapidfuzz import fuzz

        one, other = own.source[:MAX_COMPARED_CHARACTERS], wanted.source[:MAX_COMPARED_CHARACTERS]
        if min(len(one), len(other)) < MIN_COMPARED_CHARACTERS or (name_of(own) and not is_answer(wanted)):
            return False
        if 200 * min(len(one), len(other)) < ALIKE * (len(one) + len(other)):
            return False  # of texts so different in length too little can be common
        self._left -= len(one) * len(other)
        return self._left > 0 and fuzz.ratio(one, other, score_cutoff=ALIKE) > 0


def _most_written(cells: list[NotebookNode], wanted: NotebookNode) -> NotebookNode:
    """Return of several copies the one in which most was written; the first where all are alike."""
    changed = [cell for cell in cells if cell.source.strip() != wanted.source.strip()]
    return max(changed, key=lambda cell: len(cell.source)) if changed else cells[0]


def _by_place(
    given: list[NotebookNode], expected: list[NotebookNode], found: dict[str, NotebookNode]
) -> Iterator[tuple[str, NotebookNode, bool]]:
    """Yield answers that are known by nothing but where they stand, and whether no other cell can be meant."""
    taken = {id(cell): name for name, cell in found.items()}
    anchors = [None, *[taken[id(cell)] for cell in given if id(cell) in taken], None]
    order = [name_of(cell) for cell in expected]
    for before, after in zip(anchors, anchors[1:], strict=False):
        here = _between(order, before, after)
        missing = [
            cell for cell in expected if name_of(cell) in here and name_of(cell) not in found and is_answer(cell)
        ]
        own = [
            cell
            for cell in _stretch(given, before and found.get(before), after and found.get(after))
            if id(cell) not in taken
        ]
        for wanted in missing:
            fitting = [cell for cell in own if cell.cell_type == wanted.cell_type and cell.source.strip()]
            if len(fitting) == len([cell for cell in missing if cell.cell_type == wanted.cell_type]):
                index = [cell for cell in missing if cell.cell_type == wanted.cell_type].index(wanted)
                yield name_of(wanted), fitting[index], len(fitting) == 1 and None not in (before, after)


def _between(order: list[str], before: str | None, after: str | None) -> set[str]:
    start = order.index(before) + 1 if before in order else 0
    end = order.index(after) if after in order else len(order)
    return set(order[start:end])


def _stretch(given: list[NotebookNode], before: object, after: object) -> list[NotebookNode]:
    positions = {id(cell): i for i, cell in enumerate(given)}
    return given[positions.get(id(before), -1) + 1 : positions.get(id(after), len(given))]


# -- making whole ------------------------------------------------------------------------------------------------------


def _restore(own: NotebookNode, wanted: NotebookNode) -> None:
    """Give a cell back its place in the assignment; its text stays, unless it is one that nobody may change."""
    own.metadata, own.id = NotebookNode(wanted.metadata.copy()), wanted.id
    if own.cell_type != wanted.cell_type:
        own.cell_type = wanted.cell_type
        if wanted.cell_type == "code":
            own.outputs, own.execution_count = [], None
        else:
            own.pop("outputs", None), own.pop("execution_count", None)
    if not is_answer(wanted):
        own.source = wanted.source


def _in_order(
    given: list[NotebookNode],
    expected: list[NotebookNode],
    found: dict[str, NotebookNode],
    written: dict[str, NotebookNode],
) -> Iterator[NotebookNode]:
    """Yield the assignment's cells in their order, each followed by what the student had put after it."""
    after = _what_follows(given, found)
    yield from after.get(None, ())
    for wanted in expected:
        own, extra = found.get(name_of(wanted)), written.get(name_of(wanted))
        if extra is not None and extra.cell_type == "code":
            yield extra  # what an answer or a check needs must run before it
        yield NotebookNode(wanted.copy()) if own is None else own
        if extra is not None and extra.cell_type != "code":
            yield extra
        yield from after.get(None if own is None else id(own), ()) if own is not None else ()


def _what_follows(given: list[NotebookNode], found: dict[str, NotebookNode]) -> dict[object, list[NotebookNode]]:
    """Return the student's own cells by the cell of the assignment that they stand behind."""
    claimed = {id(cell) for cell in found.values()}
    after: dict[object, list[NotebookNode]] = {}
    before: object = None
    for cell in given:
        if id(cell) in claimed:
            before = id(cell)
        else:
            after.setdefault(before, []).append(cell)
    return after


def _is_out_of_order(given: list[NotebookNode], expected: list[NotebookNode], found: dict[str, NotebookNode]) -> bool:
    positions = {id(cell): position for position, cell in enumerate(given)}
    order = [positions[id(found[name_of(cell)])] for cell in expected if name_of(cell) in found]
    return order != sorted(order)


def _written_into_others(expected: list[NotebookNode], found: dict[str, NotebookNode]) -> dict[str, NotebookNode]:
    """Return what was written into cells that are not for writing, each as a cell of its own."""
    written = {}
    for wanted in expected:
        own = found.get(name_of(wanted))
        if own is None or is_answer(wanted):
            continue
        known = {line.strip() for line in with_present_paths(wanted.source).splitlines()}
        given = with_present_paths(own.source).splitlines()  # a notebook of an earlier release is not a changed one
        lines = [line for line in given if line.strip() and line.strip() not in known]
        if lines:
            text, is_code = "\n".join(lines), wanted.cell_type == own.cell_type == "code"
            written[name_of(wanted)] = new_code_cell(text) if is_code else new_markdown_cell(text)
    return written


def _notes(given: list[NotebookNode], expected: list[NotebookNode], found: dict[str, NotebookNode]) -> list[str]:
    """Return where an answer may stand that is not in its cell: told only where points are lost."""
    claimed = {id(cell) for cell in found.values()}
    others = [cell for cell in given if id(cell) not in claimed and cell.source.strip()]
    notes = []
    for wanted in filter(is_answer, expected):
        own = found.get(name_of(wanted))
        if own is None or wanted.cell_type != "code":
            continue
        names = re.findall(r"^def (\w+)|^(\w+) *=", wanted.source, re.MULTILINE)
        names = [name for pair in names for name in pair if name]
        is_as_given = own.source.strip() == wanted.source.strip()
        if is_as_given and any(re.search(rf"\b{name}\b", cell.source) for cell in others for name in names):
            notes.append(
                f"The answer {spoken_name(name_of(wanted))} is as it was given out, and may stand in another cell."
            )
        elif others and not (_parses(own.source) and _parses(_next_of(own, given, claimed))):
            notes.append(
                f"The answer {spoken_name(name_of(wanted))} is cut in the middle; its rest may stand in another cell."
            )
    return notes


def _next_of(own: NotebookNode, given: list[NotebookNode], claimed: set[int]) -> str:
    """Return the code that the student put right behind an answer; "" where there is none."""
    position = next(i for i, cell in enumerate(given) if cell is own) + 1
    is_code = position < len(given) and given[position].cell_type == "code" and id(given[position]) not in claimed
    return given[position].source if is_code else ""


def _parses(code: str) -> bool:
    if len(code) > MAX_PARSED_CHARACTERS:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the student's code, such as "\\d" in a string
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# -- what is said ------------------------------------------------------------------------------------------------------


def _changes_and_doubts(
    expected: list[NotebookNode], found: dict[str, NotebookNode], how: dict[str, str], given: list[NotebookNode]
) -> tuple[list[str], list[str]]:
    notes, doubts = [], []
    words = {"id": "by its id", "text": "by its text", "likeness": "by its likeness", "place": "by its place"}
    words["guess"] = "by its place"
    for wanted in expected:
        name, shown = name_of(wanted), spoken_name(name_of(wanted))
        if name not in found:
            notes.append(f"{shown} was missing and was put back as it was given out.")
            lost = f"The answer {shown} was missing: nothing is known of what was written there."
            doubts += [lost] * is_answer(wanted)
        elif how[name] != "name":
            notes.append(f"{shown} had lost its name and was recognised {words[how[name]]}.")
            guessed = is_answer(wanted) and how[name] == "guess"
            doubts += [f"Which cell is the answer {shown} had to be guessed {words[how[name]]}."] * guessed
    by_name = collections.defaultdict(list)
    for cell in given:
        by_name[name_of(cell)].append(cell)
    for name, copies in by_name.items():
        if len(copies) > 1 and name in found:
            times = f"{spoken_name(name)} was there {len(copies)} times"
            notes.append(f"{times}; the one with most in it is graded, the others stay.")
            different = len({cell.source for cell in copies}) > 1 and is_answer(found[name])
            doubts += [
                f"There are {len(copies)} different answers {spoken_name(name)}: {_difference(copies)}"
            ] * different
    return notes, doubts


def _difference(copies: list[NotebookNode]) -> str:
    """Say how far two different texts agree: never "100%", which would say that they are the same."""
    from rapidfuzz import fuzz

    texts = sorted({cell.source for cell in copies})[:2]
    same = fuzz.ratio(*(text[:MAX_COMPARED_CHARACTERS] for text in texts))
    return f"two of them agree in {min(int(same), 99)}%."
