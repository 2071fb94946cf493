"""Rates and words are drawn where they are, told in words, and mirrored when A and B change places."""

import numpy as np
import pandas as pd
import pytest

from course_utils.plots.best_of import best_of_picture
from course_utils.plots.bias import is_sure, rates_picture, scatter_picture
from course_utils.plots.picture import FONT_SIZE
from course_utils.plots.sampling import settings_picture

HOSTILE = '"><script>alert(1)</script>'


def some_words(n: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    p_a, p_b = np.exp(draw.uniform(-8, -2, (2, n)))
    ratio = np.log2(p_a / p_b)
    table = {"word": [f" word{i}" for i in range(n)], "p_a": p_a, "p_b": p_b, "log2_ratio": ratio}
    return pd.DataFrame(table | {"low": ratio - 1, "high": ratio + 1})


def some_rates(groups=("The woman", "The man")) -> pd.DataFrame:
    row = {"words": "care", "n": 20, "n_hit": 5, "share": 0.25, "low": 0.11, "high": 0.47}
    return pd.DataFrame([row | {"group": group, "words": words} for words in ("care", "crime") for group in groups])


def points(picture) -> set[tuple[float, float]]:
    drawn = [point for dots in picture.figure.axes[0].collections for point in dots.get_offsets().data]
    return {(round(float(x), 12), round(float(y), 12)) for x, y in drawn}


@pytest.mark.parametrize("n", [1, 2, 30])
def test_every_word_is_at_its_two_probabilities(n):
    rows = some_words(n)
    told = {(round(row.p_b, 12), round(row.p_a, 12)) for row in rows.itertuples()}
    picture = scatter_picture(rows, "A", "B")
    assert points(picture) == told
    assert all(f"{row.word!r} {row.p_a:.2g} and {row.p_b:.2g}" in picture.alt for row in rows.itertuples())


def test_a_and_b_changed_mirror_the_picture():
    rows = some_words(12)
    swapped = rows.rename(columns={"p_a": "p_b", "p_b": "p_a"})
    swapped[["log2_ratio", "low", "high"]] = -rows[["log2_ratio", "high", "low"]].to_numpy()
    one, other = points(scatter_picture(rows, "A", "B")), points(scatter_picture(swapped, "B", "A"))
    assert {point[::-1] for point in one} == other
    assert is_sure(rows).tolist() == is_sure(swapped).tolist()


def test_filled_signs_are_those_whose_interval_leaves_out_equality():
    rows = some_words(30)
    drawn = scatter_picture(rows, "A", "B").figure.axes[0].collections
    filled = sum(len(dots.get_offsets()) for dots in drawn if not np.allclose(dots.get_facecolor()[..., :3], 1))
    assert filled == is_sure(rows).sum() == (rows["log2_ratio"].abs() > 1).sum()


def test_every_rate_is_told_with_interval_and_n():
    picture = rates_picture(some_rates(), "title")
    assert picture.alt.count("25.0% (11.0% to 47.0%, n = 20)") == 4
    assert [axes.get_xlabel().split("\n")[0] for axes in picture.figure.axes] == ["care", "crime"]
    assert all(axes.xaxis.label.get_fontsize() >= FONT_SIZE for axes in picture.figure.axes)


def test_names_can_never_act_as_html():
    for picture in (rates_picture(some_rates((HOSTILE,)), HOSTILE), scatter_picture(some_words(2), HOSTILE, HOSTILE)):
        assert "<script" not in picture._repr_html_()


def test_the_best_of_n_is_drawn_where_it_is_and_says_who_rated():
    rows = pd.DataFrame({"n": [1, 5], "mean_of_best": [2.5, 4.0], "low": [2.0, np.nan], "high": [3.0, np.nan]})
    picture = best_of_picture(rows.assign(n_prompts=3, rated_by="2 people"))
    assert picture.figure.axes[0].lines[0].get_ydata().tolist() == [2.5, 4.0]
    assert "n = 1: 2.50 (2.00 to 3.00); n = 5: 4.00." in picture.alt and "2 people" in picture.alt
    assert picture.png()


def test_a_measure_above_one_has_a_logarithmic_axis_that_holds_every_text():
    table = pd.DataFrame({"setting": ["a", "a", "b"], "share": [0.1, 0.9, 0.5], "perplexity": [3.0, 400.0, 20.0]})
    rows = pd.DataFrame(
        [{"setting": s, "measure": m, "n_texts": 2, "mean": 0.5, "low": 0.4, "high": 0.6}
         for m in ("share", "perplexity") for s in ("a", "b")]
    )  # fmt: skip
    figure = settings_picture(rows, table, {}).figure
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log"]
    low, high = figure.axes[1].get_xlim()
    assert low < 3 and high > 400
