"""Comparison of model sizes: bits per character, perplexity, speed, memory, file size and loading time."""

import functools
import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils.core.json_types import JsonObject
from course_utils.data import news_articles
from course_utils.errors import ModelNotHere, SettingsError, TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.core.power_law import PowerLaw, fit_power_law
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result, kept_texts
from course_utils.experiments.core.statistics import N_RESAMPLES, ratio_interval, resample
from course_utils.models.architecture import GPT2
from course_utils.models.registry import checksums, formats, registry, release_stage
from course_utils.models.registry.catalogue import POCKET
from course_utils.plots.picture import Picture
from course_utils.plots.size import Panel, loss_against_parameters

Progress = Callable[[float, str], object]
BITS = "bits per character"
MEASURES = (
    Measure("bits_per_character", BITS, "bits_low", "bits_high", "n_documents"),
    Measure("perplexity", "perplexity per token", "perplexity_low", "perplexity_high", "n_documents"),
    Measure("file_mb", "MB"),
    Measure("memory_mb", "MB"),
    Measure("load_s", "seconds"),
    Measure("tokens_per_s", "tokens a second"),
    Measure("n_parameters", "parameters"),
)


@experiment(
    "sizes.compare_sizes",
    {
        "models": input_types.list_of(input_types.model_name, 8),
        "documents": input_types.optional(input_types.texts),
        "n_documents": input_types.integer(1, input_types.MAX_TEXTS),
        "seed": input_types.seed,
        "stride": input_types.optional(input_types.integer(1, 4096)),
    },
)
def compare_sizes(
    models: Sequence[str | Path] | None = None,
    documents: Sequence[str] | None = None,
    *,
    n_documents: int = 40,
    seed: int = 0,
    stride: int | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Read the same documents with every model, in fp32, and measure what each costs on this machine.

    Parameters
    ----------
    models : sequence of str or Path, optional
        Names on the shelf, or checkpoints' folders; `family_here` when left out.
    documents : sequence of str, optional
        What people wrote and no model was trained on; held-out news when left out.
    n_documents : int
        How many of the held-out news, drawn by the seed.
    seed : int
        Of that choice, and of the resampling.
    stride : int, optional
        As for ``model.score``.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done: ``ProgressLine()``.
    cancel : threading.Event, optional
        Stops with Cancelled. What was measured of one model is kept and not measured again.

    Returns
    -------
    Result
        One row a model, smallest first. Its details: one row a model and document.

    Raises
    ------
    UnknownModel, ModelNotHere, DamagedFile, NotEnoughMemory, AccessRefused
    TextError
        No documents, or an empty one, or the news are not on this machine.
    SettingsError
        A model is named twice, n_documents is no number, or the stride is out of its range.

    Notes
    -----
    Intervals are percentile bootstraps over documents (Efron 1979), the same draws for all models: they speak of other
    documents of this kind, not of other trainings. Perplexity is per token, so compare it only between models with
    equal ``n_tokens``; bits per character compare all. Speed, memory and loading are of this machine, in fp32.
    """
    from course_utils.experiments.sizes import benchmark  # only here: a list of the family needs no torch

    folders = _folders(family_here() if models is None else models)
    inputs: dict[str, object] = {
        "models": list(folders),
        "documents": None if documents is None else kept_texts(_checked(documents)),
    }
    inputs |= {"n_documents": n_documents, "seed": seed, "stride": stride}
    documents = held_out_news(n_documents, seed) if documents is None else _checked(documents)
    sizes = {name: checksums.n_parameters(folder / formats.WEIGHTS) for name, folder in folders.items()}
    hashes = {name: checksums.check(folder)[formats.WEIGHTS] for name, folder in folders.items()}
    tell, n_done = progress or (lambda share, what: None), 0
    measured: dict[str, JsonObject] = {}
    for name in sorted(folders, key=sizes.__getitem__):
        what = f"{name} reads {len(documents)} documents"
        step = _part(tell, n_done / sum(sizes.values()), sizes[name] / sum(sizes.values()), what)
        measured[name] = benchmark.measure_once(folders[name], hashes[name], documents, stride, step, cancel)
        n_done += sizes[name]
    tell(1.0, "done")
    details = _details(measured, documents)
    rows = pd.DataFrame([_row(name, measured[name]["cost"], details, seed) for name in measured])
    settings = {"n_documents": len(documents), "documents_sha256": sha256_of_values(documents), "stride": stride}
    settings |= {"precision": "fp32", "n_resamples": N_RESAMPLES}
    draw = functools.partial(_draw, details=details, seed=seed)
    headline = _headline(rows, details, seed)
    finding = _finding(rows, headline)
    return Result(
        rows,
        finding,
        settings=settings,
        models=hashes,
        seed=seed,
        draw=draw,
        details=details,
        headline=headline,
        measures=MEASURES,
        inputs=inputs,
    )


def family_here() -> list[str]:
    """Return the pocket models that are on this machine, or else GPT-2's sizes, or else whatever is here.

    Raises
    ------
    ModelNotHere
        If there is none.
    """
    here = [entry.name for entry in registry.entries() if registry.folder_of(entry)]
    for family in (name for name in here if name in POCKET), (name for name in here if name in GPT2), here:
        if names := list(family):
            return names
    raise ModelNotHere("No model is on this machine.", "Two at least.", "python -m course_utils models lists them.")


def held_out_news(n_documents: int = 40, seed: int = 0) -> list[str]:
    """Draw news articles that no model of ours was trained on, in the order of their ids."""
    news = news_articles.articles("held_out")
    if isinstance(n_documents, bool) or not isinstance(n_documents, int) or not 1 <= n_documents <= len(news):
        raise SettingsError(f"n_documents is {n_documents!r}.", f"From 1 to {len(news)}.", "Set n_documents=40.")
    chosen = np.random.default_rng(seed).choice(len(news), n_documents, replace=False)
    return [news[index].text for index in sorted(chosen)]


def differences(result: Result) -> pd.DataFrame:
    """Compare each model with the next larger one on the same documents.

    Returns
    -------
    pandas.DataFrame
        smaller, larger, bits_saved (per character; negative where the larger is worse), low, high (95%),
        share_of_documents (on which the larger is better). No row for a model that stands alone.
    """
    names = list(result.rows["model"])
    bits, characters = by_document(result.known_details(), "bits"), by_document(result.known_details(), "n_characters")
    rows = []
    for smaller, larger in zip(names, names[1:], strict=False):
        saved, length = bits[smaller] - bits[larger], characters[smaller]
        low, high = ratio_interval(saved, length, result.known_seed())
        pair = {"smaller": smaller, "larger": larger, "bits_saved": saved.sum() / length.sum()}
        rows.append(pair | {"low": low, "high": high, "share_of_documents": (saved > 0).mean()})
    return pd.DataFrame(rows, columns=["smaller", "larger", "bits_saved", "low", "high", "share_of_documents"])


def panel(result: Result, title: str = "ours") -> Panel:
    """Return a result as one panel of `loss_against_parameters`, with its fitted line and band."""
    return _panel(result.rows, result.known_details(), result.known_seed(), title)


# -- what goes in --------------------------------------------------------------------------------------------------


def _folders(models: Sequence[str | Path]) -> dict[str, Path]:
    if isinstance(models, str | Path):
        models = [models]
    folders = [registry.find(model) if isinstance(model, str) else model for model in models]
    names = [folder.name for folder in folders]
    if not names or len(set(names)) < len(names):
        raise SettingsError(f"The models are {names}.", "Models of different names.", "Name each model once.")
    for name in names:
        release_stage.require_open(name)
    return dict(zip(names, folders, strict=True))


def _checked(documents: Sequence[str]) -> list[str]:
    documents = [documents] if isinstance(documents, str) else list(documents)
    if not documents or not all(document.strip() for document in documents):
        raise TextError(
            "documents is empty or holds an empty text.", "Texts with words in them.", "Leave the empty text out."
        )
    return documents


def _part(tell: Progress, begun: float, share: float, what: str) -> Callable[[float], object]:
    """Return a function that tells one model's progress as a part of the whole, which ends elsewhere."""
    return lambda done: tell(min(begun + share * done, 0.999), what)


# -- from documents to rows -------------------------------------------------------------------------------------------


def _details(measured: dict[str, JsonObject], documents: list[str]) -> pd.DataFrame:
    """Return one row a model and document."""
    lengths = [len(document) for document in documents]
    parts = [
        pd.DataFrame({"model": name, "document": range(len(documents)), "bits": found["bits"]})
        .assign(n_tokens=found["n_tokens"], n_characters=lengths)
        .assign(bits_per_character=lambda table: table["bits"] / table["n_characters"])
        for name, found in measured.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _row(name: str, cost: dict[str, float], details: pd.DataFrame, seed: int) -> dict[str, object]:
    own_rows = details[details["model"] == name]
    bits, n_tokens, n_characters = (own_rows[column].to_numpy() for column in ("bits", "n_tokens", "n_characters"))
    counts = {"n_documents": len(own_rows), "n_characters": n_characters.sum(), "n_tokens": n_tokens.sum()}
    row = {"model": name, **cost, **counts, "bits_per_character": bits.sum() / n_characters.sum()}
    row["bits_low"], row["bits_high"] = ratio_interval(bits, n_characters, seed)
    row["perplexity"] = 2 ** (bits.sum() / n_tokens.sum())
    row["perplexity_low"], row["perplexity_high"] = (2**end for end in ratio_interval(bits, n_tokens, seed))
    return row


def power_law(rows: pd.DataFrame, details: pd.DataFrame, seed: int) -> PowerLaw:
    """Fit bits per character to size, with an interval over documents; see `fit_power_law`."""
    bits, characters = (by_document(details, column)[rows["model"]].to_numpy() for column in ("bits", "n_characters"))
    drawn = resample(len(bits), seed)
    resampled = bits[drawn].sum(axis=1) / characters[drawn].sum(axis=1) if len(bits) > 1 else None  # (R, M)
    return fit_power_law(rows["n_parameters"], rows["bits_per_character"], resampled)


def _panel(rows: pd.DataFrame, details: pd.DataFrame, seed: int, title: str) -> Panel:
    names = {"bits_per_character": "value", "bits_low": "low", "bits_high": "high"}
    table = rows[["model", "n_parameters", *names]].rename(columns=names)
    if rows["n_parameters"].nunique() < 2:
        return Panel(title, "bits per character", table)
    law = power_law(rows, details, seed)
    return Panel(title, "bits per character", table, law.table(), law.exponent)


def _draw(rows: pd.DataFrame, details: pd.DataFrame, seed: int) -> Picture:
    return loss_against_parameters([_panel(rows, details, seed, "")])


def by_document(details: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row a document, one column a model; the details have one row a model and document."""
    return details.pivot(index="document", columns="model", values=column)


def _headline(rows: pd.DataFrame, details: pd.DataFrame, seed: int) -> Metric:
    """Return what the largest saves against the smallest, or what a model that stands alone needs."""
    first, last = rows.iloc[0], rows.iloc[-1]
    n = len(details) // len(rows)
    if len(rows) == 1:
        ends = first["bits_low"], first["bits_high"]
        return Metric("bits_per_character", first["model"], first["bits_per_character"], BITS, *ends, n, row=0)
    bits, lengths = by_document(details, "bits"), by_document(details, "n_characters")[first["model"]]
    saved = bits[first["model"]] - bits[last["model"]]
    ends = ratio_interval(saved, lengths, seed)
    of = f"{last['model']} against {first['model']}"
    return Metric("bits_saved", of, saved.sum() / lengths.sum(), BITS, *ends, n)


def _finding(rows: pd.DataFrame, headline: Metric) -> str:
    first, last = rows.iloc[0], rows.iloc[-1]
    n = headline.n or 0
    n_documents = f"{n} document{'s' if n > 1 else ''}"
    value = math.nan if headline.value is None else headline.value
    if len(rows) == 1:
        return f"{first['model']} needs {value:.3f} {BITS} on {n_documents}{_ends(headline)}."
    return (
        f"On the same {n_documents}, {last['model']} needs {abs(value):.3f} {BITS} "
        f"{'fewer' if value >= 0 else 'more'} than {first['model']}{_ends(headline)}, "
        f"with {last['n_parameters'] / first['n_parameters']:.1f} times its parameters."
    )


def _ends(headline: Metric) -> str:
    if headline.value is None or headline.low is None or headline.high is None:
        return ""
    low, high = (headline.low, headline.high) if headline.value >= 0 else (-headline.high, -headline.low)
    return f" (95% interval over documents {low:.3f} to {high:.3f})"
