"""Sampling effects: how temperature, top-k and top-p change the repetition and the variety of a text."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from course_utils.core.code_hash import code_hash
from course_utils.errors import TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import cached
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result, kept_texts, versions
from course_utils.experiments.core.statistics import mean_interval, ratio_interval, resample, simultaneous
from course_utils.experiments.texts.repetition import distinct_ngrams, repeated_ngram_share, words
from course_utils.plots.sampling import settings_picture

if TYPE_CHECKING:
    # For the reader's type checker only: at run time this room needs neither torch nor transformers.
    from course_utils.models.inference.language_model import LanguageModel
    from course_utils.models.inference.settings import Settings
    from course_utils.models.inference.tokens import Generation

MEASURES = {
    "repeated_4grams": "share of 4-grams already said",
    "distinct_2": "distinct-2: unique word pairs / all",
}
PERPLEXITY = "perplexity under the model itself"
CITED = (Measure("mean", "a share, or perplexity per token", "low", "high", "n_texts", ("setting", "measure")),)

Progress = Callable[[float, str], object]


def compare_settings(
    model: "LanguageModel", prompts: Iterable[str], settings: "Mapping[str, Settings]", n_samples: int = 4
) -> pd.DataFrame:
    """Let a model continue every prompt under every setting, and measure each text.

    Parameters
    ----------
    model : LanguageModel
        The model that speaks; anything with its ``generate`` and ``name`` will do.
    prompts : iterable of str
        Openings to continue.
    settings : mapping of str to Settings
        A short name for each way of drawing, such as ``{"greedy": Settings(temperature=0)}``.
    n_samples : int
        Texts a prompt and setting. Greedy draws nothing, so it writes one text: copies would only feign certainty.

    Returns
    -------
    pandas.DataFrame
        One row a text: setting, prompt, seed, text, n_words, repeated_4grams, distinct_2, model. Only the machine's
        words are measured, not the prompt's. A text too short for a measure keeps its row, with that measure missing.

    Raises
    ------
    TextError
        If ``prompts`` is one string: its letters would each be taken for a prompt.
    """
    if isinstance(prompts, str):
        raise TextError(f"prompts is the text {prompts[:40]!r}.", "A list of prompts.", "Put it in brackets: [prompt].")
    rows, prompts = [], list(prompts)
    for name, chosen in settings.items():
        for prompt in prompts:
            for generation in model.generate(prompt, chosen, n_samples=1 if chosen.is_greedy else n_samples):
                rows.append({"setting": name} | _measured(generation) | {"model": model.name})
    return pd.DataFrame(rows)


def summarise(table: pd.DataFrame, measures: Iterable[str] = tuple(MEASURES), *, seed: int = 0) -> pd.DataFrame:
    """Return mean and 95% interval of each measure under each setting, in the order in which the settings came.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`compare_settings`.
    measures : iterable of str
        The columns to sum up.
    seed : int
        Of the resampling.

    Returns
    -------
    pandas.DataFrame
        One row a setting and measure: setting, measure, n_texts, n_too_short, mean, low, high.

    Notes
    -----
    The interval is a percentile bootstrap over texts (Efron, 1979). It speaks of new texts for these prompts; other
    prompts may differ by more.
    """
    rows = []
    for measure in measures:
        for setting, values in table.groupby("setting", sort=False)[measure]:
            kept = values.dropna().to_numpy(dtype=float)
            found = mean_interval(kept, seed)
            counts = {"n_texts": kept.size, "n_too_short": len(values) - kept.size}
            ends = {"mean": found.mean, "low": found.low, "high": found.high}
            rows.append({"setting": setting, "measure": measure} | counts | ends)
    return pd.DataFrame(rows)


@experiment(
    "sampling_effects.measure_settings",
    {
        "model": input_types.model,
        "prompts": input_types.texts,
        "settings": input_types.settings_by_name,
        "n_samples": input_types.integer(1, 1000),
        "seed": input_types.seed,
    },
    count_tokens=lambda given: (
        len(given["prompts"])
        * given["n_samples"]
        * sum(setting.max_new_tokens for setting in given["settings"].values())
    ),
)
def measure_settings(
    model: "LanguageModel",
    prompts: Iterable[str],
    settings: "Mapping[str, Settings]",
    n_samples: int = 4,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Do what `compare_settings` does, and ask the model how likely it finds its own words.

    Parameters
    ----------
    model, prompts, settings, n_samples
        As for `compare_settings`.
    seed : int
        Of the resampling; the texts are drawn with each setting's own.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Stops between two tokens with Cancelled. What was finished is kept and not written again.

    Returns
    -------
    Result
        One row a setting and measure: setting, measure, n_texts, n_too_short, mean, low, high (95%, of each row
        alone), low_of_all, high_of_all (for all settings at once, which the setting that comes out highest or lowest
        needs). The perplexity is that of all tokens of a setting together. details: one row a text, the text itself
        in it.

    Raises
    ------
    TextError
        Prompts or settings are missing, or ``prompts`` is one string.
    Cancelled

    Notes
    -----
    Perplexity is under the model's own distribution, whatever the setting cut off or sharpened, in the precision in
    which it wrote, each token after all before it; the token that ends a text is not counted. It tells how ordinary the
    model finds its words, not how good they are. Intervals: percentile bootstrap over texts.
    """
    if isinstance(prompts, str) or not (prompts := list(prompts)) or not settings:
        description = f"prompts is {prompts!r}, of settings there are {len(settings)}."
        raise TextError(description[:200], "A list of prompts, and a setting.", "Put it in brackets: [prompt].")
    tell, texts = progress or (lambda share, what: None), []
    jobs = [(name, prompt) for name in settings for prompt in prompts]
    for done, (name, prompt) in enumerate(jobs):
        tell(done / len(jobs), f"{model.name} writes, {name}")
        n_texts = 1 if settings[name].is_greedy else n_samples
        texts += [{"setting": name} | row for row in _write_once(model, prompt, settings[name], n_texts, cancel)]
    tell(1.0, "done")
    details = pd.DataFrame(texts)
    rows = pd.concat([summarise(details, seed=seed), _perplexities(details, seed)], ignore_index=True)
    rows = _with_ends_of_all(rows, details, seed)
    how = {name: dataclasses.asdict(chosen) for name, chosen in settings.items()}
    asked = {"prompts": prompts, "n_samples": n_samples, "settings": how}
    inputs = asked | {"model": model.name, "prompts": kept_texts(prompts), "seed": seed}
    labels = MEASURES | {"perplexity": PERPLEXITY}
    draw = functools.partial(settings_picture, table=details, labels=labels)
    return Result(
        rows,
        _finding(rows, model.name, len(prompts)),
        settings=asked | {"precision": model.precision},
        models={model.name: model.weights_sha256},
        seed=seed,
        draw=draw,
        details=details,
        headline=_headline(rows, model.name),
        measures=CITED,
        inputs=inputs,
    )


