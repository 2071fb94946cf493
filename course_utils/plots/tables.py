"""Tables for readers: words on the left, whole sentences, no row numbers."""

import pandas as pd
from pandas.io.formats.style import Styler


def to_read(frame: pd.DataFrame, precision: int = 2) -> Styler:
    """Return a table for the eye; a notebook shows every word of it.

    Parameters
    ----------
    frame : pandas.DataFrame
    precision : int
        Digits behind the point.

    Examples
    --------
    >>> "whole sentence" in to_read(pd.DataFrame({"why": ["A whole sentence stays whole."]})).to_html()
    True
    """
    left = [{"selector": "th, td", "props": "text-align: left; vertical-align: top; max-width: 28em;"}]
    return frame.style.hide(axis="index").format(precision=precision, escape="html").set_table_styles(left)
