"""Detection trial with parameters of your own: generator, sampling, number and length of texts, detectors."""

import dataclasses
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_utils.data import news_articles
from course_utils.errors import SettingsError, TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Metric, Result
from course_utils.experiments.core.statistics import wilson
from course_utils.experiments.detection.base_rates import worth_of_a_flag
from course_utils.experiments.detection.compare import compare_detectors
from course_utils.experiments.detection.detectors import DETECTORS, WITH_READER, Detector, WordDetector
from course_utils.experiments.detection.evaluate import (
    Progress,
    in_words,
    resampled_of,
    scores_by_author,
    with_ends_of_all,
)
from course_utils.experiments.texts.pairs import PairedTexts, paired_texts
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.inference.settings import RANGES, Settings

LIMITS = {
    "n_pairs": (10, 1000, True, "headlines; half of the pairs are learnt from, half are measured on"),
    "n_words": (10, 150, True, "words to which every text is cut, so that length tells nothing"),
    **{name: RANGES[name] for name in ("temperature", "top_k", "top_p", "seed")},
}
SPARE = 1.35  # tokens that are written for each that as many words of news have: a machine's words can be longer
N_LOOKED_AT = 20  # articles, to learn how many tokens a word has
HEADLINE = 64  # tokens of the context that are left to it
# Seconds that a step of writing and a token of reading take, and what each parameter adds; on two cores.
STEP_S, READ_S = (4e-3, 7e-10), (1.2e-4, 1.5e-11)


