"""Check of cited numbers: each number of a sentence is compared with the records that are cited for it."""

import bisect
import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from course_utils.evidence.claims.finding import FAULT, HINT, Finding, finding_at
from course_utils.evidence.claims.number_parser import ParsedNumber, numbers
from course_utils.evidence.claims.record_numbers import (
    MOST_COMPARED,
    P_VALUE,
    RecordNumbers,
    is_derived,
    is_rest,
    is_width,
    too_exact,
)
from course_utils.evidence.essay.essay import Section, citations
from course_utils.evidence.essay.readings import readings
from course_utils.evidence.essay.sentences import Sentence

At = Callable[..., Finding]
MOST_GROUPS = 20  # citations of one sentence, or paragraph, that are compared with each other
FEWEST = 10  # a smaller whole number of things is not asked for its source
DENIED = re.compile(r"\b(?:not|no|nor|neither|never|nothing|hardly|barely|without|cannot|none)\b|n['\u2019]t\b", re.I)
# Words that compare: near them a number may be the difference, or the ratio, of two records.
COMPARED = re.compile(
    r"\b(?:differ\w*|gaps?|apart|by|fewer|more|less|higher|lower|larger|smaller|greater|better|worse|gain\w*|los[est]\w*|"
    r"f[ea]ll\w*|drop\w*|ros[e]|ris\w*|gr[eo]w\w*|times|twice|half|ratio|points?|increas\w*|decreas\w*|reduc\w*|sav\w*|than|"
    r"as\smuch|distance|wide|width|\u00b1)\b",
    re.I,
)
LEFT_OVER = re.compile(
    r"\b(?:others?|rest|remain\w*|missed|miss(?:es)?|not|wrong\w*|fail\w*|against|instead|away)\b", re.I
)
WIDTH = re.compile(r"\b(?:wide|width|margin|half|uncertain\w*)\b|\u00b1", re.I)
# Words that tell an end of an interval as what it is, in the clause of the number.
OF_AN_INTERVAL = re.compile(
    r"\b(?:intervals?|bounds?|limits?|ends?|CI|confidence|credible|range[sd]?|margin|as\s(?:low|high|little|much|bad|good)\sas|"
    r"(?:worst|best)\scase|could\sbe|may\sbe|might\sbe|can\sbe|possibly|conceivabl[ey]|at\sleast|at\smost|no\sless|no\smore|"
    r"lowest|highest|pessimistic\w*|optimistic\w*|cannot\sbe\sruled\sout|between|reach(?:es|ing)?\sdown|extend\w*|"
    r"stretch\w*|starts?|begins?|stops?)\b",
    re.I,
)
CLAUSE = re.compile(r"[;:,(\u2014\u2013]\s|\b(?:but|while|whereas|although|though|yet|however)\b", re.I)
TO_THE_OTHER_END = re.compile(
    r"\s{0,2}(?:%|per\s?cent|percent|[A-Za-z]{1,12})?\s{0,2}(?:,|;|to|and|or|till|until|through|up\sto|[-\u2010-\u2015])\s{0,2}"
)
UP_TO = re.compile(r"\bup\sto(?:\s(?:a|an|the))?\s?$", re.I)
# "an AUC of", "the share was": what stands before a result.
A_RESULT = re.compile(
    r"\b(?:AUC|accuracy|share|rate|perplexity|score|kappa|ratio|value|result|probability|lms|index|gain)"
    r"(?:\s\w{1,20}){0,3}\s(?:of|is|was|were|=|reached|reaches|equals?)\s(?:a\s|an\s|the\s|only\s|about\s)?$",
    re.I,
)
CHANCE = re.compile(
    r"\b(?:chance|coins?|guess\w*|random\w*|perfect\w*|half|halves|never|always|certain\w*|ideal|nothing|all|every)\b",
    re.I,
)
REFERENCES = (0.0, 0.5, 1.0)  # what a coin reaches, and the ends of the scale
OTHERS = re.compile(
    r"\b(?:paper|article|authors?|Kreps|Solaiman|Strubell|Gehrmann|Ippolito|Radford|published|elsewhere|asks?\sfor)\b"
)
EXPECTED = re.compile(
    r"\b(?:guess\w*|expect\w*|predict\w*|hoped|assum\w*|suppos\w*|thought|imagin\w*|would\shave)\b", re.I
)
PLANNED = re.compile(r"\b(?:should|would|could|might|may|must|shall|let|suppose|say|imagine|if|until|unless)\b", re.I)
TIMES = re.compile(r"\s?(?:times\b|-?fold\b|[x\u00d7]\b)")
KINDS_OF_N = re.compile(
    r"\s(?:\w+\s)?(?:pairs?|texts?|documents?|samples?|prompts?|people|persons|readers|words|items|articles|sentences|"
    r"completions|tokens|characters|tries|trials|models?)\b"
)
# What may stand behind a whole number that tells a measurement; a noun there says that something was counted.
MORE_OF_A_LIST = re.compile(r"(?:\s?(?:,|and|or|to|[-\u2013])\s?\d[\d.,]*)+")
NO_NOUN = re.compile(
    r"\s*(?:$|[.,;:!?)(\]\[\u2014\u2013]|(?:on|in|for|with|under|at|and|or|but|to|against|when|while|after|before|by|from|than|as|"
    r"which|that|is|was|per|if|where|here)\b)"
)


