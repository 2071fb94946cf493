"""The claim checker is silent about what is true, and finds what is not at the exact words."""

import dataclasses
import random
import time

import pytest

from course_utils.evidence.claims import FAULT, HINT, Finding, check
from course_utils.evidence.prose import Essay, Section
from course_utils.evidence.readings import find_quotation, readings
from course_utils.evidence.record import Record, seal
from course_utils.grading.samples import load_samples, sample_ledger

FILLER = "This sentence only fills the section, and it says in many plain words nothing that a record could deny. "


def record(value: float = 0.8912, *, taken: tuple = (), **more: object) -> Record:
    """A record as a ledger would hold it."""
    measured = {
        "finding": "A detector was tried.", "note": "", "metric": "auc", "of": "words", "unit": "AUC", "low": None, "high": None,
        "n": None, "row": None, "experiment": "", "inputs": None, "settings": {}, "models": {}, "seed": None, "rows": [], "versions": {},
    }  # fmt: skip
    return seal({**measured, "value": value, **more}, "2026-01-01T00:00:00Z", "0" * 64, taken)


def essay(thesis: str = "", **texts: str) -> Essay:
    """An essay in which nothing is missing, with these texts in it."""
    base = {key: f"{FILLER * 8}[@{key}]" for key in readings()}
    base |= {"thesis": thesis or FILLER, "counter": FILLER * 8, "recommendation": FILLER}
    keys = ("thesis", *readings(), "counter", "recommendation")
    return Essay(tuple(Section(key, key, texts.get(key, base[key])) for key in keys), "Staged release")


def found(text: str, *records: Record, kinds: tuple[str, ...] = ()) -> list[Finding]:
    """What is said about the thesis."""
    everything = check(essay(text), records, (1, 10_000))
    return [each for each in everything if each.section == "thesis" and (not kinds or each.kind in kinds)]


def numbers_of(text: str, *records: Record) -> list[Finding]:
    """What is said about the numbers of a text that stands alone."""
    return [each for each in check(Essay((Section("thesis", "", text),)), records) if each.kind == "other number"]


NUMBERS = ("other number", "number without source", "too exact")
A = record(0.8912, low=0.802, high=0.941, n=47)
B = record(0.7481, low=0.631, high=0.851, n=47, of="other words")
SHARE = record(0.3117, unit="share", metric="rate", low=0.25, high=0.38, n=200)
FALL = record(-0.1034, unit="bits", metric="difference", low=-0.21, high=0.03)
FAR = record(0.95, low=0.93, high=0.97)


# -- true sentences ----------------------------------------------------------------------------------------------------

TRUE = [
    ("The AUC was 0.89 [@{A}].", A), ("An AUC of 0.891 (0.80 to 0.94, n = 47) [@{A}] is high.", A), ("It was about 0.9 [@{A}].", A),
    ("With an AUC of 0.9 [@{A}], GPT-2's 124M model, at top-k 40 and p = 0.95, was caught on 14 February 2019.", A),
    ("Of 47 pairs [@{A}] most were caught.", A), ("31 % of the texts [@{SHARE}]", SHARE), ("31.2% (25 to 38 %) [@{SHARE}]", SHARE),
    ("A share of 0.31 [@{SHARE}]", SHARE), ("31 of 100 texts [@{SHARE}]", SHARE), ("about 30 percent [@{SHARE}]", SHARE),
    ("It changed by −0.10 [@{FALL}].", FALL), ("It fell by 0.10 bits [@{FALL}].", FALL), ("It changed by -0.103 (-0.21 to 0.03) [@{FALL}].", FALL),
    ("The AUC was 0,89 [@{A}].", A), ("In reading 2, section 3, stage 4 of 4, a 95 % interval is told [@{A}].", A),
    ("[@{A}] told me 0.89, and that is that.", A), ("As the first of three reasons [@{A}] shows.", A), ("The 1.5B model of 2019 [@{A}].", A),
    ("OpenAI needs 99.9 % [@openai2019aug].", A), ("My 0.89 [@{A}] is below the 99.9 % that OpenAI asks for [@openai2019aug].", A),
    ("Over 0.8 [@{A}] is a lot.", record(0.8912, low=0.80, high=0.94)),
]  # fmt: skip


def named(text: str) -> str:
    for name, each in (("A", A), ("B", B), ("SHARE", SHARE), ("FALL", FALL), ("FAR", FAR)):
        text = text.replace(f"{{{name}}}", each.id)
    return text


@pytest.mark.parametrize(("text", "cited"), TRUE, ids=lambda each: str(each)[:40])
def test_a_true_sentence_is_left_alone(text, cited):
    text = named(text).replace(A.id, cited.id) if cited not in (SHARE, FALL) else named(text)
    assert [each for each in found(text, cited, kinds=NUMBERS) if each.severity == FAULT] == []


