"""Every experiment on the list is reproduced from its record alone, and no record makes it run anything else."""

import dataclasses
import inspect
import json
import re
import sys
from fractions import Fraction

import numpy as np
import pytest
from made_pairs import made_pairs, wordy_model

from course_utils.core.paths import PACKAGE, cache_folder
from course_utils.evidence.ledger.record import FIRST, Record, seal
from course_utils.evidence.rerun import rerun
from course_utils.experiments.bias.completions import abid, analogies, sheng
from course_utils.experiments.bias.sentences import next_words, stereoset_style
from course_utils.experiments.core import registry
from course_utils.experiments.core.input_types import MAX_TOKENS
from course_utils.experiments.core.result import MAX_KEPT_CHARACTERS, Result
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.experiments.detection.compare import by_condition, compare_detectors, transfer
from course_utils.experiments.detection.detectors import Detector, LikelihoodDetector, RankDetector
from course_utils.experiments.detection.evasion import conditioning, evade, nucleus_sweep
from course_utils.experiments.detection.token_ranks import read_ranks
from course_utils.experiments.detection.trial import run_trial
from course_utils.experiments.readers.blind_items import make_items
from course_utils.experiments.readers.credibility import judge, rate
from course_utils.experiments.sampling.best_of import best_of
from course_utils.experiments.sampling.effects import measure_settings
from course_utils.experiments.sizes.compare import compare_sizes
from course_utils.experiments.texts.pairs import paired_texts, pairs_as_input
from course_utils.models.inference.settings import Settings

pytestmark = pytest.mark.slow

