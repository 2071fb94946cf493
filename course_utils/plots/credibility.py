"""Credibility plots: how often readers took a source for human, and how credible they found it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, Style

GUESSING = 0.5


def called_human(rows: pd.DataFrame) -> Picture:
    """Draw the share called human of each source, with its interval, and the share of right answers in all.

    Parameters
    ----------
    rows : pandas.DataFrame
        source (the last is "all"), n, called_human, low, high, right, right_low, right_high.
    """
    sources, everything = rows[rows["source"] != "all"], rows[rows["source"] == "all"].iloc[0]
    figure = Figure(figsize=(12, 0.9 * len(sources) + 2.2), layout="constrained")
    axes, told = figure.subplots(), []
    for place, row in enumerate(sources.itertuples()):
        _dot(axes, place, row.called_human, row.low, row.high, f"{row.called_human:.0%}", filled=False)
        told.append(f"{row.source} {row.called_human:.0%} ({row.low:.0%} to {row.high:.0%}, n = {row.n})")
    axes.axvline(GUESSING, color="#777777", linestyle=(0, (1, 3)))
    axes.set_xlim(-0.03, 1.03)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    _dress(axes, [f"{row.source}\n(n = {row.n})" for row in sources.itertuples()], "called human (bar: 95% interval)")
    ends = f"{everything['right_low']:.0%} to {everything['right_high']:.0%}, n = {everything['n']}"
    right = f"Right answers in all: {everything['right']:.0%} ({ends})"
    axes.set_title(right, fontsize=FONT_SIZE, loc="left")
    return Picture(figure, f"Share called human: {'; '.join(told)}. {right}.")


def credibility_of_each(rows: pd.DataFrame) -> Picture:
    """Draw the mean credibility index, 1 to 10, of each source: filled what was measured here, hollow OpenAI's of 2019.

    Parameters
    ----------
    rows : pandas.DataFrame
        source, measured_by, n_texts, index, low, high (NaN where no interval is known).
    """
    figure = Figure(figsize=(12, 0.8 * len(rows) + 2), layout="constrained")
    axes, told, names = figure.subplots(), [], []
    for place, row in enumerate(rows.rename(columns={"index": "value"}).itertuples()):
        here = row.measured_by == "here"
        _dot(axes, place, row.value, row.low, row.high, f"{row.value:.2f}", filled=here)
        ends = "" if np.isnan(row.low) else f" ({row.low:.2f} to {row.high:.2f})"
        told.append(f"{row.source} {row.value:.2f}{ends}" + (f", n = {row.n_texts:.0f} texts" if here else ""))
        names.append(f"{row.source}\n(n = {row.n_texts:.0f} texts)" if here else f"{row.source}\n(OpenAI, 2019)")
    axes.set_xlim(0.8, 10.2)
    axes.set_xticks(range(1, 11))
    _dress(axes, names, "credibility index, 1 to 10 (bar: 95% interval)")
    others = sorted(set(rows["measured_by"]) - {"here"})
    source = f" Without interval: {', '.join(others)}." if others else ""
    return Picture(figure, f"Mean credibility index, 1 to 10: {'; '.join(told)}.{source}")


def _dot(axes: Axes, place: int, value: float, low: float, high: float, words: str, filled: bool) -> None:
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    axes.plot([low, high], [place, place], color="black", linewidth=2.5)
    face = colour if filled else "white"
    axes.plot([value], [place], color=colour, marker=marker, markersize=13, markerfacecolor=face, markeredgewidth=2.5)
    style: Style = {"textcoords": "offset points", "ha": "center", "fontsize": FONT_SIZE - 2}
    axes.annotate(words, (value, place), (0, 12), **style)


def _dress(axes: Axes, names: list[str], label: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.7)
    axes.set_xlabel(label, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
