"""The keep button without a browser: every number is listed once and kept once, and what goes wrong is told."""

import dataclasses
import json
import sys

import nbformat
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from course_utils.errors import DamagedFile, NoSpace, SettingsError, TextError
from course_utils.evidence.ledger.ledger import keep, read
from course_utils.experiments.core.result import Measure, Metric, Result, versions
from course_utils.plots.picture import Picture
from course_utils.widgets.base.keep_button import MOST_ROWS, NOTHING, KeepButton, citable, show_result

HOSTILE = "</script><img src=x onerror=window.__xss=1>"
VERSIONS = versions()


def result(value: float = 0.25, seconds: float = 1.5, **changes) -> Result:
    rows = pd.DataFrame({"model": ["small", HOSTILE], "rate": [value, 0.5], "low": [0.125, None], "high": [0.5, None]})
    rows["seconds"] = [seconds, None]
    measures = [Measure("rate", "share", "low", "high", 40), Measure("seconds", "seconds")]
    made = Result(
        rows,
        "One gains.",
        settings={"k": 1},
        models={"small": "0" * 64},
        seed=7,
        versions=VERSIONS,
        draw=lambda rows: Picture(Figure(), ""),
    )
    headline = Metric("gain", "one against the other", 12.34567, "points", 10, 15, 40)
    return dataclasses.replace(made, **{"headline": headline, "measures": measures, **changes})


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    return tmp_path / "evidence.jsonl"


def hear(button: KeepButton, **content) -> None:
    button._on_message(button, content, [])


# -- what can be kept --------------------------------------------------------------------------------------------------


def test_every_number_is_listed_once_the_one_of_the_finding_first():
    words = [each["words"] for each in KeepButton(result()).numbers]
    assert words == [
        "gain, one against the other: 12.35 (95% interval 10 to 15) points, n = 40",
        "rate, small: 25 % (95% interval 12.5 % to 50 %), n = 40",
        f"rate, {HOSTILE}: 50 %, n = 40",
        "seconds, small: 1.5 seconds",
    ]
    own = result()
    twice = dataclasses.replace(own, headline=own.metric("rate", 0))
    assert [each["words"] for each in citable(twice)] == words[1:]


def test_each_number_that_is_listed_can_be_kept_as_what_it_says(path):
    made = result()
    for place, number in enumerate(citable(made)):
        button = KeepButton(made)
        button.choose(place)
        record = button.keep()
        of = made.metric(number["metric"], number["row"])
        assert (record.metric, record.of, record.value, record.row) == (of.name, of.of, of.value, of.row)
    assert len(read(path).check().records) == len(citable(made))


def test_a_long_table_is_listed_in_part():
    rows = pd.DataFrame({"model": [f"m{i}" for i in range(3 * MOST_ROWS)], "rate": 0.5})
    assert len(citable(result(rows=rows, measures=[Measure("rate", "share")]))) == 1 + MOST_ROWS


def test_a_result_without_a_number_says_so_and_keeps_nothing(path):
    for bare in (
        result(headline=None, measures=()),
        result(headline=Metric("gain", "x", float("nan"), "a"), measures=()),
    ):
        button = KeepButton(bare)
        assert (button.numbers, button.nothing) == ([], NOTHING)
        with pytest.raises(TextError, match="no number"):
            button.keep()
        hear(button, kind="keep")
        assert "no number" in button.message
    assert not path.exists()


def test_a_place_that_is_not_there_is_refused():
    for place in (-1, 4, True, "1", None):
        with pytest.raises(SettingsError, match="place is"):
            KeepButton(result()).choose(place)


# -- keeping -----------------------------------------------------------------------------------------------------------


def test_what_was_kept_is_told_with_its_citation(path):
    button = KeepButton(result())
    hear(button, kind="keep")
    (record,) = read(path).check().records
    assert button.kept["words"] == f"Kept as {record.id}." and button.kept["cite"] == f"[@{record.id}]"
    assert button.kept["warnings"] == [] and record.metric == "gain"
    hear(button, kind="choose", place=1)
    assert button.kept == {}


