"""Marking plots: how many students of a class stand in each group."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, MaxNLocator

from course_utils.plots.picture import COLOURS, FONT_SIZE, Picture, Style

BAR_INCHES = 0.45
HEAD_INCHES = 0.75  # above each panel, for its name and the space between


def groups_picture(rows: pd.DataFrame, title: str, unit: str = "people") -> Picture:
    """Draw how many stand in each group, one bar a group, one panel below the other.

    Parameters
    ----------
    rows : pandas.DataFrame
        of (the panel; "" where there is only one), group, n; optionally told, what to write at the bar.
    title : str
    unit : str
        What n counts.

    Returns
    -------
    Picture
        All panels share one axis, so that bars can be compared.
    """
    parts = list(rows.groupby("of", sort=False))
    heights = [BAR_INCHES * len(part) for _, part in parts]
    inches = sum(heights) + HEAD_INCHES * len(parts) + 1.1
    figure = Figure(figsize=(10, inches), layout="constrained")
    grid = {"height_ratios": heights}
    panels = figure.subplots(len(parts), 1, squeeze=False, sharex=True, gridspec_kw=grid)[:, 0]
    for axes, (name, part) in zip(panels, parts, strict=True):
        _bars(axes, part)
        axes.set_title(str(name), fontsize=FONT_SIZE, loc="left", fontweight="bold", parse_math=False)
    panels[-1].set_xlabel(unit, fontsize=FONT_SIZE)
    panels[-1].set_xlim(0, 1.12 * rows["n"].max())
    figure.suptitle(title, fontsize=FONT_SIZE, x=0.01, ha="left", parse_math=False)
    return Picture(figure, f"{title} {describe_groups(rows, unit)}")


def describe_groups(rows: pd.DataFrame, unit: str = "people") -> str:
    """Return in words what :func:`groups_picture` draws: every group with its number."""
    sentences = []
    for name, part in rows.groupby("of", sort=False):
        told = "; ".join(f"{group} {words}" for group, words in zip(part["group"], _words(part), strict=True))
        sentences.append(f"{name}, {unit}: {told}." if name else f"{unit.capitalize()}: {told}.")
    return " ".join(sentences)


def _bars(axes: Axes, part: pd.DataFrame) -> None:
    places = range(len(part))
    axes.barh(places, part["n"], color=COLOURS[0], height=0.7)
    for place, n, words in zip(places, part["n"], _words(part), strict=True):
        style: Style = {"textcoords": "offset points", "va": "center", "fontsize": FONT_SIZE - 1}
        axes.annotate(words, (n, place), (6, 0), **style)
    axes.set_yticks(places, part["group"], parse_math=False)
    axes.set_ylim(len(part) - 0.5, -0.5)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.xaxis.set_major_locator(_whole())


def _words(part: pd.DataFrame) -> list[str]:
    return [str(each) for each in (part["told"] if "told" in part else part["n"])]


def _whole() -> Locator:
    return MaxNLocator(integer=True)
