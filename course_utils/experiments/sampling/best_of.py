"""Best of n samples: the mean rating of the best against n, rated by people or by a stated proxy.

"Humans selected the samples" is a claim about the showcase texts of February 2019. Here the choosing is counted.
"""

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from course_utils.errors import SettingsError, TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result, kept_rows, kept_texts
from course_utils.experiments.core.statistics import mean_interval
from course_utils.plots.best_of import best_of_picture

if TYPE_CHECKING:
    from course_utils.models.inference.language_model import LanguageModel
    from course_utils.models.inference.settings import Settings

PROMPTS = (
    "The mayor opened the new library on Saturday and",
    "Scientists have found a river under the desert, and",
    "My grandmother keeps three clocks in her kitchen because",
    "The last train left the station when",
    "To bake good bread, you first",
    "The goalkeeper looked at the clock and",
    "In the year 2050, schools will",
    "The letter had no sender, but",
    "Farmers in the valley say that this summer",
    "When the lights went out in the theatre,",
)
N = (1, 2, 5, 10)
MEASURES = (Measure("mean_of_best", "points of 1 to 5", "low", "high", "n_prompts"),)
LOWEST, HIGHEST = 1, 5
N_REFERENCES, REFERENCE_SKIP = 40, 10  # news to compare with; the tokens before the place that is compared
PROXY = "an automatic proxy, no person: how ordinary the text's surprisal is among people's texts (5 is the middle)"
WEAKNESS = "It knows nothing of sense or truth; a fluent lie rates as high as a true sentence, a rare style lower."
# Koebis and Mossink, as careful notes of others report it (V2): how often readers recognised GPT-2's poems.
KOEBIS_MOSSINK = pd.DataFrame(
    {"poems": ["taken at random", "picked by hand"], "recognised_percent": [65.5, 53.7]}
).assign(source="Koebis & Mossink, on poems by GPT-2, as reported by others", tag="V2")

Progress = Callable[[float, str], object]


