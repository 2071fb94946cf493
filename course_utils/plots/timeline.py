"""Timeline plots: how much of a model was open at each time, and one line for each event."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter, MonthLocator
from matplotlib.figure import Figure

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, Style

KINDS = {
    "OpenAI": ("OpenAI", 0),
    "others": ("others' models", 1),
    "comment": ("articles", 3),
    "evidence": ("evidence", 2),
}
ROW_INCHES = 0.42
AIR = pd.Timedelta(days=18)  # at both ends
HALF_A_MONTH = pd.Timedelta(days=14)
BESIDE = 12  # points between a sign and its words


def timeline_picture(events: pd.DataFrame, opened: pd.DataFrame) -> Picture:
    """Draw the open share of a model as steps, and under it every event at its date.

    Parameters
    ----------
    events : pandas.DataFrame
        In order of time: first_day, precision ("day", or "month": then any day of it), short (a few words), kind
        ("OpenAI", "others", "comment" or "evidence").
    opened : pandas.DataFrame
        One row a release, in order of time: date, share (of the largest size, 0 to 1), name.

    Returns
    -------
    Picture
        Kinds differ in colour and shape. Hollow signs, in the middle of a month, are of a day that is not known.
    """
    figure = Figure(figsize=(14, 3.6 + ROW_INCHES * len(events)), layout="constrained")
    heights = [2.4, ROW_INCHES * len(events)]
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    first, last = min(events["first_day"].min(), opened["date"].min()), events["first_day"].max()
    above.set_xlim(first - AIR, max(last, opened["date"].max()) + AIR)
    _steps(above, opened, last + AIR)
    _events(below, events)
    below.xaxis.set_major_locator(MonthLocator())
    below.xaxis.set_major_formatter(DateFormatter("%b\n%Y"))
    _dress(above, below)
    figure.suptitle("GPT-2's parameters that were open, and what happened", fontsize=FONT_SIZE, x=0.01, ha="left")
    return Picture(figure, describe(events, opened))


def describe(events: pd.DataFrame, opened: pd.DataFrame) -> str:
    """Return in words what :func:`timeline_picture` draws: every step and every event with its date."""
    first = opened["date"].iloc[0]
    steps = "; ".join(
        f"{_when(row.date)}, day {(row.date - first).days}: {row.name}, {row.share:.0%}"
        for row in opened.itertuples(index=False)
    )
    told = "; ".join(
        f"{_when(row.first_day, row.precision)}: {row.short} ({KINDS[row.kind][0]})"
        for row in events.itertuples(index=False)
    )
    return f"Share of the largest size's parameters that OpenAI had released: {steps}. Events: {told}."


def _when(day: pd.Timestamp, precision: str = "day", month: str = "%B %Y") -> str:
    return f"{day.day} {day:{month}}" if precision == "day" else f"{day:{month}}"


def _steps(axes: Axes, opened: pd.DataFrame, end: pd.Timestamp) -> None:
    dates, shares = [*opened["date"], max(end, opened["date"].iloc[-1])], [*opened["share"], opened["share"].iloc[-1]]
    axes.step(dates, shares, where="post", color=COLOURS[0], linewidth=3)
    axes.fill_between(dates, shares, step="post", color=COLOURS[0], alpha=0.15)
    for number, row in enumerate(opened.itertuples(index=False)):
        is_last = number == len(opened) - 1
        place: Style = {"xytext": (-8 if is_last else 8, -4 if is_last else 6), "ha": "right" if is_last else "left"}
        words = f"{row.name} · {row.share:.0%} · day {(row.date - opened['date'].iloc[0]).days}"
        down = "top" if is_last else "bottom"
        axes.annotate(words, (row.date, row.share), textcoords="offset points", va=down, fontsize=FONT_SIZE, **place)
    axes.set_ylim(0, 1.12)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.set_ylabel("open share", fontsize=FONT_SIZE)


def _events(axes: Axes, events: pd.DataFrame) -> None:
    middle = events["first_day"].min() + (events["first_day"].max() - events["first_day"].min()) / 2
    for place, row in enumerate(events.itertuples(index=False)):
        number = KINDS[row.kind][1]
        style: Style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 12, "linestyle": ""}
        is_day = row.precision == "day"
        at = row.first_day if is_day else row.first_day + HALF_A_MONTH
        axes.plot([at], [place], markerfacecolor=COLOURS[number] if is_day else "white", markeredgewidth=2.5, **style)
        late = at > middle  # its words go to the left, or they would leave the figure
        side: Style = {"xytext": (-BESIDE if late else BESIDE, 0), "ha": "right" if late else "left"}
        words = f"{_when(row.first_day, row.precision, '%b')} · {row.short}"
        beside: Style = {"textcoords": "offset points", "va": "center", "fontsize": FONT_SIZE}
        axes.annotate(words, (at, place), **beside, **side)
    for kind, (label, number) in KINDS.items():
        if (events["kind"] == kind).any():
            axes.plot([], [], color=COLOURS[number], marker=MARKERS[number], markersize=12, linestyle="", label=label)
    axes.legend(fontsize=FONT_SIZE, loc="lower left", frameon=True)
    axes.set_ylim(len(events) - 0.5, -0.5)
    axes.set_yticks([])


def _dress(above: Axes, below: Axes) -> None:
    for axes in (above, below):
        axes.tick_params(labelsize=FONT_SIZE)
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    below.spines["left"].set_visible(False)
