"""The claim checker is silent about what is true, and finds what is not at the exact words."""

import dataclasses
import random
import time

import pytest
from made_claims import FILLER, RECORDS, essay, found, named, record

from course_utils.evidence.claims.check import FAULT, HINT, check
from course_utils.evidence.essay.essay import Essay, Section
from course_utils.evidence.essay.readings import find_quotation, readings
from course_utils.evidence.ledger.ledger import append, read
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.grading.marking.sample_essays import load_samples, sample_ledger

QUOTATIONS = ("quotation", "unknown quotation")
COMPARISONS = ("comparison", "overlapping intervals")
CITATIONS = ("unknown evidence", "unknown reading", "unfinished citation")


def told(text: str, *kinds: str, section: str = "thesis") -> list[tuple[str, str, str]]:
    """Kind, severity and words of each finding, which must stand where it says."""
    text = named(text)
    all_ = [each for each in found(text, section=section) if not kinds or each.kind in kinds]
    for each in all_:
        assert text[each.start : each.end] == each.quote != ""
        assert each.says[0].isupper() or not each.says[0].isalpha()
        assert each.says.endswith((".", "?", "”")) and len(each.says) < 500
    return [(each.kind, each.severity, each.quote) for each in all_]


# -- citations ---------------------------------------------------------------------------------------------------------

WRONG_CITATIONS = [
    ("It stands in [@E-dead].", "unknown evidence", "[@E-dead]"),
    ("It stands in E-beef.", "unfinished citation", "E-beef"),
    ("It stands in (@E-BEEF).", "unfinished citation", "@E-BEEF"),
    ("It stands in [@E-BEEF].", "unfinished citation", "[@E-BEEF]"),
    ("It stands in [@e-beef].", "unfinished citation", "[@e-beef]"),
    ("It stands in [@E beef].", "unfinished citation", "[@E beef]"),
    ("It stands in [E-12ab].", "unfinished citation", "E-12ab"),
    ("So says [@zang2019].", "unknown reading", "[@zang2019]"),
    ("So says [@Zhang2019].", "unknown reading", "[@Zhang2019]"),
    ("So says [@Zhang 2019].", "unknown reading", "[@Zhang 2019]"),
    ("So says [@openai2019].", "unknown reading", "[@openai2019]"),
    ("So says [@radford2019; @zhang2019].", "unknown reading", "[@radford2019; @zhang2019]"),
    ("So says [@ zhang2019].", "unknown reading", "[@ zhang2019]"),
    ("So says @zhang2019.", "unfinished citation", "@zhang2019"),
    ("So says [zhang2019].", "unfinished citation", "[zhang2019]"),
    ("So says (zhang2019).", "unfinished citation", "(zhang2019)"),
    ("So says [@zhang2019 in the opening.", "unfinished citation", "[@zhang2019"),
    ("So says [@].", "unfinished citation", "[@]"),
]


@pytest.mark.parametrize(("text", "kind", "quote"), WRONG_CITATIONS, ids=lambda each: str(each)[:30])
def test_a_citation_that_leads_nowhere_is_found(text, kind, quote):
    assert told(text, *CITATIONS) == [(kind, FAULT, quote)]


@pytest.mark.parametrize(
    "text",
    [
        "So [@A].", "So [@A; @zhang2019].", "So [@zhang2019, opening].", "So [@openai2019aug §3].",
        "So [@A;\n@zhang2019].", "So [@A, @zhang2019].", "Mail a@zhang.org.",
        "Zhang 2019 and OpenAI (August 2019) disagree, and (Radford 2019) too.",
        "An e-cafe and an e-added thing.", "<!-- [@E-dead] -->", "```\n[@E-dead]\n```", "See [a link](https://e.org).",
    ],
)  # fmt: skip
def test_a_citation_that_leads_somewhere_is_left_alone(text):
    assert told(text, *CITATIONS) == []


def test_a_record_that_is_cited_may_be_called_by_its_id():
    id = RECORDS["A"].id
    assert told(f"It stands in [@A], and {id} is mine.", *CITATIONS) == []
    assert told(f"It stands in {id}, which is mine.", *CITATIONS) == [("unfinished citation", FAULT, id)]


