"""The evidence board without a browser: it tells what the ledger says, does records again, and mends nothing."""

import dataclasses
import json

import pytest
from made_pairs import wordy_model

from course_utils.errors import SettingsError, TextError
from course_utils.evidence.ledger.ledger import keep, read
from course_utils.evidence.ledger.record import FIRST, seal
from course_utils.evidence.rerun import redraw
from course_utils.experiments.core.result import Metric
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.experiments.detection.token_ranks import read_ranks
from course_utils.widgets.evidence.evidence_board import MOST_LISTED, EvidenceBoard

HOSTILE = "</script><img src=x onerror=window.__xss=1>"


@pytest.fixture(scope="module")
def class_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shelf")
    return folder, wordy_model(folder / "wordy")


@pytest.fixture(autouse=True)
def path(class_model, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(class_model[0]))
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    return tmp_path / "evidence.jsonl"


@pytest.fixture
def made(class_model):
    """Three records: arithmetic, one of a model, and one that nothing does again."""
    ranks = read_ranks(class_model[1], ["The court said that people in the state."])
    own = dataclasses.replace(base_rates([0.9], [0.5]), experiment="", finding=f"Mine: {HOSTILE}")
    return [keep(base_rates()), keep(ranks, "of the court"), keep(own)]


def done(board: EvidenceBoard) -> EvidenceBoard:
    assert board.wait(60)
    return board


def hear(board: EvidenceBoard, **content) -> None:
    board._on_message(board, content, [])


def forge(path, record, **changes) -> None:
    """Put one record into a ledger of its own, sealed as if it had been measured so."""
    measured = json.loads(json.dumps(record.measured())) | changes
    path.write_bytes(seal(measured, record.time, FIRST, ()).line())


# -- what is listed ----------------------------------------------------------------------------------------------------


def test_every_record_is_listed_the_newest_first(made):
    board = EvidenceBoard()
    assert [record.id for record in board.records] == [record.id for record in made]
    assert [row["id"] for row in board.listed] == [record.id for record in reversed(made)]
    assert board.listed[0]["experiment"] == "–" and "wordy" in board.listed[1]["models"]
    assert all("%" in row["value"] for row in board.listed)
    assert (board.faults, board.message) == ([], "")


def test_an_empty_ledger_lists_nothing_and_complains_of_nothing():
    board = EvidenceBoard()
    assert (board.records, board.listed, board.faults, board.message) == ([], [], [], "")


def test_filters_narrow_and_nothing_else(made):
    board = EvidenceBoard()
    arithmetic, court, own = made
    for asked, found in (
        ({"text": "OF THE COURT"}, [court]), ({"text": HOSTILE}, [own]), ({"text": arithmetic.id}, [arithmetic]),
        ({"experiment": "base_rates.base_rates"}, [arithmetic]), ({"model": "wordy"}, [court]), ({"model": "gpt2"}, []),
        ({"status": "not done again"}, made), ({"status": "reproduced"}, []), ({}, made),
        ({"model": "wordy", "experiment": "base_rates.base_rates"}, []),
    ):  # fmt: skip
        assert [record.id for record in board.filter(**asked)] == [record.id for record in found], asked
        assert board.counts["found"] == len(found) and board.counts["all"] == 3
    with pytest.raises(SettingsError, match="no filter colour"):
        board.filter(colour="red")
    hear(board, kind="filter", asked={"text": "court", "experiment": "", "model": "", "status": ""})
    assert [row["id"] for row in board.listed] == [court.id]


def test_of_very_many_the_newest_are_listed(path):
    kept = [keep(dataclasses.replace(base_rates([0.9], [0.5]), settings={"k": k})) for k in range(3)]
    line, previous, ids = path.read_bytes(), kept[-1].hash, {record.id for record in kept}
    for k in range(MOST_LISTED):
        record = seal(kept[0].measured() | {"note": str(k)}, kept[0].time, previous, ids)
        line, previous, ids = line + record.line(), record.hash, ids | {record.id}
    path.write_bytes(line)
    board = EvidenceBoard()
    assert len(board.records) == MOST_LISTED + 3 and len(board.listed) == board.counts["listed"] == MOST_LISTED
    assert board.listed[0]["id"] == board.records[-1].id


def test_what_was_kept_since_is_read_at_refresh_and_after_a_cell(made):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        board = EvidenceBoard()
        new = keep(base_rates([0.8], [0.5]))
        shell.events.trigger("post_execute")
        assert board.records[-1].id == new.id
        board.close()
        shell.events.trigger("post_execute")
        assert not [each for each in shell.events.callbacks["post_execute"] if "follow_the" in each.__qualname__]
    finally:
        InteractiveShell.clear_instance()
    other = EvidenceBoard()
    new = keep(base_rates([0.7], [0.5]))
    assert other.records[-1].id != new.id
    hear(other, kind="ready")
    assert other.records[-1].id == new.id


# -- one record whole --------------------------------------------------------------------------------------------------


