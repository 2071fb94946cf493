"""JSON parser with limits: whole files in one step, damaged files object by object, always in linear time.

A submitted file may be cut off, merged by hand, or made to stop the reading program. No function here runs a regular
expression that can backtrack, parses the same text more than a few times, or builds more values than `MAX_VALUES`.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

MAX_VALUES = 20_000_000  # commas, of a file that is parsed in one step: some 2 GB of Python objects
MAX_BRACKETS = 3_000_000  # objects and lists
MAX_TOKENS = 3_000_000  # strings and brackets that are looked at in a damaged file
MAX_OBJECTS = 50_000  # objects of a damaged file that may be a cell
MAX_PIECES = 2500  # more than notebooks.MAX_CELLS, which are read
MAX_INSIDE = 20  # damaged objects within a damaged cell
MAX_DEPTH = 1000  # brackets that are open at once
PARSE_BUDGET = 10  # how many times the length of a damaged file may be parsed altogether
MAX_INTEGER_DIGITS = 18  # longer ones are kept as text: converting them takes quadratic time

FIRST_KEYS = "cell_type|attachments|execution_count|id|metadata|collapsed|level|outputs|source|input"
CELL_START = re.compile(rf'\{{\s*+"(?:{FIRST_KEYS})"\s*+:')
# A string ends at its closing quote, or at the end of its line: JSON has no line break in a string, so what follows a
# lost quote is read from the next line on. All repetitions are possessive.
STRING = re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+(?P<quote>"?+)', re.DOTALL)
TOKEN = re.compile(rf"(?P<cell>{CELL_START.pattern})|{STRING.pattern}|(?P<bracket>[{{}}\[\]])", re.DOTALL)
MAX_WORD = 40  # characters of a number or of true, false and null
HALF_A_WORD = re.compile(r"[-+.\w]*\Z")
HALF_A_CODE = re.compile(r"(?:u[0-9a-fA-F]{0,3})?\Z")
CLOSING = {"{": "}", "[": "]"}


class TooMuch(ValueError):
    """A text that holds more values than are parsed in one step."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """An object that was found in damaged JSON.

    Parameters
    ----------
    start, end : int
        Its place in the text.
    value : dict
    is_whole : bool
        False where its end is missing: its last text may be half of what was written.
    """

    start: int
    end: int
    value: dict[str, Any]
    is_whole: bool = True


def parse_json(text: str, start: int = 0) -> tuple[Any, int, bool]:
    """Return the first JSON value at ``start``, where it ends, and whether an object had one key twice.

    Of a key that an object has twice both values are kept: lists are joined, texts too, of anything else the last
    counts. Integers of more than 18 digits become text.

    Raises
    ------
    ValueError
        There is no JSON value, or it is too deep.
    TooMuch
        It holds more values than a notebook does.
    """
    if text.count(",", start) > MAX_VALUES or text.count("{", start) + text.count("[", start) > MAX_BRACKETS:
        raise TooMuch("it holds more values than any notebook")
    twice: list[str] = []

    def made(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice.extend(_join_twins(found, pairs))
        return found

    decoder = json.JSONDecoder(object_pairs_hook=made, parse_int=_integer, strict=False)
    try:
        value, end = decoder.raw_decode(text, start)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return value, end, bool(twice)


def _join_twins(found: dict[str, object], pairs: list[tuple[str, object]]) -> Iterator[str]:
    """Put both values of a key that occurs twice into the object; yield the keys whose values differ."""
    values: dict[str, list[Any]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    for key, several in values.items():
        if len(several) == 1 or all(value == several[0] for value in several[1:]):
            continue
        yield key
        if all(isinstance(value, list) for value in several):
            found[key] = [item for value in several for item in value]
        elif key in ("source", "input"):
            texts = ["".join(map(str, value)) if isinstance(value, list) else str(value) for value in several]
            found[key] = "\n\n".join(texts)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else digits


# -- damaged JSON ------------------------------------------------------------------------------------------------------


def salvage(text: str, is_wanted: Callable[[dict[str, Any]], bool]) -> list[Piece]:
    """Return every wanted object of damaged JSON, in order, none of them inside another one.

    Parameters
    ----------
    text : str
    is_wanted : callable
        Told an object; tells whether it is one of those that are looked for.

    Notes
    -----
    Objects that are whole come first. Then each one that is not is closed where it breaks off. Where that fails too,
    the strings of its text are taken one by one.
    """
    budget = PARSE_BUDGET * len(text) + 1000  # characters
    found: list[Piece] = []
    broken: list[tuple[int, int]] = []
    closed, opened = _objects(text)
    cursor = 0
    for start, end in closed:
        if start < cursor:
            continue
        if (budget := budget - (end - start)) < 0 or len(found) >= MAX_PIECES:
            break
        value = _parsed(text[start:end])
        if value is None:
            broken.append((start, end))
        elif is_wanted(value):
            found.append(Piece(start, end, value))
            cursor = end
    whole = _Stretches([(piece.start, piece.end) for piece in found])
    cursor = 0
    candidates = sorted([*broken, *((start, len(text)) for start in opened)])
    for index, (start, end) in enumerate(candidates):
        if start < cursor or whole.holds(start):
            continue
        if index + MAX_INSIDE < len(candidates):  # so many objects do not lie in one cell
            end = min(end, candidates[index + MAX_INSIDE][0])
        end = min(end, whole.next_after(start, len(text)))
        value, used, spent = _unfinished(text, start, end, is_wanted, budget)
        if (budget := budget - spent) < 0 or len(found) >= 2 * MAX_PIECES:
            break
        if value is not None:
            found.append(Piece(start, start + used, value, is_whole=False))
            cursor = start + used
    return sorted(found, key=lambda piece: piece.start)


class _Stretches:
    """Stretches of a text, asked for by positions that never go back."""

    def __init__(self, stretches: list[tuple[int, int]]) -> None:
        self._stretches, self._index = sorted(stretches), 0

    def _advance(self, position: int) -> None:
        while self._index < len(self._stretches) and self._stretches[self._index][1] <= position:
            self._index += 1

    def holds(self, position: int) -> bool:
        """Tell whether a position lies in a stretch."""
        self._advance(position)
        return self._index < len(self._stretches) and self._stretches[self._index][0] <= position

    def next_after(self, position: int, end: int) -> int:
        """Return where the next stretch begins; ``end`` where there is none."""
        self._advance(position)
        return self._stretches[self._index][0] if self._index < len(self._stretches) else end


def _objects(text: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the places of objects that may be cells: of those that end, and of those that do not."""
    stack: list[tuple[str, int, bool]] = []  # bracket, position, whether it may be a cell
    closed: list[tuple[int, int]] = []
    opened: list[int] = []
    position = 0
    for _ in range(MAX_TOKENS):
        token = TOKEN.search(text, position)
        if token is None or len(closed) + len(opened) >= MAX_OBJECTS:
            break
        position = token.end()
        bracket = "{" if token["cell"] else token["bracket"]
        if bracket is None:
            if token["quote"] and (brace := _cell_that_begins_in(text, token)) >= 0:
                position = brace
        elif bracket in CLOSING:
            if len(stack) >= MAX_DEPTH:  # whatever this is, it is no notebook up to here
                opened += [start for _, start, may_be in stack if may_be]
                stack = []
            stack.append((bracket, token.start(), bool(token["cell"])))
            position = token.start() + 1
        elif stack and CLOSING[stack[-1][0]] == bracket:
            _, start, may_be = stack.pop()
            if may_be:
                closed.append((start, position))
    opened += [start for _, start, may_be in stack if may_be]
    return sorted(closed), sorted(opened)


