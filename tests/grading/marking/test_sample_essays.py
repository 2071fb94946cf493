"""The sample essays: each level has a reason that points into the essay, and each honest number a real measurement."""

import re

import pytest

from course_utils.core.paths import cache_folder
from course_utils.evidence.claims.check import check
from course_utils.evidence.ledger.ledger import read
from course_utils.evidence.rerun import REPRODUCED, WITHIN, can_rerun, rerun
from course_utils.grading.assignments.rubric import load_rubric
from course_utils.grading.marking.sample_essays import NAMES, load_samples, parse, sample_ledger
from course_utils.models.registry import registry

pytestmark = pytest.mark.slow

SAMPLES = {sample.name: sample for sample in load_samples()}
RUBRIC = load_rubric()
RECORDS = {record.id: record for record in read(sample_ledger()).check().records}
KEYS = ["thesis", "openai2019feb", "zhang2019", "openai2019aug", "zellers2019", "counter", "recommendation"]
READINGS = {"openai2019feb", "zhang2019", "openai2019aug", "zellers2019"}
STRONG, WRONG, SUMMARY = "three", "two", "four"
NO_NEWS_NEEDED = "base_rates", "bias_sentences", "sampling_effects"  # and done again within seconds
A_QUICK_TRIAL = "E-5ee9"
LONGEST_QUOTATION = 20  # words
# Word for word what the readings say; an essay may quote a part.
QUOTATIONS = (
    "Due to our concerns about malicious applications of the technology, we are not releasing the trained model.",
    "As an experiment in responsible disclosure, we are instead releasing a much smaller model",
    "while we are not sure that it is the right decision today",
    "Staged release involves the gradual release of a family of models over time.",
    "two bombshells: a new, state-of-the-art language model and the end of its love affair with open source",
    "only certain types of dangerous technology should be controlled by suppressing access",
    "withholding the full GPT-2 model is both unnecessary for safety reasons and detrimental to future progress in AI",
    "Coordination is difficult, but possible.",
    "statistical detection of text needs to be supplemented with human judgment and metadata related to the text",
    "a combination of staged release and partnership-based model sharing is likely to be a key foundation of"
    " responsible publication",
    "The issues inherent to large models are going to grow, rather than diminish, over time.",
    "Grover is a strong detector of neural fake news precisely because it is simultaneously a state-of-the-art"
    " generator",
    "the danger of these research prototypes is limited at present, replication of research prototypes is easy",
    "progress in research requires open-sourcing models",
    "Our current system isn't sufficient and we need to develop community norms on model release.",
)


def text_of(name: str) -> str:
    sample = SAMPLES[name]
    parts = [sample.essay.strategy, *(section.text for section in sample.essay.sections)]
    return " ".join(" ".join(parts).split())


def points_of(name: str) -> float:
    return sum(RUBRIC.points_of(id, level) for id, level in SAMPLES[name].levels.items())


