"""Remote calls of a student's functions: each call goes to the sandbox, and plain values come back.

Nothing here trusts the sandbox. A message that is not the answer to the question asked counts as no answer, and the
process that sent it is ended. What is decoded is plain data; no name that a student chose is looked up or run here.
"""

import builtins
import cmath
import contextlib
import functools
import math
import operator
import queue
import secrets
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from course_utils.grading.checks import codec
from course_utils.grading.checks.expect import AnswerError
from course_utils.grading.checks.plain_values import RemoteValue, Stopped, UnsupportedCheck, one_line, shown
from course_utils.grading.sandbox.sandbox import POLL_INTERVAL_S, Limits, exceeded_limit, start_process

START_S = 60.0  # a busy machine may need long to start a Python
NAMED = (builtins, math, cmath, operator, statistics)  # whose functions a check may hand to a student's function
MAX_NAME_CHARACTERS = 100  # characters
TAMPERED = "it wrote into the pipe between it and the grader"
# Python itself takes these for the end of a loop: all(map(f, values)) would be true where f raises one at once.
ENDS_OF_LOOPS = (StopIteration, StopAsyncIteration)
Plain = TypeVar("Plain", int, bool)


class ProcessEnded(Exception):
    """The student's process has ended or been ended; says why.

    Parameters
    ----------
    why : str
    is_late : bool
        It took too long.
    """

    def __init__(self, why: str, is_late: bool = False) -> None:
        super().__init__(why)
        self.why, self.is_late = why, is_late