def written(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def test_any_rounding_of_the_records_number_is_true_and_two_units_off_is_not():
    dice = random.Random(5)
    for _ in range(300):
        value = dice.choice([dice.uniform(0.01, 1), dice.uniform(1, 100), dice.uniform(100, 9999)])
        one = record(value)
        for digits in range(1, 6):
            text = written(value, digits)
            assert numbers_of(f"It was {text} [@{one.id}].", one) == [], (value, text)
            for off in (2, -2, 5, 37):
                other = written(round(value, digits) + off * 10.0**-digits, digits)
                if float(other) <= 0 or abs(float(other)) == abs(float(text)):
                    continue
                wrong = numbers_of(f"It was {other} [@{one.id}].", one)
                assert [each.quote for each in wrong] == [other], (value, other)
                assert wrong[0].severity == FAULT and wrong[0].evidence == one.id


def test_a_share_may_be_told_as_a_percentage_with_any_rounding():
    dice = random.Random(6)
    for _ in range(100):
        one = record(dice.random(), unit="share")
        for digits in (0, 1, 2):
            text = f"{100 * one.value:.{digits}f} %"
            assert numbers_of(f"It was {text} [@{one.id}].", one) == [], (one.value, text)
            wrong = f"{100 * one.value + 7:.{digits}f} %"
            assert len(numbers_of(f"It was {wrong} [@{one.id}].", one)) == 1, (one.value, wrong)


# -- false ones --------------------------------------------------------------------------------------------------------

FALSE = [
    ("The AUC was 0.98 [@{A}].", "other number", FAULT, "0.98"), ("It reached 98 % [@{SHARE}].", "other number", FAULT, "98 %"),
    ("Counted on n = 52 [@{A}].", "other number", FAULT, "52"), ("Of 300 people [@{A}]", "other number", HINT, "300"),
    ("It was 0.891234 [@{A}].", "other number", FAULT, "0.891234"), ("It was 0.8912 [@{A}].", "too exact", HINT, "0.8912"),
    ("First 0.75 [@{A}], then 0.75 [@{B}].", "other number", FAULT, "0.75"), ("Nearly 40 % believe it.", "number without source", HINT, "40 %"),
    ("It stands in [@E-dead].", "unknown evidence", FAULT, "[@E-dead]"), ("It stands in E-beef.", "unfinished citation", FAULT, "E-beef"),
    ("It stands in (@E-BEEF).", "unfinished citation", FAULT, "@E-BEEF"), ("So says [@zang2019].", "unknown reading", FAULT, "[@zang2019]"),
    ("They say “nothing of the kind was ever written anywhere”.", "unknown quotation", HINT, "“nothing of the kind was ever written anywhere”"),
    ("“Coordination is difficult, but it is possible.” [@openai2019aug]", "quotation", HINT, "“Coordination is difficult, but it is possible.”"),
    ("Zhang: “Coordination is difficult, but possible.” [@zhang2019]", "quotation", FAULT, "“Coordination is difficult, but possible.”"),
    ("> Coordination is difficult, but possible. [@zhang2019]", "quotation", FAULT, "> Coordination is difficult, but possible. [@zhang2019]"),
    ("0.75 [@{B}] is higher than 0.89 [@{A}].", "comparison", FAULT, "higher"), ("0.89 [@{A}] is lower than 0.75 [@{B}].", "comparison", FAULT, "lower"),
    ("0.89 [@{A}] is twice that of 0.75 [@{B}].", "comparison", FAULT, "twice"), ("It rose from 0.89 [@{A}] to 0.75 [@{B}].", "comparison", FAULT, "rose"),
    ("0.89 [@{A}] is worse than 0.75 [@{B}].", "comparison", FAULT, "worse"),
    ("0.89 [@{A}] is higher than 0.75 [@{B}].", "overlapping intervals", HINT, "higher"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "severity", "quote"), FALSE, ids=lambda each: str(each)[:40])
def test_what_is_wrong_is_found_at_its_words(text, kind, severity, quote):
    text = named(text)
    told = [each for each in found(text, A, B, SHARE, FALL) if each.kind == kind]
    assert [(each.severity, each.quote, text[each.start : each.end]) for each in told] == [(severity, quote, quote)]
    assert told[0].says.endswith((".", "?", "”")) and len(told[0].says) < 400


def test_a_number_cited_from_the_other_record_is_told_as_that():
    told = found(named("First 0.75 [@{A}], then 0.89 [@{B}]."), A, B, kinds=("other number",))
    assert f"0.75 is the number of {B.id}" in told[0].says


@pytest.mark.parametrize(
    "text",
    [
        "0.95 [@{FAR}] is higher than 0.75 [@{B}].", "0.75 [@{B}] is lower than 0.95 [@{FAR}].", "It fell from 0.95 [@{FAR}] to 0.75 [@{B}].",
        "0.75 [@{B}] is not higher than 0.95 [@{FAR}].", "Whether 0.75 [@{B}] is higher than 0.95 [@{FAR}] is asked.",
        "With more than half of the words, 0.95 [@{FAR}] and 0.75 [@{B}] were reached.", "0.95 [@{FAR}] and 0.75 [@{B}], no more.",
        "0.95 [@{FAR}] is better than 0.75 [@{B}].", "Less than a tenth gave 0.95 [@{FAR}], and 0.75 [@{B}] the rest.",
    ],
)  # fmt: skip
def test_a_comparison_that_holds_or_is_none_is_left_alone(text):
    assert found(named(text), B, FAR, kinds=("comparison", "overlapping intervals")) == []


def test_records_of_different_kinds_are_not_compared():
    other = record(5.0, metric="bits_per_character", unit="bits")
    assert found(f"0.89 [@{A.id}] is higher than 5.0 [@{other.id}].", A, other, kinds=("comparison",)) == []


def test_low_perplexity_is_better():
    low, high = record(20.0, metric="perplexity", unit=""), record(30.0, metric="perplexity", unit="", of="b")
    assert found(f"20.0 [@{low.id}] is better than 30.0 [@{high.id}].", low, high, kinds=("comparison",)) == []
    assert len(found(f"30.0 [@{high.id}] is better than 20.0 [@{low.id}].", low, high, kinds=("comparison",))) == 1


@pytest.mark.parametrize("reading", readings().values(), ids=str)
def test_every_known_quotation_is_known_whole_in_part_and_with_other_signs(reading):
    for quotation in reading.quotations:
        words = quotation.split()
        for text in (quotation, " ".join(words[1:-1]), quotation.replace("'", "’").replace(",", " ,").upper()):
            assert find_quotation(text) == reading.key
        told = found(f"It says “{quotation}” [@{reading.key}].", kinds=("quotation", "unknown quotation"))
        assert told == []


def test_a_few_words_in_quotation_marks_are_no_quotation():
    assert found("The “staged release” of “2019”.", kinds=("quotation", "unknown quotation")) == []


# -- the whole essay ---------------------------------------------------------------------------------------------------


def kinds(essay_: Essay, *records: Record, words: tuple[int, int] = (1, 10_000)) -> set[tuple[str, str]]:
    return {(each.kind, each.section) for each in check(essay_, records, words)}


def test_an_essay_in_which_nothing_is_missing_has_no_fault():
    told = check(essay(f"It was 0.89 [@{A.id}]."), [A], (1, 10_000))
    assert [each for each in told if each.severity == FAULT] == []


@pytest.mark.parametrize("key", readings())
def test_a_reading_that_is_not_met_is_missed(key):
    assert ("reading not engaged", key) in kinds(essay(**{key: "It is short."}))
    assert ("reading not engaged", key) in kinds(essay(**{key: FILLER * 8}))


def test_what_an_essay_needs_is_missed():
    assert ("no counter-argument", "counter") in kinds(essay(counter="None."))
    assert ("empty section", "recommendation") in kinds(essay(recommendation=""))
    assert ("strategy", "") in kinds(dataclasses.replace(essay(), strategy=" "))
    assert ("no evidence", "") in kinds(essay(), A)
    assert ("unused evidence", "") in kinds(essay(), A)
    assert ("repeated sentence", "thesis") in kinds(essay(FILLER + FILLER))


@pytest.mark.parametrize("off", [-300, -1, 0, 1, 300])
def test_the_length_is_compared_with_what_is_asked(off):
    n = essay().n_words
    told = [each.says for each in check(essay(), [], (n + off, n + off)) if each.kind == "word count"]
    assert bool(told) == (off != 0)
    assert not told or f"{abs(off)} too {'few' if off > 0 else 'many'}" in told[0]


def test_comments_and_code_are_no_part_of_an_essay():
    assert found(f"{FILLER}\n\n<!-- 0.98 [@E-dead] -->\n\n```\n0.98 [@E-beef]\n```", A) == []


def test_the_strong_samples_stand_and_the_flaws_of_the_weak_one_are_found():
    from course_utils.evidence.ledger import read

    records = read(sample_ledger()).records
    faults = {
        sample.name: [each.kind for each in check(sample.essay, records) if each.severity == FAULT]
        for sample in load_samples()
    }
    assert faults["one"] == faults["three"] == []
    assert {"other number", "unknown evidence", "word count"} <= set(faults["two"])


@pytest.mark.parametrize(
    "text",
    [
        "[@" * 30_000,
        "0.1 " * 30_000,
        "“" * 30_000,
        "1,234" * 30_000,
        "than " * 30_000,
        "more " * 30_000,
        "[@E-07f3] " * 5_000,
        "> x\n" * 20_000,
        "a" * 1_000_000,
    ],
    ids=lambda text: text[:6],
)
def test_no_essay_takes_long(text):
    begun = time.monotonic()
    check(essay(text), [A, B])
    assert time.monotonic() - begun < 10
