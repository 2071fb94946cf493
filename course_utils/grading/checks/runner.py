"""Runner program inside the sandbox: executes a student's cells, then calls the functions that they define.

It is stand-alone: the sandbox holds this file and `codec.py`, and nothing else of the grader's. A student's code
runs in this process and can change all that is here. So the grader's process treats each answer as data and trusts
none.

Started as ``python runner.py PACKAGES GIVEN WORK``: a folder to import from or "", one whose files are copied, and the
one to work in. Messages come in on standard input and go out on standard output; both are closed to the student's code.
"""

import builtins
import importlib
import linecache
import os
import shutil
import sys
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any

MAX_STREAM_CHARACTERS = 20_000  # characters that are kept of what a cell prints
MAX_PICTURE_CHARACTERS = 3_000_000  # characters in base 64
MAX_OUTPUTS = 60  # of a cell
MAX_OUTPUT_BYTES = 6_000_000  # bytes of all outputs of a cell, as they are sent: a message may have 16 million
MORE = "(There was more; the rest is left out.)\n"
MAX_ERROR_CHARACTERS = 2_000  # characters of an error's message
MAX_TRACEBACK_LINES = 60  # of a traceback
MAX_LISTED_VALUES = 10_000  # values of an iterable
PLAIN = (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset)
KEPT = ("text/plain", "image/png", "image/jpeg")


class Outputs:
    """What a cell shows: a list of streams, data and errors, cut to their limits."""

    def __init__(self) -> None:
        self.shown: list[list[Any]] = []
        self.n_characters = self.n_bytes = 0
        self.is_full = False

    def write(self, text: str) -> None:
        """Take text that was printed; what is over the limit is dropped."""
        text = text[: max(0, MAX_STREAM_CHARACTERS - self.n_characters)]
        self.n_characters += len(text)
        if not text or self.is_full:
            return
        if self.shown and self.shown[-1][0] == "stream":
            self.shown[-1][1] += text
        else:
            self.add("stream", text)

    def add(self, *output: object) -> None:
        """Take one output; of those over the limit only that there were any."""
        size = sum(map(_size, output))
        if len(self.shown) < MAX_OUTPUTS and self.n_bytes + size <= MAX_OUTPUT_BYTES:
            self.n_bytes += size
            self.shown.append(list(output))
        elif not self.is_full:
            self.is_full = True
            self.shown.append(["stream", MORE])


def _size(value: object) -> int:
    """Return how many bytes a text, or all texts in a container, are in JSON, at most."""
    if isinstance(value, str):
        return len(value) if value.isascii() else 12 * len(value)
    values: Iterable[object] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    )
    return sum(map(_size, values))


