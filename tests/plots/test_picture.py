"""Laws of the figures: nothing is lost, and everything is also said in words."""

import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from course_utils.experiments.sampling.effects import MEASURES, summarise
from course_utils.plots.picture import COLOURS, FONT_SIZE, MARKERS, Picture, describe, measures_by_setting

HOSTILE = 'pure"><script>alert(1)</script>'


@pytest.fixture
def table():
    draw = np.random.default_rng(0)
    sizes = {"greedy": 1, "top-k 40": 7, HOSTILE: 7}
    rows = [{"setting": name, **dict.fromkeys(MEASURES, draw.random())} for name, n in sizes.items() for _ in range(n)]
    return pd.DataFrame(rows)


@pytest.fixture
def picture(table):
    return measures_by_setting(table, summarise(table), MEASURES)


def test_every_text_has_its_dot(picture, table):
    for axes, measure in zip(picture.figure.axes, MEASURES, strict=True):
        drawn = np.concatenate([dots.get_offsets()[:, 0] for dots in axes.collections])
        assert sorted(drawn) == sorted(table[measure])


def test_every_panel_names_what_it_measures_in_letters_for_the_back_row(picture):
    assert [axes.get_xlabel() for axes in picture.figure.axes] == list(MEASURES.values())
    assert all(axes.xaxis.label.get_fontsize() >= FONT_SIZE for axes in picture.figure.axes)


def test_settings_differ_by_shape_and_not_by_colour_alone(picture):
    for axes in picture.figure.axes:
        shapes = [tuple(map(tuple, dots.get_paths()[0].vertices)) for dots in axes.collections]
        assert len(set(shapes)) == len(shapes)
    assert len(set(COLOURS)) == len(set(MARKERS)) == len(COLOURS)


def test_the_words_tell_every_number_that_the_picture_shows(picture, table):
    for row in summarise(table).itertuples():
        assert f"{row.setting} {row.mean:.2f}" in picture.alt
        assert np.isnan(row.low) or f"({row.low:.2f} to {row.high:.2f}), n = {row.n_texts}" in picture.alt
    assert "nan" not in picture.alt
    assert repr(picture) == picture.alt


def test_a_setting_without_any_measure_is_called_unknown():
    table = pd.DataFrame({"setting": ["short"], "distinct_2": [np.nan]})
    picture = measures_by_setting(table, summarise(table, ["distinct_2"]))
    assert "short unknown" in picture.alt
    assert picture.png()


def test_a_name_can_never_act_as_html(picture):
    shown = picture._repr_html_()
    assert "<script" not in shown
    assert shown.count("<") == 1
    assert shown.count('"') == 6  # src, alt and style, opened and closed


def test_the_png_is_a_picture_and_the_same_each_time(picture):
    assert imread(io.BytesIO(picture.png())).ndim == 3
    assert picture.png() == picture.png()


def test_a_picture_can_be_saved(picture, tmp_path):
    for ending in ("png", "svg", "pdf"):
        picture.save(tmp_path / f"figure.{ending}")
        assert (tmp_path / f"figure.{ending}").stat().st_size > 1000


def test_the_description_works_without_labels(table):
    assert describe(summarise(table)).startswith("repeated_4grams, mean and 95% interval: greedy")
    assert isinstance(measures_by_setting(table, summarise(table)), Picture)


def test_drawing_touches_no_global_state():
    """pyplot would choose a backend and keep every figure alive; a notebook's own choice must stand."""
    command = "import sys, course_utils.plots.picture; print('matplotlib.pyplot' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "False"