@pytest.mark.parametrize("place", range(2, 6))
def test_the_nearest_id_is_told(place):
    id = RECORDS["A"].id
    wrong = id[:place] + ("0" if id[place] != "0" else "1") + id[place + 1 :]
    (finding,) = [each for each in found(f"So [@{wrong}].") if each.kind == "unknown evidence"]
    assert finding.evidence == wrong and id in finding.says.partition("Did you mean")[2]


def test_the_nearest_reading_is_told():
    for wrong, right in (("zang2019", "zhang2019"), ("Zellers2019", "zellers2019"), ("openai2019", "openai2019feb")):
        (finding,) = [each for each in found(f"So [@{wrong}].") if each.kind == "unknown reading"]
        assert right in finding.says.partition("Did you mean")[2]


@pytest.mark.parametrize("quote", ["TODO", "*Write here.*", "???", "Lorem ipsum", "[citation needed]", "XXX"])
def test_what_was_left_over_is_found(quote):
    assert told(f"It is so, {quote} and more.", "placeholder") == [("placeholder", FAULT, quote)]


def test_a_character_that_nobody_sees_is_told_once():
    assert told("It was\u202e 0.89\u200b so.", "unseen character") == [("unseen character", HINT, "\u202e")]


# -- comparisons -------------------------------------------------------------------------------------------------------

WRONG_COMPARISONS = [
    ("0.75 [@B] is higher than 0.95 [@FAR].", "higher"),
    ("0.95 [@FAR] is lower than 0.75 [@B].", "lower"),
    ("0.75 [@B] is larger than 0.95 [@FAR].", "larger"),
    ("0.95 [@FAR] is smaller than 0.75 [@B].", "smaller"),
    ("0.75 [@B] is more than 0.95 [@FAR].", "more"),
    ("62 % [@TWICE] is less than 31 % [@SHARE].", "less"),
    ("1.64 bits [@BITS] are more than 2.00 [@MORE].", "more"),
    ("0.95 [@FAR] is twice that of 0.75 [@B].", "twice"),
    ("0.75 [@B] is 3 times as high as 0.95 [@FAR].", "3 times"),
    ("62 % [@TWICE] is three times as much as 31 % [@SHARE].", "three times"),
    ("62 % [@TWICE] is half of 31 % [@SHARE].", "half"),
    ("62 % [@TWICE] is double the 52 % [@SHARE].", "double"),
    ("It rose from 0.95 [@FAR] to 0.75 [@B].", "rose"),
    ("It rose to 0.75 [@B] from 0.95 [@FAR].", "rose"),
    ("The perplexity fell from 31 [@P] to 53 [@Q].", "fell"),
    ("52.8 [@Q] is better than 31.4 [@P].", "better"),
    ("31.4 [@P] is worse than 52.8 [@Q].", "worse"),
    ("2.00 [@MORE] is better than 1.64 [@BITS].", "better"),
    ("A detector with 0.75 [@B] is better than one with 0.95 [@FAR].", "better"),
]


@pytest.mark.parametrize(("text", "word"), WRONG_COMPARISONS, ids=lambda each: str(each)[:40])
def test_a_comparison_that_the_values_contradict_is_found_at_its_word(text, word):
    expected = [] if "double" in text else [("comparison", FAULT, word)]
    assert told(text, *COMPARISONS) == expected


