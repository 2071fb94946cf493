"""How likely a model finds a text that somebody wrote: every token, by a sliding window."""

import dataclasses
from collections.abc import Iterator

import torch

from course_utils.errors import SettingsError, TextError
from course_utils.models.decoding import CHUNK, observe
from course_utils.models.steps import Scored, Step
from course_utils.models.text_pieces import TextPieces

WINDOW = 1024  # tokens seen at once: GPT-2's context, so that models with a longer one compare


def score(model, text: str, stride: int | None = None) -> Scored:
    """Say how likely the model found every token of a text.

    Parameters
    ----------
    model : LanguageModel
    text : str
    stride : int, optional
        How many tokens the window moves at a time when the text is longer than it, 1 to the window's size; half a
        window when left out. A smaller stride gives every token more context and takes longer.

    Returns
    -------
    Scored

    Raises
    ------
    TextError
        If there is no text.
    SettingsError
        If the stride is out of its range.
    """
    ids = [model.start_id, *model.encode(text)]
    if len(ids) == 1:
        raise TextError("There is no text to score.", "At least one character.", "Pass the text as a string.")
    window = min(model.context, WINDOW)
    stride = window // 2 if stride is None else stride
    if not isinstance(stride, int) or not 1 <= stride <= window:
        raise SettingsError(
            f"stride is {stride!r}.", f"A whole number from 1 to {window}.", f"Use stride={window // 2}."
        )
    steps = [step for place in windows(len(ids) - 1, window, stride) for step in _look(model, ids, *place)]
    return Scored(text, tuple(_with_text(steps, model.vocabulary)), window, stride, model.name, model.precision)


def windows(n_places: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Lay windows over a text so that every place is scored once.

    Yields
    ------
    begin, new, end : int
        The model sees places ``begin`` to ``end``; those from ``new`` on are scored.

    Examples
    --------
    >>> list(windows(10, window=4, stride=3))
    [(0, 0, 4), (3, 4, 7), (6, 7, 10)]
    """
    end = min(window, n_places)
    yield 0, 0, end
    while end < n_places:
        new, end = end, min(end + stride, n_places)
        yield end - window, new, end


@torch.inference_mode()
def _look(model, ids: list[int], begin: int, new: int, end: int) -> list[Step]:
    """Score the tokens that came after places new … end - 1, in chunks that keep the logits small."""
    cache, steps = model.new_cache(), []
    for start in range(begin, end, CHUNK):
        stop = min(start + CHUNK, end)
        n_context = max(new - start, 0)
        logits = model.network(model.tensor(ids[start:stop]), past_key_values=cache, use_cache=True).logits[0]  # (T, V)
        if start + n_context < stop:
            came = model.tensor(ids[start + n_context + 1 : stop + 1])[0]
            steps += observe(logits[n_context:].float(), came, model.vocabulary)
    return steps


def _with_text(steps: list[Step], vocabulary) -> Iterator[Step]:
    pieces = TextPieces(vocabulary)
    texts = [text for step in steps for text in pieces.add(step.token_id)] + pieces.finish()
    for number, (step, text) in enumerate(zip(steps, texts, strict=True), start=1):
        yield dataclasses.replace(step, text=text, is_last=number == len(steps))