@dataclasses.dataclass(frozen=True)
class Trial:
    """Parameters of a detection trial, checked when made.

    Parameters
    ----------
    kinds : sequence of str
        Which detectors, of `DETECTORS`.
    n_pairs, n_words, temperature, top_k, top_p, seed
        Within `LIMITS`.

    Raises
    ------
    SettingsError
    """

    kinds: Sequence[str] = tuple(DETECTORS)
    n_pairs: int = 240
    n_words: int = 50
    temperature: float = 1.0
    top_k: int = 40
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every number against its range."""
        if isinstance(self.kinds, str) or not self.kinds or not set(self.kinds) <= set(DETECTORS):
            what = f"The detectors are {self.kinds!r}." if self.kinds else "No detector is chosen."
            raise SettingsError(what, f"At least one of {', '.join(DETECTORS)}.", 'Choose one: kinds=["words"].')
        object.__setattr__(self, "kinds", tuple(kind for kind in DETECTORS if kind in self.kinds))
        for name, (low, high, is_whole, meaning) in LIMITS.items():
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high or (is_whole and value != int(value)):
                kind = "A whole number" if is_whole else "A number"
                raise SettingsError(
                    f"{name} is {value!r}.",
                    f"{kind} from {low} to {high} ({meaning}).",
                    f"Set {name} within that range.",
                )

    @property
    def needs_reader(self) -> bool:
        """Whether a detector looks at texts through a language model."""
        return self.kinds != ("words",)

    def detectors(self, reader: BaseLanguageModel | None) -> list[Detector]:
        """Return the detectors, which have learnt nothing yet.

        Raises
        ------
        SettingsError
            A detector looks at texts through a reader, and there is none.
        """
        found: list[Detector] = []
        for kind in self.kinds:
            if kind == "words":
                found.append(WordDetector())
            elif reader is None:
                what = f"The detector {kind!r} looks at texts through a model, and no reader is given."
                raise SettingsError(what, "A model that reads the texts.", 'Give a reader, or take kinds=["words"].')
            else:
                found.append(WITH_READER[kind](reader))
        return found

    def seconds(self, writer_parameters: int, reader_parameters: int) -> tuple[float, float]:
        """Return about how long writing and judging take on two cores."""
        n_steps = min(self.n_pairs, 14 + self.n_pairs / 12) * self.n_words * 2  # like prompts are written together
        n_read = 2 * self.n_pairs * self.n_words * 1.5 if self.needs_reader else 0
        step, read = STEP_S[0] + STEP_S[1] * writer_parameters, READ_S[0] + READ_S[1] * reader_parameters
        return n_steps * step, 2 + n_read * read


@experiment(
    "detection_trial.run_trial",
    {
        "generator": input_types.model,
        "reader": input_types.optional(input_types.model),
        "kinds": input_types.list_of(input_types.one_of(*DETECTORS), len(DETECTORS)),
        **{
            name: input_types.integer(int(low), int(high)) if is_integer else input_types.number(low, high)
            for name, (low, high, is_integer, _) in LIMITS.items()
        },
    },
)
def run_trial(
    generator: BaseLanguageModel,
    reader: BaseLanguageModel | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    **composed,
) -> Result:
    """Let a model write under headlines of held-out news, and detectors learn and judge.

    Parameters
    ----------
    generator : BaseLanguageModel
    reader : BaseLanguageModel, optional
        Through which likelihood and ranks are seen; the generator itself when left out.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Stops with Cancelled; what was written and read until then is kept.
    composed
        What a `Trial` takes.

    Returns
    -------
    Result
        As of `compare_detectors`, with the rows of these detectors only; and all it takes to do it again.

    Raises
    ------
    SettingsError, TextError, Cancelled
    """
    trial, tell = Trial(**composed), progress or (lambda share, what: None)
    judges = reader or generator
    writing, judging = trial.seconds(generator.n_parameters, judges.n_parameters)
    part = writing / (writing + judging)
    pairs = write_pairs(trial, generator, lambda share, what: tell(part * share, what), cancel)
    result = judge_pairs(trial, pairs, judges, lambda share, what: tell(part + (1 - part) * share, what), cancel)
    inputs = {"generator": generator.name, "reader": reader and reader.name, **dataclasses.asdict(trial)}
    inputs["kinds"] = list(trial.kinds)
    settings = {**result.settings, "precision": generator.precision}
    return dataclasses.replace(result, settings=settings, inputs=inputs)


def write_pairs(
    trial: Trial, generator: BaseLanguageModel, progress: Progress | None = None, cancel: threading.Event | None = None
) -> PairedTexts:
    """Let the generator write as many tokens as the words take, and some to spare; see `paired_texts`."""
    settings = _settings(trial, generator, _tokens_a_word(generator))
    return paired_texts(
        generator, trial.n_pairs, settings, trial.n_words, seed=trial.seed, progress=progress, cancel=cancel
    )


def judge_pairs(
    trial: Trial,
    pairs: PairedTexts,
    reader: BaseLanguageModel | None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Let the trial's detectors learn from texts and judge them, wherever these were written; see `run_trial`."""
    names = [detector.name for detector in trial.detectors(reader)]
    readers = [reader] if trial.needs_reader and reader is not None else []
    result = compare_detectors(pairs, readers, trial.seed, progress, cancel)
    rows = result.rows[result.rows["detector"].isin(names)].reset_index(drop=True)
    details = result.known_details()
    details = details[details["detector"].isin(names)]
    tables = dict(list(details.groupby("detector")))
    rows = with_ends_of_all(rows, resampled_of([tables[name] for name in rows["detector"]], trial.seed))
    best = rows.loc[rows["auc"].idxmax()]
    ends = best["auc_low_of_all"], best["auc_high_of_all"]
    headline = Metric("auc", best["detector"], best["auc"], "AUC", *ends, best["n_human"])
    which = (
        f"the best of {len(rows)} detectors, {best['detector']},"
        if len(rows) > 1
        else f"the detector by {best['detector']}"
    )
    finding = (
        f"On {len(pairs.test)} pairs of {pairs.n_words} words, machine text by {pairs.generator} ({pairs.sampling}), "
        f"{which} reaches {in_words(best, len(rows))}."
    )
    fields: dict[str, Any] = {"rows": rows, "details": details, "finding": finding, "headline": headline}
    if len(rows) < len(result.rows):  # what does all detectors again would not find this one in its row
        fields |= {"experiment": "", "inputs": None}
    return dataclasses.replace(result, settings={**result.settings, "sampling": pairs.sampling}, **fields)


