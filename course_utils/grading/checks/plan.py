"""Dependency analysis of checks: which names a check uses, and whether they come from instructor or student."""

import ast
import builtins
import dataclasses
import importlib
import re
import symtable
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

HIDDEN = re.compile(r"#{3}\s*BEGIN HIDDEN TESTS.*?#{3}\s*END HIDDEN TESTS[^\n]*", re.DOTALL)


class Job(TypedDict):
    """The message to a checker: what it marks, and how the sandbox is started.

    Attributes
    ----------
    source : list of dict
        The cells of the instructor's notebook.
    submission : list of dict
        The student's code cells in order: id and source. Of a check only its id.
    instructor : str
        The folder in which checks run.
    line : list of str
        The command that starts the sandbox.
    environment : dict
        Of this command.
    folder : str
        In which it starts.
    seed : str
    seconds, cell_seconds, call_seconds : float
        The limits of all together, of a cell, and of a call.
    """

    source: list[Mapping[str, Any]]
    submission: list[Mapping[str, str]]
    instructor: str
    line: list[str]
    environment: dict[str, str]
    folder: str
    seed: str
    seconds: float
    cell_seconds: float
    call_seconds: float


class VerdictData(TypedDict):
    """A check's verdict as a message holds it; see `checker.Verdict`."""

    points: float | None
    error: list[str]
    why: str


class CheckResults(TypedDict):
    """The answer of a checker; see `execute.ExecutionResult`."""

    verdicts: dict[str, VerdictData]
    outputs: dict[str, list[list[Any]]]
    stopped: dict[str, str]
    late: list[str]
    tampered: list[str]
    vanished: list[str]
    order: list[str]
    seed: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Cell:
    """A code cell of the instructor's notebook.

    Parameters
    ----------
    name : str
        nbgrader's id of it, or a number where it has none.
    source : str
    is_check, is_hidden : bool
    most : float
        Its points.
    sets, uses : frozenset of str
        Global names that it assigns or imports, and those that it reads before it has set them.
    is_student : bool
        A student writes in it, so that its names come from the student's process.
    """

    name: str
    source: str
    is_check: bool
    is_hidden: bool
    most: float
    sets: frozenset[str]
    uses: frozenset[str]
    is_student: bool


@dataclasses.dataclass(frozen=True)
class CellDependencies:
    """Dependencies of a cell: names from other cells of the instructor, and names from the student's process."""

    of_cells: Mapping[str, Cell]
    of_student: frozenset[str]


def read_plan(cells: Sequence[Mapping[str, Any]]) -> tuple[list[Cell], dict[str, CellDependencies]]:
    """Return the code cells of an instructor's notebook, and for each that the grader may run what it needs.

    Raises
    ------
    SyntaxError
        A check is no plain Python.

    Notes
    -----
    A name belongs to the last cell above that sets it. What a student's cell imports is imported by the grader itself:
    a check that says ``math.pi`` means Python's.
    """
    plan: list[Cell] = []
    uses: dict[str, CellDependencies] = {}
    owner: dict[str, Cell] = {}  # of each name, the last cell that has set it
    for number, raw in enumerate(cells):
        if raw["cell_type"] != "code":
            continue
        found = [_cell(number, raw)]
        if found[0].is_student and (imports := _imports_of(found[0].source)):
            found.append(_imported(found[0], imports))
        for cell in found:
            if not cell.is_student:
                of_cells = {name: owner[name] for name in cell.uses if name in owner and not owner[name].is_student}
                own = {name for name in cell.uses - owner.keys() if hasattr(builtins, name)}
                uses[cell.name] = CellDependencies(of_cells, cell.uses - of_cells.keys() - own)
            owner |= dict.fromkeys(cell.sets, cell)
            plan.append(cell)
    return plan, uses


def text_of(cell: Mapping[str, Any]) -> str:
    """Return a cell's text, which a file may hold as one string or as lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _cell(number: int, raw: Mapping[str, Any]) -> Cell:
    marks = raw.get("metadata", {}).get("nbgrader", {})
    source = text_of(raw)
    is_check = bool(marks.get("grade")) and not marks.get("solution")
    is_student = not is_check and not (marks.get("locked") and not marks.get("solution"))
    name = str(marks.get("grade_id") or f"cell {number + 1}")
    try:
        sets, uses = names_of(source)
    except SyntaxError:
        if is_check:
            raise
        sets, uses = frozenset(), frozenset()  # a magic, for instance: it is run in the student's process only
    is_hidden = HIDDEN.search(source) is not None
    return Cell(name, source, is_check, is_hidden, float(marks.get("points", 0) or 0), sets, uses, is_student)


def _imported(cell: Cell, imports: str) -> Cell:
    sets, uses = names_of(imports)
    return dataclasses.replace(
        cell, name=f"imports of {cell.name}", source=imports, sets=sets, uses=uses, is_student=False
    )


def _imports_of(source: str) -> str:
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return ""
    return "\n".join(ast.unparse(statement) for statement in body if isinstance(statement, ast.Import | ast.ImportFrom))


def names_of(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the global names that a cell sets, and those that it reads before it has set them.

    Raises
    ------
    SyntaxError

    Examples
    --------
    >>> sets, uses = names_of("from math import sqrt; hint = 'x'; assert double(sqrt(4)) == 4, hint")
    >>> sorted(sets), sorted(uses)
    (['hint', 'sqrt'], ['double'])
    """
    all_sets: set[str] = set()
    all_uses: set[str] = set()
    for statement in ast.parse(source).body:
        sets, uses = _names_of_statement(statement)
        if not isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            uses -= sets  # a loop's own variable; but x = x + 1 needs an x
        all_uses |= uses - all_sets
        all_sets |= sets
    return frozenset(all_sets), frozenset(all_uses)


def _names_of_statement(statement: ast.stmt) -> tuple[set[str], set[str]]:
    table = symtable.symtable(ast.unparse(statement), "<cell>", "exec")
    sets = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    uses = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    left = list(table.get_children())
    while left:
        inner = left.pop()
        left += inner.get_children()
        for symbol in inner.get_symbols():
            if symbol.is_global():
                (sets if symbol.is_assigned() else uses).add(symbol.get_name())
    if isinstance(statement, ast.AugAssign):
        uses |= sets
    if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*" and statement.module:
        module = importlib.import_module(statement.module)
        sets |= set(getattr(module, "__all__", None) or [name for name in vars(module) if name[0] != "_"])
    return sets, uses


def names_set_by(text: str) -> set[str]:
    r"""Return the names that a student's cell sets at its top level, from its text alone: nothing is imported for it.

    Raises
    ------
    SyntaxError, ValueError, RecursionError, MemoryError
        It is no Python that can be read.

    Examples
    --------
    >>> sorted(names_set_by("import a.b, c as d\nif a:\n    e, (f, g) = 1, (2, 3)\ndef h():\n    i = 1"))
    ['a', 'd', 'e', 'f', 'g', 'h']
    """
    found: set[str] = set()
    left: list[ast.AST] = [ast.parse(text)]
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name.asname or name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        left += ast.iter_child_nodes(node)
    return found
