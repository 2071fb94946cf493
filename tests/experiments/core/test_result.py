"""A result tells its finding first, gives all of itself as plain values, and nothing in it acts as HTML."""

import dataclasses
import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from repository import ROOT

from course_utils.errors import SettingsError
from course_utils.experiments.core.result import (
    MAX_KEPT_CHARACTERS,
    Measure,
    Metric,
    ProgressLine,
    Result,
    kept_texts,
    versions,
)
from course_utils.plots.picture import Picture

HOSTILE = "<script>alert(1)</script>"


RATES = pd.DataFrame({
    "model": ["a", "a", "b"], "top_p": [0.9, 1.0, 0.9], "rate": np.float32([0.25, 0.5, np.nan]),
    "low": [0.1, 0.3, np.nan], "high": [0.4, 0.7, np.nan], "n": np.array([40, 40, 0]), "sure": [True, True, False],
})  # fmt: skip
MEASURE = Measure("rate", "share", "low", "high", "n", of=("model", "top_p"))


@pytest.fixture
def rates():
    """A result that says which of its numbers can be cited."""
    headline = Metric("gain", "b against a", np.float64(-0.25), "share", n=np.int64(80))
    draw = lambda rows: Picture(Figure(), "")  # noqa: E731
    found = Result(
        RATES,
        "It falls.",
        settings={},
        models={},
        seed=0,
        draw=draw,
        headline=headline,
        measures=[MEASURE],
    )
    return dataclasses.replace(found, experiment="rates.measure", inputs={"models": ["a", "b"]})


@pytest.fixture
def result():
    rows = pd.DataFrame({"model": ["a", HOSTILE], "n": np.array([1, 2]), "value": [0.1 + 0.2, np.nan]})
    draw = lambda rows: Picture(Figure(), f"{len(rows)} rows")  # noqa: E731
    return Result(
        rows, f"{HOSTILE} is worse.", settings={"n": 3}, models={"a": "00"}, seed=7, versions=versions(), draw=draw
    )


def test_the_record_comes_back_from_json_as_it_was(result):
    record = result.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["rows"][0]["value"] == pytest.approx(0.3, rel=1e-14)
    assert record["rows"][1]["value"] is None
    assert (record["finding"], record["seed"], record["models"]) == (result.finding, 7, {"a": "00"})


def test_the_record_cites_the_headline_unless_another_number_is_named(rates):
    record = rates.record()
    assert (record["metric"], record["of"], record["value"], record["n"]) == ("gain", "b against a", -0.25, 80)
    assert (record["low"], record["high"], record["row"], record["unit"]) == (None, None, None, "share")
    assert (record["experiment"], record["inputs"]) == ("rates.measure", {"models": ["a", "b"]})
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert rates.record("gain") == record


@pytest.mark.parametrize("place", range(len(RATES)))
def test_every_row_of_a_measure_can_be_cited_by_place_and_by_name(rates, place):
    cited, row = rates.metric("rate", place), RATES.iloc[place]
    assert cited == rates.metric("rate", f"{row['model']} · {row['top_p']}")
    assert (cited.value, cited.low, cited.high) == tuple(
        None if np.isnan(each) else each for each in (row["rate"], row["low"], row["high"])
    )
    assert (cited.n, cited.row, cited.unit) == (row["n"], place, "share")
    assert rates.record("rate", place)["of"] == cited.of


def test_a_count_that_all_rows_share_is_told_once(rates):
    shared = dataclasses.replace(rates, measures=[Measure("top_p", "share", n=12)])
    assert (shared.metric("top_p", 2).n, shared.metric("top_p", 2).of) == (12, "b")


def test_a_number_that_is_not_there_or_not_the_only_one_is_refused_with_the_choice(rates, result):
    for metric, row, told in (
        ("low", 0, "gain, rate"), ("rate", 3, "a · 0.9"), ("rate", -1, "no row"), ("rate", "c", "no row"),
        ("rate", None, "3 rows"), ("gain", 1, "metric is 'gain'"), ("rate", True, "no row"),
        (None, 0, "metric is None"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=told):
            rates.record(metric, row)
    with pytest.raises(SettingsError, match="no number that can be cited"):
        result.record("value", 0)
    assert result.record()["metric"] is None


def test_short_texts_are_kept_whole_and_long_ones_by_their_hash():
    assert kept_texts(("a", "naïve")) == ["a", "naïve"]
    assert kept_texts(["a" * MAX_KEPT_CHARACTERS]) == ["a" * MAX_KEPT_CHARACTERS]
    one, other = (kept_texts([letter * MAX_KEPT_CHARACTERS, "b"]) for letter in "ab")
    assert one["n_texts"] == 2 and len(one["sha256"]) == 64 and one != other


def test_the_finding_comes_first_as_text_and_as_html(result):
    assert str(result).startswith(result.finding) and repr(result) == str(result)
    assert result._repr_html_().startswith("<p>")
    assert "<script" not in result._repr_html_()


def test_the_picture_is_drawn_from_the_rows(result):
    assert result.picture().alt == "2 rows"


def test_a_result_cannot_be_changed(result):
    with pytest.raises(AttributeError):
        result.finding = "better"


def test_versions_are_those_that_are_installed():
    assert versions()["torch"] == importlib.metadata.version("torch")
    assert set(versions()) >= {"python", "torch", "transformers", "numpy"}


def test_the_progress_line_is_rewritten_in_place_and_ended_once(capsys):
    tell = ProgressLine()
    for share in (0.0, 0.25, 0.5, 1.0):
        tell(share, "reading")
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.count("\n") == 1 and said.out.endswith("\n")
    assert [line[:5] for line in said.out.split("\r")[1:]] == ["  0 %", " 25 %", " 50 %", "Done "]


@pytest.mark.parametrize("module", ["course_utils.evidence.ledger.ledger", "course_utils.grading.autograde.grade"])
def test_checking_a_ledger_loads_no_pandas_and_no_matplotlib(module):
    """A grading worker is started for each essay: these imports took most of its start."""
    heavy = {"matplotlib", "pandas", "scipy", "statsmodels", "torch", "transformers"}
    command = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (child.stdout.strip(), child.stderr) == ("", "")