class Stream:
    """A text stream that keeps its beginning: standard output and standard error of a student's code."""

    encoding, errors, closed, name, newlines = "utf-8", "replace", False, "<output>", None

    def __init__(self) -> None:
        self.outputs = Outputs()

    def write(self, text: str) -> int:
        """Take text."""
        self.outputs.write(str.__str__(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Take several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing: all is kept already."""

    def isatty(self) -> bool:
        """Say that nobody reads along."""
        return False

    def readable(self) -> bool:
        """Say that nothing can be read here."""
        return False

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def seekable(self) -> bool:
        """Say that it has no places."""
        return False

    def fileno(self) -> int:
        """Return the file descriptor of nothing."""
        return 1


def make_shell(stream: Stream) -> Any:
    """Return an IPython shell without a kernel, whose outputs go into a stream."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type
    from traitlets.config import Config

    class Hook(DisplayHook):
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None) -> None:
            stream.outputs.add("data", _shown(format_dict))

        def finish_displayhook(self) -> None:
            pass

    class Publisher(DisplayPublisher):
        def publish(self, data: dict[str, Any], *_: object, **__: object) -> None:
            stream.outputs.add("data", _shown(data))

        def clear_output(self, wait: bool = False) -> None:
            pass

    class Shell(InteractiveShell):
        displayhook_class = Type(Hook)
        display_pub_class = Type(Publisher)

        def _showtraceback(self, etype: type, evalue: BaseException, stb: object) -> None:
            lines = [str(line) for line in (stb if isinstance(stb, list) else [stb])]
            message = [_kind(evalue) if isinstance(evalue, BaseException) else str(etype), _error_message(evalue)]
            stream.outputs.add("error", *message, [line[:MAX_ERROR_CHARACTERS] for line in lines[:MAX_TRACEBACK_LINES]])

        def enable_gui(self, gui: str | None = None) -> None:
            pass

        def system(self, command: str) -> None:
            stream.write("There is no shell where this is graded: the line was left out.\n")

        system_piped = system_raw = system

        def getoutput(self, command: str, split: bool = True, depth: int = 0) -> object:
            self.system(command)
            return [] if split else ""

        def init_sys_modules(self) -> None:
            sys.modules["__main__"] = self.user_module

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor" if _has_nocolor() else "NoColor"
    shell = Shell.instance(config=config)
    vars(builtins)["display"] = importlib.import_module("IPython.display").display
    return shell


def _has_nocolor() -> bool:
    import IPython

    return IPython.version_info[0] >= 9


def _shown(data: dict[str, Any]) -> dict[str, str]:
    kept = {}
    for kind in KEPT:
        content = data.get(kind)
        if isinstance(content, bytes):
            import base64

            content = base64.b64encode(content).decode("ascii")
        most = MAX_STREAM_CHARACTERS if kind == "text/plain" else MAX_PICTURE_CHARACTERS
        if isinstance(content, str) and (kind == "text/plain" or len(content) <= most):
            kept[kind] = content[:most]
    return kept


class Runner:
    """The answers to the grader's messages."""

    def __init__(self, codec: ModuleType, shell: Any, stream: Stream) -> None:
        self.codec, self.shell, self.stream = codec, shell, stream
        self.objects: list[object] = []

    def answer(self, asked: dict[str, Any]) -> dict[str, object]:
        """Return what a message asks for, or the error that it ended in."""
        self.stream.outputs, function = Outputs(), None
        try:
            if asked["op"] == "run":
                return {"ok": self._run(asked["source"])}
            if asked["op"] == "get":
                names = self.shell.user_ns
                return {"ok": {name: self._as_sent(names[name]) for name in asked["names"] if name in names}}
            if asked["op"] == "call":
                function, args, named = (self._meant(asked[part]) for part in ("what", "args", "named"))
                before = [self._packed(argument) if type(argument) in (list, dict, set) else None for argument in args]
                value = self._as_sent(function(*args, **named))
                return {"ok": value, "after": self._changed(args, before)}
            if asked["op"] == "attribute":
                return {"ok": self._as_sent(getattr(self._meant(asked["what"]), asked["name"]))}
            return {"ok": self._as_sent(self._listed(self._meant(asked["what"])))}
        except BaseException as error:  # SystemExit included: whatever a student's code raises is an answer
            return {"error": self._fault(error, function)}

    def _run(self, source: str) -> list[list[Any]]:
        self.shell.run_cell(source, store_history=True)
        return self.stream.outputs.shown

    def _as_sent(self, value: object) -> object:
        """Return a value as data; of one that is too large, or of another kind, its description."""
        try:
            return self._packed(value)
        except self.codec.TooLarge as limit:
            return self._described(value, str(limit))
        except (RecursionError, MemoryError):
            return self._described(value, "too large")

    def _packed(self, value: object) -> object:
        return self.codec.pack(value, self._other)

    def _other(self, value: object) -> object:
        """Return what is not plain: as the plain value in it, or as a description."""
        simple = plain(value)
        return self._described(value) if simple is value else self.codec.pack(simple, self._other)

    def _described(self, value: object, note: str = "") -> list[object]:
        self.objects.append(value)
        return ["o", _kind(value), len(self.objects) - 1, note, callable(value)]

    def _meant(self, data: object) -> Any:
        return self.codec.unpack(data, self._object)

    def _object(self, data: list[Any]) -> object:
        if data[0] == "h":
            return self.objects[data[1]]
        if data[0] == "a":
            import numpy

            return numpy.array(self._meant(data[2]), dtype=data[1])
        module, _, name = data[1].rpartition(".")
        return getattr(importlib.import_module(module), name)

    def _listed(self, values: Any) -> list[object]:
        found: list[object] = []
        for value in values:
            if len(found) == MAX_LISTED_VALUES:
                raise ValueError(f"it has more than {MAX_LISTED_VALUES:,} values")
            found.append(value)
        return found

    def _changed(self, args: list[object], before: list[object]) -> dict[str, object]:
        """Return the arguments that the call has changed in place, by their positions."""
        now = {i: self._as_sent(argument) for i, argument in enumerate(args) if before[i] is not None}
        return {str(i): value for i, value in now.items() if value != before[i]}

    def _fault(self, error: BaseException, function: object) -> dict[str, object]:
        bases = [base.__name__ for base in type.mro(type(error)) if base.__module__ == "builtins"]
        return {
            "kind": _kind(error),
            "bases": bases,
            "message": _error_message(error),
            "where": _where(error, function),
        }


def plain(value: Any) -> object:  # Any: the checker does not follow `issubclass(kind, base)`
    """Return the plain value that an object holds; the object itself where it holds none."""
    kind = type(value)
    try:
        for base in PLAIN:
            if issubclass(kind, base):
                return _inside(value, base)
        if kind is range or kind in (type({}.keys()), type({}.values()), type({}.items())):
            return list(value)
        top = kind.__module__.partition(".")[0]
        if top in ("fractions", "decimal") and kind.__name__ in ("Fraction", "Decimal"):
            return float(value)
        if top == "pandas" and kind.__name__ == "DataFrame":
            return value.to_dict("list")
        if top in ("numpy", "pandas", "torch") and hasattr(value, "tolist"):
            return value.tolist()
    except Exception:  # a decimal that is no number, an object that only pretends
        return value
    return value


def _inside(value: Any, base: Any) -> object:
    """Return the plain value in one of a derived type, whatever its own methods say."""
    if base in (int, float, complex):
        return base.__pos__(value)
    if base is str:
        return str.__str__(value)
    if base is bytes:
        return bytes.__add__(value, b"")
    if base is dict:
        return dict(dict.items(value))
    return base(base.__iter__(value)) if base is not bool else value


def _kind(value: object) -> str:
    return str(type.__dict__["__name__"].__get__(type(value)))[:100]


def _error_message(error: object) -> str:
    try:
        return str(error)[:MAX_ERROR_CHARACTERS]
    except BaseException:  # its own __str__ is wrong
        return ""


def _where(error: BaseException, function: object) -> list[object]:
    """Return the last line of the function's own cell that ran, as number and text; empty where there is none."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    if not isinstance(file, str):
        return []
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    return [lines[-1], linecache.getline(file, lines[-1]).strip()[:MAX_ERROR_CHARACTERS]] if lines else []


def main(packages: str, given: str, work: str) -> None:
    """Get ready, then answer messages until the grader has gone."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    codec = importlib.import_module("codec")
    sys.path.remove(here)
    del sys.modules["codec"]  # so that a student's own file of this name can be imported
    if packages:
        sys.path.append(packages)
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # a student's code cannot write there by printing, also not from C
        os.dup2(nothing, descriptor)
    stream = Stream()
    sys.stdin = os.fdopen(0, closefd=False)
    vars(sys).update(stdout=stream, stderr=stream, __stdout__=stream, __stderr__=stream)
    runner = Runner(codec, make_shell(stream), stream)
    if given:
        shutil.copytree(given, work, dirs_exist_ok=True)
    os.chdir(work)
    sys.path.insert(0, "")  # as Jupyter does; only from now on, so that no file there is taken for a library's above
    sys.argv = [""]
    _send(outgoing, codec.message({"id": 0, "ok": "ready"}))
    while (asked := codec.read(lambda n: os.read(incoming, n))) is not None:
        answer = {"id": asked["id"], **runner.answer(asked)}
        stream.outputs = Outputs()
        try:
            data = codec.message(answer)
        except (ValueError, RecursionError) as problem:
            fault = {"kind": "ValueError", "bases": ["ValueError"], "message": f"too much: {problem}", "where": []}
            data = codec.message({"id": asked["id"], "error": fault})
        _send(outgoing, data)
    os._exit(0)


def _send(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main(*sys.argv[1:4])