def test_the_same_number_is_not_kept_twice_and_that_is_told(path):
    first = KeepButton(result()).keep()
    for button in (KeepButton(result()), KeepButton(result())):
        assert button.keep().id == first.id
        assert f"kept before, as {first.id}" in button.kept["words"] and button.kept["cite"] == f"[@{first.id}]"
    assert len(read(path).records) == 1


def test_a_note_beside_it_does_not_make_it_another_number(path):
    noted = keep(result(), "what I want to remember")
    assert KeepButton(result()).keep().id == noted.id
    assert len(read(path).records) == 1


def test_another_number_or_a_new_measurement_is_another_record(path):
    ids = [KeepButton(result()).keep().id]
    other = KeepButton(result())
    other.choose(1)
    ids.append(other.keep().id)
    for changes in (
        {"seconds": 1.6},
        {"value": 0.26},
        {"settings": {"k": 2}},
        {"seed": 8},
        {"models": {"small": "1" * 64}},
    ):
        ids.append(KeepButton(result(**changes)).keep().id)
    assert len(set(ids)) == len(read(path).check().records) == 7


def test_a_damaged_ledger_is_told_and_neither_it_nor_the_result_is_touched(path):
    KeepButton(result()).keep()
    damaged = path.read_bytes().replace(b"12.34567", b"99.34567")
    path.write_bytes(damaged)
    button = KeepButton(result(seed=9))
    with pytest.raises(DamagedFile):
        button.keep()
    hear(button, kind="keep")
    assert "line 1" in button.message and button.kept == {}
    assert path.read_bytes() == damaged and button.result.seed == 9


def test_a_ledger_that_was_cut_off_is_told_beside_the_id(path, tmp_path, monkeypatch):
    KeepButton(result()).keep()
    whole = path.read_bytes()
    KeepButton(result(seed=9)).keep()
    path.write_bytes(whole + path.read_bytes()[len(whole) : len(whole) + 200])
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "another machine"))  # which knows nothing of the second
    button = KeepButton(result(seed=10))
    hear(button, kind="keep")
    assert button.kept["words"].startswith("Kept as E-") and "cut off" in button.kept["warnings"][0]


def test_a_ledger_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    button = KeepButton(result(), ledger=tmp_path / "file" / "evidence.jsonl")
    with pytest.raises(NoSpace):
        button.keep()
    hear(button, kind="keep")
    assert "cannot be written" in button.message
    foreign = KeepButton(result(), ledger=tmp_path)
    hear(foreign, kind="keep")
    assert "is no file" in foreign.message


# -- where a cell shows a result ---------------------------------------------------------------------------------------


def test_in_a_terminal_it_is_text_only(capsys):
    shell = InteractiveShell.instance()
    try:
        formatter = shell.display_formatter.ipython_display_formatter
        formatter.for_type_by_name("course_utils.experiments.core.result", "Result", show_result)
        shell.user_ns["made"] = result()
        assert shell.run_cell("made").success
        told = capsys.readouterr().out
    finally:
        InteractiveShell.clear_instance()
        sys.displayhook = sys.__displayhook__
    assert "One gains." in told and "small" in told
    assert "KeepButton" not in told and "<table" not in told


def test_in_a_notebook_the_button_stands_below_the_finding(tmp_path):
    from nbclient import NotebookClient

    before = (
        "from IPython import get_ipython\n"
        "from course_utils.widgets.base.keep_button import show_result\n"
        "shown = get_ipython().display_formatter.ipython_display_formatter\n"
        "_ = shown.for_type_by_name('course_utils.experiments.core.result', 'Result', show_result)"
    )
    after = "from course_utils.experiments.detection.base_rates import base_rates\nbase_rates([0.99], [0.5])"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (before, after)])
    NotebookClient(book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert book.cells[0].outputs == []
    finding, button = book.cells[1].outputs
    assert "right flags" in finding["data"]["text/html"] and "<table" in finding["data"]["text/html"]
    assert "right flags" in finding["data"]["text/plain"] and "<p>" not in finding["data"]["text/plain"]
    model = button["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    state = book.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"][model]["state"]
    assert "flags right" in json.dumps(state["numbers"])
