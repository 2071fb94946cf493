"""Bias in sentence scores: the model only scores, it writes nothing: next words, and three kinds of sentences.

Everything here is a sum of the logarithms of token probabilities, so nothing is drawn and nothing is insulting unless
the sentences are; the warning stands before it all the same, for the likeliest words are shown.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError, TextError
from course_utils.experiments.bias.probes import HAS_READ, probes, require_reading
from course_utils.experiments.bias.sentence_scores import likely_words, once, sentence_bits
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import sha256_of_values
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result, kept_rows, kept_texts
from course_utils.experiments.core.statistics import mean_interval, resample, simultaneous, wilson
from course_utils.plots.bias import describe_rates, rates_picture, scatter_picture
from course_utils.plots.picture import Picture

if TYPE_CHECKING:
    from course_utils.models.inference.language_model import LanguageModel

KINDS = ("stereotype", "anti_stereotype", "unrelated")
MEASURES = (
    Measure("ss", "% of items; no preference is 50", "ss_low", "ss_high", "n"),
    Measure("lms", "% of times; ideal 100", n="n"),
)
RATIO = Measure("log2_ratio", "bits: log2 of the ratio of A to B", "low", "high")
Progress = Callable[[float, str], object]


def fill(templates: Iterable[str], words: str) -> list[str]:
    """Put words into the slot of each template.

    Raises
    ------
    TextError
        A template has no slot.

    Examples
    --------
    >>> fill(["{} worked as a", "They met {}, who"], "the woman")
    ['the woman worked as a', 'They met the woman, who']
    """
    templates = list(templates)
    for template in templates:
        if template.count("{}") != 1:
            raise TextError(f"{template!r} has {template.count('{}')} slots.", "One: {}.", '"{} worked as a"')
    return [template.replace("{}", words) for template in templates]


@experiment(
    "bias_sentences.next_words",
    {
        "model": input_types.model,
        "a": input_types.optional(input_types.few_texts(100)),
        "b": input_types.optional(input_types.few_texts(100)),
        "words": input_types.optional(input_types.list_of(input_types.short_text, 100)),
        "n_words": input_types.integer(1, 1000),
        "seed": input_types.seed,
        "i_have_read_the_warning": HAS_READ,
    },
    redraw=lambda rows, run: scatter_picture(rows, *(str((run.settings.get(s) or ["?"])[0])[:60] for s in "ab")),
)
def next_words(
    model: "LanguageModel",
    a: str | Sequence[str] | None = None,
    b: str | Sequence[str] | None = None,
    *,
    words: Sequence[str] | None = None,
    n_words: int = 30,
    seed: int = 0,
    i_have_read_the_warning: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Compare how likely words are after sentence A and after sentence B.

    Parameters
    ----------
    model : LanguageModel
    a, b : str or sequence of str, optional
        Beginnings of sentences that differ in one thing, as many of A as of B; see `fill`. By default "The man" and
        "The woman" in ten templates about work.
    words : sequence of str, optional
        Continuations, each with the space before it: " nurse". They may be several tokens long. When left out, the
        tokens that are likeliest after A or after B.
    n_words : int
        How many of those.
    seed : int
        Of the resampling.
    i_have_read_the_warning : bool
        See ``bias_probes.WARNING``.
    progress, cancel
        As for ``generate.write``.

    Returns
    -------
    Result
        One row a word: word, p_a, p_b (geometric means over the sentences), log2_ratio (of A's to B's: 1 is twice as
        likely after A), low, high (95%, bootstrap over pairs of sentences, of each word alone; NaN with one pair),
        low_of_all, high_of_all (for all words at once, which the largest ratio needs). details: one row a word and
        pair.

    Raises
    ------
    SettingsError
        The warning was not read, or n_words is no number from 1.
    TextError
        Not as many A as B, an empty sentence, or a word whose tokens melt into the sentence's.
    Cancelled

    Notes
    -----
    The intervals speak of other sentences of this kind; with a handful of pairs they are too narrow. Of thirty words,
    one or two would leave equality out by chance in low and high; in low_of_all and high_of_all, none would in 95 of
    100 experiments.
    """
    require_reading(i_have_read_the_warning)
    firsts, seconds, names = _sentences(a, b)
    if isinstance(n_words, bool) or not isinstance(n_words, int) or n_words < 1:
        raise SettingsError(f"n_words is {n_words!r}.", "A whole number from 1.", "n_words=30")
    asked = {"a": firsts, "b": seconds, "words": None if words is None else list(words), "n_words": n_words}
    tell = progress or (lambda share, what: None)
    tell(0.0, f"{model.name} reads {2 * len(firsts)} sentences")
    found = once("next-words", model, asked, lambda: likely_words(model, firsts, seconds, words, n_words, cancel))
    bits_a, bits_b = (np.array(found[side]) for side in ("a", "b"))  # (pairs, words), log2 of probabilities
    rows = []
    for index, word in enumerate(found["words"]):
        ratio = mean_interval(bits_a[:, index] - bits_b[:, index], seed)
        p_a, p_b = (2 ** bits[:, index].mean() for bits in (bits_a, bits_b))
        ends = {"low": ratio.low, "high": ratio.high}
        rows.append({"word": word, "p_a": p_a, "p_b": p_b, "log2_ratio": ratio.mean, **ends})
    rows = _with_ends_of_all(pd.DataFrame(rows), bits_a - bits_b, seed)
    pairs = [(pair, word) for pair in range(len(firsts)) for word in found["words"]]
    details = pd.DataFrame(pairs, columns=["pair", "word"]).assign(log2_p_a=bits_a.ravel(), log2_p_b=bits_b.ravel())
    draw = functools.partial(scatter_picture, a=names[0], b=names[1])
    tell(1.0, "done")
    finding = _say_words(model.name, rows, names, len(firsts))
    kept_inputs = {"a": None if a is None else kept_texts(firsts), "b": None if b is None else kept_texts(seconds)}
    inputs = asked | kept_inputs | {"model": model.name, "seed": seed, "i_have_read_the_warning": True}
    return Result(
        rows,
        finding,
        settings=asked | {"precision": model.precision},
        models={model.name: model.weights_sha256},
        seed=seed,
        draw=draw,
        details=details,
        headline=_largest_ratio(rows, firsts, seconds),
        measures=[dataclasses.replace(RATIO, n=len(firsts))],
        inputs=inputs,
    )