@dataclasses.dataclass(frozen=True)
class _Context:
    """What a number stands among: other numbers, the records it is cited from, others, and those told no number."""

    sentence: Sentence
    numbers: Sequence[ParsedNumber]
    cited: list[RecordNumbers]
    others: list[RecordNumbers]
    mute: list[RecordNumbers]
    cites_a_reading: bool
    is_explained: bool


def number_findings(section: Section, sentence: Sentence, held: Mapping[str, RecordNumbers]) -> Iterator[Finding]:
    """Yield what is to be said about the numbers of a sentence.

    Parameters
    ----------
    section : Section
    sentence : Sentence
        Of its text.
    held : mapping of str to RecordNumbers
        The cited records of the ledger, by id.
    """
    found = numbers(sentence.bare)
    starts = [start for start, _, _ in sentence.groups]
    belongs = [_group_of(number, starts) for number in found]
    contexts = _contexts(sentence, held, found, belongs)
    for written, group_index in zip(found, belongs, strict=True):
        at = functools.partial(finding_at, section, sentence.start + written.start, sentence.start + written.end)
        if group_index is None and _lacks_source(written, sentence, held):
            says = f"Where does {written.words} come from? Cite the record or the reading behind it."
            yield at("number without source", HINT, says)
        elif (
            group_index is not None
            and contexts[group_index].cited
            and not _follows_a_reading(written, sentence, group_index)
        ):
            yield from _compared(written, contexts[group_index], at)


def _group_of(written: ParsedNumber, starts: Sequence[int]) -> int | None:
    """Return which citation a number is cited from: the first after it, else the last before it."""
    index = bisect.bisect_left(starts, written.end)
    return index if index < len(starts) else index - 1 if starts else None


def _follows_a_reading(written: ParsedNumber, sentence: Sentence, group_index: int) -> bool:
    """Tell whether the citation before a number is a reading's: "OpenAI [@openai2019aug] asks for 99.9 %"."""
    start, _, _ = sentence.groups[group_index]
    return group_index > 0 and written.end <= start and _has_a_reading(sentence.groups[group_index - 1][2])


def _contexts(
    sentence: Sentence, held: Mapping[str, RecordNumbers], found: Sequence[ParsedNumber], belongs: Sequence[int | None]
) -> list[_Context]:
    groups = [keys for _, _, keys in sentence.groups]
    cited = [[held[key] for key in keys if key in held] for keys in groups]
    owned = [
        group_index is not None and _is_own(number, cited[group_index])
        for number, group_index in zip(found, belongs, strict=True)
    ]
    explained_groups, with_numbers = set(itertools.compress(belongs, owned)), set(belongs)
    first = cited[:MOST_GROUPS]
    mute = [
        cited_record
        for group_index, group in enumerate(first)
        if group_index not in with_numbers
        for cited_record in group
    ]
    contexts = []
    for group_index, (keys, own) in enumerate(zip(groups, cited, strict=True)):
        others = [cited_record for group in first for cited_record in group if cited_record not in own]
        contexts.append(
            _Context(sentence, found, own, others, mute, _has_a_reading(keys), group_index in explained_groups)
        )
    return contexts


def _is_own(written: ParsedNumber, cited: Sequence[RecordNumbers]) -> bool:
    return any(cited_record.is_value(written) for cited_record in cited)


def _has_a_reading(keys: Sequence[str]) -> bool:
    """Tell whether a reading is cited too: then a number may be of that one."""
    return any(key in readings() for key in keys)