def samples(
    model: "LanguageModel",
    prompts: Sequence[str] = PROMPTS,
    n_samples: int = 10,
    settings: "Settings | None" = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> pd.DataFrame:
    """Let a model write several texts after each prompt; the same call gives the same texts.

    Parameters
    ----------
    model : LanguageModel
    prompts : sequence of str
    n_samples : int
        A prompt.
    settings : Settings, optional
        By default 60 tokens at top-k 40.
    progress, cancel
        As for ``generate.write``.

    Returns
    -------
    pandas.DataFrame
        item (to name a text in a rating), prompt, sample, seed, text.

    Raises
    ------
    SettingsError
        n_samples is no number from 1, or the settings are greedy, so that all samples would be one.
    TextError, Cancelled
        As for ``generate.write``.
    """
    from course_utils.experiments.texts.generate import write
    from course_utils.models.inference.settings import Settings

    settings = settings or Settings()
    if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 1 or settings.is_greedy:
        given = f"n_samples is {n_samples!r}, temperature {settings.temperature:g}."
        raise SettingsError(given, "A whole number from 1, and a temperature above 0.", "n_samples=10, temperature=1")
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if len(set(prompts)) < len(prompts):
        raise TextError(
            "prompts has the same prompt twice.", "Each prompt once.", "Raise n_samples for more texts of a prompt."
        )
    written = write(model, [prompt for prompt in prompts for _ in range(n_samples)], settings, progress, cancel)
    rows = [
        {"item": f"{p + 1}-{s + 1}", "prompt": prompt, "sample": s + 1}
        for p, prompt in enumerate(prompts)
        for s in range(n_samples)
    ]
    texts = [{"seed": generation.seed, "text": generation.text} for generation in written]
    return pd.DataFrame([row | text for row, text in zip(rows, texts, strict=True)])


def blind(table: pd.DataFrame, seed: int = 0) -> list[dict[str, str]]:
    """Return the texts shuffled, prompt by prompt in the order of chance, each with no more than is needed to rate it.

    Returns
    -------
    list of dict
        item, prompt, text. A rating is such a dict: item, rating (1 to 5), rater.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    return table.iloc[order][["item", "prompt", "text"]].to_dict("records")


def _max_tokens(given: Mapping[str, Any]) -> int:
    from course_utils.models.inference.settings import Settings

    a_text = (given["settings"] or Settings()).max_new_tokens
    return len(given["prompts"]) * given["n_samples"] * a_text


@experiment(
    "best_of.best_of",
    {
        "model": input_types.model,
        "prompts": input_types.texts,
        "n_samples": input_types.integer(1, 1000),
        "ns": input_types.list_of(input_types.integer(1, 1000), 50),
        "ratings": input_types.optional(
            input_types.rows(
                {"item": input_types.short_text, "rater": input_types.short_text, "rating": input_types.number(1, 5)},
                may_lack=("rater",),
            )
        ),
        "references": input_types.optional(input_types.texts),
        "settings": input_types.optional(input_types.settings),
        "seed": input_types.seed,
    },
    count_tokens=_max_tokens,
    redraw=lambda rows, run: best_of_picture(rows),
)
def best_of(
    model: "LanguageModel",
    prompts: Sequence[str] = PROMPTS,
    *,
    n_samples: int = 10,
    ns: Sequence[int] = N,
    ratings: Sequence[dict] | None = None,
    references: Sequence[str] | None = None,
    settings: "Settings | None" = None,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Estimate the rating of the best of n samples, for several n, from one set of samples.

    Parameters
    ----------
    model : LanguageModel
    prompts, n_samples, settings, progress, cancel
        As for `samples`.
    ns : sequence of int
        Those above n_samples, or above the number of rated texts of a prompt, are left out.
    ratings : sequence of dict, optional
        item, rating (1 to 5) and, where there are several, rater; a text that several rated has their mean. Without
        ratings, texts are rated by `PROXY`, and the result says so. `WEAKNESS` tells what that cannot see.
    references : sequence of str, optional
        People's texts for the proxy; held-out news when left out.
    seed : int
        Of the resampling. The held-out news of the proxy are the same for all seeds: a yardstick, and no sample.

    Returns
    -------
    Result
        One row an n: n, mean_of_best, low, high (95%, bootstrap over prompts), n_prompts, rated_by. details: one row a
        text, with its rating.

    Raises
    ------
    SettingsError
        A rating is not from 1 to 5, or no n is left.
    TextError
        A rating of a text that is not there, a prompt without ratings, or no news on this machine.
    Cancelled

    Notes
    -----
    Every subset of n of a prompt's samples counts alike (`expected_best`), so their order plays no part.
    """
    table = samples(model, prompts, n_samples, settings, progress, cancel)
    if ratings is None:
        table["rating"], rated_by, n_raters = proxy_ratings(model, table, references, settings), PROXY, 0
    else:
        table["rating"] = table["item"].map(_mean_ratings(ratings, set(table["item"])))
        n_raters = len({rating.get("rater", "") for rating in ratings})
        rated_by = "1 person" if n_raters == 1 else f"{n_raters} people"
    by_prompt = [part.dropna().to_numpy() for _, part in table.groupby("prompt", sort=False)["rating"]]
    fewest = min(map(len, by_prompt))
    ns = sorted({n for n in ns if 1 <= n <= fewest})
    if not ns:
        raise SettingsError(
            f"A prompt has {fewest} rated texts.", "As many as the smallest n.", "Rate more, or ns=(1,)"
        )
    best = np.array(
        [[expected_best(ratings_of_prompt, n) for n in ns] for ratings_of_prompt in by_prompt]
    )  # (prompts, ns)
    means = [mean_interval(best[:, column], seed) for column in range(len(ns))]
    about = {"n_prompts": len(by_prompt), "rated_by": rated_by}
    rows = pd.DataFrame(
        [{"n": n, "mean_of_best": e.mean, "low": e.low, "high": e.high} | about for n, e in zip(ns, means, strict=True)]
    )
    gain = mean_interval(best[:, -1] - best[:, 0], seed)
    run_settings = {"n_samples": n_samples, "n_raters": n_raters, "rated_by": rated_by, "precision": model.precision}
    found = _result(model, table, rows, gain, seed, run_settings)
    asked = {"n_samples": n_samples, "ns": ns, "seed": seed, "settings": settings and dataclasses.asdict(settings)}
    texts = {"prompts": kept_texts(table["prompt"].unique()), "references": references and kept_texts(references)}
    inputs = {"model": model.name, **asked, **texts, "ratings": ratings and kept_rows(ratings)}
    return dataclasses.replace(found, measures=MEASURES, inputs=inputs)


def expected_best(ratings: Sequence[float], n: int) -> float:
    """Return the mean, over all subsets of n, of the best rating in the subset.

    Raises
    ------
    SettingsError
        There are fewer than n ratings, or n is no number from 1.

    Notes
    -----
    Of N ratings in order, the i-th is the best of a subset in C(i - 1, n - 1) of C(N, n) cases.

    Examples
    --------
    >>> expected_best([1, 2, 5], 2)
    4.0
    """
    ordered = sorted(ratings)
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= len(ordered):
        raise SettingsError(f"n is {n!r}.", f"From 1 to {len(ordered)}, the ratings there are.", "Rate more texts.")
    ways = [math.comb(rank, n - 1) for rank in range(len(ordered))]
    return float(sum(way * rating for way, rating in zip(ways, ordered, strict=True)) / math.comb(len(ordered), n))


# -- ratings -----------------------------------------------------------------------------------------------------------


def proxy_ratings(
    model: "LanguageModel",
    table: pd.DataFrame,
    references: Sequence[str] | None = None,
    settings: "Settings | None" = None,
) -> list[float]:
    """Rate texts without a reader: 5 where a text is as surprising as people's texts are, 1 where no such text is.

    A text's surprisal is its mean number of bits a token under the model, after the prompt. Its place q (0 to 1) among
    the references, cut to the same length, makes the rating ``5 - 8 |q - 1/2|``. A text without words is rated 1.

    Parameters
    ----------
    references : sequence of str, optional
        Held-out news when left out.
    """
    from course_utils.experiments.sizes.compare import held_out_news
    from course_utils.models.inference.settings import Settings

    references = held_out_news(N_REFERENCES) if references is None else list(references)
    n_tokens = (settings or Settings()).max_new_tokens
    cut = [model.encode(reference)[: REFERENCE_SKIP + n_tokens] for reference in references]
    openings = [REFERENCE_SKIP if len(ids) > REFERENCE_SKIP else 0 for ids in cut]
    ordinary = np.sort(_bits_after(model, [str(model.tokenizer.decode(ids)) for ids in cut], openings))
    whole = [row.prompt + row.text for row in table.itertuples()]
    bits = _bits_after(model, whole, [len(model.encode(prompt)) for prompt in table["prompt"]])
    percentiles = (np.searchsorted(ordinary, bits, "left") + np.searchsorted(ordinary, bits, "right")) / (
        2 * len(ordinary)
    )
    rated = HIGHEST - 2 * (HIGHEST - LOWEST) * np.abs(percentiles - 0.5)
    return [LOWEST if np.isnan(one) else float(rating) for one, rating in zip(bits, rated, strict=True)]


def _bits_after(model, texts: Sequence[str], n_before: Sequence[int]) -> np.ndarray:
    """Return the mean bits a token of each text after its first tokens; NaN where nothing comes after."""
    from course_utils.models.inference.scoring import score_nats

    after = [nats[n:] for nats, n in zip(score_nats(model, texts), n_before, strict=True)]
    return np.array([values.mean(dtype=float) / np.log(2) if len(values) else np.nan for values in after])


def _mean_ratings(ratings: Sequence[dict], items: set[str]) -> dict[str, float]:
    given: dict[str, list[float]] = {}
    for ratings_of_one in ratings:
        item, rating = ratings_of_one.get("item"), ratings_of_one.get("rating")
        if item not in items:
            raise TextError(
                f"A rating names the item {item!r}, which does not exist.",
                "An item of blind(samples(…)).",
                "Leave it out.",
            )
        if isinstance(rating, bool) or not isinstance(rating, int | float) or not LOWEST <= rating <= HIGHEST:
            raise SettingsError(f"{item} is rated {rating!r}.", f"From {LOWEST} to {HIGHEST}.", "Rate it again.")
        given.setdefault(item, []).append(float(rating))
    return {item: sum(many) / len(many) for item, many in given.items()}


def _result(model, table: pd.DataFrame, rows: pd.DataFrame, gain, seed: int, settings: dict) -> Result:
    last, many = rows.iloc[-1], len(table["prompt"].unique())
    ends = "" if math.isnan(gain.low) else f" (95% interval over {many} prompts {gain.low:+.2f} to {gain.high:+.2f})"
    finding = (
        f"The best of {last['n']} samples of {model.name} is rated {gain.mean:+.2f} points of 1 to 5 against a single "
        f"one{ends}, rated by {settings['rated_by']}."
    )
    all_settings = settings | {
        "prompts": list(table["prompt"].unique()),
        "weakness": "" if settings["n_raters"] else WEAKNESS,
    }
    draw = functools.partial(best_of_picture, lowest=LOWEST, highest=HIGHEST)
    head = Metric(
        "gain", f"best of {last['n']} by {model.name}", gain.mean, "points of 1 to 5", gain.low, gain.high, many
    )
    return Result(
        rows,
        finding,
        settings=all_settings,
        models={model.name: model.weights_sha256},
        seed=seed,
        draw=draw,
        details=table,
        headline=head,
    )
