"""Token ranks of texts under a model: rank, surprisal and alternatives of each token, and GLTR's four shares."""

import functools
import threading
from collections.abc import Callable, Sequence

import pandas as pd

from course_utils.core.code_hash import code_hash
from course_utils.errors import TextError
from course_utils.experiments.core import input_types
from course_utils.experiments.core.cache import cached
from course_utils.experiments.core.registry import experiment
from course_utils.experiments.core.result import Measure, Metric, Result, kept_texts, versions
from course_utils.experiments.detection.detectors import RANKS, rank_shares
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.plots.picture import COLOURS, FONT_SIZE, Picture

Progress = Callable[[float, str], object]

SHARES = ("share_top_10", "share_top_100", "share_top_1000", "share_rest")
CLASSES = ("1 to 10", "11 to 100", "101 to 1,000", "beyond 1,000")  # ranks; GLTR's green, yellow, red, violet
HATCHES = ("", "//", "xx", "..")
MAX_LABEL_CHARACTERS = 40  # characters by which a row can be recognised
MEASURES = (
    *(Measure(share, "share", n="n_tokens") for share in SHARES),
    Measure("bits_per_character", "bits per character", n="n_tokens"),
    Measure("bits_per_token", "bits per token", n="n_tokens"),
    Measure("perplexity", "perplexity per token", n="n_tokens"),
)


