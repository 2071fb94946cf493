"""Distillation experiment: a student model learns from another model's texts; and what replications cost."""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from course_utils.core.paths import data_file
from course_utils.core.wheels import sha256_of
from course_utils.data.bibliography import in_words
from course_utils.errors import TextError
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result
from course_utils.experiments.core.statistics import ratio_interval
from course_utils.models.inference.settings import Settings
from course_utils.models.inference.tokens import Generation
from course_utils.models.registry import formats
from course_utils.plots.cost import bits_picture

if TYPE_CHECKING:
    from course_utils.experiments.replication.train_small import Plan
    from course_utils.models.inference.language_model import LanguageModel

COSTS = data_file(__name__, "costs.json")
TAGS = {
    "V": "seen in the source itself",
    "V2": "second-hand: seen where others report it",
    "SEED": "told by a student's essay, not checked further",
}
LEARNED_FROM = {"teacher": "see its card", "student": "the teacher's words", "control": "people's words"}
AT_ONCE = 8  # texts that a teacher writes from one opening, in one batch
MAX_TEXT_TOKENS = 120  # tokens of each
MIN_TOKENS_READ = 40_000  # tokens: below these even the frequent letters are not learnt

BITS = "bits per character"
Progress = Callable[[float, str], object]


def costs(quantity: str | None = None) -> pd.DataFrame:
    """Return what building such models is said to have cost, one row a figure, with its source and its caveat.

    Parameters
    ----------
    quantity : {"money", "machine time", "energy", "carbon", "compute"}, optional
        All of them when left out.

    Returns
    -------
    pandas.DataFrame
        system, year, quantity, what, value (missing where no source gives one), relation, unit, source, tag (see
        `TAGS`), caveat. Figures that disagree stand in neighbouring rows; none is averaged.

    Raises
    ------
    TextError
        No such quantity.
    """
    table = pd.DataFrame(json.loads(COSTS.read_text("utf-8")))
    table["source"] = table["source"].map(in_words)
    known = list(table["quantity"].unique())
    if quantity is None:
        return table
    if quantity not in known:
        raise TextError(f"No quantity is called {quantity!r}.", f"One of {', '.join(known)}.", 'costs("money")')
    return table[table["quantity"] == quantity].reset_index(drop=True)


def text_hash(generation: Generation) -> str:
    """Return eight letters and digits that stand for a text: two machines wrote the same tokens if theirs are the same.

    Examples
    --------
    >>> text_hash(Generation("", (), Settings(), 0, "", "fp32"))
    '4f53-cda1'
    """
    digest = hashlib.sha256(json.dumps(generation.token_ids).encode()).hexdigest()
    return f"{digest[:4]}-{digest[4:8]}"


