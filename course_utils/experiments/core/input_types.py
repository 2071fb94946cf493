"""Input types of experiments: what an input in a record must be before anything is run with it.

A ledger is a file, and a file may say anything. So each input type takes a value from a record and the record, and
returns the argument for the experiment; or it refuses.
"""

import re
from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    # For the type checker only: nothing heavy is imported before a record asks for it.
    from course_utils.models.inference.language_model import LanguageModel
    from course_utils.models.inference.settings import Settings

MAX_TEXTS, MAX_CHARACTERS = 2000, 5_000_000
MAX_TOKENS = 400_000  # that models may be asked to write for one record: some minutes of a small one
MAX_SEED = 2**31 - 1
TOO_LONG = "they were too long to be kept: only their hash is in the record"


class RecordedRun(Protocol):
    """A record, as far as it says how it was made. Nothing that it says is trusted."""

    @property
    def experiment(self) -> str:
        """The name of the experiment."""

    @property
    def inputs(self) -> Mapping[str, Any] | None:
        """The keyword arguments, in plain values."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked for."""

    @property
    def models(self) -> Mapping[str, str]:
        """The sha256 of each model's weights, by its name."""


class Refused(ValueError):
    """An input with which nothing is run; says why."""


Accepted = TypeVar("Accepted", covariant=True)
T = TypeVar("T")
InputType: TypeAlias = Callable[[object, RecordedRun], Accepted]


# -- plain values ------------------------------------------------------------------------------------------------------


def integer(low: int, high: int) -> InputType[int]:
    """Accept integers from low to high; True and False are none."""

    def accept(value: object, run: RecordedRun) -> int:
        if type(value) is not int or not low <= value <= high:
            refuse(value, f"from {low} to {high}")
        return value

    return accept


def number(low: float, high: float) -> InputType[float]:
    """Accept numbers from low to high."""

    def accept(value: object, run: RecordedRun) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            refuse(value, f"from {low} to {high}")
        return value

    return accept


def fraction(value: object, run: RecordedRun) -> Fraction:
    """Accept a share from 0 to 1 that is written as one integer over another, such as ``99/100``."""
    found = re.fullmatch(r"(\d{1,18})(?:/([1-9]\d{0,17}))?", value) if isinstance(value, str) else None
    share = Fraction(int(found[1]), int(found[2] or 1)) if found else None
    if share is None or share > 1:
        refuse(value, "a share such as 99/100")
    return share


def one_of(*choices: T) -> InputType[T]:
    """Accept the values of a list, each with its own type: 1 is not True."""

    def accept(value: object, run: RecordedRun) -> T:
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        refuse(value, ", ".join(map(str, choices)))

    return accept


def optional(accept_value: InputType[T]) -> InputType[T | None]:
    """Accept None, and what another type accepts."""
    return lambda value, run: None if value is None else accept_value(value, run)


def list_of(accept_entry: InputType[T], most: int, least: int = 1) -> InputType[list[T]]:
    """Accept a list of least to most entries of one type."""

    def accept(value: object, run: RecordedRun) -> list[T]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            refuse(value, f"a list of {least} to {most}")
        return [accept_entry(entry, run) for entry in value]

    return accept


def object_of(types: Mapping[str, InputType[T]], may_lack: Collection[str] = ()) -> InputType[dict[str, T]]:
    """Accept an object with these fields, each of its type, and no other."""

    def accept(value: object, run: RecordedRun) -> dict[str, T]:
        if not isinstance(value, dict) or not set(types) - set(may_lack) <= set(value) <= set(types):
            refuse(value, f"an object of {', '.join(types)}")
        return {name: types[name](entry, run) for name, entry in value.items()}

    return accept


def rows(
    types: Mapping[str, InputType[T]], most: int = MAX_TEXTS, may_lack: Collection[str] = ()
) -> InputType[list[dict[str, T]]]:
    """Accept a list of such objects, if the record carries them whole."""
    return _whole(list_of(object_of(types, may_lack), most))


def text(value: object, run: RecordedRun) -> str:
    """Accept a text."""
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        refuse(value, "a text")
    return value


def short_text(value: object, run: RecordedRun) -> str:
    """Accept a name, or a text of a few words."""
    if not isinstance(value, str) or len(value) > 200:
        refuse(value, "a text of up to 200 characters")
    return value


def texts(value: object, run: RecordedRun, most: int = MAX_TEXTS) -> list[str]:
    """Accept texts that the record carries whole."""
    found = _whole(list_of(text, most))(value, run)
    if sum(map(len, found)) > MAX_CHARACTERS:
        refuse(value, f"{MAX_CHARACTERS:,} characters at most")
    return found


def few_texts(most: int) -> InputType[list[str]]:
    """Accept a few texts that the record carries whole: each is compared with all words of a model's vocabulary."""
    return lambda value, run: texts(value, run, most)


# -- models and their settings ----------------------------------------------------------------------------------------


def model_name(value: object, run: RecordedRun) -> str:
    """Accept a name on this machine's shelf whose weights are those that were measured; never a path."""
    from course_utils.models.registry import registry

    if not isinstance(value, str) or value not in run.models:
        refuse(value, f"of {', '.join(run.models) or 'no model'}")
    if value not in [entry.name for entry in registry.entries()]:
        raise Refused(f"{value} is not on this machine's shelf (COURSE_MODELS names a folder with models of your own)")
    here, measured = registry.weights_sha256(value), run.models[value]
    if here != measured:
        raise Refused(
            f"{value} has other weights here (sha256 {here[:12]}…) than were measured ({str(measured)[:12]}…)"
        )
    return value


def model(value: object, run: RecordedRun) -> "LanguageModel":
    """Load such a model, in the precision that the record's settings name, or else in fp32."""
    from course_utils.models.inference.language_model import load

    kind = precision(run.settings.get("precision", "fp32"), run)
    return load(model_name(value, run), kind)


precision = one_of("fp32", "int8")
seed = integer(0, MAX_SEED)


def settings(value: object, run: RecordedRun) -> "Settings":
    """Accept what sampling ``Settings`` accept, by name."""
    from course_utils.models.inference.settings import RANGES, Settings

    if not isinstance(value, dict) or not set(value) <= set(RANGES):
        refuse(value, f"of {', '.join(RANGES)}")
    return Settings(**value)


def settings_by_name(value: object, run: RecordedRun) -> "dict[str, Settings]":
    """Accept 1 to 20 sampling settings, each with its name."""
    if not isinstance(value, dict) or not 1 <= len(value) <= 20:
        refuse(value, "1 to 20 settings by name")
    return {short_text(name, run): settings(entry, run) for name, entry in value.items()}


# -- how much ----------------------------------------------------------------------------------------------------------


def require_few_tokens(n_tokens: int) -> None:
    """Refuse to let a model write for hours because a file says so."""
    if n_tokens > MAX_TOKENS:
        raise Refused(f"a model would have to write up to {n_tokens:,} tokens; at most {MAX_TOKENS:,} are tried")


def _whole(accept_value: InputType[T]) -> InputType[T]:
    """Accept what another type accepts; say so where the record carries only its hash."""

    def accept(value: object, run: RecordedRun) -> T:
        if isinstance(value, dict) and "sha256" in value:
            raise Refused(TOO_LONG)
        return accept_value(value, run)

    return accept


def refuse(value: object, expected: str) -> NoReturn:
    """Refuse a value: say what it is and what was expected."""
    raise Refused(f"{str(value)[:60]!r} is not {expected}")