@experiment(
    "token_ranks.read_ranks",
    {"model": input_types.model, "texts": input_types.texts},
    redraw=lambda rows, run: _draw(rows, next(iter(run.models), "a model")[:40]),
)
def read_ranks(
    model: BaseLanguageModel,
    texts: Sequence[str],
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Result:
    """Let a model read texts and say of every token what rank it had and what would have been likelier.

    Parameters
    ----------
    model : BaseLanguageModel
    texts : sequence of str
        One or more, none empty; of any length.
    progress : callable, optional
        Called with the share that is done, from 0 to 1, and what is being done.
    cancel : threading.Event, optional
        Looked at every few dozen tokens. Texts that were read are kept and not read again.

    Returns
    -------
    Result
        One row a text: text, begins, n_tokens, n_characters, the shares of tokens whose rank is 1 to 10, 11 to 100,
        101 to 1,000 and beyond, bits_per_token, bits_per_character, perplexity. Its details hold one row a token: text,
        place (from 1), token, rank, probability, surprisal_bits, entropy_bits, alternatives (the ten likeliest tokens,
        each with its probability).

    Raises
    ------
    TextError
        ``texts`` is one string, there are none, or one has no words.
    Cancelled

    Notes
    -----
    The ranks, the four classes and the end-of-text token before the first token are GLTR's (Gehrmann, Strobelt and
    Rush 2019). So the first token is read as the beginning of some document, with nothing else to go by. There are no
    intervals: each row is one text, and its tokens are no sample of others.
    """
    texts, tell = _checked(texts), progress or (lambda share, what: None)
    known = [*model.identity, versions()]
    known.append(code_hash(__name__))
    tables = []
    for index, text in enumerate(texts):
        step = _part(tell, index, len(texts), f"{model.name} reads {_name(index)}")
        found = cached("ranks", [*known, text], functools.partial(_read, model, text, step, cancel))
        tables.append(pd.DataFrame(found["tokens"], columns=COLUMNS).assign(text=_name(index)))
    rows = pd.DataFrame([_row(_name(i), text, tables[i]) for i, text in enumerate(texts)])
    tell(1.0, "done")
    headline, details = _headline(rows), pd.concat(tables, ignore_index=True)[["text", *COLUMNS]]
    settings = {"precision": model.precision, "n_texts": len(texts)}
    return Result(
        rows,
        _finding(rows, headline, model.name),
        settings=settings,
        models={model.name: model.weights_sha256},
        seed=None,
        draw=functools.partial(_draw, model=model.name),
        details=details,
        headline=headline,
        measures=MEASURES,
        inputs={"model": model.name, "texts": kept_texts(texts)},
    )


COLUMNS = ["place", "token", "rank", "probability", "surprisal_bits", "entropy_bits", "alternatives"]


def class_of(rank: int) -> int:
    """Return the class of a rank, from 0 (the ten likeliest) to 3 (beyond 1,000).

    Examples
    --------
    >>> [class_of(rank) for rank in (1, 10, 11, 100, 1000, 1001)]
    [0, 0, 1, 1, 2, 3]
    """
    return sum(rank > highest for highest in RANKS)


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(model: BaseLanguageModel, text: str, step: Callable[[float], object], cancel: threading.Event | None) -> dict:
    """Return every token with what the model thought of it, as plain values."""
    steps = model.score(text, progress=step, cancel=cancel).steps
    rows = [
        [position, step.text, step.rank, step.probability, step.surprisal_bits, step.entropy_bits,
         [[other.text, other.probability] for other in step.alternatives]]
        for position, step in enumerate(steps, start=1)
    ]  # fmt: skip
    return {"tokens": rows}


def _checked(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str) or not texts:
        raise TextError(f"texts is {texts[:40]!r}.", "A list of at least one text.", "Put it in brackets: [text].")
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise TextError(f"{_name(index).capitalize()} is empty.", "A text with words in it.", "Paste a text.")
    return list(texts)


def _part(tell: Progress, index: int, n_texts: int, what: str) -> Callable[[float], object]:
    return lambda done: tell(min((index + done) / n_texts, 0.999), what)


# -- from tokens to rows ----------------------------------------------------------------------------------------------


def _name(index: int) -> str:
    return f"text {index + 1}"


def _row(name: str, text: str, tokens: pd.DataFrame) -> dict[str, object]:
    bits = float(tokens["surprisal_bits"].sum())
    begins = " ".join(text.split())[:MAX_LABEL_CHARACTERS]
    row = {"text": name, "begins": begins, "n_tokens": len(tokens), "n_characters": len(text)}
    row |= dict(zip(SHARES, rank_shares(tokens["rank"]), strict=True))
    row |= {"bits_per_token": bits / len(tokens), "bits_per_character": bits / len(text)}
    return row | {"perplexity": 2 ** (bits / len(tokens))}


def _headline(rows: pd.DataFrame) -> Metric:
    """Return the share among the ten likeliest: of the one text, or how far the highest and the lowest are apart."""
    if len(rows) == 1:
        return Metric(SHARES[0], "text 1", rows[SHARES[0]][0], "share", n=rows["n_tokens"][0], row=0)
    high, low = rows.loc[rows[SHARES[0]].idxmax()], rows.loc[rows[SHARES[0]].idxmin()]
    apart = 100 * (high[SHARES[0]] - low[SHARES[0]])
    return Metric("top_10_apart", f"{high['text']} against {low['text']}", apart, "percentage points")


def _finding(rows: pd.DataFrame, headline: Metric, model: str) -> str:
    sentences = [
        f"{100 * row.share_top_10:.0f} % of the {row.n_tokens} tokens of {row.text} ({row.bits_per_character:.2f} bits "
        "per character)"
        for row in rows.itertuples()
    ]
    words = (
        f"Among {model}'s ten likeliest at their place are {', '.join(sentences[:-1])}{' and ' * (len(sentences) > 1)}"
    )
    chosen = f", the most and the least of {len(rows)} texts" if len(rows) > 2 else ""
    apart = f": {headline.value:.0f} percentage points apart{chosen}" if len(rows) > 1 else ""
    many = "single texts" if len(rows) > 1 else "a single text"
    return f"{words}{sentences[-1]}{apart}; {many}, so without interval."


def _draw(rows: pd.DataFrame, model: str) -> Picture:
    """Draw the four shares of each text, one panel a text, told apart by colour, hatching and numbers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.6 * len(rows) + 0.8), layout="constrained")
    for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows.to_dict("records"), strict=True):
        shares = [100 * row[share] for share in SHARES]
        bars = axes.barh(CLASSES, shares, color=COLOURS[: len(SHARES)], edgecolor="white")
        for bar, hatch in zip(bars, HATCHES, strict=True):
            bar.set_hatch(hatch)
        axes.bar_label(bars, [f"{share:.1f} %" for share in shares], padding=4, fontsize=FONT_SIZE - 1)
        axes.set_xlim(0, 112)
        axes.invert_yaxis()
        axes.set_title(f"{row['text']}: {row['n_tokens']} tokens", fontsize=FONT_SIZE, loc="left")
        axes.tick_params(labelsize=FONT_SIZE - 2)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(f"% of the tokens, by their rank under {model}", fontsize=FONT_SIZE)
    return Picture(
        figure, f"Shares of tokens by rank under {model}. " + " ".join(map(_in_words, rows.to_dict("records")))
    )


def _in_words(row: dict) -> str:
    shares = (f"{100 * row[share]:.1f} % rank {ranks}" for share, ranks in zip(SHARES, CLASSES, strict=True))
    return f"{row['text']}, {row['n_tokens']} tokens: {', '.join(shares)}."
