"""What temperature, top-k and top-p do to a text: how much it repeats itself, how varied it is."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from course_utils.errors import TextError

if TYPE_CHECKING:
    # For the reader's type checker only: at run time this room needs neither torch nor transformers.
    from course_utils.models.language_model import Generation, LanguageModel
    from course_utils.models.sampling import Settings

MEASURES = {
    "repeated_4grams": "share of 4-grams already said",
    "distinct_2": "distinct-2: unique word pairs / all",
}
N_RESAMPLES = 2000


def words(text: str) -> list[str]:
    """Return the words of a text: what white space separates, in small letters.

    Punctuation stays with its word, so that anyone can count the same words by hand. Languages written without
    spaces would need another rule.

    Examples
    --------
    >>> words("The dog, the DOG.")
    ['the', 'dog,', 'the', 'dog.']
    """
    return text.lower().split()


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return every run of ``n`` neighbouring words, in order.

    Raises
    ------
    TextError
        If ``n`` is not a whole number from 1, or the text has fewer than ``n`` words.

    Examples
    --------
    >>> ngrams("to be or not", 2)
    [('to', 'be'), ('be', 'or'), ('or', 'not')]
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise TextError(f"n is {n!r}.", "A whole number from 1: how many words make one n-gram.", "Set n=4, or n=2.")
    found = words(text)
    if len(found) < n:
        raise TextError(
            f"The text has {len(found)} word{'' if len(found) == 1 else 's'}.",
            f"At least {n} words, so that there is one {n}-gram to count.",
            "Give a longer text, or let the model write more: raise max_new_tokens.",
        )
    return list(zip(*(found[start:] for start in range(n)), strict=False))


def repeated_ngram_share(text: str, n: int = 4) -> float:
    """Return the share of n-grams that already occurred earlier in the same text.

    Parameters
    ----------
    text : str
        At least ``n`` words, counted by :func:`words`.
    n : int
        Words in a row; 4 is usual, because people seldom say the same four words twice in a short text.

    Returns
    -------
    float
        From 0, nothing is said twice, to almost 1, a loop. It is one minus distinct-n for the same n.

    Raises
    ------
    TextError
        If the text is too short for one n-gram.

    Notes
    -----
    Longer texts repeat more by mere length: compare texts of about the same number of words.

    Examples
    --------
    >>> repeated_ngram_share("to be or not to be or not")
    0.2
    """
    pieces = ngrams(text, n)
    return (len(pieces) - len(set(pieces))) / len(pieces)


def distinct_ngrams(text: str, n: int = 2) -> float:
    """Return distinct-n: the number of different n-grams divided by the number of all n-grams.

    Parameters
    ----------
    text : str
        At least ``n`` words, counted by :func:`words`.
    n : int
        Words in a row; 2 is usual.

    Returns
    -------
    float
        From almost 0, a loop, to 1, no pair twice.

    Raises
    ------
    TextError
        If the text is too short for one n-gram.

    Notes
    -----
    Li, Galley, Brockett, Gao and Dolan (2016), "A Diversity-Promoting Objective Function for Neural Conversation
    Models", section 5. It falls as texts grow, like every ratio of types to tokens.

    Examples
    --------
    >>> distinct_ngrams("to be or not to be")
    0.8
    """
    pieces = ngrams(text, n)
    return len(set(pieces)) / len(pieces)


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


def summarise(table: pd.DataFrame, measures: Iterable[str] = tuple(MEASURES)) -> pd.DataFrame:
    """Return mean and 95% interval of each measure under each setting, in the order in which the settings came.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`compare_settings`.
    measures : iterable of str
        The columns to sum up.

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
            low, high = _bootstrap_interval(kept)
            mean = kept.mean() if kept.size else np.nan
            counts = {"n_texts": kept.size, "n_too_short": len(values) - kept.size}
            rows.append({"setting": setting, "measure": measure} | counts | {"mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


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


def _bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5% and 97.5% points of the mean of resampled values; unknown below two values."""
    if values.size < 2:
        return np.nan, np.nan
    # A generator of its own with a fixed seed: the same table always gives the same interval.
    drawn = np.random.default_rng(0).choice(values, size=(N_RESAMPLES, values.size))
    low, high = np.percentile(drawn.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
