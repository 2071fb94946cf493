"""Laws of the detectors: an independent scikit-learn script finds the same, and nothing is found where nothing is."""

import dataclasses

import numpy as np
import pytest
from made_pairs import OTHERS, WORDS, made_pairs, wordy_model
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from course_utils.errors import TextError
from course_utils.experiments.detection import detectors
from course_utils.experiments.detection.detectors import (
    LikelihoodDetector,
    RankDetector,
    WordDetector,
    rank_shares,
    scores,
)
from course_utils.experiments.detection.roc import auc, measure
from course_utils.models.inference.settings import Settings

pytestmark = pytest.mark.slow

KINDS = (lambda model: WordDetector()), LikelihoodDetector, RankDetector


@pytest.fixture(scope="module")
def wordy(tmp_path_factory):
    """A model of 310 tokens: with GPT-2's 50,257, the detectors would sort most of the time."""
    return wordy_model(tmp_path_factory.mktemp("wordy"))


def independent_word_scores(pairs, texts) -> np.ndarray:
    """OpenAI's baseline by hand: C by five folds of whole pairs, then all training texts."""
    learnt, n = pairs.training, len(pairs.training)
    together, labels = [*learnt.human, *learnt.machine], np.array([0] * n + [1] * n)
    groups, right = np.tile(np.arange(n), 2), {}
    for c in [2.0**power for power in range(-6, 7)]:
        of_folds = []
        for known, asked in GroupKFold(5).split(together, labels, groups):
            words = TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=2**21)
            seen = words.fit_transform([together[i] for i in known])
            model = LogisticRegression(C=c, solver="liblinear").fit(seen, labels[known])
            of_folds.append(model.score(words.transform([together[i] for i in asked]), labels[asked]))
        right[c] = np.mean(of_folds)
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=5, max_features=2**21)
    model = LogisticRegression(C=max(right, key=right.get), solver="liblinear").fit(
        words.fit_transform(together), labels
    )
    return model.decision_function(words.transform(texts))


def test_word_counts_are_openais_recipe_written_by_hand():
    pairs = made_pairs(40, apart=0.1)
    asked = [*pairs.test.human, *pairs.test.machine]
    np.testing.assert_allclose(scores(WordDetector(), pairs.training, asked), independent_word_scores(pairs, asked))


@pytest.mark.parametrize("kind", KINDS)
def test_texts_from_two_sources_are_told_apart_without_error(kind, tiny):
    pairs = made_pairs(16, apart=1.0)
    if kind is not KINDS[0]:  # a reader knows its own likeliest words
        said = [tiny.generate(word, Settings(max_new_tokens=40, temperature=0))[0] for word in WORDS[:16]]
        pairs = dataclasses.replace(pairs, machine=tuple(each.prompt + each.text for each in said))
    detector = kind(tiny).fit(pairs.training.human, pairs.training.machine)
    human, machine = detector.score(pairs.test.human), detector.score(pairs.test.machine)
    assert auc(human, machine) == 1
    assert (machine > 0).all() and (human <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_texts_from_one_source_cannot_be_told_apart(kind, wordy):
    """Each interval misses 0.5 with a probability of about 5%, so two of three do with less than 1%."""
    missed, areas = 0, []
    for seed in range(3):
        pairs = made_pairs(40, apart=0.0, seed=seed, n_words=15)
        found = scores(kind(wordy), pairs.training, [*pairs.test.human, *pairs.test.machine])
        row = measure(found[:20], found[20:], 0)
        missed += not row["auc_low"] <= 0.5 <= row["auc_high"]
        areas.append(row["auc"])
    assert missed <= 1
    assert 0.3 < np.mean(areas) < 0.7


def test_the_likelihood_threshold_is_the_best_that_there_is(wordy):
    pairs = made_pairs(12, apart=0.5)
    detector = LikelihoodDetector(wordy).fit(pairs.human, pairs.machine)
    human, machine = detector.score(pairs.human), detector.score(pairs.machine)
    right = (human <= 0).sum() + (machine > 0).sum()
    totals = [np.log([s.probability for s in wordy.score(text).steps]).sum() for text in pairs.human + pairs.machine]
    ours, theirs = np.array(totals[:12]), np.array(totals[12:])
    possible = [(ours <= t).sum() + (theirs > t).sum() for t in [-np.inf, *totals]]
    assert right == max(*possible, *(24 - each for each in possible))
    np.testing.assert_allclose(np.abs(np.diff(np.concatenate([human, machine]))), np.abs(np.diff(totals)), atol=1e-2)


def test_likelihood_learns_on_which_side_the_machine_is(wordy):
    pairs = made_pairs(12, apart=1.0)
    one = LikelihoodDetector(wordy).fit(pairs.human, pairs.machine)
    other = LikelihoodDetector(wordy).fit(pairs.machine, pairs.human)
    assert auc(one.score(pairs.human), one.score(pairs.machine)) >= 0.5
    assert auc(other.score(pairs.machine), other.score(pairs.human)) >= 0.5


@pytest.mark.parametrize("ranks", [[1], [1, 10, 11, 100, 101, 1000, 1001, 50_000], [1001] * 3])
def test_rank_shares_are_counts_by_hand_and_add_up_to_one(ranks):
    by_hand = [0, 0, 0, 0]
    for rank in ranks:
        by_hand[0 if rank <= 10 else 1 if rank <= 100 else 2 if rank <= 1000 else 3] += 1 / len(ranks)
    assert rank_shares(ranks) == pytest.approx(by_hand) and sum(rank_shares(ranks)) == pytest.approx(1)


def test_what_a_detector_said_is_read_back_and_other_texts_are_not(monkeypatch):
    pairs = made_pairs(20, apart=0.2)
    first = scores(WordDetector(), pairs.training, pairs.test.human)
    monkeypatch.setattr(detectors, "_learn", None)
    assert scores(WordDetector(), pairs.training, pairs.test.human).tolist() == first.tolist()
    for training, test in ((pairs.training, pairs.test.machine), (pairs.test, pairs.test.human)):
        with pytest.raises(TypeError):
            scores(WordDetector(), training, test)


def test_too_little_to_learn_from_is_told_with_its_cure():
    texts = [f"{WORDS[i]} {OTHERS[i]}" for i in range(4)]
    with pytest.raises(TextError, match="cannot learn from 4 pairs"):
        WordDetector().fit(texts, texts)
