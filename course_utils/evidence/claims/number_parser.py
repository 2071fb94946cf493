"""Number parser: the numbers of a sentence that measure something. Years, versions, settings and names are left out."""

import dataclasses
import functools
import re

LARGEST_POWER = 300
LONGEST_NUMBER = 300  # digits
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
# Words before which, or after which, a whole number names something and measures nothing.
NAMED = (
    r"readings?|notebooks?|nb|sections?|stages?|tables?|figures?|figs?\.|chapters?|pages?|pp?\.|steps?|weeks?|versions?|"
    r"paragraphs?|points?|reasons?|no\.|numbers?|models?|criteri(?:on|a)|options?|days?|rounds?|parts?|claims?|questions?|"
    r"appendix|appendices|experiments?|exercises?|lessons?|groups?|detectors?|prompts?|texts?|items?|cells?|lines?|"
    r"rows?|columns?|records?|notes?|cases?|trials?|runs?|levels?|phases?|scenarios?|layers?|GPT|Llama|Python|arXiv|§+|#"
)
SETTINGS = (
    r"temperatures?|top[-\s_]?[kp]|nucleus|seeds?|alpha|threshold|significance|[kpTα]|repetition[ _]penalty|epochs?"
)
NO_CLAIM = re.compile(
    r"https?://\S{1,2000}|\bE-[0-9a-f]{4,64}\b"
    rf"|\d{{{LONGEST_NUMBER},}}"
    r"|\b\d{4}-\d\d(?:-\d\d)?\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}:\d\d\b"  # dates and times
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?(?:{MONTHS})\b(?:,?\s\d{{4}}\b)?"
    rf"|\b(?:{MONTHS})\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s\d{{4}}\b)?"
    r"|\b\d+(?:\.\d+){2,}\b|\barXiv[:\s]\s?\d{4}\.\d{5}\b"  # versions
    r"|(?:\b(?:[Ss]ection|[Tt]able|[Ff]igure|[Cc]hapter|[Vv]ersion|[Aa]ppendix|Python)\s|\u00a7\s?)\d{1,2}(?:\.\d{1,3})+\b"
    r"|\b\d+(?:st|nd|rd|th)\b"
    r"|(?<![\d.,])\d+(?:[.,]\d+)?\s?(?:[MBKk]|[KGT]B)\b"  # 124M, 40 GB
    r"|(?<![\d.,])\d+(?:[.,]\d+)*\s?(?:(?:thousand|million|billion)\s)?parameters\b"
    r"|\b\d+(?:\.\d+)?\s?(?:%|per\s?cent|-)[-\s]?(?:confidence|credible|CI\b|interval|level)"
    r"|(?<=[A-Za-z])[-\u2010\u2011]\d+(?:\.\d+)*\b"  # GPT-2
    r"|(?<![\d.,])\d+(?:\.\d+)?[-\u2010\u2011](?=[A-Za-z])"  # 40-word texts
    r"|(?:[$\u20ac\u00a3]|\b(?:EUR|USD)\s)\s?\d+(?:[.,]\d+)*"
    r"|(?<![\d.,])\d+(?:[.,]\d+)?\s(?:years?|months?|weeks?|days?|hours?|minutes?|grams?)\b"
    r"|^\s*\d{1,3}[.)]\s|\(\d{1,2}\)"  # numbers of items
    r"|\u00b1\s?\d+(?:[.,]\d+)?"
)
NAMES = re.compile(
    rf"(?:\b|(?<=\s)|^)(?:{NAMED})\s?\d{{1,5}}(?![\d.,]*\d)(?:\s?(?:,|and|or|to|&|-|\u2013|\+)\s?\d{{1,5}}(?![\d.,]*\d))*"
    r"(?:\sof\s\d{1,5}(?![\d.,]*\d))?"
    rf"|(?<!\w)(?:{SETTINGS})\s?(?:[=<>\u2264\u2265:]|of\b|at\b|was\b|is\b|set\sto\b|was\sset\sto\b)?\s?\d+(?:\.\d+)?"
    rf"(?:\s?(?:,|and|or|to|\u2013)\s?\d+(?:\.\d+)?(?!\s?%))*(?!\s?%)\b",
    re.IGNORECASE,
)
DIGITS = r"\d{1,3}(?:[,\u202f\u00a0\u2009'\u2019 ]\d{3})+(?:\.\d+)?(?!\d)|\d+[.,]\d+|\.\d+|\d+"
SUPERSCRIPTS = "\u207b\u207a\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
POWER = rf"[eE][-+\u2212]?\d{{1,3}}|\s?[\u00d7x*]\s?10(?:\^\{{?[-+\u2212]?\d{{1,3}}\}}?|[{SUPERSCRIPTS}]{{1,4}})"
PERCENT = r"\s?(?:%|pct\b|per\s?cent\b|percentage\spoints?\b)"
SCALE = r"\s?(?:thousand|million|billion)\b"
NUMBER = re.compile(
    rf"(?<![\w.])(?:(?<![^\s(\[,;:=<>~\u2248\u201c\"])(?P<sign>[-\u2212\u2013+]))?(?P<digits>{DIGITS})(?P<power>{POWER})?"
    rf"(?P<scale>{SCALE})?(?P<percent>{PERCENT})?(?!\w)(?!\.\d)"
)
_OTHER_END = rf"\s?[-\u2212]?\d+(?:[.,]\d+)?(?P<scale>{SCALE})?(?P<percent>{PERCENT})?"
RANGE = re.compile(rf"\s?(?:to|or|[-\u2013\u2014]){_OTHER_END}")
BETWEEN = re.compile(rf"\sand{_OTHER_END}")
WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "a hundred": 100, "hundred": 100, "a thousand": 1000, "thousand": 1000,
}  # fmt: skip
IN_WORDS = re.compile(
    rf"\b(?P<digits>{'|'.join(WORDS)})(?=(?P<percent>\s(?:%|percent\b|per\scent\b))|\s(?:\w+\s)?(?:of|out\sof|in)\s)",
    re.IGNORECASE,
)
OUT_OF = re.compile(
    rf"\s(?:[a-z]+\s)?(?:of|out\sof|in)\s(?:every\s|all\s)?(?P<all>\d[\d,]*(?!\s?%|[\d.,]*\d)|(?:{'|'.join(WORDS)})\b)|/(?P<all_>\d+)\b",
    re.IGNORECASE,
)
COUNT = re.compile(r"\b[nN]\s?[=:]\s?$")
_THE = r"(?:\s(?:a|an|the|its|my))?\s?$"
ABOVE = re.compile(
    r"(?:\b(?:(?:more|greater|higher|larger|better)\sthan|over|above|beyond|exceed(?:s|ed|ing)?|at\sleast|no\sless\sthan|"
    rf"upwards\sof)|[>\u2265]){_THE}",
    re.IGNORECASE,
)
BELOW = re.compile(
    r"(?:\b(?:(?:less|fewer|lower|smaller|worse)\sthan|under|below|at\smost|up\sto|no\smore\sthan|short\sof|within)|[<\u2264])"
    rf"{_THE}",
    re.IGNORECASE,
)
ABOUT = re.compile(
    r"(?:\b(?:about|around|roughly|some|nearly|almost|approximately|circa|ca\.|close\sto|near|hardly|barely)|[~\u2248])"
    rf"{_THE}",
    re.IGNORECASE,
)
SCALES = {"": 1.0, "thousand": 1e3, "million": 1e6, "billion": 1e9}
RAISED = str.maketrans(f"{SUPERSCRIPTS}\u2212", "-+0123456789-")


