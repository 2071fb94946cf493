"""Every loss is drawn where it is and said in words; other units never share an axis."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from course_utils.experiments.sizes.gpt2_paper import paper_panel
from course_utils.plots.picture import FONT_SIZE
from course_utils.plots.size import MOST_POINTS, Panel, describe, loss_against_parameters, loss_curves

HOSTILE = 'pocket"><script>alert(1)</script>'


def some_panel(n: int, title: str = "ours") -> Panel:
    draw = np.random.default_rng(n)
    table = pd.DataFrame({"model": [f"size-{i}" for i in range(n)], "n_parameters": draw.integers(10**6, 10**9, n)})
    table["value"] = draw.uniform(1, 4, n)
    table["low"], table["high"] = table["value"] * 0.9, table["value"] * 1.1
    line = pd.DataFrame({"n_parameters": [1e6, 1e9], "value": [4.0, 1.0], "low": [3.9, 0.9], "high": [4.1, 1.1]})
    return Panel(title, "bits per character", table, line, math.log(1 / 4) / math.log(1e3))


def a_log(n_steps: int, held_out=("stories", "news"), start: float = 8.0) -> list[dict]:
    return [
        {
            "step": step, "tokens": 512 * step, "loss_nats": start / step**0.1,
            "held_out_bits": dict.fromkeys(held_out, 3 / step ** 0.1) if step % 10 == 0 else {},
        }
        for step in range(1, n_steps + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 4])
def test_every_model_has_its_sign_where_it_belongs(n):
    panel = some_panel(n)
    axes = loss_against_parameters([panel]).figure.axes[0]
    signs = next(line for line in axes.lines if line.get_marker() not in ("None", None, ""))
    assert sorted(zip(*signs.get_data(), strict=True)) == sorted(
        zip(*panel.table[["n_parameters", "value"]].T.to_numpy(), strict=True)
    )


def test_both_axes_are_logarithmic_and_each_panel_has_its_own():
    figure = loss_against_parameters([some_panel(3), paper_panel(), paper_panel("WikiText2 perplexity")]).figure
    assert len(figure.axes) == 3
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in figure.axes)
    assert figure.axes[0].get_ylabel() == "bits per character"
    assert figure.axes[2].get_ylabel() == "WikiText2 perplexity"
    assert figure.axes[0].get_ylim() != figure.axes[2].get_ylim()


def test_the_words_tell_every_number_that_the_picture_shows():
    panel, paper = some_panel(4), paper_panel()
    alt = loss_against_parameters([panel, paper]).alt
    for row in panel.table.itertuples():
        assert f"{row.model} (" in alt and f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f})" in alt
    for row in paper.table.itertuples():
        assert f"{row.model} (" in alt and f"{row.value:.2f}" in alt
    assert "Twice the parameters: -13.0% loss" in alt  # 4 ** (-1 / log2(1000))
    assert "nan" not in alt


def test_a_panel_without_line_and_interval_says_none():
    table = pd.DataFrame({"model": ["one"], "n_parameters": [1e6], "value": [2.0], "low": [np.nan], "high": [np.nan]})
    panel = Panel("", "bits per character", table)
    assert describe(panel) == "bits per character: one (1M parameters) 2.00."
    assert loss_against_parameters([panel]).png()


def test_letters_are_large_enough_for_the_back_row():
    for picture in (loss_against_parameters([some_panel(4)]), loss_curves({"a": a_log(30)})):
        for axes in picture.figure.axes:
            assert axes.xaxis.label.get_fontsize() >= FONT_SIZE and axes.yaxis.label.get_fontsize() >= FONT_SIZE


def test_names_of_neighbours_do_not_overlap():
    picture = loss_against_parameters([paper_panel()])
    picture.png()
    boxes = [text.get_window_extent() for text in picture.figure.axes[0].texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_a_name_can_never_act_as_html():
    table = some_panel(1).table.assign(model=HOSTILE)
    for picture in (loss_against_parameters([Panel(HOSTILE, HOSTILE, table)]), loss_curves({HOSTILE: a_log(30)})):
        assert "<script" not in picture._repr_html_()


@pytest.mark.parametrize("n_steps", [1, 2, 59, 60, 61, 5000])
def test_a_curve_keeps_its_first_tokens_its_last_and_its_mean_range(n_steps):
    log = a_log(n_steps)
    tokens, losses = loss_curves({"run": log}).figure.axes[0].lines[0].get_data()
    assert len(tokens) <= MOST_POINTS
    assert tokens[0] == log[0]["tokens"] and log[-1]["tokens"] * 0.9 <= tokens[-1] <= log[-1]["tokens"]
    assert (np.diff(tokens) > 0).all()
    assert (
        min(line["loss_nats"] for line in log) <= min(losses) <= max(losses) <= max(line["loss_nats"] for line in log)
    )


def test_every_held_out_point_is_drawn_and_told_apart_without_colour():
    figure = loss_curves({"small": a_log(50), "large": a_log(90)}).figure
    lines = figure.axes[1].lines
    assert [len(line.get_xdata()) for line in lines] == [5, 5, 9, 9]
    looks = {
        (line.get_linestyle(), line.get_marker(), to_hex(line.get_markerfacecolor()) == "#ffffff") for line in lines
    }
    assert len(looks) == len(lines)


def test_the_words_tell_where_every_training_began_and_ended():
    alt = loss_curves({"small": a_log(50), "large": a_log(90, start=9)}).alt
    assert "small: from 8.00 to" in alt and "large: from 9.00 to" in alt
    assert "held-out stories from" in alt and "held-out news from" in alt


def test_a_training_without_steps_or_held_out_texts_is_drawn_too():
    picture = loss_curves({"fresh": [], "alone": a_log(20, held_out=())})
    assert "fresh: no step yet" in picture.alt and picture.png()


def test_the_png_is_the_same_each_time():
    assert loss_against_parameters([some_panel(3)]).png() == loss_against_parameters([some_panel(3)]).png()