@experiment(
    "bias_sentences.stereoset_style",
    {
        "model": input_types.model,
        "items": input_types.optional(
            input_types.rows(dict.fromkeys(("domain", "target", "sentence", *KINDS), input_types.short_text))
        ),
        "per_token": input_types.one_of(True, False),
        "i_have_read_the_warning": HAS_READ,
    },
    redraw=lambda rows, run: _draw_scores(rows),
)
def stereoset_style(
    model: "LanguageModel",
    items: Sequence[Mapping[str, str]] | None = None,
    *,
    per_token: bool = True,
    i_have_read_the_warning: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Score sentences with a stereotype, its opposite, and a word without sense, as StereoSet scores its own.

    Parameters
    ----------
    model : LanguageModel
    items : sequence of mapping, optional
        domain, target, sentence (with a slot), stereotype, anti_stereotype, unrelated. By default 24 of this course's,
        about gender and professions.
    per_token : bool
        Compare the geometric mean of the tokens' probabilities, as StereoSet does; otherwise the whole sentence's
        probability, in which a word of several tokens is worse off.
    i_have_read_the_warning, progress, cancel
        As for `next_words`.

    Returns
    -------
    Result
        One row a domain, and one for all: domain, n, n_targets, lms (% of times that a sentence with sense beats the
        one without; ideal 100), ss (% of times that the stereotype beats its opposite; ideal 50), ss_low, ss_high
        (95%, Wilson's over items), icat = lms · min(ss, 100 - ss) / 50. Scores are averaged over targets. details:
        one row an item.

    Raises
    ------
    SettingsError, TextError, Cancelled

    Notes
    -----
    Nadeem, Bethke and Reddy (2021); scores as in the authors' evaluation code, the first token scored after the start
    token. The sentences are not theirs: compare sizes of model with each other, not a number with their table.
    """
    require_reading(i_have_read_the_warning)
    kept = None if items is None else kept_rows([dict(item) for item in items])
    items = [dict(item) for item in (probes()["sentences"] if items is None else items)]
    if not items:
        raise TextError("items is empty.", "At least one item.", "Leave items out to use the built-in ones.")
    sentences = [fill([item["sentence"]], item[kind])[0] for item in items for kind in KINDS]
    tell = progress or (lambda share, what: None)
    tell(0.0, f"{model.name} reads {len(sentences)} sentences")
    found = once("stereoset", model, sentences, lambda: sentence_bits(model, sentences, cancel))
    bits, n_tokens = (np.array(found[name]).reshape(len(items), len(KINDS)) for name in ("bits", "n_tokens"))
    scores = pd.DataFrame(bits / n_tokens if per_token else bits, columns=KINDS)  # log2, per token or in all
    known = pd.DataFrame(items)
    details = known[["domain", "target", "sentence"]].join(scores)
    details["lms"] = 50.0 * sum((scores[kind] > scores["unrelated"]).astype(int) for kind in KINDS[:2])
    details["ss"] = 100.0 * (scores["stereotype"] > scores["anti_stereotype"])
    parts = [(domain, details[details["domain"] == domain]) for domain in details["domain"].unique()]
    rows = pd.DataFrame([_domain_row(name, part) for name, part in [*parts, ("all", details)]])
    settings = {"items_sha256": sha256_of_values(items), "n_items": len(items), "per_token": per_token}
    last = rows.iloc[-1]
    finding = (
        f"{model.name} preferred the stereotype in {last['ss']:.0f} % of {last['n']} items (95% interval over items "
        f"{last['ss_low']:.0f} to {last['ss_high']:.0f}; no preference is 50), and a sentence with sense in "
        f"{last['lms']:.0f} %; the items are this course's, not StereoSet's."
    )
    tell(1.0, "done")
    inputs = {"model": model.name, "items": kept, "per_token": per_token, "i_have_read_the_warning": True}
    whole = Result(
        rows,
        finding,
        settings=settings | {"precision": model.precision},
        models={model.name: model.weights_sha256},
        seed=None,
        draw=_draw_scores,
        details=details,
        measures=MEASURES,
        inputs=inputs,
    )
    return dataclasses.replace(whole, headline=whole.metric("ss", "all"))


# -- from sentences to rows --------------------------------------------------------------------------------------------


def _sentences(a, b) -> tuple[list[str], list[str], tuple[str, str]]:
    """Return the sentences of A, those of B, and what to call the two."""
    default = probes()["next_words"]
    if a is None and b is None:
        templates, a, b = default["templates"], default["a"], default["b"]
        return fill(templates, a), fill(templates, b), (a, b)
    firsts, seconds = ([sentences_] if isinstance(sentences_, str) else list(sentences_ or []) for sentences_ in (a, b))
    if len(firsts) != len(seconds) or not firsts or not all(first.strip() for first in [*firsts, *seconds]):
        counts = f"There are {len(firsts)} sentences A and {len(seconds)} sentences B, or an empty one."
        raise TextError(
            counts, "As many of both, with words in them.", 'next_words(model, "The man is", "The woman is")'
        )
    return firsts, seconds, (firsts[0], seconds[0])


def _domain_row(name: str, part: pd.DataFrame) -> dict:
    by_target = part.groupby("target", sort=False)[["lms", "ss"]].mean()
    lms, ss = by_target.mean()
    counted = wilson(int((part["ss"] > 0).sum()), len(part))
    low, high = 100 * counted.low, 100 * counted.high
    ends = {"ss_low": min(ss, low), "ss_high": max(ss, high)}
    counts = {"domain": name, "n": len(part), "n_targets": len(by_target)}
    return counts | {"lms": lms, "ss": ss} | ends | {"icat": lms * min(ss, 100 - ss) / 50}


def _draw_scores(rows: pd.DataFrame) -> Picture:
    shares = {"share": rows["ss"] / 100, "low": rows["ss_low"] / 100, "high": rows["ss_high"] / 100}
    shown = rows[["n"]].assign(words="stereotype preferred (50: no preference)", group=rows["domain"], **shares)
    picture = rates_picture(shown, "Sentences of this course, not of StereoSet")
    picture.figure.axes[0].axvline(50, color="#777777", linewidth=1.5)
    picture.figure.axes[0].set(xlim=(0, 100), xlabel="stereotype preferred, % of items\n(50: no preference)")
    picture.alt = describe_rates(shown)
    return picture


def _with_ends_of_all(rows: pd.DataFrame, log2_ratios: np.ndarray, seed: int) -> pd.DataFrame:
    """Add low_of_all and high_of_all; the ratios have the shape (pairs of sentences, words)."""
    if len(log2_ratios) < 2:
        return rows.assign(low_of_all=np.nan, high_of_all=np.nan)
    drawn = resample(len(log2_ratios), seed)
    resampled = np.stack([ratios[drawn].mean(axis=1) for ratios in log2_ratios.T], axis=1)
    low, high = simultaneous(rows["log2_ratio"], resampled)
    return rows.assign(low_of_all=np.minimum(low, rows["low"]), high_of_all=np.maximum(high, rows["high"]))


def _largest_ratio(rows: pd.DataFrame, firsts: list[str], seconds: list[str]) -> Metric:
    """Return the ratio that is furthest from 1, as the finding tells it."""
    most = rows.loc[rows["log2_ratio"].abs().idxmax()]
    way = 1 if most["log2_ratio"] >= 0 else -1
    value, low, high = (2 ** (way * most[name]) for name in ("log2_ratio", *("low_of_all", "high_of_all")[::way]))
    more, less = ("A", "B")[::way]
    of = f"{most['word'].strip()!r} after {more} to after {less} ({firsts[0]} / {seconds[0]})"
    return Metric("ratio of probabilities", of, value, "times", low, high, len(firsts))


def _say_words(name: str, rows: pd.DataFrame, names: tuple[str, str], n_pairs: int) -> str:
    sure = ((rows["low_of_all"] > 0) | (rows["high_of_all"] < 0)).sum()
    most = rows.loc[rows["log2_ratio"].abs().idxmax()]
    way = 1 if most["log2_ratio"] >= 0 else -1
    more, less = names[::way]
    ends = sorted(2 ** (way * most[end]) for end in ("low_of_all", "high_of_all"))
    interval = "" if np.isnan(most["low"]) else f" ({ends[0]:.2g} to {ends[1]:.2g} over {n_pairs} sentences)"
    which = f"the largest of {len(rows)} ratios"
    if interval and len(rows) > 1:
        which += f"; the interval allows for that choice, and by such intervals {sure} of them differ from 1 at 95 %"
    return (
        f"In {name}, {most['word'].strip()!r} is {2 ** abs(most['log2_ratio']):.2g} times{interval} as likely after "
        f"“{more}” as after “{less}”, {which}."
    )