TRUE_COMPARISONS = [
    "0.95 [@FAR] is higher than 0.75 [@B].",
    "0.75 [@B] is lower than 0.95 [@FAR].",
    "0.95 [@FAR] is more than 0.75 [@B].",
    "62 % [@TWICE] is twice as much as 31 % [@SHARE].",
    "31 % [@SHARE] is half of 62 % [@TWICE].",
    "62 % [@TWICE], twice the 31 % [@SHARE] of before.",
    "It fell from 0.95 [@FAR] to 0.75 [@B].",
    "It rose to 0.95 [@FAR] from 0.75 [@B].",
    "31.4 [@P] is better than 52.8 [@Q].",
    "1.64 [@BITS] is better than 2.00 [@MORE].",
    "The larger model is better: 1.64 bits [@BITS] against 2.00 [@MORE].",
    # What is not denied, asked, supposed, or about something else, is not judged.
    "0.75 [@B] is not higher than 0.95 [@FAR].",
    "0.75 [@B] isn't higher than 0.95 [@FAR].",
    "Whether 0.75 [@B] is higher than 0.95 [@FAR] is asked.",
    "Is 0.75 [@B] higher than 0.95 [@FAR]?",
    "I expected 0.75 [@B] to be higher than 0.95 [@FAR].",
    "Higher than 0.75 [@B] was 0.95 [@FAR].",
    "The larger model needs fewer bits (1.64) [@BITS] than the smaller one (2.00) [@MORE].",
    "The smaller model wrote more human-looking text than the larger: 0.75 [@B] against 0.95 [@FAR].",
    "A larger model is better than a smaller one: 0.95 [@FAR] against 0.75 [@B].",
    "An increase in size from 124M to 1.5B lowers the perplexity from 52.8 [@Q] to 31.4 [@P].",
    "With more than half of the words, 0.95 [@FAR] and 0.75 [@B] were reached.",
    "0.75 [@B] came from more than half of the texts, 0.95 [@FAR] from the rest.",
    "0.95 [@FAR] and 0.75 [@B], no more.",
    "62 % [@TWICE] against 31 % [@SHARE]: half the texts fell.",
    "I ran it three times and got 0.95 [@FAR] and 0.75 [@B].",
    "Longer texts gave 0.95 [@FAR], shorter ones than before 0.75 [@B].",
    "0.75 [@B] is better than 0.95 [@FAR] for whoever hides.",
    "0.89 [@A] is higher than 31.4 [@P].",
    "0.75 [@B] is higher than chance and lower than 0.95 [@FAR].",
    "0.89 [@A] is higher than 0.75 [@B], but the intervals overlap.",
]


@pytest.mark.parametrize("text", TRUE_COMPARISONS)
def test_a_comparison_that_holds_or_is_none_is_left_alone(text):
    assert told(text, *COMPARISONS) == []


def test_a_difference_within_the_intervals_is_told_as_that():
    assert told("0.89 [@A] is higher than 0.75 [@B].", *COMPARISONS) == [("overlapping intervals", HINT, "higher")]


def test_any_two_values_are_compared_as_they_are():
    dice = random.Random(3)
    for _ in range(200):
        one, other = record(dice.uniform(0, 1)), record(dice.uniform(0, 1), of="other")
        word, is_up = dice.choice([("higher", True), ("lower", False), ("greater", True), ("smaller", False)])
        text = f"The one [@{one.id}] is {word} than the other [@{other.id}]."
        wrong = [each for each in found(text, one, other) if each.kind == "comparison"]
        assert bool(wrong) == ((one.value > other.value) != is_up)


# -- quotations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", readings().values(), ids=lambda reading: reading.key)
def test_every_known_quotation_is_known_whole_in_part_and_with_other_signs(reading):
    for quotation in reading.quotations:
        words = quotation.split()
        assert len(words) <= 20
        for text in (quotation, " ".join(words[1:-1]), quotation.replace("'", "’").replace(",", " ,").upper()):
            assert find_quotation(text) == reading.key
        half = len(words) // 2
        for text in (
            f"It says “{quotation}” [@{reading.key}].",
            f'As [@{reading.key}] says, "{quotation}" And more.',
            f"{reading.names[0]} says «{quotation}»",
            f"„{quotation}“ [@{reading.key}]",
            f"> {quotation}\n\nSo says [@{reading.key}].",
            f"“{' '.join(words[:half])}\n{' '.join(words[half:])}” [@{reading.key}]",
            f"“{' '.join(words[:half])} […] {words[-1]}” [@{reading.key}]",
        ):
            assert told(text, *QUOTATIONS) == [], text


def test_the_readings_are_whole():
    assert list(readings()) == ["openai2019feb", "zhang2019", "openai2019aug", "zellers2019"]
    for number, each in enumerate(readings().values(), start=1):
        assert each.number == f"reading {number}" and each.url.startswith("https://") and each.names
        assert len(each.tags) == len(each.quotations) and set(each.tags) <= {"V", "V2", "SEED"}


