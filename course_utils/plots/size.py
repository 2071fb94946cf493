"""Size plots: loss against parameters on logarithmic axes beside the paper's, and loss during training."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, Style

LINES = ("-", "--", "-.", ":")
MOST_POINTS = 60  # of a curve: more would only blacken it


@dataclasses.dataclass(frozen=True, eq=False)
class Panel:
    """One half of a comparison: losses in one unit, which can share no axis with another unit's.

    Parameters
    ----------
    title, measure : str
        Whose they are; what they are, with the unit.
    table : pandas.DataFrame
        One row a model: model, n_parameters, value, low, high (NaN where no interval is known).
    line : pandas.DataFrame, optional
        The fitted line: n_parameters, value, low, high.
    exponent : float, optional
        Of that line.
    """

    title: str
    measure: str
    table: pd.DataFrame
    line: pd.DataFrame | None = None
    exponent: float = math.nan


def loss_against_parameters(panels: Sequence[Panel]) -> Picture:
    """Draw each panel's losses over the number of parameters, both axes logarithmic, with its line and 95% band."""
    figure = Figure(figsize=(6.5 * len(panels) + 0.5, 5.5), layout="constrained")
    for number, (axes, panel) in enumerate(zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True)):
        _draw_panel(axes, panel, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
    return Picture(figure, " ".join(describe(panel) for panel in panels))


def describe(panel: Panel) -> str:
    """Return in words what a panel shows: every loss, its interval, and the line's slope."""
    told = "; ".join(
        f"{row.model} ({_short(row.n_parameters)} parameters) {row.value:.2f}"
        + ("" if math.isnan(row.low) else f" ({row.low:.2f} to {row.high:.2f})")
        for row in panel.table.itertuples()
    )
    head = f"{panel.title}, {panel.measure}" if panel.title else panel.measure
    return f"{head}: {told}." + ("" if math.isnan(panel.exponent) else f" {_slope(panel.exponent)}.")


def loss_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Picture:
    """Draw the loss of each training over the tokens it had read, and its held-out bits per character.

    Parameters
    ----------
    logs : mapping of str to sequence of mapping
        By name, each log's lines as ``checkpoint.read`` returns them: tokens, loss_nats, held_out_bits.

    Returns
    -------
    Picture
        At the left nats a token on the text it learns from, smoothed; at the right, one line a held-out text.
    """
    figure = Figure(figsize=(13.5, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    told = []
    for number, (name, log) in enumerate(logs.items()):
        colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
        tokens, losses = _smoothed(log)
        left.plot(tokens, losses, color=colour, linestyle=line, linewidth=2.5, label=name)
        told.append(_draw_held_out(right, log, name, colour, line, MARKERS[number % len(MARKERS)]))
    _dress(left, "tokens read", "training loss, nats a token")
    _dress(right, "tokens read", "held out, bits per character")
    for axes in (left, right):
        axes.set_yscale("linear")
        if axes.has_data():
            axes.legend(fontsize=FONT_SIZE - 4, frameon=False, loc="upper right")
    return Picture(figure, " ".join(["Loss while learning.", *told]))


def _draw_panel(axes: Axes, panel: Panel, colour: str, marker: str) -> None:
    table, line = panel.table, panel.line
    if line is not None:
        axes.fill_between(line["n_parameters"], line["low"], line["high"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(line["n_parameters"], line["value"], color=colour, linewidth=2.5)
    for row in table.itertuples():
        axes.plot([row.n_parameters] * 2, [row.low, row.high], color="black", linewidth=2.5, zorder=3)
    style: Style = {"marker": marker, "markersize": 12, "markeredgewidth": 2.5, "markerfacecolor": "white", "zorder": 4}
    axes.plot(table["n_parameters"], table["value"], color="black", linestyle="", **style)
    for number, row in enumerate(table.sort_values("n_parameters").itertuples()):
        end = np.nanmin([row.value, row.low]) if number % 2 else np.nanmax([row.value, row.high])
        # In turn above and below, so that neighbours' names never meet.
        place: Style = {"xytext": (0, -14), "va": "top"} if number % 2 else {"xytext": (0, 14), "va": "bottom"}
        words: Style = {"textcoords": "offset points", "ha": "center", "fontsize": FONT_SIZE - 2, "linespacing": 1.1}
        axes.annotate(f"{row.model}\n{row.value:.2f}", (row.n_parameters, end), **place, **words)
    axes.margins(x=0.2, y=0.35)
    _dress(axes, "parameters", panel.measure)
    slope = "" if math.isnan(panel.exponent) else _slope(panel.exponent)
    axes.set_title("\n".join(filter(None, [panel.title, slope])), fontsize=FONT_SIZE, loc="left")


def _dress(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda number, _: _short(number)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    for formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatter(FuncFormatter(lambda number, _: f"{number:.4g}"))
    axes.set_xlabel(x_label, fontsize=FONT_SIZE)
    axes.set_ylabel(y_label, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 2, which="both")
    axes.grid(color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_held_out(axes: Axes, log: Sequence[Mapping[str, Any]], name: str, colour: str, line: str, marker: str) -> str:
    """Draw a training's held-out texts; return in words where they and the training began and ended."""
    read = [entry for entry in log if entry.get("held_out_bits")]
    said = f"from {log[0]['loss_nats']:.2f} to {log[-1]['loss_nats']:.2f} nats a token" if log else "no step yet"
    told = [f"{name}: {said}"]
    names = dict.fromkeys(text for entry in read for text in entry["held_out_bits"])
    for text, face in zip(names, itertools.cycle([colour, "white"])):  # filled and hollow
        points = [(entry["tokens"], entry["held_out_bits"][text]) for entry in read if text in entry["held_out_bits"]]
        style: Style = {"color": colour, "linestyle": line, "marker": marker, "markerfacecolor": face, "linewidth": 2}
        axes.plot(*zip(*points, strict=True), label=f"{name}, {text}", **style)
        told.append(f"held-out {text} from {points[0][1]:.2f} to {points[-1][1]:.2f} bits per character")
    return ", ".join(told) + "."


def _smoothed(log: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `MOST_POINTS` points of a curve, each the mean of its neighbours: the later, the more of them."""
    if not log:
        return np.empty(0), np.empty(0)
    pairs = np.array([(entry["tokens"], entry["loss_nats"]) for entry in log], dtype=float)
    cuts = np.unique(np.geomspace(1, len(pairs), MOST_POINTS).astype(int))[:-1]
    means = np.array([part.mean(axis=0) for part in np.split(pairs, cuts)])
    return means[:, 0], means[:, 1]


def _slope(exponent: float) -> str:
    return f"Twice the parameters: {100 * (2**exponent - 1):+.1f}% loss"


def _short(number: float) -> str:
    """Write a count in thousands, millions or billions.

    Examples
    --------
    >>> [_short(number) for number in (4096, 1_350_400, 124_439_808, 1_557_611_200)]
    ['4.1k', '1.4M', '124M', '1.56B']
    """
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            digits = 3 if number >= 100 * unit or unit == 1e9 else 2
            return f"{number / unit:.{digits}g}{name}"
    return f"{number:g}"
