"""Batched text generation from prompts: each text has its own seed, and finished batches are cached."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from course_utils.core.code_hash import code_hash
from course_utils.data import news_articles
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.core.cache import cached
from course_utils.experiments.core.result import versions
from course_utils.models.inference.base import BaseLanguageModel, Cancelled
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation

AT_ONCE = 16  # prompts in one batch: more would keep a small machine from answering a stop for too long
MIN_ARTICLE_WORDS = 120  # of an article, so that there is something to compare with

Progress = Callable[[float, str], object]


@dataclasses.dataclass(frozen=True)
class MachineText:
    """A generated text without its prompt, and the seed that reproduces it."""

    prompt: str
    text: str
    seed: int


def write(
    model: BaseLanguageModel,
    prompts: Sequence[str],
    settings: Settings = Settings(),
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> list[MachineText]:
    """Generate one text for each prompt, or read the texts from the cache.

    Parameters
    ----------
    model : BaseLanguageModel
    prompts : sequence of str
        Those that are about as long share a batch. Of one that is too long for the model, the last tokens are seen.
    settings : Settings
        The prompt in place i is continued with ``settings.seed + i``, so two models, or two ways of sampling, meet
        the same noise.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Stops between two tokens with Cancelled. Batches that were finished are kept and not written again.

    Returns
    -------
    list of MachineText
        One a prompt, in their order. A text that was stopped by its length is without its last word, of which more
        might have come; one can be empty where the model ended it at once.

    Raises
    ------
    TextError
        ``prompts`` is one string, or there are none.
    SettingsError
        More tokens are asked for than the model can see.
    Cancelled
    """
    if isinstance(prompts, str) or not prompts:
        raise TextError(f"prompts is {prompts[:40]!r}.", "A list of at least one text.", "Put it in brackets: [text].")
    tell, n_done = progress or (lambda share, what: None), 0
    written: dict[int, str] = {}
    known = [*model.identity, dataclasses.asdict(settings)]
    known += [versions(), code_hash(__name__)]
    for indices in _batches(model, prompts):
        if cancel is not None and cancel.is_set():
            raise Cancelled
        tell(n_done / len(prompts), f"{model.name} writes text {n_done + 1} of {len(prompts)}")
        jobs = [(prompts[index], settings.seed_of(index)) for index in indices]
        found = cached("texts", [*known, jobs], functools.partial(_write_batch, model, jobs, settings, cancel))
        written |= zip(indices, found["texts"], strict=True)
        n_done += len(indices)
    tell(1.0, "done")
    return [MachineText(prompt, written[i], settings.seed_of(i)) for i, prompt in enumerate(prompts)]


def pairs(n: int, seed: int = 0, min_words: int = MIN_ARTICLE_WORDS) -> list[news_articles.Article]:
    """Draw held-out news that are long enough and have a whole headline: the human half of every pair of texts.

    Parameters
    ----------
    n : int
        How many. With the same seed, the first of many are those of few.
    seed : int
    min_words : int
        What the article's text must have at least.

    Raises
    ------
    SettingsError
        n is no number from 1, or there are not so many such articles.
    TextError
        The news are not on this machine.
    """
    fit = [article for article in news_articles.articles("held_out") if _is_fit(article, min_words)]
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= len(fit):
        raise SettingsError(
            f"{n!r} articles are asked for.",
            f"From 1 to {len(fit)}: so many of the held-out news have a headline and {min_words} words.",
            "Ask for fewer articles or for shorter ones.",
        )
    return [fit[index] for index in np.random.default_rng(seed).permutation(len(fit))[:n]]


def equal_length(human: str, machine: str) -> tuple[str, str]:
    r"""Cut the longer of two texts to as many words as the shorter has; white space becomes one space in both.

    Neither length nor line breaks, which the news lost long ago, then tell who wrote a text.

    Examples
    --------
    >>> equal_length("One two three four.", "Five six,\n\nseven")
    ('One two three', 'Five six, seven')
    """
    human_words, machine_words = human.split(), machine.split()
    n_words = min(len(human_words), len(machine_words))
    return " ".join(human_words[:n_words]), " ".join(machine_words[:n_words])


def _is_fit(article: news_articles.Article, min_words: int) -> bool:
    return bool(article.title) and not news_articles.is_broken(article.title) and len(article.text.split()) >= min_words


def _batches(model: BaseLanguageModel, prompts: Sequence[str]) -> Iterator[list[int]]:
    """Return batches of prompts, as their indices, sorted by length.

    Prompts of one batch are padded on the left to the longest of them, so similar lengths mean little padding.
    """
    order = sorted(range(len(prompts)), key=lambda index: model.count_tokens(prompts[index]))
    for start in range(0, len(order), AT_ONCE):
        yield order[start : start + AT_ONCE]


def _write_batch(model: BaseLanguageModel, jobs: list, settings: Settings, cancel: threading.Event | None) -> dict:
    blank = [Generation(prompt, (), settings, seed, model.name, model.precision) for prompt, seed in jobs]
    stream = model.resume([dataclasses.replace(generation, ended="stopped") for generation in blank], cancel)
    for _ in stream:
        pass
    if cancel is not None and cancel.is_set():
        raise Cancelled
    return {"texts": [_in_whole_words(generation) for generation in stream.generations()]}


def _in_whole_words(generation: Generation) -> str:
    text = generation.text
    if generation.ended == "end of text" or not text or text[-1].isspace():
        return text
    *words, _ = text.rsplit(maxsplit=1)
    return words[0] if words else ""