def _cell_that_begins_in(text: str, string: re.Match[str]) -> int:
    """Return where a cell begins whose opening brace was read as the end of a string, because a quote was lost."""
    inside = text[string.start() : string.end() - 1].rstrip()
    brace = string.start() + len(inside) - 1
    return brace if len(inside) > 1 and inside.endswith("{") and CELL_START.match(text, brace) else -1


def _unfinished(
    text: str, start: int, end: int, is_wanted: Callable[[dict[str, Any]], bool], budget: int
) -> tuple[dict[str, Any] | None, int, int]:
    """Return an object that breaks off, how many characters of the text it takes, and how many were parsed for it."""
    spent, n = 0, end - start
    for _ in range(3):
        if (spent := spent + n) > budget:
            return None, 0, spent
        ending, used = _missing_end(text[start : start + n])
        breaks_at = 0
        for closed in _endings(text[start : start + used], ending):
            if (spent := spent + len(closed)) > budget:
                return None, 0, spent
            try:
                value = parse_json(closed)[0]
            except json.JSONDecodeError as problem:
                breaks_at = max(breaks_at, problem.pos)
                continue
            except ValueError:
                break
            if isinstance(value, dict) and is_wanted(value):
                return value, used, spent
            return None, 0, spent
        if not 1 < breaks_at < used:
            break
        n = breaks_at  # another fault stands before the end
    value, used = _by_strings(text[start:end])
    return (value, used, spent + end - start) if value and is_wanted(value) else (None, 0, spent + end - start)


