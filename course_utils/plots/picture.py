"""Picture: a figure that is legible on a projector and without colour, with a description in words."""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

Style: TypeAlias = dict[str, Any]  # keyword arguments for matplotlib, which checks them itself
Row: TypeAlias = Any  # of `DataFrame.itertuples`: its attributes are the table's columns

# Okabe and Ito's palette (2008), told apart by colour-blind eyes; the shapes carry the same news without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
FONT_SIZE = 15  # points, for the back row of a lecture hall
ROW_INCHES = 0.9
MEAN_BELOW = 0.3  # of a row: under its dots, so that it hides none


class Picture:
    """A figure and its description, shown together in a notebook.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to see.
    alt : str
        The same in words: read aloud by a screen reader, and printed where no picture can be shown.
    """

    def __init__(self, figure: Figure, alt: str) -> None:
        self.figure, self.alt = figure, alt

    def png(self) -> bytes:
        """Return the figure as a PNG file's bytes."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the figure to a file; the ending (png, pdf, svg) chooses the format."""
        self.figure.savefig(path)

    def __repr__(self) -> str:
        """Return the description."""
        return self.alt

    def _repr_html_(self) -> str:
        """Return the figure with its description attached (IPython asks for this name)."""
        data = base64.b64encode(self.png()).decode()
        alt = html.escape(self.alt, quote=True)
        return f'<img src="data:image/png;base64,{data}" alt="{alt}" style="max-width: 100%; height: auto;">'


def measures_by_setting(table: pd.DataFrame, summary: pd.DataFrame, labels: Mapping[str, str] | None = None) -> Picture:
    """Draw one dot a text, and the mean with its 95% interval, for each setting: one panel a measure.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a text: a column ``setting``, and a column for every measure named in ``summary``.
    summary : pandas.DataFrame
        One row a setting and measure: setting, measure, n_texts, mean, low, high.
    labels : mapping of str to str
        What to write at a measure's axis; without it, the measure's own name.

    Returns
    -------
    Picture
        Dots are texts, the black bar is the interval, the white-filled sign on it is the mean.
    """
    measures, settings = list(summary["measure"].unique()), list(summary["setting"].unique())
    labels = {measure: (labels or {}).get(measure, measure.replace("_", " ")) for measure in measures}
    figure = Figure(figsize=(6 * len(measures) + 1, ROW_INCHES * len(settings) + 1.6), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        for row, setting in enumerate(settings):
            _dots(axes, row, table.loc[table["setting"] == setting, measure].dropna().to_numpy(dtype=float))
            _mean(axes, row, summary[(summary["setting"] == setting) & (summary["measure"] == measure)].iloc[0])
        _dress(axes, labels[measure])
    panels[0].set_yticks(range(len(settings)), [f"{name}\n(n = {_count(summary, name)})" for name in settings])
    panels[0].set_ylim(len(settings) - 0.5, -0.5)
    figure.suptitle("One mark a text. White mark and bar: mean, 95% interval.", fontsize=FONT_SIZE, x=0.01, ha="left")
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(wspace=0.06)
    return Picture(figure, describe(summary, labels))


def describe(summary: pd.DataFrame, labels: Mapping[str, str] | None = None) -> str:
    """Return in words what :func:`measures_by_setting` draws: every mean, its interval and the number of texts."""
    sentences = []
    for measure, rows in summary.groupby("measure", sort=False):
        told = "; ".join(_in_words(row) for row in rows.itertuples())
        sentences.append(f"{(labels or {}).get(measure, measure)}, mean and 95% interval: {told}.")
    return " ".join(sentences)


def _in_words(row: Row) -> str:
    if np.isnan(row.mean):
        return f"{row.setting} unknown (no text long enough)"
    interval = "" if np.isnan(row.low) else f" ({row.low:.2f} to {row.high:.2f})"
    return f"{row.setting} {row.mean:.2f}{interval}, n = {row.n_texts}"


def _count(summary: pd.DataFrame, setting: str) -> str:
    counts = sorted(set(summary.loc[summary["setting"] == setting, "n_texts"]))
    return " or ".join(str(count) for count in counts)


def _dots(axes: Axes, row: int, values: np.ndarray) -> None:
    """Draw the texts of one setting, spread a little so that equal values do not hide one another."""
    spread = np.linspace(-0.35, 0.1, values.size) if values.size > 1 else np.full(values.size, -0.1)
    style: Style = {"color": COLOURS[row % len(COLOURS)], "marker": MARKERS[row % len(MARKERS)]}
    axes.scatter(values, row + spread, s=46, alpha=0.75, linewidths=0, **style)


def _mean(axes: Axes, row: int, summary: pd.Series) -> None:
    axes.plot([summary["low"], summary["high"]], [row + MEAN_BELOW] * 2, color="black", linewidth=2.5, zorder=3)
    sign: Style = {"marker": MARKERS[row % len(MARKERS)], "markersize": 13, "markeredgewidth": 2.5}
    axes.plot([summary["mean"]], [row + MEAN_BELOW], color="black", markerfacecolor="white", zorder=4, **sign)


def _dress(axes: Axes, label: str) -> None:
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(label, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
