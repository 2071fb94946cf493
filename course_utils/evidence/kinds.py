"""What an input of a record must be before anything is run with it: numbers of a range, texts, models on the shelf."""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from course_utils.evidence.record import Record

if TYPE_CHECKING:
    from course_utils.experiments.blind_items import Item
    from course_utils.experiments.detectors import Detector
    from course_utils.experiments.recipes import Recipe
    from course_utils.models.language_model import LanguageModel

MOST_TEXTS, LONGEST_TEXTS = 2000, 5_000_000  # characters in all
MOST_WRITTEN = 400_000  # tokens that a model may be asked to write for one input: some minutes of a small one
LARGEST_SEED = 2**31 - 1
TOO_LONG = "they were too long to be kept: only their hash is in the record"

Kind = Callable[[object, Record], object]


class Refused(ValueError):
    """An input with which nothing is run; says why."""


# -- plain values ------------------------------------------------------------------------------------------------------


def whole(low: int, high: int) -> Kind:
    """Accept whole numbers of a range."""
    return lambda value, record: _accepted(value, type(value) is int and low <= value <= high, f"from {low} to {high}")


def number(low: float, high: float) -> Kind:
    """Accept numbers of a range."""

    def kind(value: object, record: Record) -> object:
        fits = type(value) in (int, float) and math.isfinite(value) and low <= value <= high
        return _accepted(value, fits, f"from {low} to {high}")

    return kind


def fraction(value: object, record: Record) -> Fraction:
    """Accept a share from 0 to 1 that is written as one whole number over another, such as ``99/100``."""
    found = re.fullmatch(r"(\d{1,18})(?:/([1-9]\d{0,17}))?", value) if isinstance(value, str) else None
    share = Fraction(int(found[1]), int(found[2] or 1)) if found else Fraction(-1)
    return share if 0 <= share <= 1 else _accepted(value, False, "a share such as 99/100")


def one_of(*choices: str | bool) -> Kind:
    """Accept what stands in a list."""
    told = ", ".join(map(str, choices))
    return lambda value, record: _accepted(value, any(value is each or value == each for each in choices), told)


def optional(kind: Kind) -> Kind:
    """Accept what a kind accepts, and None."""
    return lambda value, record: None if value is None else kind(value, record)


def several(kind: Kind, most: int, least: int = 1) -> Kind:
    """Accept a list of what a kind accepts."""

    def each(value: object, record: Record) -> list:
        fits = isinstance(value, list) and least <= len(value) <= most
        _accepted(value, fits, f"a list of {least} to {most}")
        return [kind(one, record) for one in value]

    return each


def fields(kinds: dict[str, Kind], may_lack: tuple[str, ...] = ()) -> Kind:
    """Accept an object that has these fields, each of its kind, and no other."""

    def kind(value: object, record: Record) -> dict:
        fits = isinstance(value, dict) and set(kinds) - set(may_lack) <= set(value) <= set(kinds)
        _accepted(value, fits, f"an object of {', '.join(kinds)}")
        return {name: kinds[name](each, record) for name, each in value.items()}

    return kind


def rows(kinds: dict[str, Kind], most: int, may_lack: tuple[str, ...] = ()) -> Kind:
    """Accept a list of such objects, if the record carries them whole."""

    def kind(value: object, record: Record) -> list[dict]:
        _require_whole(value)
        return several(fields(kinds, may_lack), most)(value, record)

    return kind


def text(value: object, record: Record) -> str:
    """Accept a text."""
    return _accepted(value, isinstance(value, str) and len(value) <= LONGEST_TEXTS, "a text")


def short(value: object, record: Record) -> str:
    """Accept a name, or a text of a few words."""
    return _accepted(value, isinstance(value, str) and len(value) <= 200, "a text of up to 200 characters")


def texts(value: object, record: Record) -> list[str]:
    """Accept texts that the record carries whole."""
    _require_whole(value)
    found = several(text, MOST_TEXTS)(value, record)
    return _accepted(found, sum(map(len, found)) <= LONGEST_TEXTS, f"{LONGEST_TEXTS:,} characters at most")


def few_texts(most: int) -> Kind:
    """Accept some texts that the record carries whole: each is held against every word of a model's vocabulary."""

    def kind(value: object, record: Record) -> list[str]:
        _require_whole(value)
        return several(text, most)(value, record)

    return kind


