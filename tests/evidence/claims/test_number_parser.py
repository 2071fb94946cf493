"""A number that a record holds is left alone however it is rounded; another one is found at its digits."""

import random
import re

import pytest
from made_claims import RECORDS, found, named, record

from course_utils.evidence.claims.check import FAULT, HINT, Finding
from course_utils.evidence.claims.number_parser import numbers

KINDS = ("other number", "number without source", "too exact")


def numbers_of(text: str, *records) -> list[Finding]:
    return [each for each in found(text, *records) if each.kind in KINDS]


# -- rounding ----------------------------------------------------------------------------------------------------------


def values(dice: random.Random) -> float:
    return dice.choice([1, -1]) * dice.choice([dice.uniform(0.002, 1), dice.uniform(1, 100), dice.uniform(100, 1e6)])


def rounded(value: float, n: int) -> tuple[str, float]:
    """A value with n significant digits and no exponent, and one unit of the last of them."""
    place = n - 1 - int(f"{abs(value):e}".partition("e")[2])
    told = round(value, place)
    return f"{told:.{max(place, 0)}f}", 10.0**-place


WAYS = {
    "plain": str,
    "grouped": lambda told: (
        re.sub(r"(?<=\d)(?=(\d{3})+(\.|$))(?<!\.\d)(?<!\.\d\d)", ",", told.partition(".")[0])
        + "".join(told.partition(".")[1:])
    ),
    "narrow space": lambda told: WAYS["grouped"](told).replace(",", "\u202f"),
    "decimal comma": lambda told: told.replace(".", ","),
    "minus sign": lambda told: told.replace("-", "\u2212"),
    "emphasis": lambda told: f"**{told}**",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_rounding_of_the_records_number_is_a_fault(way):
    dice = random.Random(way)
    for _ in range(150):
        one = record(values(dice))
        for n in range(1, 7):
            text = f"It was {WAYS[way](rounded(one.value, n)[0])} [@{one.id}]."
            assert numbers_of(text, one) == [], (one.value, text)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_last_digit_that_is_off_by_two_or_more_is_a_fault_at_its_digits(sign):
    dice = random.Random(5)
    n_tried = 0
    for _ in range(250):
        one = record(abs(values(dice)))
        for n in range(1, 7):
            told, step = rounded(one.value, n)
            other = float(told) + sign * dice.choice([2, 3, 5, 37]) * step
            words = f"{other:.{len(told.partition('.')[2])}f}"
            if other <= 0 or re.fullmatch(r"\d*0", words):
                continue  # what ends in zeros may have been rounded to tens
            wrong = numbers_of(f"It was {words} [@{one.id}].", one)
            assert [(each.quote, each.severity, each.evidence) for each in wrong] == [(words, FAULT, one.id)], one.value
            n_tried += 1
    assert n_tried > 900


def test_a_share_is_told_as_a_percentage_with_any_rounding_and_any_sign_for_it():
    dice = random.Random(6)
    for _ in range(150):
        one = record(dice.uniform(0.001, 0.999), unit="share")
        for digits in (0, 1, 2, 3):
            sign = dice.choice(["%", " %", " percent", " per cent", "\u00a0%"])
            told = f"{100 * one.value:.{digits}f}{sign}"
            assert numbers_of(f"It was {told} [@{one.id}].", one) == [], (one.value, told)
            off = 100 * one.value + dice.choice([12, 25]) * (1 if one.value < 0.5 else -1)
            wrong = numbers_of(f"It was {off:.{digits}f}{sign} [@{one.id}].", one)
            assert [each.severity for each in wrong] == [FAULT], (one.value, off)


def test_powers_of_ten_and_scales_are_read():
    one = record(1_234_567.0)
    for told in ("1.23 million", "1.2 million", "1,235 thousand", "1.23e6", "1.23 × 10^6", "1.23×10⁶", "1,234,567"):
        assert numbers_of(f"It had {told} [@{one.id}].", one) == [], told
    for told in ("1.25 million", "1.23 thousand", "1.23e5", "1.23 × 10^7", "1.25×10⁶", "1,234,569"):
        assert [each.quote for each in numbers_of(f"It had {told} [@{one.id}].", one)] == [told]


# -- numbers that measure, and numbers that name -----------------------------------------------------------------------


NAMES = """
GPT-2 | COVID-19 | the 124M and 1.5B models | 1.5 billion parameters | top-k 40 | top-k of 40 | top-p 0.95
p = 0.95 | k=40 | temperature 0.7 | seed 7 | reading 2 | readings 1 and 2 | nb 3 | notebook 4 | Section 3.1
table 2 | Figure 3 | step 300 | stage 4 of 4 | the 1st, 2nd and 33rd | in 2019 | 14 February 2019
February 14, 2019 | 2019-02-14 | 14.2.2019 | at 12:30 | 40 GB | $50,000 | a 95 % interval | 95 % confidence
40-word texts | 4-grams | six months | 20 minutes | E-1234 | E-1e99 | (1) first, (2) second
https://e.org/12/0.5 | arXiv 1908.09203 | version 2.13.0 | Python 3.11 | one of them | ± 0.05 | § 3 | p. 12
no. 7 | pages 3 to 5 | epoch 3 | Llama 2 | prompt 12 | options 1, 2 and 3 | a threshold of 0.5
"""


@pytest.mark.parametrize("text", re.split(r" \| |\n", NAMES.strip()))
def test_a_number_that_names_something_measures_nothing(text):
    assert [each.words for each in numbers(f"It is {text}.")] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.89 (0.80 to 0.94, n = 47)", ["0.89", "0.80", "0.94", "47"]),
        (".89", [".89"]),
        ("0,89", ["0,89"]),
        ("0.80–0.94", ["0.80", "0.94"]),
        ("[0.80, 0.94]", ["0.80", "0.94"]),
        ("31 of 100", ["31"]),
        ("31/100", ["31"]),
        ("seven of ten", ["seven"]),
        ("ten percent", ["ten percent"]),
        ("99.9 % to 99.99 %", ["99.9 %", "99.99 %"]),
        ("−0.10 and -0.2", ["−0.10", "-0.2"]),
        ("1’234 and 1 234", ["1’234", "1 234"]),
        ("1.5 million", ["1.5 million"]),
    ],
)
def test_a_number_that_measures_something_is_found_whole(text, words):
    assert [each.words for each in numbers(f"It was {text}.")] == words


