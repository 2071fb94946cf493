"""Paired human and machine texts on the same headlines, cut to one length, split into training and test articles."""

import dataclasses
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from course_utils.data import news_articles
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.texts.generate import MIN_ARTICLE_WORDS, Progress, pairs, write
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.inference.settings import Settings

WRITING = 0.8  # of the time, where texts are written before they are judged
MIN_PAIRS_PER_HALF = 4  # pairs in either half
MORE_WORDS = 60  # that an article must have beyond the words compared, for its first sentence may go to the prompt
OPENINGS = ("headline", "headline and first sentence", "outlet, date and headline")
SENTENCE_END = re.compile(r"(?<=[a-z0-9)\"'][.!?])[\"']?\s+(?=[\"'(]?[A-Z0-9])")
MIN_SENTENCE_WORDS = 8  # words: before them a full stop is likely to be that of "Gen. Smith"


@dataclasses.dataclass(frozen=True)
class PairedTexts:
    """Pairs of texts of ``n_words`` words each: entry i of ``human`` and of ``machine`` follow the same opening.

    Parameters
    ----------
    generator, generator_sha256 : str
        Who wrote the machine's half.
    settings : Settings
    opening : str
        One of `OPENINGS`.
    n_words : int
    n_left_out : int
        Pairs of which a half was shorter.
    articles : tuple of int
        Ids of the articles.
    in_training : tuple of bool
        The half to which a pair belongs; the same article is always in the same half.
    openings, human, machine : tuple of str
    drawn : mapping, optional
        With which n_pairs and seed the articles were drawn, and in which precision the generator wrote; None where the
        pairs come from elsewhere.
    """

    generator: str
    generator_sha256: str
    settings: Settings
    opening: str
    n_words: int
    n_left_out: int
    articles: tuple[int, ...]
    in_training: tuple[bool, ...]
    openings: tuple[str, ...]
    human: tuple[str, ...]
    machine: tuple[str, ...]
    drawn: Mapping[str, int | str] | None = None

    def __str__(self) -> str:
        """Return how many pairs, by whom, and the beginning of the first."""
        description = f"{len(self)} pairs of {self.n_words} words, the machine's by {self.generator} ({self.sampling})"
        if not len(self):
            return description
        first = [
            f"  {who}: {news_articles[0][:80]}…"
            for who, news_articles in (("human", self.human), ("machine", self.machine))
        ]
        return "\n".join([f"{description}; {self.n_left_out} left out. The first:", *first])

    __repr__ = __str__

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.articles)

    @property
    def sampling(self) -> str:
        """How the machine's words were drawn, in words."""
        settings = self.settings
        parts = [f"temperature {settings.temperature:g}"]
        parts += [f"top-k {settings.top_k}"] if settings.top_k else []
        parts += [f"top-p {settings.top_p:g}"] if settings.top_p < 1 else []
        parts += [f"repetition penalty {settings.repetition_penalty:g}"] if settings.repetition_penalty > 1 else []
        return ", ".join(parts)

    @property
    def training(self) -> "PairedTexts":
        """The half to learn from."""
        return self._only([index for index, half in enumerate(self.in_training) if half])

    @property
    def test(self) -> "PairedTexts":
        """The half to measure on."""
        return self._only([index for index, half in enumerate(self.in_training) if not half])

    def cut(self, n_words: int) -> "PairedTexts":
        """Return the same pairs, each text cut to its first words.

        Raises
        ------
        SettingsError
            More words than there are, or none.
        """
        if isinstance(n_words, bool) or not isinstance(n_words, int) or not 1 <= n_words <= self.n_words:
            raise SettingsError(f"n_words is {n_words!r}.", f"From 1 to {self.n_words}.", "Write longer texts.")
        human, machine = (tuple(_first_words(text, n_words) for text in side) for side in (self.human, self.machine))
        return dataclasses.replace(self, n_words=n_words, human=human, machine=machine)

    def of_articles(self, ids: Collection[int]) -> "PairedTexts":
        """Return only the pairs of these articles, in their own order."""
        wanted = set(ids)
        return self._only([index for index, article in enumerate(self.articles) if article in wanted])

    def _only(self, indices: list[int]) -> "PairedTexts":
        kept: dict[str, Any] = {name: tuple(getattr(self, name)[i] for i in indices) for name in (*SIDES, *LABELS)}
        return dataclasses.replace(self, **kept)


SIDES = ("human", "machine")
LABELS = ("articles", "in_training", "openings")