# -- models, and what is made with them --------------------------------------------------------------------------------


def model_name(value: object, record: Record) -> str:
    """Accept a name on this machine's shelf whose weights are those that were measured; never a path."""
    from course_utils.models import shelf

    _accepted(value, isinstance(value, str) and value in record.models, f"of {', '.join(record.models) or 'no model'}")
    if value not in [entry.name for entry in shelf.entries()]:
        raise Refused(f"{value} is not on this machine's shelf (COURSE_MODELS names a folder with models of your own)")
    here, measured = shelf.weights_sha256(value), record.models[value]
    if here != measured:
        raise Refused(
            f"{value} has other weights here (sha256 {here[:12]}…) than were measured ({str(measured)[:12]}…)"
        )
    return value


def model(value: object, record: Record) -> "LanguageModel":
    """Load such a model, in the precision that the record's settings name, or else in fp32."""
    from course_utils.models.language_model import load

    precision = one_of("fp32", "int8")(record.settings.get("precision", "fp32"), record)
    return load(model_name(value, record), precision)


def settings(value: object, record: Record) -> object:
    """Accept what sampling ``Settings`` accept, by name."""
    from course_utils.models.settings import RANGES, Settings

    _accepted(value, isinstance(value, dict) and set(value) <= set(RANGES), f"of {', '.join(RANGES)}")
    return Settings(**value)


def settings_by_name(value: object, record: Record) -> dict[str, object]:
    """Accept a few ways of drawing, each with its name."""
    _accepted(value, isinstance(value, dict) and 1 <= len(value) <= 20, "1 to 20 settings by name")
    return {short(name, record): settings(each, record) for name, each in value.items()}


def paired_texts(value: object, record: Record) -> "Recipe":
    """Accept how pairs of texts were drawn and written; they are written anew, not read from the record."""
    from course_utils.experiments.paired_texts import OPENINGS
    from course_utils.experiments.recipes import Recipe
    from course_utils.models.language_model import load

    if isinstance(value, dict) and "sha256" in value:
        raise Refused("how its texts were drawn is not known: only their hash is in the record")
    kinds = {"generator": model_name, "settings": settings, "opening": one_of(*OPENINGS), "n_pairs": whole(1, 1000)}
    kinds |= {"n_words": whole(1, 500), "seed": whole(0, LARGEST_SEED), "n_left_out": whole(0, 1000)}
    kinds |= {"precision": one_of("fp32", "int8"), "articles": several(whole(0, LARGEST_SEED), 1000)}
    found = fields(kinds)(value, record)
    require_few(found["n_pairs"] * found["settings"].max_new_tokens)
    precision = found.pop("precision")
    return Recipe(**found | {"generator": load(found["generator"], precision)})


def detector(value: object, record: Record) -> "Detector":
    """Accept which detector it was; readers by their name on the shelf."""
    from course_utils.experiments.detectors import LikelihoodDetector, RankDetector, WordDetector

    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "words":
        return WordDetector()
    known = {"likelihood": LikelihoodDetector, "ranks": RankDetector}
    if kind not in known:
        raise Refused(f"its detector is of a kind of its own, {str(kind)[:40]!r}, whose code is not in the record")
    return known[kind](model(value.get("reader"), record))


def blind_items(value: object, record: Record) -> list["Item"]:
    """Accept the texts of a blind test, if the record carries them whole."""
    from course_utils.experiments.blind_items import Item

    names = dict.fromkeys(("id", "headline", "text", "source", "weights_sha256"), text)
    return [Item(**each) for each in rows(names | {"article": whole(0, LARGEST_SEED)}, 500)(value, record)]


# -- how much ----------------------------------------------------------------------------------------------------------


def require_few(n_tokens: int) -> None:
    """Refuse to let a model write for hours because a file says so."""
    if n_tokens > MOST_WRITTEN:
        raise Refused(f"a model would have to write up to {n_tokens:,} tokens; at most {MOST_WRITTEN:,} are tried")


def _require_whole(value: object) -> None:
    if isinstance(value, dict) and "sha256" in value:
        raise Refused(TOO_LONG)


def _accepted(value: object, fits: bool, expected: str) -> object:
    if not fits:
        raise Refused(f"{str(value)[:60]!r} is not {expected}")
    return value
