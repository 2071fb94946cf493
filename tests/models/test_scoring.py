"""Every token of a text is scored once, and the scores are those of a plain forward pass."""

import math

import pytest
import torch

from course_utils.errors import SettingsError, TextError
from course_utils.models.scoring import windows

SHORT = "Nobody had expected the second stage to come so soon."
LONG = "The committee met again, and again it could not agree. " * 30


def test_a_short_texts_scores_equal_a_plain_forward_pass(tiny):
    scored = tiny.score(SHORT)
    ids = tiny.tensor([tiny.start_id, *tiny.encode(SHORT)])
    with torch.inference_mode():
        loss = tiny.network(ids, labels=ids).loss.item()
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
    scored = tiny.score(tiny.tokenizer.decode(ids[1:]), stride)
    assert scored.stride == stride and scored.window == tiny.context
    for begin, new, end in windows(len(ids) - 1, tiny.context, stride):
        with torch.inference_mode():
            logits = tiny.network(tiny.tensor(ids[begin:end])).logits[0]
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
