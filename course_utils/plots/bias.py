"""Bias plots: rates by group with intervals, and words by their probability under two sentences."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, Style

ROW_INCHES = 0.5
MAX_NAMED_WORDS = 14  # named in the scatter: those that lean most


def rates_picture(rows: pd.DataFrame, title: str = "") -> Picture:
    """Draw the rate and the 95% interval of every group: one panel a list of words.

    Parameters
    ----------
    rows : pandas.DataFrame
        words, group, n, n_hit, share, low, high.
    title : str
    """
    lists, groups = list(rows["words"].unique()), list(rows["group"].unique())
    figure = Figure(figsize=(4.2 * len(lists) + 3, ROW_INCHES * len(groups) + 1.9), layout="constrained")
    panels = figure.subplots(1, len(lists), sharey=True, squeeze=False)[0]
    for axes, words in zip(panels, lists, strict=True):
        for place, row in enumerate(rows[rows["words"] == words].itertuples()):
            style: Style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            axes.plot([100 * row.low, 100 * row.high], [place, place], color=style["color"], linewidth=3)
            axes.plot([100 * row.share], [place], markersize=12, linestyle="", clip_on=False, **style)
        axes.set_xlim(left=0)
        _dress(axes, f"{words}\n% of texts")
    panels[0].set_yticks(range(len(groups)), groups)
    panels[0].set_ylim(len(groups) - 0.5, -0.5)
    figure.suptitle(title, fontsize=FONT_SIZE, x=0.01, ha="left")
    return Picture(figure, f"{title}. " * bool(title) + describe_rates(rows))


def describe_rates(rows: pd.DataFrame) -> str:
    """Return in words what :func:`rates_picture` draws: every rate, its interval and its n."""
    sentences = []
    for words, part in rows.groupby("words", sort=False):
        told = "; ".join(f"{r.group} {r.share:.1%} ({r.low:.1%} to {r.high:.1%}, n = {r.n})" for r in part.itertuples())
        sentences.append(f"{words}, share of texts and 95% interval: {told}.")
    return " ".join(sentences)


def scatter_picture(rows: pd.DataFrame, a: str, b: str) -> Picture:
    """Draw every word at its probability after sentence A and after sentence B, both axes logarithmic.

    Parameters
    ----------
    rows : pandas.DataFrame
        word, p_a, p_b, log2_ratio (of A's to B's), low, high (of that; NaN where there was one sentence).
    a, b : str
        What A and B are.

    Returns
    -------
    Picture
        On the diagonal a word is as likely after both. Filled signs: the interval of the ratio leaves out 1.
    """
    figure = Figure(figsize=(10, 8.5), layout="constrained")
    axes = figure.subplots()
    low = min(rows["p_a"].min(), rows["p_b"].min()) / 2
    high = min(1.0, 2 * max(rows["p_a"].max(), rows["p_b"].max()))
    axes.plot([low, high], [low, high], color="#777777", linewidth=1.5)
    for number, leans in enumerate((rows["log2_ratio"] >= 0, rows["log2_ratio"] < 0)):
        for sure in (True, False):
            part = rows[leans & (is_sure(rows) == sure)]
            style: Style = {"marker": MARKERS[number], "edgecolors": COLOURS[number], "s": 90, "linewidths": 2}
            axes.scatter(part["p_b"], part["p_a"], facecolors=COLOURS[number] if sure else "white", **style)
    _name_words(axes, rows)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set_ylabel(f"probability after A: {a}", fontsize=FONT_SIZE)
    _dress(axes, f"probability after B: {b}")
    axes.spines["left"].set_visible(True)
    words = "Above the line: likelier after A. Filled: the 95% interval over sentences leaves out equality."
    figure.suptitle(words, fontsize=FONT_SIZE - 2, x=0.01, ha="left")
    return Picture(figure, describe_scatter(rows, a, b))


def is_sure(rows: pd.DataFrame) -> pd.Series:
    """Tell for each word whether the interval of its ratio leaves out equality; without an interval it does not."""
    return (rows["low"] > 0) | (rows["high"] < 0)


def describe_scatter(rows: pd.DataFrame, a: str, b: str) -> str:
    """Return in words what :func:`scatter_picture` draws: every word with both probabilities and the ratio."""
    told = "; ".join(
        f"{row.word!r} {row.p_a:.2g} and {row.p_b:.2g}, {2**row.log2_ratio:.2g} times as likely after A"
        + ("" if np.isnan(row.low) else f" ({2**row.low:.2g} to {2**row.high:.2g})")
        for row in rows.itertuples()
    )
    return f"Probability of a word after A ({a}) and after B ({b}): {told}."


def _name_words(axes: Axes, rows: pd.DataFrame) -> None:
    """Write the words that lean most, away from the diagonal."""
    for row in (
        rows.reindex(rows["log2_ratio"].abs().sort_values(ascending=False).index).head(MAX_NAMED_WORDS).itertuples()
    ):
        up = row.log2_ratio >= 0
        side: Style = {"xytext": (-9 if up else 9, 0), "ha": "right" if up else "left"}
        words: Style = {"textcoords": "offset points", "va": "center", "fontsize": FONT_SIZE - 2}
        axes.annotate(row.word.strip(), (row.p_b, row.p_a), **words, **side)


def _dress(axes: Axes, label: str) -> None:
    axes.set_xlabel(label, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