def faults_of(name: str) -> list:
    return [
        each for each in check(SAMPLES[name].essay, list(RECORDS.values()), RUBRIC.words) if each.severity == "fault"
    ]


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_criterion_has_a_level_a_reason_and_a_doubt(name):
    sample, ids = SAMPLES[name], {criterion.id for criterion in RUBRIC.criteria}
    assert set(sample.levels) == set(sample.reasons) == set(sample.doubts) == ids
    assert all(level in range(len(RUBRIC.levels)) for level in sample.levels.values())
    assert all(len(text.split()) >= 8 for text in sample.reasons.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_a_reason_quotes_stands_in_the_essay(name):
    """So that a grader who disagrees knows about which words."""
    essay = re.sub(r" ?\[@[^]]*\]", "", text_of(name)).casefold()
    for id, reason in SAMPLES[name].reasons.items():
        quoted = re.findall(r'"([^"]+)"', reason)
        pieces = [piece.strip(" ,.").casefold() for each in quoted for piece in each.split("…")]
        assert quoted, f"{id} quotes nothing"
        assert [piece for piece in pieces if piece not in essay] == [], id


@pytest.mark.parametrize("criterion", [criterion.id for criterion in RUBRIC.criteria])
def test_the_samples_span_the_levels_of_every_criterion(criterion):
    levels = [sample.levels[criterion] for sample in SAMPLES.values()]
    assert max(levels) == len(RUBRIC.levels) - 1
    assert min(levels) <= 1


def test_no_sample_has_one_level_throughout():
    """A grader whose levels are all alike has marked an impression; here that never fits."""
    assert [name for name in NAMES if len(set(SAMPLES[name].levels.values())) == 1] == []


def test_the_samples_lie_clearly_apart():
    """And their order is not that of their names, which graders see."""
    totals = sorted(map(points_of, NAMES))
    assert [points_of(name) for name in NAMES] not in (totals, totals[::-1])
    assert totals[0] <= RUBRIC.points / 3
    assert totals[-1] >= RUBRIC.points * 0.9
    assert all(above - below >= 3 for below, above in zip(totals, totals[1:], strict=False)), totals


# -- form --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_has_all_sections_in_order_and_none_is_empty(name):
    assert [section.key for section in SAMPLES[name].essay.sections] == KEYS
    assert all(section.text.strip() for section in SAMPLES[name].essay.sections)


def test_no_two_samples_defend_the_same():
    assert len({sample.essay.strategy for sample in SAMPLES.values()}) == len(NAMES)
    assert len({sample.title for sample in SAMPLES.values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_only_where_shortness_is_the_flaw_a_sample_is_short(name):
    least, most = RUBRIC.words
    n_words = SAMPLES[name].essay.n_words
    assert n_words <= most
    assert (n_words < least) == (name == WRONG)


def test_a_reason_that_counts_words_counts_them_right():
    told = re.search(r"some (\d+) words the text is shorter", SAMPLES[WRONG].reasons["clarity"])
    assert int(told[1]) == pytest.approx(SAMPLES[WRONG].essay.n_words, rel=0.05)


@pytest.mark.parametrize("broken", ["", "## thesis\n\nText.", "# Title\n\n## thesis\n\nText."])
def test_a_text_without_title_or_strategy_is_no_sample(broken):
    with pytest.raises(ValueError, match="title"):
        parse(broken)


# -- readings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_quotations_are_exact_and_short(name):
    for quoted in re.findall("“([^”]+)”", text_of(name)):
        assert any(quoted in whole for whole in QUOTATIONS), quoted
        assert len(quoted.split()) <= LONGEST_QUOTATION, quoted


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_cites_all_four_readings(name):
    """Citing is not meeting: the weakest does it too."""
    assert set(SAMPLES[name].essay.cited_readings) == READINGS


# -- evidence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_only_the_wrong_one_cites_what_is_not_in_the_ledger(name):
    unknown = [id for id in SAMPLES[name].essay.cited_evidence if id not in RECORDS]
    assert bool(unknown) == (name == WRONG), unknown


def test_every_record_can_be_done_again_with_the_weights_that_are_here():
    for record in RECORDS.values():
        assert can_rerun(record), record.id
        assert record.models == {name: registry.weights_sha256(name) for name in record.models}, record.id


@pytest.mark.parametrize(
    "id", [record.id for record in RECORDS.values() if record.experiment.startswith(NO_NEWS_NEEDED)]
)
def test_quick_records_are_reproduced(id):
    assert rerun(RECORDS[id]).status in (REPRODUCED, WITHIN)


def test_a_detection_trial_is_reproduced(real_cache):
    """The others of its kind differ in settings only; all were done again when the ledger was made."""
    if not (real_cache / "texts").is_dir():
        pytest.skip("no news on this machine: make test fetches them")
    (cache_folder() / "texts").symlink_to(real_cache / "texts")
    assert rerun(RECORDS[A_QUICK_TRIAL]).status in (REPRODUCED, WITHIN)


def test_the_ledger_tells_nothing_of_whoever_made_it():
    text = sample_ledger().read_text("utf-8")
    assert not re.search(r"/home/|/work|/root|/tmp|[A-Z]:\\\\|@", text)


# -- checks ------------------------------------------------------------------------------------------------------------


def test_the_checks_have_nothing_to_say_of_the_strong_one():
    """But that it does not cite all that was measured, which nobody asks for."""
    found = check(SAMPLES[STRONG].essay, list(RECORDS.values()), RUBRIC.words)
    assert [each.says for each in found if each.kind != "unused evidence"] == []


def test_the_checks_find_what_is_wrong_in_the_wrong_one():
    kinds = {each.kind for each in check(SAMPLES[WRONG].essay, list(RECORDS.values()), RUBRIC.words)}
    assert {"word count", "unknown evidence", "other number", "overlapping intervals"} <= kinds


@pytest.mark.parametrize("told", ["99.5 %", "89 %", "61 %"])
def test_each_misread_number_is_named(told):
    assert any(told in each.says or told in each.quote for each in faults_of(WRONG)), told


def test_the_checks_cannot_tell_a_summary_from_an_argument():
    """It pleases them and gets less than half of the points: they are no marks."""
    assert faults_of(SUMMARY) == []
    assert points_of(SUMMARY) < RUBRIC.points / 2