# -- a text of one's own ----------------------------------------------------------------------------------------------


def place_text(
    trial: Trial, result: Result, text: str, reader: BaseLanguageModel | None, cancel: threading.Event | None = None
) -> list[dict[str, object]]:
    """Say where a text falls among the human and the machine test texts, by each detector of a trial: no verdict.

    Parameters
    ----------
    trial : Trial
    result : Result
        Of that trial: the detectors learn from the texts that it keeps.
    text : str
        Of a text longer than those, the beginning is judged.
    reader : BaseLanguageModel or None
        The trial's.
    cancel : threading.Event, optional

    Returns
    -------
    list of dict
        One a detector: detector, score, n_human and n_machine (how many test texts score at least as high), human and
        machine (the scores of all test texts).

    Raises
    ------
    TextError
        The text is shorter than those that the detectors know.
    Cancelled
    """
    cut, notes = beginning(result, text), []
    for detector in trial.detectors(reader):
        details = result.known_details()
        table = details[details["detector"] == detector.name]
        learnt = table[table["half"] == "training"].groupby("author")["text"].agg(list)
        score = float(detector.fit(learnt["human"], learnt["machine"], cancel).score([cut], cancel)[0])
        sides = dict(zip(("human", "machine"), map(np.ndarray.tolist, scores_by_author(table)), strict=True))
        above = {f"n_{author}": sum(value >= score for value in side) for author, side in sides.items()}
        notes.append({"detector": detector.name, "score": score, **above, **sides})
    return notes


def beginning(result: Result, text: str) -> str:
    """Return as many words of a text as the texts of a trial have.

    Raises
    ------
    TextError
        It has fewer.
    """
    n_words, words = result.settings["sets"][0]["n_words"], text.split()
    if len(words) < n_words:
        raise TextError(
            f"The text has {len(words)} word{'s' * (len(words) != 1)}.",
            f"At least {n_words}: the detectors know texts of that length only.",
            "Paste a longer text, or run a trial with fewer words.",
        )
    return " ".join(words[:n_words])


def worth(n_machine: int, of_machine: int, n_human: int, of_human: int, one_in: int) -> tuple[float, float, float]:
    """Return the share of right flags, and its worst and best case, where one in so many texts is a machine's.

    A flag is given to every text that scores at least as high as ``n_machine`` of the machine and ``n_human`` of the
    human test texts do. The ends come of Wilson's intervals of both shares; see `worth_of_a_flag`.

    Examples
    --------
    >>> [round(share, 2) for share in worth(90, 100, 10, 100, 10)]
    [0.5, 0.34, 0.66]
    """
    caught, alarms = wilson(n_machine, of_machine), wilson(n_human, of_human)
    ends = (caught.share, caught.low, caught.high), (alarms.share, alarms.low, alarms.high)
    return worth_of_a_flag(*ends, 1 / one_in)


# -- how much is written ----------------------------------------------------------------------------------------------


def _settings(trial: Trial, model: BaseLanguageModel, a_word: float) -> Settings:
    n_tokens = math.ceil(SPARE * a_word * trial.n_words)
    free_tokens = min(RANGES["max_new_tokens"][1], model.context - HEADLINE)
    if n_tokens > free_tokens:
        raise SettingsError(
            f"{trial.n_words} words need some {n_tokens} tokens, and {model.name} can be asked for {free_tokens}.",
            f"At most {math.floor(free_tokens / SPARE / a_word)} words.",
            "Lower the number of words.",
        )
    return Settings(n_tokens, trial.temperature, trial.top_k, trial.top_p, seed=trial.seed)


def _tokens_a_word(model: BaseLanguageModel) -> float:
    looked_at = [article.text for article in news_articles.articles("held_out")[:N_LOOKED_AT]]
    return sum(model.count_tokens(text) for text in looked_at) / sum(len(text.split()) for text in looked_at)