DIFFICULT = "“Coordination is difficult, but possible.”"
WRONG_QUOTATIONS = [
    ("They say “nothing of the kind was ever written anywhere”.", "unknown quotation", HINT, "“nothing of"),
    ('They say "nothing of the kind was ever written".', "unknown quotation", HINT, '"nothing of the kind was ever'),
    ("They say «nothing of the kind was ever written».", "unknown quotation", HINT, "«nothing of the kind was ever"),
    ("> Nothing of the kind was ever written", "unknown quotation", HINT, "> Nothing of the kind was ever"),
    ("“Coordination is difficult, but it is possible.” [@openai2019aug]", "quotation", HINT, "“Coordination is"),
    (f"Zhang: {DIFFICULT} [@zhang2019]", "quotation", FAULT, DIFFICULT),
    (f"Zhang [@zhang2019] says {DIFFICULT}", "quotation", FAULT, DIFFICULT),
    (f"Somebody said {DIFFICULT}", "quotation", HINT, DIFFICULT),
    (f"Somebody said {DIFFICULT}\n\nThey differ [@zhang2019].", "quotation", HINT, DIFFICULT),
    ("> Coordination is difficult, but possible. [@zhang2019]", "quotation", FAULT, "> Coordination is"),
    ("OpenAI called it “too dangerous to release” [@openai2019feb].", "quotation", HINT, "“too dangerous to release”"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "severity", "start"), WRONG_QUOTATIONS, ids=lambda each: str(each)[:30])
def test_words_that_nobody_known_wrote_so_are_found(text, kind, severity, start):
    ((this, how, quote),) = told(text, *QUOTATIONS)
    assert (this, how) == (kind, severity) and quote.startswith(start)


def test_the_exact_wording_is_shown():
    (finding,) = found("“Coordination is difficult, but it is possible.” [@openai2019aug]")
    assert "Coordination is difficult, but possible." in finding.says


@pytest.mark.parametrize(
    "text",
    [
        "The “staged release” of “2019”.", "The “so-called ‘staged’ release” was new.",
        'It is 5" wide, and 6" or 7" high, he said.',
        "Zellers repeats “too dangerous to release” [@zellers2019].", "The press wrote “too dangerous to release”.",
        f"Zhang [@zhang2019] differs. OpenAI says {DIFFICULT} [@openai2019aug].",
        f"{DIFFICULT} [@openai2019aug]. Zhang [@zhang2019] differs.",
        f"OpenAI says {DIFFICULT} It is, says Zhang, too late for that [@zhang2019].",
    ],
)  # fmt: skip
def test_words_that_are_quoted_rightly_are_left_alone(text):
    assert told(text, *QUOTATIONS) == []


def test_what_stands_in_the_own_ledger_may_be_quoted():
    one = record(
        rows=[{"text": "The court said that\nnobody had been there."}], inputs={"prompts": ["It was a dark night"]}
    )
    for quoted in ("The court said that nobody had been there", "it was a dark night"):
        assert [each for each in found(f"It wrote “{quoted}”.", one) if each.kind in QUOTATIONS] == []
    assert len([each for each in found("It wrote “the court said that somebody had”.", one) if each.end]) == 1


# -- the whole essay ---------------------------------------------------------------------------------------------------


def kinds(essay_: Essay, *records, words: tuple[int, int] = (1, 10_000)) -> set[tuple[str, str]]:
    return {(each.kind, each.section) for each in check(essay_, records, words)}


def test_an_essay_in_which_nothing_is_missing_has_no_finding():
    one = RECORDS["A"]
    assert check(essay(f"It was 0.89 [@{one.id}]."), [one], (1, 10_000)) == []


@pytest.mark.parametrize("key", readings())
def test_a_reading_that_is_not_met_is_missed(key):
    assert ("reading not engaged", key) in kinds(essay(**{key: "It is short."}))
    assert ("reading not engaged", key) in kinds(essay(**{key: FILLER * 8}))


def test_what_an_essay_needs_is_missed():
    assert ("no counter-argument", "counter") in kinds(essay(counter="None."))
    assert ("empty section", "recommendation") in kinds(essay(recommendation=""))
    assert ("strategy", "") in kinds(dataclasses.replace(essay(), strategy=" "))
    assert ("no evidence", "") in kinds(essay(), RECORDS["A"])
    assert ("unused evidence", "") in kinds(essay(), RECORDS["A"])