def paired_texts(
    model: BaseLanguageModel,
    n_pairs: int = 100,
    settings: Settings = Settings(max_new_tokens=100),
    n_words: int = 50,
    opening: str = "headline",
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> PairedTexts:
    """Generate texts from the headlines of held-out news, each paired with the journalist's own.

    Parameters
    ----------
    model : BaseLanguageModel
    n_pairs : int
        Articles that are drawn; pairs too short for n_words are left out and counted.
    settings : Settings
        A hundred tokens make some 65 to 75 English words.
    n_words : int
        To which all texts are cut, so that length tells nothing.
    opening : str
        What the model is given: one of `OPENINGS`. The first sentence, when given, stands on neither side.
    seed : int
        Of the choice of articles, and with it of the halves.
    progress, cancel
        As for `write`.

    Raises
    ------
    SettingsError
        No such opening, or a number that cannot be.
    TextError
        Too few pairs are long enough, or the news are not on this machine.
    Cancelled

    Notes
    -----
    Every second article drawn goes to training. The news are older than GPT-2, but a model may have read them.
    """
    if opening not in OPENINGS:
        raise SettingsError(f"opening is {opening!r}.", f"One of {', '.join(OPENINGS)}.", 'opening="headline"')
    drawn = pairs(n_pairs, seed, max(MIN_ARTICLE_WORDS, n_words + MORE_WORDS))
    openings, bodies = zip(*(opening_and_body(article, opening) for article in drawn), strict=True)
    written = write(model, openings, settings, progress, cancel)
    whole = PairedTexts(
        model.name, model.weights_sha256, settings, opening, n_words, 0,
        tuple(article.id for article in drawn), tuple(index % 2 == 0 for index in range(len(drawn))),
        openings, bodies, tuple(generation.text for generation in written),
        {"n_pairs": n_pairs, "seed": seed, "precision": model.precision},
    )  # fmt: skip
    return _of_one_length(whole)


@dataclasses.dataclass(frozen=True)
class UnwrittenPairs:
    """Paired texts not generated yet: an experiment takes them in the place of `PairedTexts`.

    Parameters
    ----------
    generator : BaseLanguageModel
    settings, opening, n_pairs, n_words, seed
        As for `paired_texts`.
    n_left_out : int
        Pairs that were too short.
    articles : sequence of int
        Ids of those that were kept.
    """

    generator: BaseLanguageModel
    settings: Settings
    opening: str
    n_pairs: int
    n_words: int
    seed: int
    n_left_out: int
    articles: Sequence[int]

    def __str__(self) -> str:
        """Return what would be written."""
        return f"{self.n_pairs} pairs of {self.n_words} words to be written by {self.generator.name}, seed {self.seed}"

    __repr__ = __str__

    def write(self, progress: Progress | None = None, cancel: threading.Event | None = None) -> PairedTexts:
        """Generate the texts, or read them from the cache; see `paired_texts`.

        Raises
        ------
        TextError
            The same articles do not come again.
        """
        whole = paired_texts(
            self.generator, self.n_pairs, self.settings, self.n_words, self.opening, self.seed, progress, cancel
        )
        kept = whole.of_articles(self.articles)
        if kept.articles != tuple(self.articles):
            raise TextError(
                f"Of {len(self.articles)} articles of these pairs, {len(kept)} come again with the seed {self.seed}.",
                "The same articles in the same order.",
                "This machine has other news articles, or the model writes other texts; make new pairs instead.",
            )
        return dataclasses.replace(kept, n_left_out=self.n_left_out)


def write_missing(
    sets: Sequence[PairedTexts | UnwrittenPairs], tell: Progress, cancel: threading.Event | None = None
) -> tuple[list[PairedTexts], Progress]:
    """Write those sets that are not written yet.

    Returns
    -------
    tuple of list of PairedTexts and callable
        All sets, and what tells the progress of the rest of the work.
    """
    n = sum(isinstance(text_pairs, UnwrittenPairs) for text_pairs in sets)
    found: list[PairedTexts] = []
    n_done = 0
    for text_pairs in sets:
        if isinstance(text_pairs, UnwrittenPairs):
            found.append(text_pairs.write(_part(tell, n_done, n), cancel))
            n_done += 1
        else:
            found.append(text_pairs)
    return found, (lambda share, what: tell(WRITING + (1 - WRITING) * share, what)) if n else tell


def _part(tell: Progress, n_done: int, n: int) -> Progress:
    """Return what tells the progress of writing set number ``n_done`` of ``n`` as a part of the whole."""
    return lambda share, what: tell(WRITING * (n_done + share) / n, what)


def pairs_as_input(pairs: PairedTexts) -> dict[str, object]:
    """Return as an input that a record can carry how pairs were drawn and written; only a hash if it is not known."""
    if pairs.drawn is None:
        return {"sha256": sha256_of_values([pairs.human, pairs.machine]), "n_pairs": len(pairs)}
    known = {name: getattr(pairs, name) for name in ("generator", "opening", "n_words", "n_left_out")}
    return {**known, **pairs.drawn, "settings": dataclasses.asdict(pairs.settings), "articles": list(pairs.articles)}


def pairs_from_input(value: object, run: input_types.RecordedRun) -> UnwrittenPairs:
    """Input type of paired texts: their parameters in a record, from which the texts are generated again."""
    from course_utils.models.inference.language_model import load  # here, for it imports torch

    if isinstance(value, dict) and "sha256" in value:
        raise input_types.Refused("how its texts were drawn is not known: only their hash is in the record")
    types: dict[str, input_types.InputType[Any]] = {
        "generator": input_types.model_name,
        "settings": input_types.settings,
        "opening": input_types.one_of(*OPENINGS),
        "n_pairs": input_types.integer(1, 1000),
        "n_words": input_types.integer(1, 500),
        "seed": input_types.seed,
        "n_left_out": input_types.integer(0, 1000),
        "precision": input_types.precision,
        "articles": input_types.list_of(input_types.integer(0, input_types.MAX_SEED), 1000),
    }
    found = input_types.object_of(types)(value, run)
    input_types.require_few_tokens(found["n_pairs"] * found["settings"].max_new_tokens)
    found["generator"] = load(found["generator"], found.pop("precision"))
    return UnwrittenPairs(**found)


def in_common(sets: Sequence[PairedTexts]) -> list[PairedTexts]:
    """Keep in each set the articles that are in all, so that sets differ in nothing but what is compared.

    Raises
    ------
    TextError
        Too few are left, or an article is for learning in one set and for measuring in another: drawn by other seeds.
    """
    halves = [
        (article, half)
        for text_pairs in sets
        for article, half in zip(text_pairs.articles, text_pairs.in_training, strict=True)
    ]
    if len(set(halves)) > len(dict(halves)):
        raise TextError(
            "An article is for learning in one set and for measuring in another.",
            "Sets that were drawn with the same seed and for texts of about the same length.",
            "Make them all with the same seed.",
        )
    shared = set.intersection(*(set(pairs.articles) for pairs in sets))
    kept = [text_pairs.of_articles(shared) for text_pairs in sets]
    for text_pairs in kept:
        _require_enough(text_pairs)
    return kept


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, by its punctuation; at least `MIN_SENTENCE_WORDS` words, if there are.

    Examples
    --------
    >>> first_sentence("The U.S. sent Gen. Smith to the capital on Monday. He stayed.")
    'The U.S. sent Gen. Smith to the capital on Monday.'
    """
    for end in SENTENCE_END.finditer(text):
        sentence = text[: end.start()] + end[0].rstrip()
        if len(sentence.split()) >= MIN_SENTENCE_WORDS:
            return sentence
    return text


def opening_and_body(article: news_articles.Article, opening: str) -> tuple[str, str]:
    """Return what the model is given and what a person wrote after it."""
    if opening == "headline":
        return f"{article.title}\n\n", article.text
    if opening == "outlet, date and headline":
        return f"{article.source} | {article.date} | {article.title}\n\n", article.text
    sentence = first_sentence(article.text)
    return f"{article.title}\n\n{sentence}", article.text[len(sentence) :]


def _of_one_length(whole: PairedTexts) -> PairedTexts:
    long_enough = [
        article
        for article, human, machine in zip(whole.articles, whole.human, whole.machine, strict=True)
        if min(len(human.split()), len(machine.split())) >= whole.n_words
    ]
    kept = whole.of_articles(long_enough).cut(whole.n_words)
    _require_enough(kept)
    return dataclasses.replace(kept, n_left_out=len(whole) - len(kept))


def _require_enough(kept: PairedTexts) -> None:
    n_training = sum(kept.in_training)
    if min(n_training, len(kept) - n_training) < MIN_PAIRS_PER_HALF:
        raise TextError(
            f"{len(kept)} pairs by {kept.generator} have {kept.n_words} words, {n_training} of them to learn from.",
            f"At least {MIN_PAIRS_PER_HALF} to learn from and {MIN_PAIRS_PER_HALF} to measure on.",
            "Raise n_pairs or max_new_tokens, or lower n_words.",
        )


def _first_words(text: str, n_words: int) -> str:
    return " ".join(text.split()[:n_words])
