"""Every event is drawn at its date and said in words; no words overlap or leave the figure."""

import itertools

import pandas as pd
import pytest
from matplotlib.dates import num2date

from course_utils.experiments.release import history
from course_utils.plots.picture import FONT_SIZE
from course_utils.plots.timeline import timeline_picture

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def picture():
    return history.picture()


@pytest.fixture(scope="module")
def shown():
    table = history.timeline()
    return table[table["on_picture"]]


def test_every_event_has_its_sign_at_its_date(picture, shown):
    signs = [line for line in picture.figure.axes[1].lines if len(line.get_xdata())]
    for line, row in zip(signs, shown.itertuples(), strict=True):
        at = pd.Timestamp(line.get_xdata()[0])
        assert (at == row.first_day) == (row.precision == "day")
        assert (line.get_markerfacecolor() == "white") == (row.precision != "day")
        assert (at.year, at.month) == (row.first_day.year, row.first_day.month)


def test_kinds_differ_in_colour_and_in_shape(picture, shown):
    signs = [line for line in picture.figure.axes[1].lines if len(line.get_xdata())]
    kinds = {kind: set() for kind in shown["kind"]}
    for line, kind in zip(signs, shown["kind"], strict=True):
        kinds[kind].add((line.get_color(), line.get_marker()))
    assert all(len(looks) == 1 for looks in kinds.values())
    colours, markers = zip(*(look for looks in kinds.values() for look in looks), strict=True)
    assert len(set(colours)) == len(set(markers)) == len(kinds)


def test_the_words_tell_every_event_and_every_step(picture, shown):
    for row in shown.itertuples():
        day = f"{row.first_day.day} " if row.precision == "day" else ""
        assert f"{day}{row.first_day:%B %Y}: {row.short}" in picture.alt
    for row in history.family().itertuples():
        assert f"{row.later_name}, {row.share_of_largest:.0%}" in picture.alt
    assert "1 July 2019" not in picture.alt  # only the month is known


def test_steps_rise_at_the_releases(picture):
    line = picture.figure.axes[0].lines[0]
    dates, shares = line.get_data()
    assert [pd.Timestamp(date) for date in dates[:-1]] == list(history.family()["released"])
    assert list(shares[:-1]) == list(history.family()["share_of_largest"])


def test_words_are_large_stay_inside_and_do_not_overlap(picture):
    picture.png()
    whole = picture.figure.bbox
    for axes in picture.figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert all(text.get_fontsize() >= FONT_SIZE for text in axes.texts)
        assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    legend = picture.figure.axes[1].get_legend().get_window_extent()
    assert not any(legend.overlaps(text.get_window_extent()) for text in picture.figure.axes[1].texts)


@pytest.mark.parametrize("n", [1, 2])
def test_few_events_are_drawn_too(n, shown):
    opened = pd.DataFrame({"date": [pd.Timestamp("2019-02-14")], "share": [1.0], "name": [HOSTILE]})
    picture = timeline_picture(shown.head(n).assign(short=HOSTILE), opened)
    assert picture.png()
    assert "<script" not in picture._repr_html_()
    low, high = (num2date(end) for end in picture.figure.axes[0].get_xlim())
    assert low < high
