"""Plain values on a pipe: the codec between a grader's process and the process that runs a student's code.

This file uses the standard library only. It is imported on both sides, and lies beside `runner.py` in the sandbox.

A message is four bytes of length and JSON. A value is one of a closed set: None, bool, int, float, complex, str, bytes,
list, tuple, set, frozenset and dict of these. What JSON cannot hold is a list that begins with a tag. Anything else is
left to a function of the caller's: the sandbox sends its type's name and a number, never the object.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_MESSAGE_BYTES = 16_000_000  # bytes
MAX_VALUES = 200_000  # in one message
MAX_KEYS = 10_000  # of all dicts and sets of a message: a student can choose keys whose hashes collide
MAX_TEXT_CHARACTERS = 2_000_000  # characters in one message
MAX_LISTS = 3_000_000  # two for each value, and the brackets that stand in texts
MAX_OBJECTS = 20_000  # of JSON: a dict of a student's is sent as a list
MAX_DEPTH = 30  # containers within containers
MAX_BITS = 20_000  # of a whole number: about 6,000 digits
SMALL = 2**53  # whole numbers up to here are JSON numbers
HEAD = struct.Struct(">I")
TAGS: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z"}
KINDS: dict[str, Callable[[Iterable[Any]], object]] = {tag: kind for kind, tag in TAGS.items()}

Tagged = list[Any]  # of JSON's types; the first is a tag


class TooLarge(ValueError):
    """The value exceeds a limit; says which in a few words."""


class IllFormed(ValueError):
    """The bytes are no message of this protocol."""


class _Packer:
    """Encoder of one message, with its counts."""

    def __init__(self, other: Callable[[object], object]) -> None:
        self.other, self.n_values, self.n_keys, self.n_text = other, 0, 0, 0

    def pack(self, value: Any, depth: int = 0) -> object:  # Any: the checker does not follow `kind is int`
        kind = type(value)
        self.n_values += 1
        if self.n_values > MAX_VALUES:
            raise TooLarge(f"more than {MAX_VALUES:,} values")
        if value is None or kind is bool:
            return value
        if kind is int:
            return self._whole(value)
        if kind is float:
            return value if math.isfinite(value) else ["f", repr(value)]
        if kind is complex:
            return ["c", repr(value.real), repr(value.imag)]
        if kind is str:
            self._text(len(value))
            return value
        if kind is bytes:
            self._text(2 * len(value))
            return ["b", value.hex()]
        if kind is dict:
            self._keys(len(value), depth)
            return ["d", [[self.pack(key, depth + 1), self.pack(item, depth + 1)] for key, item in value.items()]]
        if kind in TAGS:
            self._keys(len(value) if kind in (set, frozenset) else 0, depth)
            return [TAGS[kind], [self.pack(item, depth + 1) for item in value]]
        return self.other(value)

    def _whole(self, value: int) -> object:
        if -SMALL < value < SMALL:
            return value
        if value.bit_length() > MAX_BITS:
            raise TooLarge(f"a whole number of about {int(value.bit_length() * math.log10(2)) + 1:,} digits")
        return ["i", f"{value:x}"]

    def _text(self, n_characters: int) -> None:
        self.n_text += n_characters
        if self.n_text > MAX_TEXT_CHARACTERS:
            raise TooLarge(f"more than {MAX_TEXT_CHARACTERS:,} characters")

    def _keys(self, n: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise TooLarge(f"nested more than {MAX_DEPTH} deep")
        self.n_keys += n
        if self.n_keys > MAX_KEYS:
            raise TooLarge(f"more than {MAX_KEYS:,} keys")


def pack(value: object, other: Callable[[object], object]) -> object:
    """Encode a value as what JSON can hold.

    Parameters
    ----------
    value : object
    other : callable
        Given a value that is not plain. Returns a list that begins with a tag of its own, or raises.

    Raises
    ------
    TooLarge
        The value exceeds a limit of this module.

    Examples
    --------
    >>> pack((1, [0.5, None]), repr)
    ['t', [1, ['l', [0.5, None]]]]
    """
    return _Packer(other).pack(value)


class _Unpacker:
    """Decoder of one message, with its counts."""

    def __init__(self, other: Callable[[Tagged], object]) -> None:
        self.other, self.n_values, self.n_keys = other, 0, 0

    def unpack(self, data: object, depth: int = 0) -> object:
        self.n_values += 1
        if self.n_values > MAX_VALUES or depth > MAX_DEPTH + 1:
            raise IllFormed("too large a value")
        if data is None or type(data) in (bool, int, float, str):
            return data
        if type(data) is not list or len(data) < 2 or type(data[0]) is not str:
            raise IllFormed("no value")
        tag, inside = data[0], data[1]
        if tag == "i" and type(inside) is str and len(inside) <= MAX_BITS // 4 + 2:
            return int(inside, 16)
        if tag == "f" and inside in ("nan", "inf", "-inf"):
            return float(inside)
        if tag == "c" and len(data) == 3:
            return complex(float(inside), float(data[2]))
        if tag == "b" and type(inside) is str:
            return bytes.fromhex(inside)
        if tag == "d" and type(inside) is list:
            self._keys(inside)
            return {self.unpack(key, depth + 1): self.unpack(item, depth + 1) for key, item in inside}
        if tag in KINDS and type(inside) is list:
            if KINDS[tag] in (set, frozenset):
                self._keys(inside)
            return KINDS[tag](self.unpack(item, depth + 1) for item in inside)
        if tag in "ifcbd" or tag in KINDS:
            raise IllFormed("no value")
        return self.other(data)

    def _keys(self, inside: list[Any]) -> None:
        self.n_keys += len(inside)
        if self.n_keys > MAX_KEYS:
            raise IllFormed("too many keys")


def unpack(data: object, other: Callable[[Tagged], object]) -> object:
    """Decode a value, and check its form.

    Parameters
    ----------
    data : object
        From `read`: of JSON's types.
    other : callable
        Given a list with a tag that this module does not know. Returns the value, or raises IllFormed.

    Raises
    ------
    IllFormed

    Examples
    --------
    >>> unpack(["t", [1, ["l", [0.5, None]]]], repr)
    (1, [0.5, None])
    """
    try:
        return _Unpacker(other).unpack(data)
    except (TypeError, ValueError, OverflowError) as problem:
        raise IllFormed(f"no value: {problem}") from problem


def message(content: Mapping[str, object]) -> bytes:
    """Return a message as bytes, with its length before it.

    Raises
    ------
    TooLarge
    """
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(data) > MAX_MESSAGE_BYTES:
        raise TooLarge(f"more than {MAX_MESSAGE_BYTES:,} bytes")
    return HEAD.pack(len(data)) + data


def read(read_some: Callable[[int], bytes]) -> dict[str, Any] | None:
    """Read one message.

    Parameters
    ----------
    read_some : callable
        Given a number, returns so many bytes or fewer; none at the end.

    Returns
    -------
    dict or None
        None where the pipe has been closed.

    Raises
    ------
    IllFormed
    """
    data = read_bytes(read_some)
    return None if data is None else decoded(data, from_student=False)


def read_bytes(read_some: Callable[[int], bytes]) -> bytes | None:
    """Read the bytes of one message, without its length; see `read`.

    Raises
    ------
    IllFormed
        It is too long.
    """
    head = _exactly(read_some, HEAD.size)
    if len(head) < HEAD.size:
        return None
    (length,) = HEAD.unpack(head)
    if length > MAX_MESSAGE_BYTES:
        raise IllFormed("too long a message")
    data = _exactly(read_some, length)
    return data if len(data) == length else None


def decoded(data: bytes, from_student: bool = True) -> dict[str, object]:
    """Return the content of a message.

    Parameters
    ----------
    data : bytes
    from_student : bool, optional
        It may be written to take all memory, so its lists and objects are counted.

    Raises
    ------
    IllFormed
        It is no JSON object, or holds more lists and objects than any message does: each takes 60 to 240 bytes.
    """
    if from_student and data.count(b"[") > MAX_LISTS:
        raise IllFormed("too many lists")
    n_objects = 0

    def made(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal n_objects
        n_objects += 1
        if from_student and n_objects > MAX_OBJECTS:
            raise IllFormed("too many objects")
        return dict(pairs)

    try:
        content = json.loads(data, parse_constant=_refuse, object_pairs_hook=made)
    except (ValueError, RecursionError) as problem:
        raise IllFormed("no JSON") from problem
    if type(content) is not dict:
        raise IllFormed("no message")
    return content


def _exactly(read_some: Callable[[int], bytes], n: int) -> bytes:
    parts = []
    while n > 0 and (part := read_some(min(n, 1 << 20))):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no number of this protocol")