def _write_once(model, prompt: str, chosen: "Settings", n_texts: int, cancel: threading.Event | None) -> list[dict]:
    """Return the rows of one prompt under one setting, from memory where they are known."""
    from course_utils.models.inference.base import Cancelled

    def write() -> dict:
        stream = model.stream(prompt, chosen, n_texts, cancel)
        for _ in stream:
            pass
        if cancel is not None and cancel.is_set():
            raise Cancelled
        return {"rows": [_measured(generation) | _own_bits(generation) for generation in stream.generations()]}

    if cancel is not None and cancel.is_set():
        raise Cancelled
    known = [{model.name: model.weights_sha256}, model.precision, model.device.type]
    known += [prompt, dataclasses.asdict(chosen), n_texts]
    return cached("sampling", [*known, code_hash(__name__), versions()], write)["rows"]


def _own_bits(generation: "Generation") -> dict[str, float]:
    bits = sum(step.surprisal_bits for step in generation.steps)
    n_tokens = len(generation.steps)
    return {"bits": bits, "n_tokens": n_tokens, "perplexity": 2 ** (bits / n_tokens) if n_tokens else np.nan}


def _perplexities(details: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return one row a setting: two to the bits of all its tokens, divided by how many they are."""
    rows = []
    for setting, part in details.groupby("setting", sort=False):
        kept = part[part["n_tokens"] > 0]
        counts = {"n_texts": len(kept), "n_too_short": len(part) - len(kept)}
        bits, n_tokens = kept["bits"].to_numpy(), kept["n_tokens"].to_numpy()
        low, high = ratio_interval(bits, n_tokens, seed)
        mean = bits.sum() / n_tokens.sum() if len(kept) else np.nan
        rows.append(
            {"setting": setting, "measure": "perplexity"} | counts | {"mean": 2**mean, "low": 2**low, "high": 2**high}
        )
    return pd.DataFrame(rows)


def _with_ends_of_all(rows: pd.DataFrame, details: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Add low_of_all and high_of_all: for each measure, intervals that hold for all settings at once."""
    rows = rows.assign(low_of_all=rows["low"], high_of_all=rows["high"])
    for measure in rows["measure"].unique():
        indices = rows.index[(rows["measure"] == measure) & rows["low"].notna()]
        if not len(indices):
            continue
        drawn = [_resampled(details[details["setting"] == rows["setting"][index]], measure, seed) for index in indices]
        low, high = simultaneous(rows["mean"][indices], np.stack(drawn, axis=1))
        rows.loc[indices, "low_of_all"] = np.minimum(np.maximum(low, 0), rows["low"][indices])
        rows.loc[indices, "high_of_all"] = np.maximum(high, rows["high"][indices])
        if measure != "perplexity":  # the others are shares
            rows.loc[indices, "high_of_all"] = rows.loc[indices, "high_of_all"].clip(upper=1)
    return rows


def _resampled(part: pd.DataFrame, measure: str, seed: int) -> np.ndarray:
    """Return a measure of one setting in each resample of its texts, shape (R,)."""
    if measure == "perplexity":
        kept = part[part["n_tokens"] > 0]
        drawn = resample(len(kept), seed)
        return 2 ** (kept["bits"].to_numpy()[drawn].sum(axis=1) / kept["n_tokens"].to_numpy()[drawn].sum(axis=1))
    values = part[measure].dropna().to_numpy(dtype=float)
    return values[resample(len(values), seed)].mean(axis=1)


def _headline(rows: pd.DataFrame, name: str) -> Metric | None:
    """Return the share of repeated 4-grams under the setting that repeats most."""
    table = rows[rows["measure"] == "repeated_4grams"].dropna(subset="mean")
    if table.empty:
        return None
    most = table.loc[table["mean"].idxmax()]
    of = f"{name} under “{most['setting']}”"
    return Metric(
        "repeated_4grams", of, most["mean"], "share", most["low_of_all"], most["high_of_all"], most["n_texts"]
    )


def _finding(rows: pd.DataFrame, name: str, n_prompts: int) -> str:
    table = rows[rows["measure"] == "repeated_4grams"].dropna(subset="mean")
    if table.empty:
        return f"No text of {name} was long enough to be measured."
    most, least = table.loc[table["mean"].idxmax()], table.loc[table["mean"].idxmin()]

    def shown_row(row) -> str:
        low, high = row["low_of_all"], row["high_of_all"]
        ends = "no interval, " if np.isnan(low) else f"{low:.2f} to {high:.2f}, "
        return f"{row['mean']:.2f} ({ends}n = {row['n_texts']}) under “{row['setting']}”"

    chosen = f", the least and the most of {len(table)}; the intervals allow for the choice" if len(table) > 1 else ""
    shares = f"{shown_row(least)} to {shown_row(most)}"
    return f"After {n_prompts} prompts, {name} repeats 4-grams at a share of {shares}{chosen}."


def _measured(generation: "Generation") -> dict[str, object]:
    """Return one text's row."""
    text = generation.text
    return {
        "prompt": generation.prompt,
        "seed": generation.seed,
        "text": text,
        "n_words": len(words(text)),
        "repeated_4grams": repeated_ngram_share(text, 4) if len(words(text)) >= 4 else np.nan,
        "distinct_2": distinct_ngrams(text, 2) if len(words(text)) >= 2 else np.nan,
    }
