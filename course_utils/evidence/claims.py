"""The claim checker: an essay's sentences beside the records and readings that they cite, told at the exact words."""

import dataclasses
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from course_utils.evidence.claim_numbers import Written, holds, numbers, told, too_exact
from course_utils.evidence.claim_words import comparisons
from course_utils.evidence.prose import CITATION, EVIDENCE, Essay, Section, citations, n_words
from course_utils.evidence.readings import find_quotation, nearest_quotation, readings, words_of
from course_utils.evidence.record import Record
from course_utils.evidence.sentences import Sentence, sentences, visible

FAULT, HINT = "fault", "hint"
FEWEST_WORDS = 40  # in which a reading or an objection can be met
FEWEST_QUOTED = 4  # words; fewer in quotation marks are no quotation
LONGEST = 60_000  # characters of a section that are looked at
QUOTED = re.compile(
    r"\u201c([^\u201c\u201d\n]{1,2000})\u201d|\"([^\"\n]{1,2000})\"|\u00ab([^\u00ab\u00bb\n]{1,2000})\u00bb"
)
LOOSE = re.compile(r"(?<![\w@-])@?E-[0-9a-fA-F]{4,64}(?![\w])")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the checker has to say about some words.

    Parameters
    ----------
    kind : str
        Such as ``"other number"``.
    severity : {"fault", "hint"}
        Missing or contradicted, or only worth a look.
    says : str
        One or two sentences to whoever wrote it.
    section : str
        The key of the section; "" where it is about the whole essay.
    start, end : int
        Where the words stand in the section's text.
    quote : str
        The words.
    evidence : str
        The id of the record that it is about, if it is about one.
    """

    kind: str
    severity: str
    says: str
    section: str = ""
    start: int = 0
    end: int = 0
    quote: str = ""
    evidence: str = ""


def check(essay: Essay, records: Sequence[Record], words: tuple[int, int] = (800, 1200)) -> list[Finding]:
    """Compare an essay with what it cites.

    Parameters
    ----------
    essay : Essay
    records : sequence of Record
        The student's own.
    words : tuple of (int, int)
        The fewest and the most.

    Returns
    -------
    list of Finding
        Of the whole first, then section by section in the order of the words. An empty list says that nothing is
        missing or contradicted, not that the essay is good.
    """
    by_id = {record.id: record for record in records}
    found = [*_length(essay, words), *_strategy(essay), *_engagement(essay), *_evidence(essay, by_id)]
    for section in essay.sections:
        section = dataclasses.replace(section, text=section.text[:LONGEST])
        found += sorted(_in_section(section, by_id), key=lambda each: (each.start, each.severity))
    return found + list(_repeated(essay))


def _in_section(section: Section, by_id: dict[str, Record]) -> Iterator[Finding]:
    yield from _keys(section, by_id)
    yield from _quotations(section)
    for sentence in sentences(section.text):
        yield from _numbers(section, sentence, by_id)
        yield from _comparisons(section, sentence, by_id)


def _at(section: Section, start: int, end: int) -> dict[str, object]:
    return {"section": section.key, "start": start, "end": end, "quote": section.text[start:end]}


# -- the whole ---------------------------------------------------------------------------------------------------------


def _length(essay: Essay, words: tuple[int, int]) -> Iterator[Finding]:
    (least, most), n = words, essay.n_words
    if n < least:
        yield Finding(
            "word count",
            FAULT,
            f"The essay has {n:,} words; {least:,} to {most:,} are asked for: {least - n:,} too few.",
        )
    if n > most:
        yield Finding(
            "word count",
            FAULT,
            f"The essay has {n:,} words; {least:,} to {most:,} are asked for: {n - most:,} too many.",
        )


def _strategy(essay: Essay) -> Iterator[Finding]:
    if not essay.strategy.strip():
        yield Finding("strategy", FAULT, 'No strategy is chosen yet: write it into the cell that says strategy = "".')


def _engagement(essay: Essay) -> Iterator[Finding]:
    """Yield which readings, and which necessary parts, are not there yet."""
    cited = essay.cited_readings
    for key, reading in readings().items():
        n = n_words(essay.section(key).text)
        if n < FEWEST_WORDS:
            says = f"The section on {reading.author} has {n} words: too few to meet a claim of {reading.title}."
            yield Finding("reading not engaged", FAULT, says, key)
        if key not in cited:
            says = f"{reading.author}, {reading.title}, is nowhere cited: put [@{key}] where you tell what it says."
            yield Finding("reading not engaged", FAULT, says, key)
    if (n := n_words(essay.section("counter").text)) < FEWEST_WORDS:
        says = f"The best objection and your answer have {n} words: tell the objection as those who hold it would."
        yield Finding("no counter-argument", FAULT, says, "counter")
    for key, name in (("thesis", "thesis"), ("recommendation", "recommendation")):
        if not n_words(essay.section(key).text):
            yield Finding("empty section", FAULT, f"There is no {name} yet.", key)


def _evidence(essay: Essay, by_id: dict[str, Record]) -> Iterator[Finding]:
    cited = essay.cited_evidence
    if not cited:
        says = "No measurement of your own is cited: [@E-07f3] in a sentence cites the record of that id."
        yield Finding("no evidence", FAULT, says)
    unused = [id for id in by_id if id not in cited]
    if unused:
        more = f" and {len(unused) - 8} more" if len(unused) > 8 else ""
        yield Finding("unused evidence", HINT, f"In your ledger, and not cited: {', '.join(unused[:8])}{more}.")


def _repeated(essay: Essay) -> Iterator[Finding]:
    seen: Counter[str] = Counter()
    for section in essay.sections:
        for sentence in sentences(section.text[:LONGEST]):
            said = " ".join(words_of(sentence.bare))
            if len(said.split()) >= 8 and (seen.update([said]) or seen[said] == 2):
                says = "This sentence stands in the essay twice."
                yield Finding("repeated sentence", HINT, says, **_at(section, sentence.start, sentence.end))


# -- citations and quotations ------------------------------------------------------------------------------------------


def _keys(section: Section, by_id: dict[str, Record]) -> Iterator[Finding]:
    """Yield citations that lead nowhere, and what looks like one."""
    text = visible(section.text)
    for start, end, key in citations(text):
        if key in by_id or key in readings():
            continue
        is_evidence = bool(EVIDENCE.fullmatch(key))
        known = list(by_id) if is_evidence or re.match(r"[eE]-", key) else list(readings())
        near = difflib.get_close_matches(key, known, n=2, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        if is_evidence:
            says = f"{key} does not stand in your ledger.{hint}"
            yield Finding("unknown evidence", FAULT, says, **_at(section, start, end), evidence=key)
        else:
            says = f"No reading has the key {key}; the keys are {', '.join(readings())}.{hint}"
            yield Finding("unknown reading", FAULT, says, **_at(section, start, end))
    blank = CITATION.sub(lambda found: " " * len(found[0]), text)
    for found in LOOSE.finditer(blank):
        id = found[0].lstrip("@").replace("e-", "E-")
        says = f"This looks like a citation and is none: write [@{id[:2]}{id[2:].lower()}]."
        yield Finding("unfinished citation", FAULT, says, **_at(section, *found.span()))


def _quotations(section: Section) -> Iterator[Finding]:
    text = visible(section.text)
    for found in QUOTED.finditer(text):
        quoted = next(filter(None, found.groups()))
        yield from _quotation(section, found.start(), found.end(), quoted, text)
    for found in re.finditer(r"(?:^[ \t]*>[^\n]*(?:\n|$))+", text, re.MULTILINE):
        quoted = re.sub(r"^[ \t]*>", "", CITATION.sub(" ", found[0]), flags=re.MULTILINE)
        if not QUOTED.search(quoted):
            yield from _quotation(section, found.start(), found.end(), quoted, text)


def _quotation(section: Section, start: int, end: int, quoted: str, text: str) -> Iterator[Finding]:
    parts = [part for part in re.split(r"\[?(?:\u2026|\.\.\.)\]?", quoted) if len(words_of(part)) >= FEWEST_QUOTED]
    for part in parts:
        where = _at(section, start, end)
        key = find_quotation(part)
        meant = {each for place, _, each in citations(text) if start <= place < end + 200 and each in readings()}
        meant = meant or ({section.key} & set(readings()))
        if key and meant and key not in meant:
            says = f"These words are from {readings()[key].author}, {readings()[key].title}: cite [@{key}]."
            yield Finding("quotation", FAULT, says, **where)
        elif not key and (near := nearest_quotation(part)):
            yield Finding("quotation", HINT, f"The wording that we know is: \u201c{near}\u201d", **where)
        elif not key:
            says = (
                "This wording is not among those that the course has seen: check it against the article, word for word."
            )
            yield Finding("unknown quotation", HINT, says, **where)


# -- numbers and comparisons -------------------------------------------------------------------------------------------


def _numbers(section: Section, sentence: Sentence, by_id: dict[str, Record]) -> Iterator[Finding]:
    groups = sentence.groups()
    for written in numbers(sentence.bare):
        where = _at(section, sentence.start + written.start, sentence.start + written.end)
        group = _group_of(written, groups)
        if group is None:
            if (written.is_percent or not written.is_whole) and not _paragraph_cites(sentence):
                says = f"Where does {written.words} come from? Cite the record or the reading behind it."
                yield Finding("number without source", HINT, says, **where)
            continue
        cited = [by_id[key] for key in group if key in by_id]
        if any(holds(record, written) for record in cited):
            yield from _exactness(written, cited, where)
        elif cited and not any(key in readings() for key in group):
            yield _other_number(written, cited, _elsewhere(written, groups, by_id, group), where)


def _paragraph_cites(sentence: Sentence) -> bool:
    """Tell whether something is cited in the same paragraph: then a reader knows where to look."""
    start = sentence.text.rfind("\n\n", 0, sentence.start) + 1
    end = sentence.text.find("\n\n", sentence.end)
    return CITATION.search(sentence.text, start, end if end >= 0 else len(sentence.text)) is not None


def _group_of(written: Written, groups: Sequence[tuple[int, int, tuple[str, ...]]]) -> tuple[str, ...] | None:
    """Return what a number is cited from: the first citation after it, else the last before it."""
    after = [keys for start, _, keys in groups if start >= written.end]
    before = [keys for start, _, keys in groups if start < written.start]
    return after[0] if after else before[-1] if before else None


def _elsewhere(written: Written, groups: Sequence, by_id: dict[str, Record], group: tuple[str, ...]) -> Record | None:
    """Return another record of the sentence whose own number it is."""
    keys = [key for _, _, each in groups for key in each if key in by_id and key not in group]
    return next((by_id[key] for key in keys if holds(by_id[key], written)), None)


def _other_number(written: Written, cited: Sequence[Record], other: Record | None, where: dict) -> Finding:
    holds_ = "; ".join(f"{record.id} holds {told(record)}" for record in cited)
    if other is not None:
        says = f"{written.words} is the number of {other.id}, and is cited from another record: {holds_}."
        return Finding("other number", FAULT, says, **where, evidence=cited[0].id)
    if written.is_whole and not written.is_percent and not written.is_count:
        says = f"{written.words} is not in the record that is cited: {holds_}. If it is from elsewhere, say from where."
        return Finding("other number", HINT, says, **where, evidence=cited[0].id)
    says = f"You write {written.words}; {holds_}."
    return Finding("other number", FAULT, says, **where, evidence=cited[0].id)


def _exactness(written: Written, cited: Sequence[Record], where: dict) -> Iterator[Finding]:
    for record in cited:
        if holds(record, written) and too_exact(record, written):
            says = f"{written.words} has more digits than its interval allows: {record.id} holds {told(record)}."
            yield Finding("too exact", HINT, says, **where, evidence=record.id)
            return


def _comparisons(section: Section, sentence: Sentence, by_id: dict[str, Record]) -> Iterator[Finding]:
    for each in comparisons(sentence, by_id):
        where = _at(section, sentence.start + each.start, sentence.start + each.end)
        both = f"{each.first.id} holds {told(each.first)}, {each.second.id} holds {told(each.second)}"
        if not each.is_borne_out:
            says = f"You write \u201c{each.words}\u201d, but {both}."
            yield Finding("comparison", FAULT, says, **where, evidence=each.first.id)
        elif each.overlaps:
            says = f"The two intervals overlap, so \u201c{each.words}\u201d may be chance: {both}."
            yield Finding("overlapping intervals", HINT, says, **where, evidence=each.first.id)