def test_a_sentence_that_comes_twice_is_found_the_second_time():
    text = f"{FILLER}And a short one. And a short one. {FILLER}"
    (finding,) = [
        each for each in check(essay(text), []) if each.kind == "repeated sentence" and each.section == "thesis"
    ]
    assert finding.start == text.rindex("This") and finding.quote == FILLER.strip()


@pytest.mark.parametrize("off", [-300, -1, 0, 1, 300])
def test_the_length_is_compared_with_what_is_asked(off):
    n = essay().n_words
    says = [each.says for each in check(essay(), [], (n + off, n + off)) if each.kind == "word count"]
    assert bool(says) == (off != 0)
    assert not says or f"{abs(off)} too {'few' if off > 0 else 'many'}" in says[0]


def test_a_ledger_as_the_course_writes_it_is_compared(tmp_path):
    path = tmp_path / "evidence.jsonl"
    one = append({**base_rates([0.9], [0.01]).record(), "note": ""}, path, lambda _: None)
    records = read(path).records
    true, false = f"{100 * one.value:.1f} %", f"{100 * one.value + 9:.1f} %"
    for text, n in ((true, 0), (false, 1)):
        findings = check(essay(f"Only {text} of the flags are right [@{one.id}]."), records, (1, 10_000))
        assert len([each for each in findings if each.severity == FAULT]) == n


def test_comments_and_code_are_no_part_of_an_essay():
    assert told(f"{FILLER}\n\n<!-- 0.98 “a b c d” TODO [@E-dead] {FILLER} -->\n\n```\n0.98 [@E-beef]\n```\n") == []


def test_the_samples_are_told_as_they_were_meant():
    records = read(sample_ledger()).records
    found_ = {sample.name: check(sample.essay, records) for sample in load_samples()}
    faults = {name: [each for each in told if each.severity == FAULT] for name, told in found_.items()}
    assert faults["one"] == faults["three"] == faults["four"] == []
    assert {each.quote for each in faults["two"] if each.kind == "other number"} == {"99.5 %", "89 %", "61 %"}
    assert {"unknown evidence", "word count", "reading not engaged"} <= {each.kind for each in faults["two"]}
    for sample in load_samples():
        for each in found_[sample.name]:
            assert sample.essay.section(each.section).text[each.start : each.end] == each.quote


# -- hostile text ------------------------------------------------------------------------------------------------------

PIECES = [
    "[@", "]", "0.1 ", "“", "„", '"', "1,234", "1 234 ", "than ", "more ", "[@E-07f3] ", "[@zhang2018] ", "> x\n",
    "e.g. ", "a. ", "fell from ", "ten of ten ", "reading 1, 2, ", "k = 1, ", "|a|b|\n", "<!--", "```\n", "\u202e0.8 ",
    "\u200b", "1e5 ", "-1", "((", "**", "May 1 ", "https://", "twice as big as ", '"a b c d e" ', "99 % ", "! ", "\n\n",
    "E-abcd1 ", "# ", "x" * 50,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_no_essay_takes_long(piece):
    n = 1_000_000 if piece in ("[@", "0.1 ", "“", "\n\n", "x" * 50) else 80_000
    begun = time.process_time()
    findings = check(essay(piece * (n // len(piece))), [RECORDS["A"], RECORDS["B"]])
    assert time.process_time() - begun < 2
    assert len(findings) < 500


def test_no_text_whatever_stops_the_checker():
    dice = random.Random(7)
    more = [
        "1e999",
        "9" * 400,
        "×10³",
        "²",
        "half ",
        "[@A]",
        "[@B] ",
        "@",
        "\ud800",
        "\x00",
        "٣",
        "½",
        "n = ",
        "\n",
        "% ",
        "/",
        "…",
    ]
    for _ in range(400):
        text = named("".join(dice.choice(PIECES + more) for _ in range(dice.randint(1, 40))))
        for each in check(essay(text, zhang2019=text[::-1]), list(RECORDS.values())):
            section = {"thesis": text, "zhang2019": text[::-1]}.get(each.section)
            assert section is None or section[each.start : each.end] == each.quote


def test_a_section_that_is_longer_than_any_essay_is_told_as_that():
    long = Essay((Section("thesis", "", "word " * 50_000),))
    assert ("very long section", "thesis") in {(each.kind, each.section) for each in check(long, [])}
