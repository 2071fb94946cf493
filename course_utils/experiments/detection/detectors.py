"""Detectors of machine text, with fit and score: word counts, likelihood under a model, token ranks under a model."""

import abc
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_utils.core.code_hash import code_hash
from course_utils.errors import TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import cached
from course_utils.experiments.core.result import versions
from course_utils.experiments.detection import token_scores
from course_utils.experiments.texts.pairs import PairedTexts
from course_utils.models.inference.base import BaseLanguageModel

C_GRID = tuple(2.0**power for power in range(-6, 7))  # 1/64 to 64, as in OpenAI's baseline.py
MIN_DOCUMENTS, MAX_FEATURES = 5, 2**21  # likewise
N_FOLDS = 5
RANKS = (10, 100, 1000)  # GLTR's green, yellow, red; violet is the rest


class Detector(abc.ABC):
    """Base class of detectors: binary classifiers whose score is above 0 for "machine".

    Attributes
    ----------
    name : str
    """

    name: str

    @abc.abstractmethod
    def fit(self, human: Sequence[str], machine: Sequence[str], cancel: threading.Event | None = None) -> "Detector":
        """Learn from pairs: entry i of both belongs to one article. Return itself.

        Raises
        ------
        TextError
            There is too little to learn from.
        Cancelled
        """

    @abc.abstractmethod
    def score(self, texts: Sequence[str], cancel: threading.Event | None = None) -> np.ndarray:
        """Return a number for each text, shape (N,)."""

    def __repr__(self) -> str:
        """Return what kind it is, and its name."""
        return f"{type(self).__name__}: {getattr(self, 'name', 'without a name')}"

    def inputs(self) -> list:
        """Return plain values on which its scores depend besides the texts."""
        return [type(self).__name__, self.name]


class WordDetector(Detector):
    """Baseline of OpenAI: TF-IDF of words and neighbouring words, logistic regression.

    Notes
    -----
    As in baseline.py of gpt-2-output-dataset: words that stand in at least 5 texts, at most 2**21 features, liblinear,
    C from 1/64 to 64. OpenAI chose C on 5,000 + 5,000 validation texts; here, where texts are few, by five-fold
    cross-validation within the training texts, both texts of a pair in the same fold.
    """

    def __init__(self) -> None:
        self.name = "word counts"
        self._model: Any = None  # a pipeline of scikit-learn, once it has learned

    def fit(self, human: Sequence[str], machine: Sequence[str], cancel: threading.Event | None = None) -> Detector:
        """Learn which words and word pairs tell; see `Detector.fit`."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(ngram_range=(1, 2), min_df=MIN_DOCUMENTS, max_features=MAX_FEATURES)
        self._model = _learn(words, human, machine)
        return self

    def score(self, texts: Sequence[str], cancel: threading.Event | None = None) -> np.ndarray:
        """Return the log-odds of "machine"."""
        return self._model.decision_function(list(texts))


class _WithReader(Detector):
    """A detector that scores texts with a language model, its reader."""

    what: str

    def __init__(self, reader: BaseLanguageModel) -> None:
        self.reader, self.name = reader, f"{self.what} under {reader.name}"

    def inputs(self) -> list:
        """Return the reader's weights too."""
        return [*super().inputs(), self.reader.weights_sha256, self.reader.precision]

    def _read(self, texts: Sequence[str], cancel: threading.Event | None) -> list[token_scores.Reading]:
        return token_scores.read_texts(self.reader, texts, cancel=cancel)


class LikelihoodDetector(_WithReader):
    """A threshold on how likely a reader finds the whole text: OpenAI's zero-shot detector.

    Notes
    -----
    Which side is the machine's is learned, too: text sampled from the whole distribution tends to be less likely than
    human text, top-k text more likely (detection.md of gpt-2-output-dataset).
    """

    what = "likelihood"

    def fit(self, human: Sequence[str], machine: Sequence[str], cancel: threading.Event | None = None) -> Detector:
        """Take the side and the threshold that are right for most training texts; see `Detector.fit`."""
        human_scores, machine_scores = (self._log_probabilities(texts, cancel) for texts in (human, machine))
        values = np.unique(
            np.concatenate([human_scores, machine_scores])
        )  # each once, so that no threshold lies on a text
        cuts = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2, [values[-1] + 1]])  # (K,)
        right = (machine_scores[:, None] > cuts).sum(axis=0) + (human_scores[:, None] <= cuts).sum(
            axis=0
        )  # (K,), if machines are above
        self._sign = 1 if right.max() >= len(human_scores) + len(machine_scores) - right.min() else -1
        self._threshold = cuts[(self._sign * right).argmax()]
        return self

    def score(self, texts: Sequence[str], cancel: threading.Event | None = None) -> np.ndarray:
        """Return how far each text lies on the machine's side of the threshold, in nats."""
        return self._sign * (self._log_probabilities(texts, cancel) - self._threshold)

    def _log_probabilities(self, texts: Sequence[str], cancel: threading.Event | None) -> np.ndarray:
        return -np.array([scores.nats.sum() for scores in self._read(texts, cancel)])