class TimeBudget:
    """Time budget of a whole submission, in seconds.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.begun = seconds, time.monotonic()

    def left(self) -> float:
        """Return seconds; 0 when it is over."""
        return max(0.0, self.begun + self.seconds - time.monotonic())


class Process:
    """A student's process in a sandbox, to which one question at a time is put.

    Parameters
    ----------
    line : sequence of str
        A command that starts `runner.py`.
    limits : Limits
    environment : mapping
        Of the command; empty for a sandbox.
    work : Path
        The folder in which the command starts.
    time_budget : TimeBudget
    """

    def __init__(
        self, line: Sequence[str], limits: Limits, environment: Mapping[str, str], work: Path, time_budget: TimeBudget
    ) -> None:
        self.limits, self.time_budget = limits, time_budget
        self.end_reason, self._over = "", ""
        self._stack = contextlib.ExitStack()
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        process = start_process(line, limits, environment, work, stdin=pipe, stdout=pipe, stderr=nothing)
        self._process = self._stack.enter_context(process)
        # Bounded: a process that writes without being asked fills the pipe and waits. What it wrote is decoded only
        # when it was asked for, as the decoded form may take twenty times as much memory.
        self._answers: queue.Queue[bytes | None] = queue.Queue(maxsize=1)
        self._questions: queue.Queue[bytes | None] = queue.Queue()
        for task in (self._read, self._write, self._watch):
            threading.Thread(target=task, daemon=True).start()
        try:
            self._answer(0, START_S)
        except ProcessEnded as ended:
            self.close()
            raise ProcessEnded(f"its Python did not start: {ended.why}") from ended

    def ask(self, seconds: float, **question: object) -> dict[str, Any]:
        """Put a question, and return the answer.

        Raises
        ------
        ProcessEnded
            There is none within the time, or it is no answer to this question. The process has been ended.
        """
        if self.end_reason:
            raise ProcessEnded(self.end_reason)
        number = secrets.randbelow(codec.SMALL) + 1  # nobody can answer it beforehand
        self._questions.put(codec.message({"id": number, **question}))
        try:
            return self._answer(number, seconds)
        except ProcessEnded as ended:
            self.end_reason = ended.why
            self.close()
            raise

    def close(self) -> None:
        """End the process and all that it has started."""
        self.end_reason = self.end_reason or "it has ended"
        self._questions.put(None)
        self._stack.close()
        with contextlib.suppress(queue.Empty):
            while True:  # the thread that reads may wait for room
                self._answers.get_nowait()

    def _answer(self, number: int, seconds: float) -> dict[str, Any]:
        time_left = self.time_budget.left()
        try:
            data = self._answers.get(timeout=min(seconds, time_left))
        except queue.Empty:
            if seconds <= time_left:
                raise ProcessEnded(f"it did not end within {seconds:g} seconds", is_late=True) from None
            raise ProcessEnded(
                f"all of it together took longer than {self.time_budget.seconds:g} seconds", is_late=True
            ) from None
        if data is None:
            raise ProcessEnded(self._over or "it ended its own Python")
        try:
            answer = codec.decoded(data)
        except codec.IllFormed:
            raise ProcessEnded(TAMPERED) from None
        if answer.get("id") != number or type(answer["id"]) is not int:
            raise ProcessEnded(TAMPERED)
        return answer

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            try:
                while (data := codec.read_bytes(pipe.read)) is not None:
                    self._answers.put(data)
                    del data
            except codec.IllFormed:
                self._answers.put(b"")  # which is no message either
        with contextlib.suppress(OSError):
            pipe.close()
        if not self.end_reason:
            self._answers.put(None)

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended; `_read` reports this
            while (data := self._questions.get()) is not None:
                pipe.write(data)
                pipe.flush()
        with contextlib.suppress(OSError, ValueError):
            pipe.close()

    def _watch(self) -> None:
        while not self.end_reason and self._process.poll() is None:
            if why := exceeded_limit(self._process.pid, self.limits):
                self._over = why
                self._process.terminate()  # the launcher ends all that it has started
                return
            time.sleep(2 * POLL_INTERVAL_S)


class Student:
    """The functions and values of a student's process, fetched by their names.

    Parameters
    ----------
    process : Process
    seconds : float
        The limit of one call.
    shared : set of str
        Names that locked cells of the instructor's set: a function of such a name can be handed to the student's code,
        which gets the one that the same cell has made there.
    """

    def __init__(self, process: Process, seconds: float, shared: Set[str] = frozenset()) -> None:
        self.process, self.seconds, self.shared = process, seconds, shared
        self.late: list[str] = []  # calls that did not end in time

    def fetch(self, names: Sequence[str]) -> dict[str, object]:
        """Return what of these names the student has defined: plain values, and `Remote` objects."""
        found = self._ask("names", op="get", names=sorted(names)).get("ok")
        values = {name: self._value(packed) for name, packed in found.items()} if type(found) is dict else {}
        return {name: _named(value, name) for name, value in values.items() if name in names}

    def call(self, what: codec.Tagged, args: Sequence[object], named: Mapping[str, object], words: str) -> object:
        """Call something in the student's process; what it changes in its arguments is changed here too."""
        packed = [self._packed(part) for part in (list(args), dict(named))]
        answer = self._ask(words, op="call", what=what, args=packed[0], named=packed[1])
        value = self._value(answer.get("ok"))
        after: Any = answer.get("after")
        for i, argument in enumerate(args):
            if (
                type(after) is dict
                and (type(argument) is list or type(argument) is dict or type(argument) is set)
                and str(i) in after
            ):
                _replace(argument, self._value(after[str(i)]))
        return value

    def attribute(self, number: int, name: str, words: str) -> object:
        """Return an attribute of an object in the student's process."""
        return _named(self._value(self._ask(words, op="attribute", what=["h", number], name=name).get("ok")), name)

    def listed(self, number: int, words: str) -> list[Any]:
        """Return the values of something that can be iterated over in the student's process."""
        found = self._value(self._ask(words, op="list", what=["h", number]).get("ok"))
        return found if type(found) is list else []

    def _ask(self, words: str, **question: object) -> dict[str, Any]:
        try:
            answer = self.process.ask(self.seconds, **question)
        except ProcessEnded as ended:
            if ended.is_late:
                self.late.append(words)
            raise Stopped("no answer", ended.why, call=words) from None
        except codec.TooLarge as limit:
            raise UnsupportedCheck(f"{words} is given too much: {limit}.", "Smaller arguments.") from None
        if "error" in answer:
            raise _stopped(answer["error"], words)
        return answer

    def _packed(self, value: object) -> object:
        try:
            return codec.pack(value, self._other)
        except codec.TooLarge as limit:
            raise UnsupportedCheck(f"An argument is too large: {limit}.", "Smaller arguments.") from None

    def _other(self, value: Any) -> codec.Tagged:
        if isinstance(value, Remote):
            if value._student is not self:
                raise Stopped("no answer", "the Python in which this object was has ended")
            return ["h", value._number]
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return ["a", value.dtype.str, self._packed(value.tolist())]
        name = getattr(value, "__name__", "")
        for module in NAMED:
            if type(name) is str and name and getattr(module, name, None) is value:
                return ["n", f"{module.__name__}.{name}"]
        if name in self.shared and getattr(value, "__module__", "") == "__main__":
            there = self.fetch([name]).get(name)
            if isinstance(there, Remote):
                return ["h", there._number]
        raise UnsupportedCheck(
            f"A check gives a student's function {one_line(repr(value))}.",
            "Plain values, NumPy arrays, objects that the student's code has made, and functions of Python's own: "
            f"{', '.join(module.__name__ for module in NAMED)}.",
            "Define it in a locked cell of the notebook, and use its name in the check.",
        )

    def _value(self, packed: object) -> object:
        try:
            return codec.unpack(packed, self._object)
        except codec.IllFormed:
            raise Stopped("no answer", "what it gave back cannot be read") from None

    def _object(self, packed: codec.Tagged) -> "Remote":
        if [type(part) for part in packed] != [str, str, int, str, bool] or packed[0] != "o":
            raise codec.IllFormed("no object")
        _, kind, number, note, is_callable = packed
        kind, note = (one_line(line)[:MAX_NAME_CHARACTERS] for line in (kind, note))
        return (RemoteCallable if is_callable else Remote)(self, number, kind, note)


