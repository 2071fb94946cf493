"""Detection plots: ROC curves with bands, AUC by length and by p, a transfer matrix, the value of a flag."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, Row, Style

LINES = ("-", "--", "-.", ":")
CHANCE = 0.5
MOST_LETTERS = 18  # of a name in one line
AUC_LABEL = "AUC (0.5 is chance, 1 is never wrong)"
TOLD_AT = (0.01, 0.1, 0.5)  # false alarms at which the words tell a curve, if they are at least one text


def roc_curves(curves: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> Picture:
    """Draw the share caught over the share of false alarms, one line and band a detector.

    Parameters
    ----------
    curves : mapping of str to pandas.DataFrame
        By detector: false_alarms, caught, low, high.
    rows : pandas.DataFrame
        One row a detector, in the same order: detector, n_human, auc, auc_low, auc_high.
    """
    figure = Figure(figsize=(12.5, 7), layout="constrained")
    axes, told = figure.subplots(), []
    axes.plot([0, 1], [0, 1], color="#777777", linestyle=(0, (1, 3)), label="chance: AUC 0.5")
    for (name, curve), row, look in zip(curves.items(), rows.itertuples(), _looks(), strict=False):
        axes.fill_between(
            curve["false_alarms"], curve["low"], curve["high"], color=look["color"], alpha=0.15, linewidth=0
        )
        label = f"{name}: AUC {_estimate(row.auc, row.auc_low, row.auc_high)}"
        axes.plot(
            curve["false_alarms"], curve["caught"], label=label, markevery=20, linewidth=2.5, markersize=9, **look
        )
        points = [curve.iloc[(curve["false_alarms"] - at).abs().argmin()] for at in TOLD_AT if at * row.n_human >= 1]
        caught = ", ".join(f"{point['caught']:.0%} at {point['false_alarms']:.0%} false alarms" for point in points)
        told.append(f"{label}; caught {caught}.")
    _dress(axes, "human texts flagged (false alarms)", "machine texts flagged (caught)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.set_title(f"n = {rows['n_human'].iloc[0]} pairs. Bands: 95% over pairs.", fontsize=FONT_SIZE, loc="left")
    figure.legend(loc="outside lower center", fontsize=FONT_SIZE - 2, frameon=False)
    return Picture(figure, f"ROC on {rows['n_human'].iloc[0]} pairs of texts. " + " ".join(told))


def auc_over(rows: pd.DataFrame, along: str, label: str, by: Sequence[str] = ()) -> Picture:
    """Draw AUC with its interval over a number, such as the words of a text or the p of nucleus sampling.

    Parameters
    ----------
    rows : pandas.DataFrame
        The columns named by ``along`` and ``by``, and n_human, auc, auc_low, auc_high.
    along, label : str
        The number's column, and what to write at its axis, with the unit.
    by : sequence of str
        Columns of which each combination gets its own line.
    """
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    axes, told = figure.subplots(), []
    groups = rows.groupby(list(by), sort=False) if by else [((), rows)]
    width = (rows[along].max() - rows[along].min()) or 1
    for number, ((key, group), look) in enumerate(zip(groups, _looks(), strict=False)):
        name, group = ", ".join(map(str, key)), group.sort_values(along)
        at = group[along] + 0.006 * width * (number - (len(groups) - 1) / 2)  # beside each other, so that bars show
        axes.vlines(at, group["auc_low"], group["auc_high"], color=look["color"], linewidth=2.5)
        axes.plot(at, group["auc"], label=name, markersize=11, markerfacecolor="white", markeredgewidth=2.5, **look)
        points = (f"{getattr(row, along):g}: {_of_row(row)}" for row in group.itertuples())
        told.append(f"{name + ', ' if name else ''}by {label}: " + "; ".join(points) + ".")
    axes.axhline(CHANCE, color="#777777", linestyle=(0, (1, 3)))
    _dress(axes, label, AUC_LABEL)
    axes.set_xticks(sorted(rows[along].unique()))
    axes.set_title("Bars: 95% interval over pairs of texts.", fontsize=FONT_SIZE, loc="left")
    if by:
        figure.legend(loc="outside lower center", fontsize=FONT_SIZE - 2, frameon=False, ncols=2)
    return Picture(figure, "AUC " + " ".join(told))


def auc_of_each(rows: pd.DataFrame, name: str) -> Picture:
    """Draw AUC with its interval, one line of the picture for each row.

    Parameters
    ----------
    rows : pandas.DataFrame
        The column called ``name``, and n_human, auc, auc_low, auc_high.
    name : str
    """
    figure = Figure(figsize=(12, 0.8 * len(rows) + 1.8), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows.itertuples()):
        look: Style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        axes.plot([row.auc_low, row.auc_high], [place, place], color="black", linewidth=2.5)
        axes.plot([row.auc], [place], markersize=12, markerfacecolor="white", markeredgewidth=2.5, **look)
        axes.annotate(f"{row.auc:.2f}", (row.auc, place), (0, 11), textcoords="offset points", ha="center",
                      fontsize=FONT_SIZE - 2)  # fmt: skip
    axes.axvline(CHANCE, color="#777777", linestyle=(0, (1, 3)))
    axes.set_yticks(range(len(rows)), [textwrap.fill(each, 2 * MOST_LETTERS) for each in rows[name]])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    _dress(axes, AUC_LABEL, "")
    told = "; ".join(f"{getattr(row, name)}: {_of_row(row)}" for row in rows.itertuples())
    return Picture(figure, f"AUC with 95% interval over pairs of texts. {told}.")


def transfer_matrix(rows: pd.DataFrame) -> Picture:
    """Draw AUC as a table of shades with its numbers: trained on (down) and tested on (across).

    Parameters
    ----------
    rows : pandas.DataFrame
        trained_on, tested_on, n_human, auc, auc_low, auc_high.
    """
    names = list(rows["trained_on"].unique())
    figure = Figure(figsize=(3.2 * len(names) + 3, 1.4 * len(names) + 2.4), layout="constrained")
    axes = figure.subplots()
    table = rows.pivot(index="trained_on", columns="tested_on", values="auc").loc[names, names]
    lowest = min(CHANCE, table.min(axis=None))
    shades = axes.imshow(table, cmap="cividis", vmin=lowest, vmax=1, aspect="auto")
    for row in rows.itertuples():
        place = names.index(row.tested_on), names.index(row.trained_on)
        words = f"{row.auc:.2f}\n{row.auc_low:.2f} to {row.auc_high:.2f}"
        colour = "black" if row.auc > (lowest + 1) / 2 else "white"
        axes.text(*place, words, ha="center", va="center", fontsize=FONT_SIZE - 1, color=colour)
    _dress(axes, "tested on texts by", "trained on texts by")
    axes.grid(visible=False)
    wrapped = [textwrap.fill(name, MOST_LETTERS) for name in names]
    axes.set_xticks(range(len(names)), wrapped)
    axes.set_yticks(range(len(names)), wrapped)
    bar = figure.colorbar(shades, ax=axes)
    bar.set_label("AUC", fontsize=FONT_SIZE)
    bar.ax.tick_params(labelsize=FONT_SIZE - 2)
    told = "; ".join(
        f"trained on {row.trained_on}, tested on {row.tested_on}: {_of_row(row)}" for row in rows.itertuples()
    )
    return Picture(figure, f"AUC with 95% interval over pairs of texts. {told}.")


def right_flags(rows: pd.DataFrame) -> Picture:
    """Draw the share of flags that are right over the share of machine text, one line an accuracy.

    Parameters
    ----------
    rows : pandas.DataFrame
        accuracy, machine_share, flags_right, wrongly_flagged_per_million.
    """
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    axes, told = figure.subplots(), []
    for (accuracy, group), look in zip(rows.groupby("accuracy", sort=False), _looks(), strict=False):
        group = group.sort_values("machine_share")
        name = f"right about {100 * accuracy:g} % of either kind"
        axes.plot(group["machine_share"], group["flags_right"], label=name, markersize=10, linewidth=2.5, **look)
        points = (
            f"{row.flags_right:.1%} of flags right at {row.machine_share:.4g} machine" for row in group.itertuples()
        )
        wrong = f"{group['wrongly_flagged_per_million'].iloc[0]:,.0f} of a million human texts flagged"
        told.append(f"{name}: {', '.join(points)}; {wrong}.")
    axes.set_xscale("log")
    axes.set_xlim(right=1)
    axes.set_ylim(0, 1.03)
    _dress(axes, "share of machine text in all that is read", "flags that are right")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    figure.legend(loc="outside lower center", fontsize=FONT_SIZE - 2, frameon=False, ncols=2)
    return Picture(figure, "What a flag is worth (arithmetic). " + " ".join(told))


def _looks() -> list[Style]:
    """Return what tells lines apart: colour, marker and dashes, so many that no two of thirty agree."""
    triples = zip(range(30), itertools.cycle(COLOURS), itertools.cycle(MARKERS), strict=False)
    return [
        {"color": colour, "marker": marker, "linestyle": LINES[(i + i // len(COLOURS)) % len(LINES)]}
        for i, colour, marker in triples
    ]


def _of_row(row: Row) -> str:
    return f"{_estimate(row.auc, row.auc_low, row.auc_high)}, n = {row.n_human} pairs"


def _estimate(value: float, low: float, high: float) -> str:
    return f"{value:.2f}" if np.isnan(low) else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _dress(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlabel(x_label, fontsize=FONT_SIZE)
    axes.set_ylabel(y_label, fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.grid(color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
