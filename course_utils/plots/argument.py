"""Argument map plot: the thesis, reasons with their evidence, objections with answers, and every gap."""

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_utils.plots.picture import COLOURS, FONT_SIZE, Picture, Style

WIDTHS = {"claim": 32, "rests_on": 28, "objection": 28, "answer": 28}  # letters a line
LEFTS = {"claim": 0.0, "rests_on": 0.255, "objection": 0.51, "answer": 0.765}
TITLES = {"claim": "reason", "rests_on": "rests on", "objection": "but", "answer": "answer"}
WIDTH = 0.225
LINE = 0.28  # inches
FILLED, GAP = COLOURS[0], COLOURS[1]


def map_picture(thesis: str, rows: Sequence[Mapping[str, str]]) -> Picture:
    """Draw an argument, one row a reason; a box that is missing is drawn dashed, with a question mark.

    Parameters
    ----------
    thesis : str
    rows : sequence of mapping
        claim, rests_on, objection, answer; empty where there is none.
    """
    texts = [{part: textwrap.wrap(row[part], WIDTHS[part]) or ["?"] for part in WIDTHS} for row in rows]
    heights = [max(map(len, row.values())) * LINE + 0.6 for row in texts]
    head = textwrap.wrap(thesis, 100) or ["?"]
    total = sum(heights) + len(head) * LINE + 0.85
    figure = Figure(figsize=(15, total))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_axis_off()
    axes.set(xlim=(-0.01, 1.0), ylim=(total, 0))
    _box(axes, 0.0, 0.1, 0.99, len(head) * LINE + 0.2, head, bold=True)
    top = len(head) * LINE + 0.75
    for part, left in LEFTS.items():
        axes.text(left, top - 0.12, TITLES[part], fontsize=FONT_SIZE - 2, color="#555555")
    for row, height in zip(texts, heights, strict=True):
        for part, left in LEFTS.items():
            _box(axes, left, top, WIDTH, height - 0.25, row[part])
        for left in list(LEFTS.values())[1:]:
            _link(axes, left, top + (height - 0.25) / 2)
        top += height
    return Picture(figure, describe(thesis, rows))


def describe(thesis: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Return in words what `map_picture` draws."""
    told = [
        f"Reason {i}: {row['claim'] or 'missing'}. Rests on: {row['rests_on'] or 'nothing yet'}. "
        f"But: {row['objection'] or 'no objection yet'}. Answer: {row['answer'] or 'none yet'}."
        for i, row in enumerate(rows, 1)
    ]
    return " ".join([f"Thesis: {thesis or 'missing'}", *told])


def _box(
    axes: Axes, left: float, top: float, width: float, height: float, lines: list[str], bold: bool = False
) -> None:
    from matplotlib.patches import FancyBboxPatch

    is_gap = lines == ["?"]
    edge, line = (GAP, (0, (4, 3))) if is_gap else (FILLED, "-")
    style: Style = {"edgecolor": edge, "linestyle": line, "facecolor": "white"}
    box = FancyBboxPatch((left, top), width, height, "round,pad=0,rounding_size=0.006", linewidth=2, **style)
    axes.add_patch(box)
    weight = "bold" if bold or is_gap else "normal"
    place: Style = {"va": "center", "fontsize": FONT_SIZE - 2, "weight": weight, "parse_math": False}
    axes.text(left + 0.01, top + height / 2, "\n".join(lines), linespacing=1.35, **place)


def _link(axes: Axes, right: float, height: float) -> None:
    arrow: Style = {"arrowstyle": "-", "color": "#777777", "linewidth": 1.5}
    axes.annotate("", (right, height), (right - 0.03, height), arrowprops=arrow)
