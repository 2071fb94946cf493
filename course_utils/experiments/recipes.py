"""What rich inputs are told as in a record, in plain values, and paired texts that are written again from that."""

import dataclasses
import json
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from course_utils.errors import TextError
from course_utils.experiments.remember import sha256_of_values
from course_utils.experiments.result import LONGEST_KEPT

if TYPE_CHECKING:
    # For the reader's type checker only: rooms that need no torch keep rows as this one does.
    from course_utils.experiments.detectors import Detector
    from course_utils.experiments.paired_texts import PairedTexts
    from course_utils.models.language_model import LanguageModel
    from course_utils.models.settings import Settings

WRITING = 0.8  # of the time, where texts are written before they are judged
DETECTORS = {"WordDetector": "words", "LikelihoodDetector": "likelihood", "RankDetector": "ranks"}

Progress = Callable[[float, str], object]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Paired texts before they are written; an experiment takes it in the place of the texts.

    Parameters
    ----------
    generator : LanguageModel
    settings, opening, n_pairs, n_words, seed
        As for `paired_texts`.
    n_left_out : int
    articles : sequence of int
        Those that were kept.
    """

    generator: "LanguageModel"
    settings: "Settings"
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

    def write(self, progress: Progress | None = None, cancel: threading.Event | None = None) -> "PairedTexts":
        """Write the texts, or read them where they are remembered; see `paired_texts`.

        Raises
        ------
        TextError
            The same articles do not come again.
        """
        from course_utils.experiments.paired_texts import paired_texts

        whole = paired_texts(
            self.generator, self.n_pairs, self.settings, self.n_words, self.opening, self.seed, progress, cancel
        )
        kept = whole.of_articles(self.articles)
        if kept.articles != tuple(self.articles):
            raise TextError(
                f"Of {len(self.articles)} articles of these pairs, {len(kept)} come again with the seed {self.seed}.",
                "The same articles in the same order.",
                "Nothing: other news lie on this machine, or the model writes other texts here.",
            )
        return dataclasses.replace(kept, n_left_out=self.n_left_out)


def written(
    sets: "Sequence[PairedTexts | Recipe]", tell: Progress, cancel: threading.Event | None = None
) -> "tuple[list[PairedTexts], Progress]":
    """Write those sets that are still recipes; return all, and what tells the progress of the rest of the work."""
    n = sum(isinstance(each, Recipe) for each in sets)
    if not n:
        return list(sets), tell
    found, n_done = [], 0
    for each in sets:
        if isinstance(each, Recipe):
            each = each.write(lambda share, what, i=n_done: tell(WRITING * (i + share) / n, what), cancel)
            n_done += 1
        found.append(each)
    return found, lambda share, what: tell(WRITING + (1 - WRITING) * share, what)


def told_pairs(pairs: "PairedTexts") -> dict[str, object]:
    """Return how pairs were drawn and written, or only their hash where they come from elsewhere."""
    if pairs.drawn is None:
        return {"sha256": sha256_of_values([pairs.human, pairs.machine]), "n_pairs": len(pairs)}
    known = {name: getattr(pairs, name) for name in ("generator", "opening", "n_words", "n_left_out")}
    return {**known, **pairs.drawn, "settings": dataclasses.asdict(pairs.settings), "articles": list(pairs.articles)}


def told_detector(detector: "Detector | None") -> dict[str, str] | None:
    """Return which detector it is; None where it was left out, and with it what the experiment takes."""
    if detector is None:
        return None
    kind = DETECTORS.get(type(detector).__name__, type(detector).__name__)
    return {"kind": kind, "reader": detector.reader.name} if hasattr(detector, "reader") else {"kind": kind}


def kept_rows(rows: Sequence[dict]) -> list[dict] | dict[str, object]:
    """Return rows as an input that a record can carry: whole if they are short, else their hash and number.

    Examples
    --------
    >>> kept_rows([{"item": "text 1", "rating": 4}])
    [{'item': 'text 1', 'rating': 4}]
    """
    rows = [dict(row) for row in rows]
    if len(json.dumps(rows)) <= LONGEST_KEPT:
        return rows
    return {"sha256": sha256_of_values(rows), "n_rows": len(rows)}
