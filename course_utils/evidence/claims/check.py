"""Claim checker: compares the sentences of an essay with the records and readings that they cite."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from course_utils.evidence.claims.citations import citation_findings
from course_utils.evidence.claims.cited_numbers import number_findings
from course_utils.evidence.claims.comparisons import comparison_findings
from course_utils.evidence.claims.finding import FAULT, HINT, Finding, finding_at
from course_utils.evidence.claims.quotations import LedgerText, quotation_findings
from course_utils.evidence.claims.record_numbers import RecordNumbers
from course_utils.evidence.essay.essay import Essay, Section, n_words
from course_utils.evidence.essay.readings import readings, words_of
from course_utils.evidence.essay.sentences import Sentence, sentences
from course_utils.evidence.ledger.record import Record

__all__ = ["FAULT", "HINT", "WORDS", "Finding", "check"]

WORDS = (800, 1200)  # the fewest and the most, where nobody says otherwise
FEWEST_WORDS = 40  # in which a reading or an objection can be met
FEWEST_REPEATED = 8  # words of a sentence; shorter ones may come again
MOST_LISTED = 8
LONGEST = 60_000  # characters of a section that are looked at
MOST = 100  # findings of a section


def check(essay: Essay, records: Sequence[Record], words: tuple[int, int] = WORDS) -> list[Finding]:
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
    cited = essay.cited_evidence
    held = {id: RecordNumbers(by_id[id]) for id in cited if id in by_id}
    own = LedgerText(records)
    section_of_sentence: dict[str, str] = {}
    found = [*_length(essay, words), *_strategy(essay), *_engagement(essay), *_evidence(cited, by_id)]
    for section in essay.sections:
        looked_at = dataclasses.replace(section, text=section.text[:LONGEST])
        sentence_list = list(sentences(looked_at.text))
        inside = [*citation_findings(looked_at, by_id, cited), *quotation_findings(looked_at, sentence_list, own)]
        for sentence in sentence_list:
            inside += itertools.islice(number_findings(looked_at, sentence, held), MOST)
            inside += comparison_findings(looked_at, sentence, held)
            inside += _repeated(looked_at, sentence, section_of_sentence)
            if len(inside) > 10 * MOST:
                break
        inside.sort(key=lambda finding: (finding.start, finding.severity))
        found += [*_too_long(section), *inside[:MOST], *_and_more(section, len(inside))]
    return found


# -- the whole ---------------------------------------------------------------------------------------------------------


def _length(essay: Essay, words: tuple[int, int]) -> Iterator[Finding]:
    (least, most), n = words, essay.n_words
    asked = f"The essay has {n:,} words; {least:,} to {most:,} are asked for"
    if n < least:
        yield Finding("word count", FAULT, f"{asked}: {least - n:,} too few.")
    if n > most:
        yield Finding("word count", FAULT, f"{asked}: {n - most:,} too many.")


def _strategy(essay: Essay) -> Iterator[Finding]:
    if not essay.strategy.strip():
        says = 'No strategy is chosen yet: write it between the quotation marks of the cell that says strategy = "".'
        yield Finding("strategy", FAULT, says)


def _engagement(essay: Essay) -> Iterator[Finding]:
    """Yield which readings, and which necessary parts, are not there yet."""
    cited = essay.cited_readings
    for key, reading in readings().items():
        if (n := n_words(essay.section(key).text)) < FEWEST_WORDS:
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


def _evidence(cited: Sequence[str], by_id: Mapping[str, Record]) -> Iterator[Finding]:
    if not cited:
        says = "No measurement of your own is cited: [@E-07f3] in a sentence cites the record of that id."
        yield Finding("no evidence", FAULT, says)
    unused = [id for id in by_id if id not in set(cited)]
    if unused:
        more = f" and {len(unused) - MOST_LISTED} more" if len(unused) > MOST_LISTED else ""
        says = f"In your ledger, and not cited: {', '.join(unused[:MOST_LISTED])}{more}. Not all need be."
        yield Finding("unused evidence", HINT, says)


# -- section by section ------------------------------------------------------------------------------------------------


def _too_long(section: Section) -> Iterator[Finding]:
    if len(section.text) > LONGEST:
        says = f"This section is very long: only its first {LONGEST:,} characters are looked at."
        yield Finding("very long section", HINT, says, section.key)


def _and_more(section: Section, n: int) -> Iterator[Finding]:
    if n >= MOST:
        yield Finding("many findings", HINT, "And more in this section: mend these first.", section.key)


def _repeated(section: Section, sentence: Sentence, section_of_sentence: dict[str, str]) -> Iterator[Finding]:
    """Yield a sentence that stands in the essay already; ``seen`` remembers in which section."""
    sentence_words = words_of(sentence.bare)
    if len(sentence_words) < FEWEST_REPEATED:
        return
    first = section_of_sentence.get(" ".join(sentence_words))
    section_of_sentence.setdefault(" ".join(sentence_words), section.key)
    if first is not None:
        where = "in this section" if first == section.key else f"in the section {first}"
        says = f"This sentence stands in the essay before, {where}."
        yield finding_at(section, sentence.start, sentence.end, "repeated sentence", HINT, says)