def _compared(written: ParsedNumber, context: _Context, at: At) -> Iterator[Finding]:
    holding = next((cited_record for cited_record in context.cited if cited_record.is_any(written)), None)
    ending = next((cited_record for cited_record in context.cited if cited_record.is_end(written)), None)
    if holding is not None:
        if not context.cites_a_reading:
            yield from _mistaken(written, holding, context, at)
        if holding.is_value(written) and too_exact(holding, written):
            id, description = holding.record.id, holding.description()
            says = f"{written.words} has more digits than its interval can carry: {id} holds {description}."
            yield at("too exact", HINT, says, id)
    elif context.cites_a_reading:
        return
    elif ending is not None and (written.bound in ("", "about") or _is_up_to(written, context)):
        if not _tells_an_interval(written, ending, context) and not _is_another_s(written, context):
            yield _end_as_result(written, ending, context, at)
    elif not _is_excused(written, context):
        yield _other_number(written, context, at)


# -- a number of the record that is not its result ---------------------------------------------------------------------


def _end_as_result(written: ParsedNumber, held: RecordNumbers, context: _Context, at: At) -> Finding:
    id, end = held.record.id, held.which_end(written)
    says = f"{written.words} is {end} and no result: {id} holds {held.description()}."
    return at("interval bound", HINT if _is_up_to(written, context) else FAULT, says, id)


def _is_up_to(written: ParsedNumber, context: _Context) -> bool:
    return bool(UP_TO.search(context.sentence.bare[max(0, written.start - 12) : written.start]))


def _is_another_s(written: ParsedNumber, context: _Context) -> bool:
    """Tell whether a number is a difference, a ratio or the own number of another record of the sentence."""
    if _is_own(written, context.mute):
        return True
    is_compared = _has(COMPARED, context.sentence.bare)
    return is_compared and any(is_derived(written, values) for values in _comparable(written, context))


def _tells_an_interval(written: ParsedNumber, held: RecordNumbers, context: _Context) -> bool:
    """Tell whether words, or the other end beside it, say that a number is an end of an interval."""
    bare, found = context.sentence.bare, list(context.numbers)
    index = found.index(written)
    for low, high in itertools.pairwise(found[max(0, index - 1) : index + 2]):
        if TO_THE_OTHER_END.fullmatch(bare, low.end, high.start) and held.ends(low, high):
            return True
    before = bare[max(0, written.start - 120) : written.start]
    clauses = [clause for clause in CLAUSE.split(before) if clause is not None]
    near = clauses[-1] if clauses[-1].strip() or len(clauses) < 2 else clauses[-2]  # "the lower end, 0.885, is …"
    after = CLAUSE.split(bare[written.end : written.end + 40])[0]
    return bool(OF_AN_INTERVAL.search(near) or OF_AN_INTERVAL.search(after))


def _mistaken(written: ParsedNumber, held: RecordNumbers, context: _Context, at: At) -> Iterator[Finding]:
    """Yield what is to be said about a number that the record holds, and not as its result."""
    if held.is_value(written) or context.is_explained or len(context.cited) > 1:
        return
    id, bare = held.record.id, context.sentence.bare
    before = bare[max(0, written.start - 80) : written.start]
    if written.is_whole and A_RESULT.search(before) and not (written.is_count or written.out_of or written.is_percent):
        if all(value in held.counted for value in written.values) and not _counts(written, context):
            says = f"{written.words} is a count or a setting of {id} and no result: it holds {held.description()}."
            yield at("other number", FAULT, says, id)
    elif row := held.row_of(written):
        words = {word.lower() for word in re.findall(r"[^\W_]{3,40}", row)}
        words -= {word.lower() for word in re.findall(r"[^\W_]{3,40}", held.record.of)}
        if not words & {word.lower() for word in re.findall(r"[^\W_]{3,40}", context.sentence.text)}:
            says = (
                f"{written.words} is in row \u201c{row}\u201d of the table of {id}; its result is {held.description()}."
            )
            yield at("other row", HINT, says, id)


def _other_number(written: ParsedNumber, context: _Context, at: At) -> Finding:
    id = context.cited[0].record.id
    holds = "; ".join(
        f"{cited_record.record.id} holds {cited_record.description()}" for cited_record in context.cited[:3]
    )
    swapped = next((cited_record for cited_record in context.others if cited_record.is_value(written)), None)
    if swapped is not None:
        says = f"{written.words} is the number of {swapped.record.id}, and stands with another citation: {holds}."
        return at("other number", FAULT, says, id)
    is_another_thing = _is_plain(written) and (context.is_explained or _counts(written, context))
    if is_another_thing or _has(OTHERS, context.sentence.bare) or _has(EXPECTED, context.sentence.bare):
        says = f"{written.words} is not in the record that is cited: {holds}. If it is from elsewhere, say from where."
        return at("other number", HINT, says, id)
    bound = {"above": "more than ", "below": "less than "}.get(written.bound, "")
    return at("other number", FAULT, f"You write {bound}{written.words}, but {holds}.", id)