def test_a_chosen_record_is_shown_whole(made):
    board = EvidenceBoard()
    record = board.choose(f"[@{made[1].id}]")
    done(board)
    shown, facts = board.shown, dict(board.shown["facts"])
    assert record.id == board.chosen == shown["id"] and shown["finding"] == record.finding
    assert facts["Model"].startswith("wordy · sha256 ") and record.models["wordy"][:12] in facts["Model"]
    assert facts["Note"] == "of the court" and facts["Seed"].startswith("none")
    assert ["torch", record.versions["torch"]] in shown["versions"] and ["n_texts", "1"] in shown["settings"]
    assert len(shown["rows"]) == 1 and shown["columns"][:2] == ["text", "begins"] and shown["why_not"] == ""
    assert board.picture["src"].startswith("data:image/png") and "wordy" in board.picture["alt"]
    with pytest.raises(TextError, match="No record has the id 'E-0000'"):
        board.choose("E-0000")
    hear(board, kind="choose", id="E-0000")
    assert "E-0000" in board.message


def test_what_cannot_be_drawn_or_done_again_is_told(made):
    board = EvidenceBoard()
    board.choose(made[2].id)
    done(board)
    assert "more than the table" in board.picture["why"] and "src" not in board.picture
    assert "does not say which experiment" in board.shown["why_not"]


@pytest.mark.parametrize(
    "rows",
    [[], [{}], [{"accuracy": "x"}], [{"accuracy": 1e308}], [{"a": [1]}], [{"accuracy": {"b": 1}}], [{"a": 1}] * 5000],
)
def test_a_table_from_a_file_draws_nothing_strange(made, rows):
    assert isinstance(redraw(dataclasses.replace(made[0], rows=rows)), str)


# -- done again --------------------------------------------------------------------------------------------------------


def test_a_record_is_done_again_in_the_background_and_its_status_told(made):
    board = EvidenceBoard()
    board.rerun(made[1].id)
    assert done(board).statuses == {made[1].id: "reproduced"} and board.state == "done"
    told = board.outcomes[made[1].id]
    assert told["recorded"] == told["again"] != "" and "wordy" not in board.message
    assert board.reproductions[made[1].id].recorded == made[1].value


def test_all_are_done_again_one_after_the_other_and_can_be_filtered_by_that(made):
    board = EvidenceBoard()
    hear(board, kind="rerun_all")
    statuses = done(board).statuses
    assert [statuses[record.id] for record in made] == ["reproduced", "reproduced", "cannot be tried"]
    assert [record.id for record in board.filter(status="cannot be tried")] == [made[2].id]
    board.refresh()
    assert board.statuses == statuses
    assert board.filter(status="not done again") == []


def test_a_false_record_is_found_out(made, path, tmp_path):
    forge(tmp_path / "forged.jsonl", made[0], value=0.5)
    board = EvidenceBoard(tmp_path / "forged.jsonl")
    board.rerun_all()
    (status,) = done(board).statuses.values()
    assert status == "not reproduced" and board.outcomes[board.records[0].id]["recorded"] == "0.5"


def test_a_stop_ends_it_and_what_was_done_stays(made):
    board = EvidenceBoard()
    board.rerun(made[0].id)
    done(board)
    board.rerun_all()
    hear(board, kind="stop")
    assert done(board).state in ("stopped", "done")
    assert board.statuses[made[0].id] == "reproduced" and board.progress == {}


def test_a_record_that_breaks_its_experiment_is_told_and_the_next_is_tried(made, tmp_path):
    forge(tmp_path / "odd.jsonl", made[1], inputs={"model": "wordy", "texts": [" "]})
    board = EvidenceBoard(tmp_path / "odd.jsonl")
    board.rerun_all()
    (found,) = done(board).reproductions.values()
    assert found.status == "cannot be tried" and board.state == "done"


# -- a ledger that is not whole ----------------------------------------------------------------------------------------


def test_a_damaged_ledger_names_the_line_and_lists_the_sound_records(made, path):
    damaged = path.read_bytes().replace(b"of the court", b"of the count")
    path.write_bytes(damaged)
    board = EvidenceBoard()
    assert [record.id for record in board.records] == [made[0].id]
    assert board.faults[0].startswith("Line 2 ") and "changed" in board.faults[0]
    board.rerun_all()
    assert done(board).statuses == {made[0].id: "reproduced"}
    assert path.read_bytes() == damaged


def test_what_was_done_again_is_not_forgotten_while_a_ledger_is_damaged(made, path):
    whole, board = path.read_bytes(), EvidenceBoard()
    board.rerun(made[1].id)
    done(board)
    path.write_bytes(whole.replace(b"of the court", b"of the count"))
    board.refresh()
    assert board.statuses == {} and board.chosen == ""
    path.write_bytes(whole)
    board.refresh()
    assert board.statuses == {made[1].id: "reproduced"}


def test_a_ledger_that_was_cut_off_or_is_no_ledger_is_told(made, path, tmp_path, monkeypatch):
    whole = path.read_bytes()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "another machine"))
    path.write_bytes(whole[:-100])
    board = EvidenceBoard()
    assert len(board.records) == 2 and "Line 3 was cut off" in board.faults[0]
    path.write_text("My essay.\n")
    board.refresh()
    assert board.records == [] and "is not a record" in board.faults[0] and board.chosen == ""
    assert "is no file" in EvidenceBoard(tmp_path).message


def test_numbers_without_interval_or_count_are_told_too(path):
    bare = dataclasses.replace(base_rates(), headline=Metric("speed", "x", 3.0, "tokens a second"))
    keep(bare)
    assert EvidenceBoard().listed[0]["value"] == "3 tokens a second"
    assert len(read().records) == 1