def write_texts(
    teacher: "LanguageModel",
    n_tokens: int,
    openings: Sequence[str] = ("",),
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> list[str]:
    """Let a model go on from one opening after the other until its texts hold so many tokens of its own.

    Nothing is cut off its distribution (temperature 1, no top-k): a student should hear all that the teacher would say.

    Parameters
    ----------
    teacher : LanguageModel
    n_tokens : int
    openings : sequence of str
        What the texts begin with, such as headlines; each leads to `AT_ONCE` texts, and after the last comes the first.
    seed : int
    progress, cancel
        As for `imitate`.

    Returns
    -------
    list of str
        Openings included: they are asked for, so the student may read them too.
    """
    written = 0
    texts: list[str] = []
    longest = min(MAX_TEXT_TOKENS, teacher.context // 2)
    while written < n_tokens and not (cancel and cancel.is_set()):
        opening = openings[len(texts) // AT_ONCE % len(openings)]
        settings = Settings(max_new_tokens=longest, top_k=0, seed=seed + len(texts))
        for generation in teacher.generate(opening, settings, n_samples=AT_ONCE):
            written += len(generation.steps)
            texts.append(opening + generation.text)
        if progress:
            progress(min(1.0, written / n_tokens), f"{teacher.name} writes")
    return texts


@experiment("replication.imitate", redraw=lambda rows, run: bits_picture(rows))
def imitate(
    teacher: "LanguageModel",
    human: Sequence[str],
    held_out: Sequence[str],
    folder: Path,
    n_tokens: int = 20_000,
    openings: Sequence[str] = ("",),
    plan: "Plan | None" = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Train a student on what a teacher wrote, and a control on as many tokens that people wrote; measure all three.

    Parameters
    ----------
    teacher : LanguageModel
    human : sequence of str
        Texts by people, for the control.
    held_out : sequence of str
        Texts by people that none of them was trained on: what they are measured on.
    folder : Path
        A new folder, for the two students.
    n_tokens : int
        Tokens that the teacher writes; the control gets human text of as many, counted by the teacher's tokenizer.
    openings : sequence of str
        As for `write_texts`. Headlines make the teacher write news, if that is what the held-out texts are.
    plan : Plan, optional
        Size, seed, and tokens read; by default the smallest, reading its text at least four times.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional

    Returns
    -------
    Result
        One row a model: model, learned_from, n_characters, bits_per_character, low, high. `details` has a column a
        model and a row a text.

    Raises
    ------
    TextError
        The teacher wrote too little, or it was cancelled.
    """
    from course_utils.experiments.replication.train_small import Plan, begin
    from course_utils.models.inference.language_model import LanguageModel

    tell = progress or (lambda share, what: None)
    _require_not(cancel)
    plan = plan or Plan(size="smallest", n_tokens=max(MIN_TOKENS_READ, 4 * n_tokens), n_said=1)
    written = write_texts(teacher, n_tokens, openings, plan.seed, lambda share, what: tell(share / 3, what), cancel)
    n_read = sum(len(teacher.encode(text)) for text in written)
    bodies = {"student": written, "control": as_many(human, teacher, n_read)}
    for number, (name, texts) in enumerate(bodies.items(), start=1):
        for step in begin(folder / name, texts, plan, held_out, f"{name}'s text"):
            tell((number + step.step / step.n_steps) / 3, f"{name} learns")
            _require_not(cancel)
    models = {"teacher": teacher} | {name: LanguageModel(folder / name) for name in bodies}
    settings = {"n_tokens": n_tokens, "n_openings": len(openings)}
    return _result(models, bodies, held_out, plan, settings)


def as_many(texts: Sequence[str], model: "LanguageModel", n_tokens: int) -> list[str]:
    """Return the first texts that hold so many tokens by a model's tokenizer, the last one cut.

    Raises
    ------
    TextError
        There are not so many.
    """
    kept: list[str] = []
    left = n_tokens
    for text in texts:
        ids = model.encode(text)
        kept.append(text if len(ids) <= left else str(model.tokenizer.decode(ids[:left])))
        left -= len(ids)
        if left <= 0:
            return kept
    raise TextError(
        f"The texts hold {n_tokens - left:,} tokens.", f"At least {n_tokens:,}.", "Add texts, or lower n_tokens."
    )


def _require_not(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise TextError(
            "The experiment was stopped.",
            "A run to its end.",
            "Run it again; with the same seed it gives the same result.",
        )


def _result(
    models: dict, bodies: dict[str, list[str]], held_out: Sequence[str], plan: "Plan", settings: dict
) -> Result:
    bits = {name: _bits(model, held_out) for name, model in models.items()}
    lengths = np.array([len(text) for text in held_out])
    rows = []
    for name in models:
        texts = bodies.get(name, [])
        low, high = ratio_interval(bits[name], lengths, plan.seed)
        known = {"model": name, "learned_from": LEARNED_FROM[name], "n_characters": sum(map(len, texts)) or None}
        rows.append(known | {"bits_per_character": bits[name].sum() / lengths.sum(), "low": low, "high": high})
    gap = bits["student"] - bits["control"]
    low, high = ratio_interval(gap, lengths, plan.seed)
    finding = (
        f"On {len(held_out)} texts kept apart, the student of {models['teacher'].name} needs "
        f"{gap.sum() / lengths.sum():+.2f} bits per character (95% interval {low:+.2f} to {high:+.2f}) compared with "
        "a control that read as many tokens written by people."
    )
    of = f"the student of {models['teacher'].name} against a control that read people's words"
    return Result(
        rows=pd.DataFrame(rows),
        finding=finding,
        settings={**settings, "plan": dataclasses.asdict(plan), "n_held_out": len(held_out)},
        models={model.name: sha256_of(_weights(model)) for model in models.values()},
        seed=plan.seed,
        draw=bits_picture,
        details=pd.DataFrame(bits).div(lengths, axis=0),
        headline=Metric("bits_more", of, gap.sum() / lengths.sum(), BITS, low, high, len(held_out)),
        measures=[Measure("bits_per_character", BITS, "low", "high", len(held_out))],
    )


def _weights(model: "LanguageModel") -> Path:
    return Path(model.tokenizer.name_or_path) / formats.WEIGHTS


def _bits(model: "LanguageModel", texts: Sequence[str]) -> np.ndarray:
    """Return the surprisal of each text, in bits."""
    from course_utils.models.inference.scoring import score_nats

    return np.array([nats.sum() for nats in score_nats(model, list(texts))]) / np.log(2)
