"""Laws of the reading: it is model.score's, however texts are put together, and is kept."""

import numpy as np
import pytest

from course_utils.errors import TextError
from course_utils.experiments.detection import token_scores
from course_utils.experiments.detection.token_scores import read_texts
from course_utils.models.inference import ranks
from course_utils.models.inference.language_model import LanguageModel

TEXTS = [f"The {word} met again. " * n for n, word in enumerate(["senate", "board", "naïve crowd 你好", "a", "b"], 1)]


def test_nats_and_ranks_are_those_of_score(tiny):
    for text, found in zip(TEXTS, read_texts(tiny, TEXTS), strict=True):
        steps = tiny.score(text).steps
        np.testing.assert_allclose(found.nats, [-np.log(step.probability) for step in steps], atol=1e-3)
        assert found.ranks.tolist() == [step.rank for step in steps]


def test_neither_order_nor_neighbours_matter(tiny, monkeypatch):
    whole = read_texts(tiny, TEXTS)
    monkeypatch.setattr(token_scores, "BLOCK", 2)
    monkeypatch.setattr(ranks, "MOST_TOKENS", 20)
    for one, other in zip(whole, read_texts(tiny, TEXTS[::-1])[::-1], strict=True):
        np.testing.assert_allclose(one.nats, other.nats, atol=1e-3)
        assert one.ranks.tolist() == other.ranks.tolist()


def test_what_was_read_is_not_read_again(tiny, tiny_folder):
    told = []
    first = read_texts(tiny, TEXTS, told.append)
    again = LanguageModel(tiny_folder)
    again.network = None
    assert [each.nats.tolist() for each in read_texts(again, TEXTS)] == [each.nats.tolist() for each in first]
    assert told[-1] == 1
    with pytest.raises(AttributeError):
        read_texts(again, TEXTS[:2])


@pytest.mark.parametrize("text", ["", "word " * 128])
def test_texts_that_cannot_be_read_at_once_are_refused(tiny, text):
    with pytest.raises(TextError, match="From 1 to 127 tokens"):
        read_texts(tiny, ["A text.", text])
