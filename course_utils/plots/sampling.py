"""Sampling plots: texts under several settings, one panel for each measure."""

from collections.abc import Mapping

import pandas as pd

from course_utils.plots.picture import Picture, measures_by_setting


def settings_picture(rows: pd.DataFrame, table: pd.DataFrame, labels: Mapping[str, str]) -> Picture:
    """Draw one mark a text, and mean and 95% interval of each setting; what is no share has a logarithmic axis.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row a setting and measure: setting, measure, n_texts, mean, low, high.
    table : pandas.DataFrame
        One row a text, a column a measure.
    labels : mapping of str to str
        What to write at a measure's axis.
    """
    picture = measures_by_setting(table, rows, labels)
    for axes, measure in zip(picture.figure.axes, rows["measure"].unique(), strict=True):
        values = table[measure].dropna()
        if len(values) and values.max() > 1:
            axes.set_xscale("log")
            axes.set_xlim(values.min() / 1.3, values.max() * 1.3)
    return picture
