"""Laws of the cost figures: no number is lost, no unknown gets a sign, and everything is also said in words."""

import math

import pandas as pd
import pytest

from course_utils.experiments.replication.distill import costs
from course_utils.plots.cost import bits_picture, costs_picture, number

QUANTITIES = ["money", "machine time", "energy", "carbon", "compute"]


def signs(picture) -> list[float]:
    return [line.get_xdata()[0] for line in picture.figure.axes[0].lines]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_figure_has_a_sign_and_no_unknown_has_one(quantity):
    table = costs(quantity)
    picture = costs_picture(table)
    assert signs(picture) == table["value"].dropna().tolist()
    assert picture.alt.count("no figure found") == table["value"].isna().sum()
    assert len(picture.figure.axes[0].get_yticklabels()) == len(table)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_words_tell_every_number_its_bound_and_how_it_is_known(quantity):
    table = costs(quantity)
    alt = costs_picture(table).alt
    for row in table.dropna(subset="value").itertuples():
        assert f"{row.what}: {row.relation} {number(row.value)} {row.unit}" in alt
    assert alt.count("seen in its source") == (table.dropna(subset="value")["tag"] == "V").sum()
    assert "nan" not in alt


def test_only_what_was_seen_in_its_source_is_filled():
    table = costs("money").dropna(subset="value")
    faces = [line.get_markerfacecolor() for line in costs_picture(table).figure.axes[0].lines]
    assert [face != "white" for face in faces] == (table["tag"] == "V").tolist()


@pytest.mark.parametrize("value", [1e-9, 0.002, 43_000, 1e12])
def test_yours_stands_among_them_at_any_size(value):
    picture = costs_picture(costs("money"), {"mine": value})
    assert signs(picture)[-1] == value
    low, high = picture.figure.axes[0].get_xlim()
    assert low < value < high
    assert f"yours: mine: about {number(value)} USD (your own)" in picture.alt
    assert picture.png()


def test_a_bound_is_an_arrow_in_its_direction():
    for relation, ways in (("at least", [1]), ("less than", [-1]), ("about", [])):
        table = costs("money").head(1).assign(relation=relation)
        notes = [note for note in costs_picture(table).figure.axes[0].texts if note.get_text() == ""]
        assert [math.copysign(1, note.get_position()[0]) for note in notes] == ways


def test_bits_are_told_with_their_interval():
    rows = [
        {"model": f"m{i}", "learned_from": "x", "bits_per_character": 2 + i, "low": 1 + i, "high": 3.5 + i}
        for i in range(3)
    ]
    picture = bits_picture(pd.DataFrame(rows))
    for row in rows:
        told = f"{row['model']} {row['bits_per_character']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
        assert told in picture.alt
    assert picture.png()