def _missing_end(text: str) -> tuple[str, int]:
    """Return what is missing at the end of a JSON text that breaks off, and where it breaks off."""
    stack: list[str] = []
    position = 0
    for _ in range(MAX_TOKENS):
        token = TOKEN.search(text, position)
        if token is None or len(stack) > MAX_DEPTH:
            break
        position = token.end()
        bracket = "{" if token["cell"] else token["bracket"]
        if bracket is None:
            if not token["quote"]:  # a string that is cut off
                string = text[token.start() : position].rstrip("\x00\r\t ")
                return '"' + _closing(stack), token.start() + len(_without_half_an_escape(string))
        elif bracket in CLOSING:
            stack.append(bracket)
            position = token.start() + 1
        elif stack and CLOSING[stack[-1]] == bracket:
            stack.pop()
        else:
            return _closing(stack), token.start()
    return _closing(stack), len(text.rstrip("\x00 \t\r\n"))


def _closing(stack: list[str]) -> str:
    return "".join(CLOSING[bracket] for bracket in reversed(stack))


def _without_half_an_escape(string: str) -> str:
    r"""Return a string that is cut off without the half of an escape at its end, such as ``\\u00e``."""
    half = HALF_A_CODE.search(string[-4:])  # it matches nothing at all too
    body = string[: len(string) - len(half[0] if half else "")]
    n_backslashes = len(body) - len(body.rstrip("\\"))
    return body[:-1] if n_backslashes % 2 else string


def _endings(text: str, ending: str) -> Iterator[str]:
    """Yield a text that breaks off with the ends that may complete it, likely ones first."""
    yield text + ending
    if ending.startswith('"'):
        yield text + '": null' + ending[1:]  # the string was a key
        return
    bare = text.rstrip().rstrip(",").rstrip()
    yield bare + ending
    yield bare + ": null" + ending  # a key without its colon
    yield bare + " null" + ending  # a colon without its value
    half = HALF_A_WORD.search(bare[-MAX_WORD:])  # of true, null or a number
    yield bare[: len(bare) - len(half[0] if half else "")] + "null" + ending


def _by_strings(text: str) -> tuple[dict[str, Any] | None, int]:
    """Return a cell whose text is taken string by string, because something else stands between the strings."""
    source = text.find('"source"')
    if source < 0 or -1 < text.find('"cells"') < source:
        return None, 0
    kind = re.compile(r'"cell_type"\s*+:\s*+"(\w++)"').search(text)
    value = re.compile(r"\s*+:\s*+(\[?+)").match(text, source + len('"source"'))
    if not value:
        return None, 0
    position, strings = value.end(), []
    while string := re.compile(r"[\s,]*+").match(text, position):
        position = string.end()
        if (string := STRING.match(text, position)) is not None:
            strings.append(string[0])
            position = string.end()
        elif not value[1] or text[position : position + 1] in ("", "]", "}"):
            break
        else:  # a line that is no JSON, such as the one that a merge puts between two versions
            line_end = text.find("\n", position)
            position = len(text) if line_end < 0 else line_end
        if not value[1]:
            break
    cell = {"cell_type": kind[1] if kind else "markdown", "source": [_string(string) for string in strings]}
    name = re.compile(r'"metadata"\s*+:\s*+(?=\{)').search(text)
    if name:
        with contextlib.suppress(ValueError):
            cell["metadata"] = parse_json(text, name.end())[0]
    return cell, position


def _string(literal: str) -> str:
    body = _without_half_an_escape(literal[1:-1] if literal.endswith('"') and len(literal) > 1 else literal[1:])
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except ValueError:
        return body


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value = parse_json(text)[0]
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
