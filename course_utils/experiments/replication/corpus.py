"""Training corpus from a text: a held-out part, a size limit, and a vocabulary that fits the text."""

import re
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerFast

from course_utils.data import news_articles
from course_utils.errors import TextError
from course_utils.models.training import data

VOCABULARIES = (2048, 1024, 512, data.MIN_VOCABULARY)
CHARACTERS_AN_ENTRY = 100  # a text shorter than this for each vocabulary entry teaches it too little
CHARACTERS_A_TOKEN = 5  # more than any of these vocabularies reaches
MIN_CHARACTERS = 10_000  # characters: a fifth of them must fill two windows
MIN_UNCUT_DOCUMENTS = 20  # documents: fewer are each cut in two, so that both parts hold something of every one
UNBROKEN_TEXT = re.compile(r"\w{2000,}")
N_HELD_OUT = 60  # documents that the learning curve is read on


def news() -> tuple[list[str], list[str]]:
    """Return the news articles to learn from, and some that nobody learns from, each headed by its title.

    Raises
    ------
    TextError
        They are not on this machine; it says how to bring them.
    """
    learned, kept = (
        [f"{article.title}\n\n{article.text}" for article in news_articles.articles(part)]
        for part in ("train", "held_out")
    )
    return learned, kept[:N_HELD_OUT]


def split(documents: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what to learn from and what to keep apart: every fifth document, or the last fifth of each when few.

    Raises
    ------
    TextError
        There is too little text.

    Examples
    --------
    >>> learned, kept = split(["a" * 7000 + " " + "b" * 3000])
    >>> len(learned[0]), kept[0] == "b" * 3000
    (7000, True)
    """
    n_characters = sum(map(len, documents))
    if n_characters < MIN_CHARACTERS:
        raise TextError(
            f"The text has {n_characters:,} characters.",
            f"At least {MIN_CHARACTERS:,}, some four pages: a fifth of it is kept apart to measure on.",
            "Add text, or take another one.",
        )
    if len(documents) >= MIN_UNCUT_DOCUMENTS:
        return [d for i, d in enumerate(documents) if i % 5 != 4], list(documents[4::5])
    cuts = [max(0, document.rfind(" ", 0, len(document) * 4 // 5)) for document in documents]
    pairs = list(zip(documents, cuts, strict=True))
    return [d[:cut] for d, cut in pairs if cut], [d[cut:].strip() for d, cut in pairs if d[cut:].strip()]


def enough(documents: Sequence[str], n_tokens: int, seed: int) -> list[str]:
    """Return the documents, shuffled by the seed, and no more than will be read: the rest would only cost time."""
    order = np.random.default_rng(seed).permutation(len(documents))
    lengths = np.cumsum([len(documents[i]) for i in order])
    n_kept = int(np.searchsorted(lengths, CHARACTERS_A_TOKEN * n_tokens)) + 1
    return [documents[i] for i in order[:n_kept]]


def fitting_tokenizer(documents: Sequence[str]) -> PreTrainedTokenizerFast:
    """Learn the largest vocabulary that the text can fill; at worst its entries are single bytes.

    Raises
    ------
    TextError
        A word of it is thousands of letters long: no text, and its vocabulary would take hours to learn.
    """
    for document in documents:
        if word := UNBROKEN_TEXT.search(document):
            raise TextError(
                f"The text holds a word of {len(word[0]):,} characters, {word[0][:20]}…",
                "Text that people read.",
                "Take the encoded data out of it.",
            )
    n_characters = sum(map(len, documents))
    for vocabulary in VOCABULARIES[:-1]:
        if vocabulary * CHARACTERS_AN_ENTRY <= n_characters:
            try:
                return data.train_tokenizer(documents, vocabulary)
            except TextError:  # long, but it says little
                continue
    return data.train_tokenizer(documents, VOCABULARIES[-1])
