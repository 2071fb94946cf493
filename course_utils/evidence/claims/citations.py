"""Check of citations: unknown keys, words that only look like a citation, and placeholders left from writing."""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from course_utils.evidence.claims.finding import FAULT, HINT, Finding, finding_at
from course_utils.evidence.essay.essay import CITATION, EVIDENCE, Section, cited_in
from course_utils.evidence.essay.readings import readings
from course_utils.evidence.essay.sentences import visible
from course_utils.evidence.ledger.record import Record

MOST = 200  # in a section
MOST_NEAR = 2000  # ids that a wrong one is compared with
ALIKE = 60  # of 100
LIKE_EVIDENCE = re.compile(r"[eE][-\u2010-\u2013_ ]?[0-9a-zA-Z]{3,64}")
LIKE_READING = re.compile(r"[A-Za-z]{3,20}[-_ ]?(?:20)?19\w{0,10}")
KEYS = "|".join(readings())
LOOSE = re.compile(
    r"(?<![\w@-])(?:@\s?)?[eE][-\u2010-\u2013][0-9a-fA-F]{4,64}(?!\w)"  # E-07f3, @e-07F3
    rf"|(?:\[\s?)?@\s?(?:{LIKE_READING.pattern}|E[-\u2010-\u2013_ ]?[0-9A-Fa-f]{{4,64}})(?!\w)(?:\s?\])?"  # @zhang2019
    r"|\[\s?@\s?\]"
    rf"|(?:[\[(]\s?)?\b(?:{KEYS})\b(?:\s?[\])])?",
    re.IGNORECASE,
)
UNSEEN = re.compile(r"[\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
LEFT = re.compile(r"\b(?:TODO|TBD|FIXME|XXX+)\b|\b[Ll]orem ipsum\b|\?\?\?+|\[citation needed\]|\*?\bWrite here\.\*?")


def citation_findings(section: Section, by_id: Mapping[str, Record], cited: Sequence[str]) -> Iterator[Finding]:
    """Yield what is to be said about the citations of a section.

    Parameters
    ----------
    section : Section
    by_id : mapping of str to Record
        The student's ledger.
    cited : sequence of str
        The ids that the essay cites somewhere.
    """
    text = visible(section.text)
    for found in itertools.islice(CITATION.finditer(text), MOST):
        for part, key in cited_in(found[1]):
            if key not in by_id and key not in readings():
                yield _nowhere(section, found, part, key, by_id)
    blank = CITATION.sub(lambda found: " " * len(found[0]), text)
    for found in itertools.islice(LOOSE.finditer(blank), MOST):
        yield from _loose(section, found, by_id, cited)
    for found in itertools.islice(LEFT.finditer(blank), MOST):
        says = f"\u201c{found[0]}\u201d is a note to yourself: finish what it stands for, and delete it."
        yield finding_at(section, *found.span(), "placeholder", FAULT, says)
    if unseen := UNSEEN.search(text):
        says = f"Here stands a character that nobody sees (U+{ord(unseen[0]):04X}): type these words anew."
        yield finding_at(section, *unseen.span(), "unseen character", HINT, says)


def _nowhere(section: Section, found: re.Match[str], part: str, key: str, by_id: Mapping[str, Record]) -> Finding:
    """Return what is wrong with a citation whose key is nobody's."""
    if EVIDENCE.fullmatch(key):
        near = _near(key, tuple(by_id)[-MOST_NEAR:])
        newest = f" The newest there: {', '.join(list(by_id)[-3:])}." if by_id else " It is empty."
        says = f"{key} does not stand in your ledger.{_or(near) or newest}"
        return finding_at(section, *found.span(), "unknown evidence", FAULT, says, key)
    name = part.partition(",")[0].strip("@ ")
    if LIKE_EVIDENCE.fullmatch(name):
        right = _as_id(name)
        near = [right] if right in by_id else _near(right, tuple(by_id)[-MOST_NEAR:])
        says = f"\u201c{name[:40]}\u201d is no id of a record: those are E- and small letters and digits.{_or(near)}"
        return finding_at(section, *found.span(), "unfinished citation", FAULT, says)
    near = _near(name.lower(), tuple(readings())) or _by_name(name)
    says = f"No reading has the key {name[:40]}; the keys are {', '.join(readings())}.{_or(near)}"
    return finding_at(section, *found.span(), "unknown reading", FAULT, says)


def _loose(
    section: Section, found: re.Match[str], by_id: Mapping[str, Record], cited: Sequence[str]
) -> Iterator[Finding]:
    """Yield what is to be said about words that look like a citation."""
    bare = found[0].strip("[]()@ \n")
    if not bare:
        says = "This citation names nothing: write [@zhang2019], or the id of a record."
        yield finding_at(section, *found.span(), "unfinished citation", FAULT, says)
        return
    if LIKE_EVIDENCE.fullmatch(bare):
        right = _as_id(bare)
        is_a_word = "@" not in found[0] and bare[0] == "e" and bare[2:].isalpha()
        if is_a_word or (right in by_id and right in cited):
            return  # once it is cited, it may be called by its name
        near = [right]
    else:
        key = re.sub(r"[-_ ]", "", bare).lower()
        near = [key] if key in readings() else _near(key, tuple(readings())) or _by_name(key)
    if near:
        says = f"This looks like a citation and is none: write [@{near[0]}]."
        yield finding_at(section, *found.span(), "unfinished citation", FAULT, says)


def _as_id(written: str) -> str:
    return f"E-{re.sub(r'^[eE][^0-9a-zA-Z]?', '', written).lower()}"


@functools.lru_cache(maxsize=512)
def _near(key: str, known: tuple[str, ...]) -> list[str]:
    from rapidfuzz import fuzz, process

    return [found for found, _, _ in process.extract(key, known, scorer=fuzz.ratio, limit=2, score_cutoff=ALIKE)]


def _by_name(key: str) -> list[str]:
    """Return the readings whose key begins with the same name: zhang, openai."""
    name = re.sub(r"[^a-z].*", "", key.lower(), flags=re.DOTALL)
    return [
        reading
        for reading in readings()
        if len(name) > 3 and (reading.startswith(name) or name.startswith(reading[:5]))
    ][:2]


def _or(near: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(near)}?" if near else ""
