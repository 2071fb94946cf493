"""Every token of a text is scored once, and the scores are those of a plain forward pass."""

import math
import threading

import numpy as np
import pytest
import torch
from conftest import plain_network

from course_utils.errors import SettingsError, TextError
from course_utils.models.inference import scoring
from course_utils.models.inference.decoding import Cancelled
from course_utils.models.inference.scoring import score_nats, windows

pytestmark = pytest.mark.slow

SHORT = "Nobody had expected the second stage to come so soon."
LONG = "The committee met again, and again it could not agree. " * 30


def test_a_short_texts_scores_equal_a_plain_forward_pass(tiny):
    scored = tiny.score(SHORT)
    ids = tiny.tensor([tiny.start_id, *tiny.encode(SHORT)])
    with torch.inference_mode():
        loss = plain_network(tiny)(ids, labels=ids).loss.item()
    assert math.log(scored.perplexity) == pytest.approx(loss, abs=1e-4)
    assert scored.bits_per_character == pytest.approx(loss / math.log(2) * (ids.shape[1] - 1) / len(SHORT), abs=1e-4)


@pytest.mark.parametrize("text", [SHORT, LONG, "👩‍👩‍👧", "\n", "a"])
def test_the_pieces_join_to_the_text_one_a_token(tiny, text):
    scored = tiny.score(text)
    assert "".join(step.text for step in scored.steps) == text
    assert [step.token_id for step in scored.steps] == tiny.encode(text)


@pytest.mark.parametrize("stride", [1, 5, 64, 128])
def test_every_token_of_a_long_text_is_scored_as_in_its_own_window(tiny, stride):
    ids = [tiny.start_id, *tiny.encode(LONG)][: tiny.context + 70]
    scored, plain = tiny.score(tiny.tokenizer.decode(ids[1:]), stride), plain_network(tiny)
    assert scored.stride == stride and scored.window == tiny.context
    for begin, new, end in windows(len(ids) - 1, tiny.context, stride):
        with torch.inference_mode():
            logits = plain(tiny.tensor(ids[begin:end])).logits[0]
        for place in {new, end - 1}:
            p = torch.softmax(logits[place - begin], -1)[ids[place + 1]].item()
            assert scored.steps[place].model_probability == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize(("n", "window", "stride"), [(1, 4, 2), (4, 4, 2), (5, 4, 1), (100, 16, 16), (101, 16, 7)])
def test_windows_cover_every_place_once_with_enough_context(n, window, stride):
    laid = list(windows(n, window, stride))
    assert [place for _, new, end in laid for place in range(new, end)] == list(range(n))
    assert all(end - begin <= window for begin, _, end in laid)
    assert all(new - begin >= window - stride for begin, new, _ in laid[1:])


def test_a_text_without_a_character_is_refused(tiny):
    with pytest.raises(TextError, match="no text"):
        tiny.score("")


@pytest.mark.parametrize("stride", [0, -1, 129, 1.5, "64"])
def test_a_stride_out_of_range_is_refused(tiny, stride):
    with pytest.raises(SettingsError, match="stride is"):
        tiny.score(SHORT, stride)


# -- many texts at once ------------------------------------------------------------------------------------------------

MANY = [LONG, SHORT, "a", LONG + SHORT, "👩‍👩‍👧 \n", SHORT[:9], LONG[:400]]


def nats_of(scored) -> np.ndarray:
    return np.array([-math.log(step.model_probability) for step in scored.steps])


@pytest.mark.parametrize("stride", [None, 50, 128])
def test_many_texts_score_as_each_does_alone(tiny, stride):
    for text, nats in zip(MANY, score_nats(tiny, MANY, stride), strict=True):
        np.testing.assert_allclose(nats, nats_of(tiny.score(text, stride)), atol=1e-3)


def test_the_stand_in_scores_many_texts_as_each_alone(smollm2):
    texts = [SHORT, LONG[:300], "a"]
    for text, nats in zip(texts, score_nats(smollm2, texts), strict=True):
        np.testing.assert_allclose(nats, nats_of(smollm2.score(text)), atol=1e-3)


@pytest.mark.parametrize("which", ["tiny", "smollm2"])
def test_sixteen_bits_keep_the_bits_per_character(which, request):
    model, text = request.getfixturevalue(which), LONG[:600]
    whole, half = (score_nats(model, [text], bf16=bf16)[0].sum() / len(text) / math.log(2) for bf16 in (False, True))
    assert half == pytest.approx(whole, abs=1e-3)


def test_a_texts_company_changes_nothing(tiny):
    for order in ([0, 1, 2], [2, 1, 0], [1, 1, 1, 0, 2]):
        for place, nats in zip(order, score_nats(tiny, [MANY[i] for i in order]), strict=True):
            np.testing.assert_allclose(nats, score_nats(tiny, [MANY[place]])[0], atol=1e-4)


def test_a_small_batch_and_few_logits_at_a_time_change_nothing(tiny, monkeypatch):
    whole = score_nats(tiny, MANY)
    monkeypatch.setattr(scoring, "BATCH", 1)
    monkeypatch.setattr(scoring, "MOST_LOGITS", 1)
    for nats, expected in zip(score_nats(tiny, MANY), whole, strict=True):
        np.testing.assert_allclose(nats, expected, atol=1e-4)


def test_progress_rises_to_the_end_and_a_signal_stops_it(tiny):
    shares, cancel = [], threading.Event()
    score_nats(tiny, MANY * 3, progress=shares.append, cancel=cancel)
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) > 1
    with pytest.raises(Cancelled):
        score_nats(tiny, MANY * 3, progress=lambda share: cancel.set(), cancel=cancel)


def test_scoring_leaves_the_number_of_threads_as_it_was(tiny, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    score_nats(tiny, [SHORT])
    assert torch.get_num_threads() == before


def test_no_texts_have_no_scores(tiny):
    assert score_nats(tiny, []) == []


def test_one_empty_text_among_many_is_refused(tiny):
    with pytest.raises(TextError, match="no text"):
        score_nats(tiny, [SHORT, ""])


def test_one_string_is_not_taken_for_a_list_of_texts(tiny):
    with pytest.raises(TextError, match="texts is the text"):
        score_nats(tiny, SHORT)


def test_a_stride_out_of_range_is_refused_for_many_too(tiny):
    with pytest.raises(SettingsError, match="stride is"):
        score_nats(tiny, [SHORT], 0)


def test_a_network_that_does_more_with_its_last_layer_is_refused(tiny):
    class Louder(type(tiny.network)):
        def read(self, *args, **options):
            return super().read(*args, **options) * 2

    plain = type(tiny.network)
    tiny.network.__class__ = Louder
    try:
        with pytest.raises(SettingsError, match="more with its last layer"):
            score_nats(tiny, [SHORT])
    finally:
        tiny.network.__class__ = plain