@dataclasses.dataclass(frozen=True)
class ParsedNumber:
    """Number in a sentence, with all values that it can mean.

    Parameters
    ----------
    start, end : int
        Where, within the sentence.
    words : str
    values : tuple of float
        What it can mean, without its sign: ``1,234`` may have a decimal comma.
    steps : tuple of float
        For each, one unit of its last digit.
    sign : str
        ``-``, ``+`` or "".
    is_percent, is_whole, is_count : bool
        With a percent sign; without decimals; after ``n =``.
    bound : {"", "about", "above", "below"}
        What the words before it make of it.
    out_of : float
        What it is a part of, as 100 in ``31 of 100``; 0 where nothing is said of that.
    """

    start: int
    end: int
    words: str
    values: tuple[float, ...]
    steps: tuple[float, ...]
    sign: str = ""
    is_percent: bool = False
    is_whole: bool = False
    is_count: bool = False
    bound: str = ""
    out_of: float = 0.0


def numbers(sentence: str) -> list[ParsedNumber]:
    """Return the numbers of a sentence that measure something.

    Examples
    --------
    >>> [each.words for each in numbers("In 2019 GPT-2 (124M) reached 0.89 at top-k 40, n = 47.")]
    ['0.89', '47']
    """
    text = _blanked(NAMES, _blanked(NO_CLAIM, sentence))
    found = [_written(text, match) for match in NUMBER.finditer(text) if not _is_a_year(text, match)]
    found += [
        number for number in map(functools.partial(_in_words, text), IN_WORDS.finditer(text)) if number.out_of >= 0
    ]
    wholes = {
        whole.end() for number in found if number.out_of and (whole := OUT_OF.match(text, number.end))
    }  # 100 in "31 of 100"
    return sorted((number for number in found if number.end not in wholes), key=lambda number: number.start)


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda found: " " * len(found[0]), text)


