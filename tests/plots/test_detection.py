"""Every number is drawn where it is and said in words; lines are told apart without colour; letters are large."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from course_utils.plots.credibility import called_human, credibility_of_each
from course_utils.plots.detection import auc_of_each, auc_over, right_flags, roc_curves, transfer_matrix
from course_utils.plots.picture import FONT_SIZE

HOSTILE = 'model"><script>alert(1)</script>'


def measured(n: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = pd.DataFrame({"auc": draw.uniform(0.5, 1, n), "n_human": 40})
    return rows.assign(auc_low=rows["auc"] - 0.1, auc_high=rows["auc"] + 0.05)


def curves(names) -> tuple[dict, pd.DataFrame]:
    grid = np.linspace(0, 1, 101)
    table = pd.DataFrame({"false_alarms": grid, "caught": grid**0.5, "low": grid, "high": grid**0.3})
    return dict.fromkeys(names, table), measured(len(names)).assign(detector=list(names))


def conditions() -> pd.DataFrame:
    rows = [{"generator": name, "n_words": n} for name in ("small", "large", "xl") for n in (10, 50)]
    return pd.concat([pd.DataFrame(rows), measured(6)], axis=1)


def matrix(names=("small", "large", "xl")) -> pd.DataFrame:
    rows = [{"trained_on": one, "tested_on": other} for one, other in itertools.product(names, names)]
    return pd.concat([pd.DataFrame(rows), measured(len(rows))], axis=1)


def flags() -> pd.DataFrame:
    rows = [{"accuracy": a, "machine_share": s, "flags_right": a * s} for a in (0.95, 0.99) for s in (0.5, 0.01)]
    return pd.DataFrame(rows).assign(wrongly_flagged_per_million=lambda rows: 1e6 * (1 - rows["accuracy"]))


def judgements() -> pd.DataFrame:
    rows = pd.DataFrame({"source": ["human", "small", "all"], "n": [10, 10, 20], "called_human": [0.7, 0.5, 0.6]})
    return rows.assign(low=0.3, high=0.9, right=0.6, right_low=0.4, right_high=0.8)


def ratings() -> pd.DataFrame:
    rows = pd.DataFrame({"source": ["human", "GPT-2 355M"], "measured_by": ["here", "OpenAI"], "index": [7.5, 6.07]})
    return rows.assign(n_texts=[12, math.nan], low=[6.5, math.nan], high=[8.25, math.nan])


PICTURES = {
    "roc": lambda: roc_curves(*curves(["words", "ranks"])),
    "over": lambda: auc_over(conditions(), "n_words", "words", ["generator"]),
    "each": lambda: auc_of_each(measured(3).assign(attack=["none", "chosen", "anew"]), "attack"),
    "matrix": lambda: transfer_matrix(matrix()),
    "flags": lambda: right_flags(flags()),
    "judgements": lambda: called_human(judgements()),
    "ratings": lambda: credibility_of_each(ratings()),
}


@pytest.mark.parametrize("name", PICTURES)
def test_axes_are_named_in_large_letters_and_the_png_is_the_same_each_time(name):
    picture = PICTURES[name]()
    axes = picture.figure.axes[0]
    assert axes.get_xlabel() and axes.xaxis.label.get_fontsize() >= FONT_SIZE
    assert min(label.get_fontsize() for label in axes.get_yticklabels()) >= FONT_SIZE - 2
    assert picture.png() == PICTURES[name]().png()
    assert "nan" not in picture.alt


@pytest.mark.parametrize("rows", [conditions(), matrix(), measured(3)])
def test_the_words_tell_every_auc_its_interval_and_n(rows):
    if "trained_on" in rows:
        picture = transfer_matrix(rows)
    elif "n_words" in rows:
        picture = auc_over(rows, "n_words", "words", ["generator"])
    else:
        picture = auc_of_each(rows.assign(attack=["none", "chosen", "anew"]), "attack")
    for row in rows.itertuples():
        assert f"{row.auc:.2f} ({row.auc_low:.2f} to {row.auc_high:.2f}), n = 40 pairs" in picture.alt


def test_the_curve_and_its_band_are_where_they_are():
    tables, rows = curves(["words"])
    picture = roc_curves(tables, rows)
    line = next(line for line in picture.figure.axes[0].lines if line.get_label().startswith("words"))
    np.testing.assert_allclose(line.get_ydata(), tables["words"]["caught"])
    assert len(picture.figure.axes[0].collections) == 1
    assert "71% at 50% false alarms" in picture.alt


def test_with_few_texts_the_words_claim_nothing_at_one_percent():
    tables, rows = curves(["words"])
    assert "at 1% false alarms" not in roc_curves(tables, rows.assign(n_human=99)).alt
    assert "at 1% false alarms" in roc_curves(tables, rows.assign(n_human=100)).alt


@pytest.mark.parametrize("n", [2, 6, 12])
def test_lines_are_told_apart_without_colour(n):
    axes = roc_curves(*curves([f"detector {i}" for i in range(n)])).figure.axes[0]
    looks = [
        (line.get_linestyle(), line.get_marker()) for line in axes.lines if line.get_label().startswith("detector")
    ]
    assert len(looks) == len(set(looks)) == n


def test_each_cell_of_the_matrix_shows_its_number_at_its_place():
    rows = matrix()
    axes = transfer_matrix(rows).figure.axes[0]
    names = ["small", "large", "xl"]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    for row in rows.itertuples():
        assert shown[names.index(row.tested_on), names.index(row.trained_on)].startswith(f"{row.auc:.2f}\n")


def test_points_stand_at_their_number_of_words_within_a_hair():
    rows = conditions()
    lines = [
        line
        for line in auc_over(rows, "n_words", "words", ["generator"]).figure.axes[0].lines
        if len(line.get_xdata()) == 2
    ]
    drawn = sorted((round(float(x)), y) for line in lines for x, y in zip(*line.get_data(), strict=True) if y != 0.5)
    assert drawn == sorted(zip(rows["n_words"], rows["auc"], strict=True))


def test_a_name_can_never_act_as_html():
    for picture in (
        roc_curves(*curves([HOSTILE])),
        transfer_matrix(matrix((HOSTILE, "other"))),
        called_human(judgements().replace("small", HOSTILE)),
        credibility_of_each(ratings().replace("human", HOSTILE)),
    ):
        assert "<script" not in picture._repr_html_()


def test_judgements_and_ratings_are_told_with_interval_and_n():
    assert "small 50% (30% to 90%, n = 10)" in called_human(judgements()).alt
    assert "Right answers in all: 60% (40% to 80%, n = 20)" in called_human(judgements()).alt
    alt = credibility_of_each(ratings()).alt
    assert "human 7.50 (6.50 to 8.25), n = 12 texts" in alt and "GPT-2 355M 6.07." in alt and "OpenAI" in alt
