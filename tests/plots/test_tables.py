"""Tables to be read: nothing is cut, nothing is parsed, no row has a number."""

import pandas as pd
import pytest

from course_utils.plots.tables import to_read

HOSTILE = "</td><img src=x onerror=window.__xss=1>"


@pytest.mark.parametrize("words", ["short", "a long sentence " * 60, HOSTILE, "ünïcode & more"])
def test_every_word_is_there_as_text(words):
    shown = to_read(pd.DataFrame({"one": [words], "share": [0.123456]}, index=[987654])).to_html()
    assert words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in shown
    assert "<img" not in shown
    assert "0.12<" in shown
    assert "987654" not in shown