class Remote(RemoteValue):
    """An object in a student's process that is no plain value.

    It can be iterated over, indexed and measured, its attributes can be read, and it can be handed to the student's
    functions again. To compare it with a value of this process, or to ask whether it is true, is a wrong answer: a
    student's class may say that it equals everything.
    """

    def __init__(self, student: Student, number: int, kind: str, note: str) -> None:
        self._student, self._number, self.kind, self.note = student, number, kind, note
        self.__name__ = ""  # by which the grader knows it; what a student's code calls it could be another one's name

    def __getattr__(self, name: str) -> object:
        """Read an attribute, in the student's process."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self._student.attribute(self._number, name, f"{self.__name__ or self.kind}.{name}")

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the values that the object gives."""
        return iter(self._student.listed(self._number, f"list({self.__name__ or self.kind})"))

    def _do(self, function: Callable[..., object], *more: object) -> object:
        words = f"{function.__name__}({', '.join([self.__name__ or self.kind, *map(shown, more)])})"
        return self._student.call(self._student._other(function), [self, *more], {}, words)

    def __len__(self) -> int:
        """Return how many values it says it has."""
        return self._plain(self._do(len), int)

    def __getitem__(self, key: object) -> object:
        """Return one of its values."""
        return self._do(operator.getitem, key)

    def __contains__(self, value: object) -> bool:
        """Tell whether it says that it holds a value."""
        return self._plain(self._do(operator.contains, value), bool)

    def __instancecheck__(self, value: object) -> bool:
        """Tell whether an object there is of this class."""
        return isinstance(value, Remote) and self._plain(value._do(isinstance, self), bool)

    def __eq__(self, other: object) -> bool:
        """Compare two objects of the student's, by the student's own code."""
        if isinstance(other, Remote):
            return self._plain(self._do(operator.eq, other), bool)
        return self._refuse(other)

    def __ne__(self, other: object) -> bool:
        """Compare as `__eq__` does."""
        return not self == other

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: dict[int, object]) -> "Remote":
        """Return the same object: it cannot be copied from here."""
        return self

    def __copy__(self) -> "Remote":
        """Return the same object."""
        return self

    def __repr__(self) -> str:
        """Describe it."""
        return shown(self)

    def _plain(self, value: object, kind: type[Plain]) -> Plain:
        return value if type(value) is kind else self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        raise AnswerError(
            f"{self.__name__ or 'A function'} gave {shown(self)}."
            if type(self) is Remote
            else f"This is {shown(self)}.",
            "A number, a text, or a list, dict or set of these.",
            "Return the value itself.",
        )

    __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = __abs__ = __neg__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _refuse
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __round__ = __complex__ = __rpow__ = _refuse


class RemoteCallable(Remote):
    """A function or class of a student's."""

    def __call__(self, *args: object, **named: object) -> object:
        """Call it in the student's process."""
        given = [shown(argument) for argument in args] + [f"{key}={shown(argument)}" for key, argument in named.items()]
        words = one_line(f"{self.__name__ or self.kind}({', '.join(given)})")
        return self._student.call(["h", self._number], args, named, words)


def _named(value: object, name: str) -> object:
    """Give an object the name by which it was asked for."""
    if isinstance(value, Remote):
        value.__name__ = name
    return value


def _replace(own: list[Any] | dict[Any, Any] | set[Any], new: Any) -> None:
    """Let a container hold what another one of its type holds."""
    if type(new) is type(own):
        own.clear()
        if isinstance(own, list):
            own.extend(new)
        else:
            own.update(new)


def _stopped(fields: object, words: str) -> Stopped:
    """Return the error that a student's process tells of: an instance of Python's own type of that name, if any."""
    fields = fields if type(fields) is dict else {}
    kind, message, bases, where = (fields.get(name) for name in ("kind", "message", "bases", "where"))
    kind = one_line(kind)[:MAX_NAME_CHARACTERS] if type(kind) is str else "an error"
    bases = tuple(base for base in bases[:20] if type(base) is str) if type(bases) is list else ()
    line = ""
    if type(where) is list and len(where) == 2 and type(where[0]) is int and type(where[1]) is str:
        line = f", in line {where[0]} of its cell: {one_line(where[1])}"
    return _stopped_type(bases)(kind, one_line(message) if type(message) is str else "", bases, line, words)


@functools.lru_cache(maxsize=100)
def _stopped_type(bases: tuple[str, ...]) -> type[Stopped]:
    for name in bases:
        own = getattr(builtins, name, None)
        if own in ENDS_OF_LOOPS:
            return Stopped
        if isinstance(own, type) and issubclass(own, Exception) and own is not Exception:
            try:
                made = type(name, (Stopped, own), {})
                made("x")
            except TypeError:  # a type whose objects cannot be made from a message
                continue
            return made
    return Stopped