class RankDetector(_WithReader):
    """Logistic regression on GLTR's four shares: tokens among the reader's 10, 100 and 1000 likeliest, and the rest.

    Notes
    -----
    Gehrmann, Strobelt and Rush (2019). C is chosen as in `WordDetector`.
    """

    what = "ranks"

    def fit(self, human: Sequence[str], machine: Sequence[str], cancel: threading.Event | None = None) -> Detector:
        """Learn how to weigh the shares; see `Detector.fit`."""
        from sklearn.preprocessing import StandardScaler

        self._model = _learn(StandardScaler(), self._shares(human, cancel), self._shares(machine, cancel))
        return self

    def score(self, texts: Sequence[str], cancel: threading.Event | None = None) -> np.ndarray:
        """Return the log-odds of "machine"."""
        return self._model.decision_function(self._shares(texts, cancel))

    def _shares(self, texts: Sequence[str], cancel: threading.Event | None) -> np.ndarray:
        return np.array([rank_shares(scores.ranks) for scores in self._read(texts, cancel)])


WITH_READER: dict[str, type[_WithReader]] = {"likelihood": LikelihoodDetector, "ranks": RankDetector}
DETECTORS: dict[str, type[Detector]] = {"words": WordDetector, **WITH_READER}


def detector_as_input(detector: Detector | None) -> dict[str, str] | None:
    """Return a detector as an input that a record can carry; None for None, the experiment's own choice."""
    if detector is None:
        return None
    kind = next((name for name, known in DETECTORS.items() if type(detector) is known), type(detector).__name__)
    return {"kind": kind} | ({"reader": detector.reader.name} if isinstance(detector, _WithReader) else {})


def detector_from_input(value: object, run: input_types.RecordedRun) -> Detector:
    """Input type of a detector: its kind, and the name of its reader in the model registry."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "words":
        return WordDetector()
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in WITH_READER:
        raise input_types.Refused(
            f"its detector is of a kind of its own, {str(kind)[:40]!r}, whose code is not in the record"
        )
    return WITH_READER[kind](input_types.model(value.get("reader"), run))


def rank_shares(ranks: Sequence[int] | NDArray[Any]) -> list[float]:
    """Return the shares of tokens in the top 10, 11 to 100, 101 to 1000, and beyond.

    Examples
    --------
    >>> rank_shares([1, 10, 11, 5000])
    [0.5, 0.25, 0.0, 0.25]
    """
    bins = np.searchsorted(RANKS, ranks)  # 0 for ranks up to 10
    return (np.bincount(bins, minlength=len(RANKS) + 1) / len(ranks)).tolist()


def scores(
    detector: Detector, training: PairedTexts, test: Sequence[str], cancel: threading.Event | None = None
) -> np.ndarray:
    """Return the scores of a detector fitted on pairs, from the cache if they are there; shape (N,)."""
    code = code_hash(__name__, token_scores.__name__)
    inputs = [detector.inputs(), training.human, training.machine, list(test), versions(), code]

    def compute() -> dict:
        detector.fit(training.human, training.machine, cancel)
        return {"scores": detector.score(test, cancel).tolist()}

    return np.array(cached("detector", inputs, compute)["scores"])


def _learn(blank: Any, human: Sequence[str] | NDArray[Any], machine: Sequence[str] | NDArray[Any]) -> Any:
    """Return features and logistic regression, fitted with the C that was most often right on pairs not seen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline

    n = len(human)
    together, labels = [*human, *machine], np.array([0] * n + [1] * n)
    folds = GroupKFold(min(N_FOLDS, n)).split(together, labels, groups=[*range(n), *range(n)])
    try:
        right = np.mean([_right_by_c(blank, together, labels, *fold) for fold in folds], axis=0)
        best = LogisticRegression(C=C_GRID[right.argmax()], solver="liblinear")
        return make_pipeline(blank, best).fit(together, labels)
    except ValueError as problem:
        raise TextError(
            f"A detector cannot learn from {n} pairs: {str(problem).strip().splitlines()[-1][:100]}",
            "More or longer texts.",
            "Raise n_pairs or n_words.",
        ) from problem


def _right_by_c(blank, together: list, labels: np.ndarray, known: np.ndarray, asked: np.ndarray) -> list[float]:
    """Return the share right on one fold for every C; the features, which C does not change, are made once."""
    from sklearn.linear_model import LogisticRegression

    training_features, test_features = (
        blank.fit_transform([together[i] for i in known]),
        blank.transform([together[i] for i in asked]),
    )
    models = (LogisticRegression(C=c, solver="liblinear").fit(training_features, labels[known]) for c in C_GRID)
    return [model.score(test_features, labels[asked]) for model in models]
