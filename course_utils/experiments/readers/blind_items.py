"""Items of a blind test: half human, half machine, each article once, of one length, in random order."""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_utils.data import news_articles
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.texts.generate import MIN_ARTICLE_WORDS, Progress, pairs, write
from course_utils.experiments.texts.pairs import MORE_WORDS, OPENINGS, opening_and_body
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.inference.settings import Settings

HUMAN = "human"
OPENING = OPENINGS[1]  # headline and first sentence
SPARE = 1.5  # machine texts written for one that is shown: some end too early


@dataclasses.dataclass(frozen=True)
class Item:
    """One text of a blind test. Readers see `shown`; who wrote it stays here.

    Parameters
    ----------
    id : str
        Says nothing about the source.
    headline, text : str
        The text begins with the article's own first sentence, also where a model wrote the rest.
    source, weights_sha256 : str
        ``"human"`` and nothing, or the model's name and the hash of its weights.
    article : int
    """

    id: str
    headline: str
    text: str
    source: str
    weights_sha256: str
    article: int

    def shown(self) -> dict[str, str]:
        """Return what a reader may see."""
        return {"id": self.id, "headline": self.headline, "text": self.text}


def make_items(
    model: BaseLanguageModel | Sequence[BaseLanguageModel],
    n: int = 20,
    seed: int = 0,
    settings: Settings = Settings(max_new_tokens=100),
    n_words: int = 50,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> list[Item]:
    """Make a blind test: half human, half machine, each article once, all of one length, in an order drawn by the seed.

    Parameters
    ----------
    model : BaseLanguageModel or sequence of BaseLanguageModel
        Several share the machine's half equally.
    n : int
        How many texts: an even number, and a multiple of twice the models.
    seed : int
        Of articles, order and sampling.
    settings : Settings
    n_words : int
        That each text has after the first sentence, which is the article's own in all.
    progress, cancel
        As for `generate.write`.

    Raises
    ------
    SettingsError
        n is no such number, or there are not so many articles.
    TextError
        A model ended too many of its texts before they had n_words.
    Cancelled

    Notes
    -----
    The set-up is that of Kreps and McCain with OpenAI, who began from a news article's first sentence (Solaiman et al.
    2019), but without choosing among outputs. No article comes twice, so no reader can compare two versions.
    """
    models = [model] if isinstance(model, BaseLanguageModel) else list(model)
    if isinstance(n, bool) or not isinstance(n, int) or not models or n < 2 or n % (2 * len(models)):
        raise SettingsError(f"n is {n!r}.", f"A multiple of {2 * max(1, len(models))}.", "Set n=20.")
    n_each, settings = n // (2 * len(models)), settings.replace(seed=seed)
    n_tried = int(np.ceil(SPARE * n_each)) + 1
    drawn = pairs(n // 2 + n_tried * len(models), seed, max(MIN_ARTICLE_WORDS, n_words + MORE_WORDS))
    found = [_item(article, opening_and_body(article, OPENING)[1], n_words) for article in drawn[: n // 2]]
    for number, name in enumerate(models):
        articles = drawn[n // 2 + number * n_tried :][:n_tried]
        openings = [opening_and_body(article, OPENING)[0] for article in articles]
        written = [found.text for found in write(name, openings, settings, progress, cancel)]
        long_enough = [pair for pair in zip(articles, written, strict=True) if len(pair[1].split()) >= n_words]
        _require_enough(name, long_enough, n_each, n_words)
        found += [_item(*pair, n_words, name) for pair in long_enough[:n_each]]
    order = np.random.default_rng(seed).permutation(n)
    return [dataclasses.replace(found[i], id=f"text {item_number:02d}") for item_number, i in enumerate(order, start=1)]


def items_from_input(value: object, run: input_types.RecordedRun) -> list[Item]:
    """Input type of blind-test items: accepted if the record holds the whole texts."""
    types: dict[str, input_types.InputType[Any]] = dict.fromkeys(
        ("id", "headline", "text", "source", "weights_sha256"), input_types.text
    )
    return [
        Item(**row)
        for row in input_types.rows(types | {"article": input_types.integer(0, input_types.MAX_SEED)}, 500)(value, run)
    ]


def _item(article: news_articles.Article, body: str, n_words: int, model: BaseLanguageModel | None = None) -> Item:
    first = opening_and_body(article, OPENING)[0].split("\n\n", 1)[1]
    text = " ".join([*first.split(), *body.split()[:n_words], "…"])
    source, sha256 = (model.name, model.weights_sha256) if model else (HUMAN, "")
    return Item("", article.title, text, source, sha256, article.id)


def _require_enough(model: BaseLanguageModel, long_enough: list, n_each: int, n_words: int) -> None:
    if len(long_enough) < n_each:
        raise TextError(
            f"{len(long_enough)} texts by {model.name} have {n_words} words.",
            f"{n_each} are needed.",
            "Lower n_words, or raise max_new_tokens.",
        )