# -- what contradicts nothing ------------------------------------------------------------------------------------------


def _is_excused(written: ParsedNumber, context: _Context) -> bool:
    """Tell whether a number that the record does not hold contradicts nothing all the same."""
    bare, cited = context.sentence.bare, context.cited
    if written.bound in ("above", "below") and (
        _has(DENIED, bare) or any(cited_record.bears_out(written) for cited_record in cited)
    ):
        return True
    if _is_own(written, context.mute):
        return True  # "0.89 and 0.75 for words [@E-07f3] and for ranks [@E-1a2b], respectively"
    if _is_reference(written) and (context.is_explained or _has(CHANCE, bare)):
        return True
    if written.out_of > 0:
        wholes = {cited_record.record.n for cited_record in cited} | {10, 100, 1000}
        return (
            context.is_explained
            or written.out_of not in wholes
            or not any(cited_record.is_share for cited_record in cited)
        )
    if context.is_explained and _has(EXPECTED, bare):
        return True
    if _is_plain(written) and (context.is_explained or _counts(written, context)):
        is_of_n = KINDS_OF_N.match(context.sentence.text, context.sentence.start + written.end)
        if written.values[0] < FEWEST or (context.is_explained and not is_of_n):
            return True
    if _has(COMPARED, bare) and any(is_derived(written, values) for values in _comparable(written, context)):
        return True
    if TIMES.match(context.sentence.text, context.sentence.start + written.end):
        return not any(cited_record.record.unit == "times" for cited_record in cited)
    if _has(WIDTH, bare) and any(is_width(written, cited_record) for cited_record in cited):
        return True
    before = bare[max(0, written.start - 12) : written.start]
    if P_VALUE.search(before) and any(set(written.values) & cited_record.p_values for cited_record in cited):
        return True
    return bool(_has(LEFT_OVER, bare)) and any(is_rest(written, cited_record) for cited_record in cited)


def _comparable(written: ParsedNumber, context: _Context) -> list[list[float]]:
    """Return what a number may be the difference or the ratio of: the records' own, and others of the sentence."""
    others = [number for number in context.numbers[: MOST_COMPARED + 1] if number is not written]
    values_by_unit = [
        [number.values[0] for number in others if number.is_percent == is_percent] for is_percent in (False, True)
    ]
    return [[cited_record.value for cited_record in (*context.cited, *context.others)], *values_by_unit]


def _is_plain(written: ParsedNumber) -> bool:
    """Tell whether it is a whole number and nothing else."""
    return written.is_whole and not (written.is_percent or written.is_count or written.out_of)


def _counts(written: ParsedNumber, context: _Context) -> bool:
    """Tell whether a noun stands behind a number, which then counts something: 300 prompts."""
    text, end = context.sentence.text, context.sentence.start + written.end
    after = MORE_OF_A_LIST.match(text, end)
    end = after.end() if after else end
    about = " ".join(f"{cited_record.record.unit} {cited_record.record.metric}" for cited_record in context.cited)
    noun = re.match(r"\s([A-Za-z]+)", text[end : end + 40])
    return not NO_NOUN.match(text, end) and not (noun and noun[1].lower() in re.findall(r"[a-z]+", about))


def _is_reference(written: ParsedNumber) -> bool:
    factor = 100 if written.is_percent else 1
    return any(value == factor * reference for value in written.values for reference in REFERENCES)


def _lacks_source(written: ParsedNumber, sentence: Sentence, held: Mapping[str, RecordNumbers]) -> bool:
    """Tell whether a share or a decimal stands in a paragraph that cites nothing it could come from."""
    if not written.is_percent and (written.is_whole or written.is_count):
        return False
    if _has(EXPECTED, sentence.bare) or _has(PLANNED, sentence.bare):
        return False
    if _is_reference(written) and (_has(CHANCE, sentence.bare) or written.values[0] == 100):
        return False
    keys = _cited_within(sentence.text, *sentence.paragraph)
    cited = [held[key] for key in keys if key in held]
    return not _has_a_reading(keys) and not any(
        cited_record.is_any(written) or cited_record.is_end(written) for cited_record in cited
    )


@functools.lru_cache(maxsize=64)
def _has(pattern: re.Pattern[str], sentence: str) -> bool:
    return pattern.search(sentence) is not None


@functools.lru_cache(maxsize=64)
def _cited_within(text: str, start: int, end: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for _, _, key in citations(text[start:end])))[:MOST_GROUPS]
