"""Best-of-n plot: the mean rating of the best of n samples, against n."""

import math

import pandas as pd
from matplotlib.figure import Figure

from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture


def best_of_picture(rows: pd.DataFrame, lowest: float = 1, highest: float = 5) -> Picture:
    """Draw each n's mean rating with its 95% interval, and say who rated.

    Parameters
    ----------
    rows : pandas.DataFrame
        n, mean_of_best, low, high (NaN where no interval is known), n_prompts, rated_by.
    lowest, highest : float
        The ends of the scale.
    """
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    axes.vlines(places, rows["low"], rows["high"], color=COLOURS[0], linewidth=3)
    axes.plot(places, rows["mean_of_best"], color=COLOURS[0], marker=MARKERS[0], markersize=12, linewidth=1.5)
    axes.set_xticks(places, [str(n) for n in rows["n"]])
    axes.set_ylim(lowest - 0.1, highest + 0.1)
    axes.set_xlabel("samples to choose from, n", fontsize=FONT_SIZE)
    axes.set_ylabel(f"mean rating of the best, {lowest:g} to {highest:g}", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE)
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    who = f"Rated by {rows['rated_by'].iloc[0]}"
    figure.suptitle(who, fontsize=FONT_SIZE - 1, x=0.01, ha="left", wrap=True)
    told = "; ".join(
        f"n = {row.n}: {row.mean_of_best:.2f}" + ("" if math.isnan(row.low) else f" ({row.low:.2f} to {row.high:.2f})")
        for row in rows.itertuples()
    )
    return Picture(figure, f"Mean rating of the best of n, over {rows['n_prompts'].iloc[0]} prompts: {told}. {who}.")
