"""Cost plots: what models cost on a logarithmic axis; bounds are arrows, unknown values are words."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, Row, Style

LABELS = {
    "USD": "US dollars of the year (where it says EUR: euros)", "MWh": "megawatt-hours",
    "t CO2e": "tonnes of CO2 or its equivalent", "hours": "hours",
    "device-days": "days on one device (devices of later years are faster)",
}  # fmt: skip
ARROWS = {"at least": 1, "more than": 1, "less than": -1}
ARROW_POINTS = 36
SEEN = "V"  # the tag of a figure that was seen in its own source: its sign is filled


class Cost(NamedTuple):
    """One figure: what it is of, its value (NaN where none is known), its bound, unit and tag; None is the user's."""

    label: str
    value: float
    relation: str
    unit: str
    tag: str | None


def costs_picture(table: pd.DataFrame, yours: Mapping[str, float] | None = None) -> Picture:
    """Draw one quantity: a sign a figure, filled when it was seen in its own source, hollow when others report it.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of one quantity: system, year, what, value, relation, unit, tag.
    yours : mapping of str to float, optional
        Figures of your own in the same unit, by what they are.

    Returns
    -------
    Picture
        An arrow to the right means "at least", to the left "less than". A row without any figure says so.
    """
    rows = [_row(row) for row in table.itertuples()]
    unit = table["unit"].iloc[0]
    rows += [Cost(f"yours: {what}", value, "about", unit, None) for what, value in (yours or {}).items()]
    figure = Figure(figsize=(11, 0.55 * len(rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    values = [value for _, value, *_ in rows if not math.isnan(value)]
    decades = math.log10(max(values) / min(values)) + 1
    axes.set_xlim(min(values) / 4, max(values) * 10 ** (0.25 * decades))  # room for the words
    for place, row in enumerate(rows):
        _sign(axes, place, row)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    _dress(axes, LABELS.get(unit, unit))
    figure.suptitle(
        "Filled: seen in its own source. Hollow: as others report it.", fontsize=FONT_SIZE, x=0.01, ha="left"
    )
    return Picture(figure, describe(rows))


def describe(rows: Sequence[Cost]) -> str:
    """Return in words what :func:`costs_picture` draws: every figure, its bound and how it is known."""
    known: dict[str | None, str] = {SEEN: "seen in its source", None: "your own"}
    return " ".join(
        f"{label}: {relation} {number(value)} {unit} ({known.get(tag, 'as others report')})."
        if not math.isnan(value)
        else f"{label}: no figure found."
        for label, value, relation, unit, tag in rows
    )


def number(value: float) -> str:
    """Write a number as a person would.

    Examples
    --------
    >>> [number(n) for n in (4_600_000, 24.7, 0.0021)]
    ['4.6 million', '24.7', '0.0021']
    """
    if value >= 1e6:
        return f"{value / 1e6:g} million"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def bits_picture(table: pd.DataFrame) -> Picture:
    """Draw bits per character with its 95% interval for each model.

    Parameters
    ----------
    table : pandas.DataFrame
        model, learned_from, bits_per_character, low, high.
    """
    figure = Figure(figsize=(10, 0.8 * len(table) + 1.3), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(table.itertuples()):
        style: Style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        axes.plot([row.low, row.high], [place, place], color=style["color"], linewidth=2.5)
        axes.plot([row.bits_per_character], [place], markersize=12, linestyle="", **style)
    axes.set_yticks(range(len(table)), [f"{row.model}\n({row.learned_from})" for row in table.itertuples()])
    axes.set_ylim(len(table) - 0.5, -0.5)
    _dress(axes, "bits per character on text kept apart; lower is better")
    told = "; ".join(
        f"{row.model} {row.bits_per_character:.2f} ({row.low:.2f} to {row.high:.2f})" for row in table.itertuples()
    )
    return Picture(figure, f"Bits per character with 95% interval: {told}.")


def _row(row: Row) -> Cost:
    value = float("nan") if pd.isna(row.value) else float(row.value)
    system = row.system if pd.isna(row.year) else f"{row.system}, {row.year:.0f}"
    return Cost(f"{system}: {row.what}", value, row.relation, row.unit, row.tag)


def _sign(axes: Axes, place: int, row: Cost) -> None:
    _, value, relation, unit, tag = row
    if math.isnan(value):
        axes.text(
            0.02,
            place,
            "no figure found",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=FONT_SIZE,
            style="italic",
        )
        return
    colour, marker = (COLOURS[1], MARKERS[1]) if tag is None else (COLOURS[0], MARKERS[0])
    face = "white" if tag not in (SEEN, None) else colour
    way = ARROWS.get(relation, 0)
    if way:
        arrow: Style = {"arrowstyle": "<|-", "color": colour, "linewidth": 2.5}
        axes.annotate("", (value, place), xytext=(way * ARROW_POINTS, 0), textcoords="offset points", arrowprops=arrow)
    axes.plot([value], [place], color=colour, marker=marker, markersize=11, markeredgewidth=2.5, markerfacecolor=face)
    words = f"{'' if relation == 'about' else relation + ' '}{number(value)}{' EUR' if unit == 'EUR' else ''}"
    beside: Style = {"xytext": (-12 if way > 0 else 12, 0), "ha": "right" if way > 0 else "left"}  # where no arrow is
    axes.annotate(words, (value, place), fontsize=FONT_SIZE - 2, textcoords="offset points", va="center", **beside)


def _dress(axes: Axes, label: str) -> None:
    axes.set_xlabel(label, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