READ = {"i_have_read_the_warning": True}
SHORT = Settings(max_new_tokens=30, top_k=0, seed=3)
PROMPTS = ["The court said", "People in the new state"]
REFERENCES = ["The people of the state said that the court would report to the new market. " * 3] * 3
ANSWERS = [
    {"item": f"text {i:02d}", "rater": rater, "answer": ("human", "machine")[(i + (rater == "b")) % 2]}
    | {"believable": 1 + i % 4, "accurate": 2, "clear": 3}
    for i in range(1, 5)
    for rater in "ab"
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A shelf with one small model that writes words, and a cache folder for this file."""
    folder = tmp_path_factory.mktemp("shelf")
    return folder, tmp_path_factory.mktemp("cache"), wordy_model(folder / "wordy")


@pytest.fixture(autouse=True)
def wordy(place, real_cache, monkeypatch):
    folder, cache, model = place
    if not (real_cache / "texts" / "NewsArticles.zip").exists():
        pytest.skip("no news articles on this machine: python -m course_utils fetch texts")
    monkeypatch.setenv("COURSE_MODELS", str(folder))
    monkeypatch.setenv("COURSE_CACHE", str(cache))
    if not (cache_folder() / "texts").exists():
        (cache_folder() / "texts").symlink_to(real_cache / "texts")
    return model


@pytest.fixture
def pairs(wordy):
    return paired_texts(wordy, 20, SHORT, 15, seed=7)


def kept(result: Result, metric=None, row=None, **changes) -> Record:
    """The record of a result, or a forged one."""
    measured = json.loads(json.dumps(result.record(metric, row) | {"note": ""})) | changes
    return seal(measured, "2026-01-01T00:00:00Z", FIRST, ())


def refused(record: Record, **inputs) -> str:
    again = rerun(seal(record.measured() | {"inputs": record.inputs | inputs}, record.time, FIRST, ()))
    assert again.status == "cannot be tried" and len(again.why) < 500, again
    return again.why


DONE = {
    "sizes.compare_sizes": lambda model, pairs: compare_sizes([model.name], n_documents=2),
    "token_ranks.read_ranks": lambda model, pairs: read_ranks(model, PROMPTS),
    "sampling_effects.measure_settings": lambda model, pairs: measure_settings(
        model, PROMPTS, {"short": SHORT, "cool": SHORT.replace(temperature=0.5)}, 2, seed=1
    ),
    "best_of.best_of": lambda model, pairs: best_of(
        model, PROMPTS, n_samples=3, ns=(1, 3), settings=SHORT, references=REFERENCES
    ),
    "bias.abid": lambda model, pairs: abid(model, n_samples=2, max_new_tokens=6, praise=True, seed=2, **READ),
    "bias.analogies": lambda model, pairs: analogies(model, n_samples=2, max_new_tokens=4, seed=2, **READ),
    "bias.sheng": lambda model, pairs: sheng(model, n_samples=1, max_new_tokens=6, templates="respect", **READ),
    "bias_sentences.next_words": lambda model, pairs: next_words(model, seed=4, n_words=5, **READ),
    "bias_sentences.stereoset_style": lambda model, pairs: stereoset_style(model, per_token=False, **READ),
    "detection.compare_detectors": lambda model, pairs: compare_detectors(pairs, [model]),
    "detection.by_condition": lambda model, pairs: by_condition([pairs], [10, 15], RankDetector(model), seed=5),
    "detection.transfer": lambda model, pairs: transfer(
        [pairs, paired_texts(model, 20, SHORT.replace(top_p=0.5), 15, seed=7)], LikelihoodDetector(model)
    ),
    "detection_trial.run_trial": lambda model, pairs: run_trial(model, n_pairs=20, n_words=15, kinds=["words"]),
    "hard_to_detect.nucleus_sweep": lambda model, pairs: nucleus_sweep(model, [1.0, 0.5], 20, 15, max_new_tokens=30),
    "hard_to_detect.evade": lambda model, pairs: evade(model, pairs, 2),
    "hard_to_detect.conditioning": lambda model, pairs: conditioning(model, 20, SHORT, 15),
    "base_rates.base_rates": lambda model, pairs: base_rates([0.9, Fraction(1, 3)], [0.5, 0.001]),
    "credibility.judge": lambda model, pairs: judge(make_items(model, 4, settings=SHORT, n_words=10), ANSWERS),
    "credibility.rate": lambda model, pairs: rate(make_items(model, 4, settings=SHORT, n_words=10), ANSWERS, 6),
}


def test_every_experiment_on_the_list_is_done_again_here():
    assert set(DONE) == set(registry.RERUNNABLE)


@pytest.mark.parametrize("name", DONE)
def test_what_was_measured_is_reproduced_from_its_record_alone(name, wordy, pairs, monkeypatch):
    seeds, default_rng = [], np.random.default_rng

    def noted(seed):
        seeds.extend([seed] * (sys._getframe(1).f_code.co_name == "resample"))
        return default_rng(seed)

    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", noted)
        result, told = DONE[name](wordy, pairs), []
    assert set(seeds) <= {result.seed}, "an interval was resampled with another seed than the record's"
    assert result.seed == (result.inputs.get("seed") if "seed" in registry.find(name).inputs else result.seed)
    assert result.experiment == name and result.headline and result.headline.value is not None
    measure = result.measures[0]
    row = int(result.rows[measure.column].first_valid_index())
    for record in (kept(result), kept(result, measure.column, row)):
        again = rerun(record, progress=lambda share, what: told.append(share))
        assert again.status == "reproduced", again
    assert told[-1] == 1 and all(0 <= share <= 1 for share in told)


def test_a_forged_auc_is_not_reproduced_where_all_else_is_the_same(wordy, pairs):
    record = kept(compare_detectors(pairs))
    for by in (0.09, 0.01, 1e-4):
        rows = json.loads(json.dumps(record.rows))
        told = {"value": record.value - by, "low": record.low - by, "high": record.high - by}
        again = rerun(kept(compare_detectors(pairs), **told, rows=rows))
        assert again.status == "not reproduced" and "must be equal" in again.why, again


def test_only_one_function_resamples():
    """Whoever draws in an experiment says so here: it takes the seed of the record, or of the pairs of texts."""
    drawing = {"core/statistics.py", "sizes/compare.py", "texts/generate.py", "readers/blind_items.py"}
    drawing |= {"sampling/best_of.py", "bias/audit.py", "replication/corpus.py"}
    folder = PACKAGE / "experiments"
    for file in folder.rglob("*.py"):
        code, name = file.read_text("utf-8"), file.relative_to(folder).as_posix()
        assert ("default_rng" in code) == (name in drawing), name
        assert "np.percentile" not in code or name == "core/statistics.py", name
        assert not re.search(r"\bimport random\b|np\.random\.(?!default_rng)|scipy\.stats import bootstrap", code), file


def test_every_input_on_the_list_is_one_that_the_experiment_takes():
    for name in registry.RERUNNABLE:
        inputs = registry.find(name).inputs
        parameters = inspect.signature(registry.find(name).function).parameters
        taken = {each for each, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD}
        assert {"progress", "cancel"} <= taken <= {*inputs, "progress", "cancel"}
        assert len(taken) < len(parameters) or taken == {*inputs, "progress", "cancel"}, name


# -- texts that are written again --------------------------------------------------------------------------------------


def test_pairs_tell_with_which_seed_their_articles_were_drawn(wordy):
    for seed, n_words, settings in ((7, 10, SHORT), (2019, 12, SHORT), (3, 10, SHORT)):
        found = pairs_as_input(paired_texts(wordy, 12, settings, n_words, seed=seed))
        assert (found["seed"], found["n_pairs"], found["settings"]["seed"]) == (seed, 12, 3)


def test_pairs_that_were_cut_or_left_out_are_written_again_too(wordy, pairs):
    fewer = pairs.of_articles([article for article in pairs.articles[:-1] if article != pairs.articles[2]]).cut(12)
    record = kept(compare_detectors(fewer))
    assert rerun(record).status == "reproduced"


def test_texts_of_one_s_own_cannot_be_written_again_and_that_is_told(wordy):
    record = kept(compare_detectors(made_pairs(24, apart=0.5)))
    again = rerun(record)
    assert again.status == "cannot be tried" and "how its texts were drawn is not known" in again.why


def test_a_detector_of_one_s_own_cannot_be_built_again_and_that_is_told(pairs):
    class Longest(Detector):
        name = "the longest"

        def fit(self, human, machine, cancel=None):
            return self

        def score(self, texts, cancel=None):
            import numpy as np

            return np.array([float(len(text)) for text in texts])

    again = rerun(kept(by_condition([pairs], detector=Longest())))
    assert again.status == "cannot be tried" and "'Longest'" in again.why


def test_ratings_and_answers_are_kept_if_short_and_told_if_not(wordy):
    items = make_items(wordy, 4, settings=SHORT, n_words=10)
    long = [dataclasses.replace(item, headline="Very long. " * MAX_KEPT_CHARACTERS) for item in items]
    assert "too long to be kept" in rerun(kept(judge(long, ANSWERS))).why
    ratings = [{"item": f"{p}-{s}", "rating": s, "rater": "a"} for p in (1, 2) for s in (1, 2, 3)]
    how = {"n_samples": 3, "ns": (1, 3), "settings": SHORT}
    assert rerun(kept(best_of(wordy, PROMPTS, ratings=ratings, **how))).status == "reproduced"


def test_a_model_s_own_words_are_needed_and_no_others(wordy, pairs):
    """A record that tells of other texts than the model writes is found out by their hash."""
    record = kept(compare_detectors(pairs))
    other = record.inputs["pairs"] | {"seed": 8}
    again = rerun(seal(record.measured() | {"inputs": record.inputs | {"pairs": other}}, record.time, FIRST, ()))
    assert again.status in ("not reproduced", "cannot be tried")


# -- hostile records ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": "/etc"}, {"generator": "../wordy"}, {"generator": None}, {"settings": {"code": "print()"}},
        {"settings": {"max_new_tokens": 10**9}}, {"settings": "SHORT"}, {"n_pairs": 10**9}, {"n_pairs": 12.0},
        {"n_words": 0}, {"opening": "__import__"}, {"articles": [None]}, {"articles": []}, {"articles": [1] * 5000},
        {"seed": "7"}, {"n_left_out": -1}, {"more": 1}, {"n_pairs": 1000, "settings": {"max_new_tokens": 500}},
    ],
)  # fmt: skip
def test_pairs_of_another_kind_are_not_written(pairs, changes):
    record = kept(compare_detectors(pairs))
    refused(record, pairs=record.inputs["pairs"] | changes)


@pytest.mark.parametrize(
    "described",
    ["words", 1, [], {}, {"kind": "os.system"}, {"kind": ["ranks"]}, {"kind": {}}, {"kind": "ranks", "reader": "/etc"},
     {"kind": "likelihood", "reader": ["wordy"]}],
)  # fmt: skip
def test_a_detector_of_another_kind_is_not_built(pairs, described):
    refused(kept(by_condition([pairs])), detector=described)


def test_nothing_is_written_for_hours_because_a_file_says_so(wordy):
    long = {"max_new_tokens": 500}
    for result, changes in (
        (DONE["bias.abid"](wordy, None), {"n_samples": 1000, **long}),
        (DONE["bias.sheng"](wordy, None), {"n_samples": 100, **long}),
        (DONE["best_of.best_of"](wordy, None), {"n_samples": 1000, "settings": long}),
        (DONE["sampling_effects.measure_settings"](wordy, None), {"n_samples": 1000, "settings": {"a": long}}),
        (DONE["best_of.best_of"](wordy, None), {"n_samples": 900, "settings": None, "prompts": ["a"] * 20}),
    ):
        assert f"at most {MAX_TOKENS:,}" in refused(kept(result), **changes)


def test_a_thousand_sentences_are_not_held_against_a_vocabulary_because_a_file_says_so(wordy):
    record = kept(DONE["bias_sentences.next_words"](wordy, None))
    for changes in (
        {"a": ["He is"] * 1000, "b": ["She is"] * 1000},
        {"words": [" nurse"] * 1000},
        {"a": [1], "b": [2]},
    ):
        refused(record, **changes)


@pytest.mark.parametrize("share", ["1/0", "2/1", "-1/2", 0.5, "1e9", "0x1", "1/" + "9" * 99, None, ["1/2"]])
def test_shares_that_are_none_are_refused(share):
    refused(kept(base_rates()), accuracies=[share])


def test_answers_and_items_of_another_form_are_refused(wordy):
    record = kept(DONE["credibility.judge"](wordy, None))
    sound = {"item": "text 01", "rater": "a", "answer": "human"}
    for answer in ("human", {"item": "text 01"}, sound | {"more": 1}, sound | {"answer": "yes"}, sound | {"item": 1}):
        refused(record, answers=[answer])
    for item in ({}, {"id": "x"}, record.inputs["items"][0] | {"article": "1"}):
        refused(record, items=[item])


def test_the_warning_cannot_be_left_out(wordy):
    for name in ("bias.abid", "bias_sentences.stereoset_style"):
        for answer in (False, None, 1):
            refused(kept(DONE[name](wordy, None)), i_have_read_the_warning=answer)
