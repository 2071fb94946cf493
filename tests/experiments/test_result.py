"""A result tells its finding first, gives all of itself as plain values, and nothing in it acts as HTML."""

import importlib.metadata
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from course_utils.experiments.result import ProgressLine, Result, versions
from course_utils.pictures.plots import Picture

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def result():
    rows = pd.DataFrame({"model": ["a", HOSTILE], "n": np.array([1, 2]), "value": [0.1 + 0.2, np.nan]})
    draw = lambda rows: Picture(Figure(), f"{len(rows)} rows")  # noqa: E731
    return Result(rows, f"{HOSTILE} is worse.", {"n": 3}, {"a": "00"}, 7, versions(), draw)


def test_the_record_comes_back_from_json_as_it_was(result):
    record = result.record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["rows"][0]["value"] == pytest.approx(0.3, rel=1e-14)
    assert record["rows"][1]["value"] is None
    assert (record["finding"], record["seed"], record["models"]) == (result.finding, 7, {"a": "00"})


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