# -- true sentences ----------------------------------------------------------------------------------------------------

TRUE = [
    "My detector reached an AUC of 0.89 (95 % interval 0.80 to 0.94; n = 47) [@A].",
    "With 0.95 [@FAR] against 0.75 [@B], the difference is 0.20.",
    "The difference of 0.20 between 0.95 [@FAR] and 0.75 [@B] is large.",
    "It rose from 0.75 [@B] to 0.95 [@FAR], by 27 %.",
    "0.95 [@FAR] is 1.27 times 0.75 [@B].",
    "The AUC of 0.89 [@A] is far from the 0.5 of a coin.",
    "An AUC of 1 is perfect and 0.5 is a coin; mine was 0.89 [@A].",
    "0.89 and 0.75 were reached by words [@A] and by ranks [@B], respectively.",
    "Both 0.89 and 0.75 are high [@A; @B].",
    "0.89 (words) and 0.75 (ranks) [@A] [@B].",
    "Both 0.89 and 0.75 are high [@A] and [@B].",
    "Of 200 texts, 31 % [@SHARE] were flagged, and 69 % were not.",
    "31 in 100 texts [@SHARE].",
    "About three in ten texts [@SHARE].",
    "62 of 200 texts, or 31 % [@SHARE].",
    "Thirty percent, roughly [@SHARE].",
    "More than 30 % of texts [@SHARE].",
    "Fewer than half of the texts [@SHARE].",
    "Less than 40 % [@SHARE].",
    "It never rose above 0.95 [@A].",
    "Nearly 0.9 [@A].",
    "It was just under 0.9 [@A].",
    "Over 0.8 [@A].",
    "31.2% (25 to 38 %) [@SHARE].",
    "It lies between 25 and 38 % [@SHARE].",
    "It lies at 25–38 % [@SHARE].",
    "A perplexity of 31 [@P].",
    "With 20 documents and 2 models, the perplexity was 31 [@P].",
    "After 300 steps the perplexity was 31.4 [@P].",
    "The perplexity fell from 53 [@Q] to 31 [@P], by 21 or 40 %.",
    "1.64 bits per character [@BITS] against 2.00 [@MORE]: 0.36 fewer.",
    "It wrote 1,557 tokens a second [@SPEED].",
    "It wrote about 1,600 tokens a second [@SPEED].",
    "It wrote some 1500 tokens a second [@SPEED].",
    "With 95 % accuracy and 1 % machine text, 16.1 % of flags are right [@FLAGS].",
    "One in six flags is right [@FLAGS].",
    "50,000 of a million human texts are flagged [@FLAGS].",
    "84 % of the flags are wrong [@FLAGS].",
    "They are 12 percentage points apart [@APART].",
    "The model has 1.2 million weights [@SIZE].",
    "52 % of items [@SS], where 50 % is no preference.",
    "It changed by −0.10 [@FALL].",
    "It fell by 0.1 bits [@FALL].",
    "I asked 25 classmates and got 0.89 [@A].",
    "My guess was 0.7; it was 0.89 [@A].",
    "It was 0.89 [@A]. I had guessed 0.7.",
    "OpenAI [@openai2019aug] asks for 99.9 %, and I got 0.89 [@A].",
    "My 0.89 [@A] is below the 99.9 % that OpenAI asks for [@openai2019aug].",
    "31 % [@SHARE; @openai2019aug], while OpenAI reports 83 %.",
    "The interval is 0.14 wide: 0.89 (0.80 to 0.94) [@A].",
    "See e.g. Fig. 3, no. 4 and p. 12, where it is 0.89 [@A].",
    "My answer is no. Then it was 0.89 [@A].",
    "- one\n- 0.89 [@A]\n\n1. first\n2. 0.75 [@B]",
    "| 0.89 | [@A] |\n| 0.75 | [@B] |",
    "# 33 reasons\nIt was 0.89 [@A].",
    "It was 0.89. [@A] Then it was 0.75. [@B]",
    "It was 0.89 [@A;\n@zhang2019].",
    "The chance is 50 %.",
    "It fell from 0.95 [@FAR] to 0.75 [@B], a drop of 21 %.",
    "The share fell from 62 % [@TWICE] to 31 % [@SHARE], by half, or 31 points.",
    "With 1 % of a million texts, that is 10,000, some 16 % of the flags are right [@FLAGS].",
    "A 1.5B model is 1,000 times larger than mine with 0.89 [@A].",
    "We should wait until 10 % of the users have it.",
    "On 100 % of the weights nobody agrees.",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_true_sentence_is_left_alone(text):
    assert numbers_of(named(text)) == []


# -- false ones --------------------------------------------------------------------------------------------------------

FALSE = [
    ("The AUC was 0.98 [@A].", FAULT, ["0.98"]),
    ("The AUC was 0.87 [@A].", FAULT, ["0.87"]),
    ("It was 0.89 (0.80 to 0.99) [@A].", FAULT, ["0.99"]),
    ("It was -0.89 [@A].", FAULT, ["-0.89"]),
    ("It was 0,98 [@A].", FAULT, ["0,98"]),
    ("Counted on n = 52 [@A].", FAULT, ["52"]),
    ("More than 0.95 [@A].", FAULT, ["0.95"]),
    ("It was below 0.8 [@A].", FAULT, ["0.8"]),
    ("It reached 98 % [@SHARE].", FAULT, ["98 %"]),
    ("Seven in ten texts [@SHARE].", FAULT, ["Seven"]),
    ("Seventy percent [@SHARE].", FAULT, ["Seventy percent"]),
    ("71 of 100 texts [@SHARE].", FAULT, ["71"]),
    ("More than 40 % [@SHARE].", FAULT, ["40 %"]),
    ("It was 31 % [@SHARE] and 51 % [@FLAGS].", FAULT, ["51 %"]),
    ("The perplexity was 52 [@P].", FAULT, ["52"]),
    ("A perplexity of 25 on stories [@P].", FAULT, ["25"]),
    ("It wrote 2,557 tokens a second [@SPEED].", FAULT, ["2,557"]),
    ("The detector is right in 61 % of the cases [@FLAGS].", FAULT, ["61 %"]),
    ("First 0.75 [@A], then 0.89 [@B].", FAULT, ["0.75", "0.89"]),
    ("First 0.75 [@A], then 0.75 [@B].", FAULT, ["0.75"]),
    ("It is 7.5 times as likely [@RATIO].", FAULT, ["7.5"]),
    ("My share is larger by 55 % [@SHARE].", FAULT, ["55 %"]),
    ("Of 300 people [@SHARE].", HINT, ["300"]),
    ("It was 0.89 on 300 pairs [@A].", HINT, ["300"]),
    ("It was 0.8912 [@A].", HINT, ["0.8912"]),
    ("It was 31.17 % [@SHARE].", HINT, ["31.17 %"]),
    ("Nearly 40 % believe it.", HINT, ["40 %"]),
    ("It reached 0.75.", HINT, ["0.75"]),
]


@pytest.mark.parametrize(("text", "severity", "quotes"), FALSE, ids=lambda each: str(each)[:40])
def test_a_false_number_is_found_at_its_digits(text, severity, quotes):
    text = named(text)
    told = numbers_of(text)
    assert [(each.severity, each.quote) for each in told] == [(severity, quote) for quote in quotes]
    for each in told:
        assert text[each.start : each.end] == each.quote and each.quote in each.says


def test_both_numbers_are_named():
    (wrong,) = numbers_of(named("The AUC was 0.98 [@A]."))
    assert "0.98" in wrong.says and "0.8912" in wrong.says and RECORDS["A"].id in wrong.says


def test_swapped_numbers_are_told_as_swapped():
    one, other = numbers_of(named("First 0.75 [@A], then 0.89 [@B]."))
    assert f"0.75 is the number of {RECORDS['B'].id}" in one.says
    assert f"0.89 is the number of {RECORDS['A'].id}" in other.says


def test_numbers_of_the_table_and_the_settings_may_be_told_and_those_of_the_note_may_not():
    rows = [{"model": "a", "rate": 0.4321, "n": 17}, {"model": "b", "rate": 0.5678, "n": 19}]
    one = record(
        0.91, rows=rows, settings={"deep": {"k": [33, {"p": 0.777}]}}, note="0.222", finding="It was 0.91 (0.6 %)."
    )
    for told in ("0.43", "0.57", "n = 17", "0.78", "33", "0.6 %"):
        assert numbers_of(f"It was {told} [@{one.id}].", one) == [], told
    assert len(numbers_of(f"It was 0.222 [@{one.id}].", one)) == 1
    for told in ("n = 18", "100 %"):  # no count is rounded, and a temperature of 1 is no percentage
        other = record(0.91, rows=[{"rate": 0.4321, "x": 18.2}], settings={"temperature": 1.0})
        assert len(numbers_of(f"It was {told} [@{other.id}].", other)) == 1


def test_a_number_belongs_to_the_first_citation_after_it_else_to_the_last_before_it():
    assert numbers_of(named("[@A] and [@zhang2019], later 0.75 [@B].")) == []
    assert numbers_of(named("0.89 [@A], 0.75 [@B], and 0.95 [@FAR].")) == []
    assert numbers_of(named("So [@A] said, and it was 0.89.")) == []
    assert [each.evidence for each in numbers_of(named("0.33 [@A], then 0.75 [@B].")) if each.severity == FAULT] == [
        RECORDS["A"].id
    ]