def _is_a_year(text: str, found: re.Match[str]) -> bool:
    is_plain = not (found["percent"] or found["scale"] or found["power"])
    is_one = is_plain and re.fullmatch(r"(?:19|20)\d\d", found["digits"])
    return bool(is_one and not COUNT.search(text[max(0, found.start() - 8) : found.start()]))


def _written(text: str, found: re.Match[str]) -> ParsedNumber:
    before = text[max(0, found.start() - 30) : found.start()]
    rest = (BETWEEN if re.search(r"between\s$", before) else RANGE).match(text, found.end())
    scale, percent = found["scale"] or "", bool(found["percent"])
    if rest and not percent and not found["power"]:
        scale, percent = scale or rest["scale"] or "", bool(rest["percent"])  # "1.2 to 1.5 million", "25 to 38 %"
    factor = SCALES[scale.strip()] * _power(found["power"] or "")
    meanings = _meanings(found["digits"])
    out_of = OUT_OF.match(text, found.end())
    return ParsedNumber(
        found.start(), found.end(), text[found.start() : found.end()],
        tuple(factor * value for value, _ in meanings), tuple(factor * step for _, step in meanings),
        {"": "", "+": "+"}.get(found["sign"] or "", "-"), percent,
        meanings[0][1] >= 1 and factor == 1, bool(COUNT.search(before)), _bound(before),
        _number_of(out_of) if out_of and not percent else 0.0,
    )  # fmt: skip


def _in_words(text: str, found: re.Match[str]) -> ParsedNumber:
    value, out_of = float(WORDS[found["digits"].lower()]), OUT_OF.match(text, found.end())
    is_percent = bool(found["percent"])
    end = found.end("percent") if is_percent else found.end()
    before = text[max(0, found.start() - 30) : found.start()]
    return ParsedNumber(
        found.start(), end, text[found.start() : end], (value,), (1.0,), "", is_percent, True, False, _bound(before),
        0.0 if is_percent else _number_of(out_of) if out_of else -1.0,
    )  # fmt: skip


def _bound(before: str) -> str:
    if ABOVE.search(before):
        return "above"
    return "below" if BELOW.search(before) else "about" if ABOUT.search(before) else ""


def _number_of(out_of: re.Match[str]) -> float:
    total_text = (out_of["all"] or out_of["all_"]).lower()
    return float(WORDS.get(total_text) or total_text.replace(",", "") or 0)


def _power(exponent_text: str) -> float:
    """Return what a number is multiplied by: ``e-3`` and ``× 10^-3`` are a thousandth."""
    exponent = re.sub(r"^(?:[eE]|\s?[\u00d7x*]\s?10\^?\{?)|\}$", "", exponent_text).translate(RAISED)
    return 10.0 ** max(-LARGEST_POWER, min(LARGEST_POWER, int(exponent or 0)))


def _meanings(digits: str) -> list[tuple[float, float]]:
    """Return what a row of digits can mean, each with one unit of its last digit."""
    if re.fullmatch(r"\d+,\d+", digits):
        is_grouped = re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits)
        return [*([_with_step(digits.replace(",", ""))] if is_grouped else []), _with_step(digits.replace(",", "."))]
    plain = re.sub(r"[,\u202f\u00a0\u2009'\u2019 ]", "", digits)
    is_grouped = re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", plain)  # as some languages write a thousand
    return [_with_step(plain), *([_with_step(plain.replace(".", ""))] if is_grouped else [])]


def _with_step(digits: str) -> tuple[float, float]:
    return float(digits), 10.0 ** -len(digits.partition(".")[2])
