"""A ledger loses nothing, changes nothing, and names the line and the fault when somebody else did."""

import codecs
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from repository import ROOT, TESTS

from course_utils.errors import DamagedFile, SettingsError, TextError
from course_utils.evidence.ledger import record as chains
from course_utils.evidence.ledger.ledger import append, keep, ledger_path, merge, read
from course_utils.evidence.ledger.record import FIELDS, FIRST, ID, Record, parse, seal
from course_utils.experiments.core.result import Measure, Metric, Result, versions
from course_utils.plots.picture import Picture

pytestmark = pytest.mark.slow

VERSIONS = versions()
CITE = ("finding", "metric", "value", "n", "low", "high", "unit", "models", "seed", "settings", "versions")


def result(number: int = 0, **changes) -> Result:
    rows = pd.DataFrame({"model": ["a", "b"], "rate": [0.25, 0.5 + number / 1000], "low": [0.1, 0.3], "n": [40, 40]})
    headline = Metric("gain", "b against a", 0.25 + number / 1000, "share", 0.1, 0.4, 40)
    draw = lambda rows: Picture(Figure(), "")  # noqa: E731
    made = Result(
        rows,
        f"Reading {number}: b gains, “naïvely” 你好.",
        settings={"k": [1, 2]},
        models={"a": "0" * 64},
        seed=7,
        versions=VERSIONS,
        draw=draw,
    )
    measures = [Measure("rate", "share", "low", "", "n")]
    return dataclasses.replace(made, **{"headline": headline, "measures": measures, **changes})


def measured(number: int) -> dict:
    return {**result(number).record(), "note": ""}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "evidence.jsonl"


@pytest.fixture
def whole(tmp_path_factory):
    """The bytes of a ledger of four records, made elsewhere."""
    made = tmp_path_factory.mktemp("elsewhere") / "evidence.jsonl"
    for number in range(4):
        append(measured(number), made)
    return made.read_bytes()


def silent(*_):
    """Say nothing."""


# -- what a record holds -----------------------------------------------------------------------------------------------


def test_a_record_holds_all_that_the_result_told(path):
    kept, made = keep(result(3), "a note", ledger=path), result(3).record()
    assert all(getattr(kept, name) == made[name] for name in CITE)
    assert kept.rows == made["rows"] and kept.note == "a note"
    assert ID.fullmatch(kept.id) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", kept.time)


def test_what_was_kept_is_read(path):
    kept = [keep(result(number), ledger=path) for number in range(12)]
    ledger = read(path).check()
    assert [record.values() for record in ledger.records] == [record.values() for record in kept]
    assert [ledger.find(record.id).value for record in kept] == [record.value for record in kept]
    assert ledger.find(f" [@{kept[5].id}] ").id == kept[5].id
    assert ledger.table()["id"].tolist() == [record.id for record in kept]
    assert ledger.table()["value"].tolist() == [record.value for record in kept]


def test_a_person_reads_id_finding_and_number_first(path):
    kept = keep(result(), ledger=path)
    line = path.read_text("utf-8")
    assert line.startswith(
        f'{{"id": "{kept.id}", "finding": "Reading 0: b gains, “naïvely” 你好.", "note": "", "metric"'
    )
    assert list(json.loads(line)) == list(FIELDS)
    assert str(kept).startswith(f"{kept.id} · Reading 0") and "0.25 (0.1 to 0.4), n = 40, share" in str(kept)
    assert str(kept) in str(read(path))


def test_another_number_of_the_result_can_be_kept_and_no_number_cannot(path):
    kept = keep(result(), metric="rate", row="b", ledger=path)
    assert (kept.metric, kept.of, kept.value, kept.low, kept.high, kept.row) == ("rate", "b", 0.5, 0.3, None, 1)
    with pytest.raises(SettingsError, match="One of rate"):
        keep(result(headline=None), ledger=path)
    for metric, row in (("rate", None), ("rate", 9), ("loss", 0), (None, 0)):
        with pytest.raises(SettingsError):
            keep(result(), metric=metric, row=row, ledger=path)
    with pytest.raises(TextError, match="value 'None'"):
        keep(result(headline=Metric("gain", "b", np.nan, "share")), ledger=path)
    assert len(read(path).records) == 1


def test_what_cannot_be_written_down_is_refused_and_nothing_is_written(path):
    for changes in ({"settings": {"k": {1}}}, {"settings": {"k": np.nan}}, {"seed": "7"}, {"finding": None}):
        with pytest.raises(TextError):
            keep(result(**changes), ledger=path)
    for note in (None, "long " * 1000):
        with pytest.raises(TextError, match="note"):
            keep(result(), note, ledger=path)
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["\ud83d", "line\nend", "\u2028\u2029\x85\x00", '"}\n{"id": "E-', "<script>", "\ufeff"]
)
def test_any_text_can_be_kept_on_one_line(path, text):
    for number in range(2):
        keep(result(number, finding=text, settings={"prompt": text}), text, ledger=path)
    assert path.read_bytes().count(b"\n") == 2
    kept = read(path).check().records[1]
    assert kept.finding == kept.settings["prompt"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_the_same_measurement_is_kept_once_and_with_another_note_again(path):
    said = []
    first = keep(result(), ledger=path)
    assert keep(result(), ledger=path, say=said.append).id == first.id
    assert first.id in said[0]
    assert len({first.id, keep(result(), "why", ledger=path).id, keep(result(1), ledger=path).id}) == 3
    assert len(read(path).records) == 3


def test_ids_come_from_the_content_and_no_two_are_the_same():
    known = {f"E-{number:04x}" for number in range(1 << 16)}
    record = seal(measured(0), "2026-01-01T00:00:00Z", FIRST, known)
    again = seal(measured(0), "2026-01-01T00:00:00Z", FIRST, ())
    assert record.id.startswith(again.id) and len(again.id) == 6 and len(record.id) == 7
    others = [seal(measured(number), "2026-01-01T00:00:00Z", FIRST, ()).id for number in range(1, 200)]
    assert again.id not in others and len(set(others)) > 195


def test_an_id_that_is_not_there_is_told_the_nearest(path):
    kept = keep(result(), ledger=path)
    near = kept.id[:-1] + ("0" if kept.id[-1] != "0" else "1")
    with pytest.raises(TextError, match=kept.id):
        read(path).find(near)
    with pytest.raises(TextError, match="this one has none"):
        read(path.with_name("other.jsonl")).find("E-0000")


# -- where it lies -----------------------------------------------------------------------------------------------------


def test_all_notebooks_of_a_copy_of_the_course_share_a_ledger(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_LEDGER", raising=False)
    course = tmp_path / "course"
    for folder in ("notebooks/demos", "assignments/essay"):
        (course / folder).mkdir(parents=True)
    (course / "notebooks" / "0_start_here.ipynb").touch()
    for folder in ("notebooks/demos", "notebooks", "assignments/essay", "."):
        monkeypatch.chdir(course / folder)
        assert ledger_path() == course / "evidence.jsonl"
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "mine.jsonl"))
    assert ledger_path() == tmp_path / "mine.jsonl"
    assert ledger_path("here.jsonl") == course / "here.jsonl"
    keep(result())
    assert len(read().records) == 1 == len(read(tmp_path / "mine.jsonl").records)


def test_elsewhere_it_lies_in_the_folder_of_the_package(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)
    assert ledger_path() == ROOT / "evidence.jsonl"


def test_where_there_is_none_or_an_empty_one_there_are_no_records(path):
    for _ in range(2):
        ledger = read(path).check()
        assert (len(ledger.records), len(ledger.table()), ledger.faults) == (0, 0, ())
        assert "no records yet" in str(ledger)
        path.touch()
    keep(result(), ledger=path)
    assert len(read(path).check().records) == 1


def test_a_folder_is_no_ledger(tmp_path):
    for act in (lambda: read(tmp_path), lambda: keep(result(), ledger=tmp_path)):
        with pytest.raises(TextError, match="is no file"):
            act()


# -- attacks: every change is named, and nothing is written over it ----------------------------------------------------


def refused(path: Path, content: bytes, line: int | None = None, what: str = "") -> str:
    """Put content in a ledger's place; it must be named, and appending refused with the file as it is."""
    path.write_bytes(content)
    ledger = read(path)
    with pytest.raises(DamagedFile) as error:
        ledger.check()
    with pytest.raises(DamagedFile):
        append(measured(99), path)
    assert path.read_bytes() == content
    told = str(error.value)
    assert len(told.splitlines()) == 3 and "Put an older copy" in told
    assert len(ledger.records) == ledger.faults[0][0] - 1
    if line:
        assert f", line {line}, " in told and what in told, told
    return told


def is_unchanged(found: chains.Chain, whole: bytes) -> bool:
    """Whether all records are there as they were measured, and it is said that something around them changed."""
    return found.notes != () and found.faults == () and found.whole == whole


def test_every_changed_byte_is_named_with_its_line(path, whole):
    whole = b"".join(whole.splitlines(keepends=True)[:2])
    for place in range(len(whole) - 1):
        for bit in (1, 0x80):
            changed = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
            found = chains.read_ledger_bytes(changed)
            line = whole[:place].count(b"\n") + 1
            if is_unchanged(found, whole):  # a line end that became another blank
                continue
            assert found.faults and found.faults[0][0] == line, (place, bit, found.faults)
            assert len(found.records) == line - 1


def test_a_changed_byte_is_refused_on_disk_too(path, whole):
    for place in range(0, len(whole), 97):
        line = whole[:place].count(b"\n") + 1
        refused(path, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], line)


def test_every_byte_taken_out_or_put_in_is_named(whole):
    for place in range(0, len(whole) - 1, 11):
        line = whole[:place].count(b"\n") + 1
        without, more = whole[:place] + whole[place + 1 :], whole[:place] + b" " + whole[place:]
        for changed in (without, more):
            found = chains.read_ledger_bytes(changed)
            named = [number for number, _ in found.faults][:1]
            assert is_unchanged(found, whole) or named in ([line], [line - 1], [line + 1]), (place, found.faults)


def test_missing_lines_are_named(path, whole):
    one, two, three, four = whole.splitlines(keepends=True)
    refused(path, one + three + four, 1, "a line after it is missing: line 2")
    refused(path, two + three + four, 1, "what came before it is missing")


def test_lines_gone_from_the_end_are_noticed_where_they_were_written(path):
    for number in range(4):
        append(measured(number), path)
    one, two, three, four = path.read_bytes().splitlines(keepends=True)
    refused(path, one + two + three, 4, "was there before and is missing")
    refused(path, one, 2, "missing, and 2 more")
    refused(path, b"", 1, "missing, and 3 more")
    refused(path, one + two + three + four[:-9], 4, "cut off")
    path.write_bytes(one + two + three + four)
    assert append(measured(4), path).id == read(path).check().records[-1].id


def test_a_ledger_that_was_taken_away_is_told_and_a_new_one_begins(path):
    for number in range(2):
        append(measured(number), path)
    path.unlink()
    said = []
    append(measured(2), path, said.append)
    assert "held 2 records and is gone" in said[0]
    assert len(read(path).check().records) == 1


def test_a_ledger_written_anew_or_of_another_is_named(path, whole):
    append(measured(7), path)
    refused(path, whole, 1, "is not what this machine wrote there")


def digest_of(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def forged(line: bytes, **changes) -> bytes:
    """A line that was changed and sealed again by somebody who knows how."""
    values = json.loads(line) | changes
    content = {name: values[name] for name in FIELDS if name not in ("id", "hash")}
    values["id"] = (
        "E-" + hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:4]
    )
    content = {name: values[name] for name in FIELDS if name != "hash"}
    values["hash"] = hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def test_a_forged_line_with_a_hash_of_its_own_breaks_the_chain(path, whole):
    lines = whole.splitlines(keepends=True)
    assert forged(lines[1]) == lines[1]
    for place in range(3):
        changed = [*lines]
        changed[place] = forged(lines[place], value=0.99)
        refused(path, b"".join(changed), place + 1, f"line {place + 2} (")
    refused(path, b"".join([*lines[:3], forged(lines[3], previous="a" * 64)]), 3, "does not follow")


def test_a_forged_id_is_named(path, whole):
    values = json.loads(whole.splitlines()[0]) | {"id": "E-beef"}
    content = {name: values[name] for name in FIELDS if name != "hash"}
    values["hash"] = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    refused(path, json.dumps(values, ensure_ascii=False).encode() + b"\n", 1, "not the id of its content")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"value": "0.9"}, "as its value"), ({"value": True}, "as its value"), ({"value": None}, "as its value"),
        ({"n": 1.5}, "as its n"), ({"settings": []}, "as its settings"), ({"rows": [1]}, "rows"),
        ({"previous": "none"}, "as its previous"), ({"models": None}, "as its models"), ({"more": 1}, "fields"),
    ],
)  # fmt: skip
def test_a_sealed_line_of_the_wrong_form_is_named(path, whole, changes, what):
    values = json.loads(whole.splitlines()[0]) | changes
    content = {name: value for name, value in values.items() if name != "hash"}
    values["hash"] = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    refused(path, json.dumps(values, ensure_ascii=False).encode() + b"\n", 1, what)


# -- what other programs do to the file, and the records stay whole ---------------------------------------------------


def loaded(whole: bytes) -> list[dict]:
    return [json.loads(line) for line in whole.splitlines()]


def lines_of(values: list[dict], **how) -> bytes:
    return b"".join(json.dumps(each, **how).encode() + b"\n" for each in values)


def by_javascript(value):
    """What JSON.stringify(JSON.parse(…)) makes of numbers: no decimal point where there are no decimals."""
    if isinstance(value, dict):
        return {name: by_javascript(each) for name, each in value.items()}
    if isinstance(value, list):
        return [by_javascript(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def merged(whole: bytes) -> bytes:
    one, two, three, four = whole.splitlines(keepends=True)
    return one + two + b"<<<<<<< HEAD\n" + three + b"||||||| base\n=======\n" + four + b">>>>>>> their branch\n"


CHANGES = {
    "CRLF": (lambda whole: whole.replace(b"\n", b"\r\n"), "carriage return"),
    "CR": (lambda whole: whole.replace(b"\n", b"\r"), "carriage return"),
    "CRLF at one line": (lambda whole: whole.replace(b"\n", b"\r\n", 1), "1 line ended"),
    "no last line end": (lambda whole: whole[:-1], "no line end"),
    "CRLF, no last line end": (lambda whole: whole.replace(b"\n", b"\r\n")[:-2], "no line end"),
    "doubled last line end": (lambda whole: whole + b"\n", "1 line was empty"),
    "blank lines": (lambda whole: b"\n" + whole.replace(b"\n", b"\n \t\n\n"), "lines were empty"),
    "spaces around": (lambda whole: whole.replace(b"\n", b"  \n").replace(b"{", b" {", 1), "spaces"),
    "byte order mark": (lambda whole: codecs.BOM_UTF8 + whole, "byte order mark"),
    "UTF-16 little": (lambda whole: codecs.BOM_UTF16_LE + whole.decode().encode("utf-16-le"), "utf-16-le"),
    "UTF-16 big": (lambda whole: codecs.BOM_UTF16_BE + whole.decode().encode("utf-16-be"), "utf-16-be"),
    "UTF-32": (lambda whole: whole.decode().encode("utf-32"), "utf-32"),
    "PowerShell": (lambda whole: whole.replace(b"\n", b"\r\n").decode().encode("utf-16"), "carriage return"),
    "escaped": (lambda whole: lines_of(loaded(whole)), "another program"),
    "sorted": (lambda whole: lines_of(loaded(whole), sort_keys=True, ensure_ascii=False), "another program"),
    "tight": (lambda whole: lines_of(loaded(whole), separators=(",", ":")), "another program"),
    "indented": (lambda whole: lines_of(loaded(whole), indent=2), "another program"),
    "indented, CRLF": (lambda whole: lines_of(loaded(whole), indent="\t").replace(b"\n", b"\r\n"), "another program"),
    "an array": (lambda whole: json.dumps(loaded(whole)).encode(), "another program"),
    "an indented array": (
        lambda whole: json.dumps(loaded(whole), indent=4, sort_keys=True).encode(),
        "another program",
    ),
    "an array by lines": (lambda whole: b"[\n" + whole.replace(b"}\n", b"},\n")[:-2] + b"\n]\n", "another program"),
    "one line": (lambda whole: whole.replace(b"\n", b""), "another program"),
    "JavaScript": (lambda whole: lines_of(by_javascript(loaded(whole))), "another program"),
    "twice": (lambda whole: whole + whole, "4 lines stood there twice"),
    "a line twice": (lambda whole: whole + whole.splitlines(keepends=True)[1], "1 line stood there twice"),
    "moved": (lambda whole: b"".join(whole.splitlines(keepends=True)[::-1]), "sorted"),
    "a git merge": (merged, "git merge"),
    "a union merge": (lambda whole: whole.splitlines(keepends=True)[0] + whole, "twice"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_program_changed_around_the_records_is_told_and_nothing_is_lost(path, whole, change):
    spoil, what = CHANGES[change]
    changed = spoil(whole)
    assert changed != whole and chains.looks_like_ledger(changed)
    found = chains.read_ledger_bytes(changed)
    assert [each.id for each in found.records] == [each["id"] for each in loaded(whole)]
    assert [each.measured() for each in found.records] == [
        {name: each[name] for name in FIELDS if name not in ("id", "time", "previous", "hash")}
        for each in loaded(whole)
    ]
    assert found.faults == () and re.search(what, " ".join(found.notes)), found
    assert chains.read_ledger_bytes(found.whole).notes == () and chains.read_ledger_bytes(found.whole).is_usual
    path.write_bytes(changed)
    said = []
    kept = append(measured(50), path, said.append)
    now = read(path).check()
    assert [each.id for each in now.records] == [*(each["id"] for each in loaded(whole)), kept.id] and now.notes == ()
    if found.whole != changed + b"\n":
        (before,) = path.parent.glob("evidence.jsonl.before-*")
        assert before.read_bytes() == changed and before.name in said[0]


def test_old_windows_editors_and_their_code_page_lose_nothing(path):
    append({**measured(0), "finding": "naïve – “so”"}, path)
    usual = path.read_bytes()
    found = chains.read_ledger_bytes(usual.decode().encode("cp1252"))
    assert found.whole == usual and found.faults == ()


def two_copies(tmp_path: Path) -> tuple[Path, Path]:
    """A ledger, and a copy of it on another machine; both went on after the second record."""
    mine, theirs = tmp_path / "mine" / "evidence.jsonl", tmp_path / "theirs" / "evidence.jsonl"
    for number in range(2):
        append(measured(number), mine)
    theirs.parent.mkdir()
    theirs.write_bytes(mine.read_bytes())
    for number in (2, 3):
        append(measured(number), mine)
    for number in (4, 5, 6):
        append(measured(number), theirs)
    return mine, theirs


def test_two_copies_that_went_on_separately_are_merged_by_hand_and_by_git(tmp_path):
    mine, theirs = two_copies(tmp_path)
    ids = {each.id for path in (mine, theirs) for each in read(path).records}
    common, *_ = mine.read_bytes().splitlines(keepends=True)
    ours, other = ([*path.read_bytes().splitlines(keepends=True)[2:]] for path in (mine, theirs))
    begun = b"".join(mine.read_bytes().splitlines(keepends=True)[:2])
    by_git = begun + b"<<<<<<< HEAD\n" + b"".join(ours) + b"=======\n" + b"".join(other) + b">>>>>>> theirs\n"
    interleaved = begun + b"".join(line for pair in zip(ours, other, strict=False) for line in pair) + other[-1]
    for content in (by_git, interleaved, mine.read_bytes() + theirs.read_bytes(), begun + b"".join(other + ours)):
        path = tmp_path / hashlib.sha256(content).hexdigest() / "evidence.jsonl"
        path.parent.mkdir()
        path.write_bytes(content)
        ledger = read(path).check()
        assert {each.id for each in ledger.records} == ids and len(ledger.records) == 7
        assert any("went on separately" in note for note in ledger.notes)
        for number in (7, 8):
            append(measured(number), path, silent)
        after = read(path).check()
        assert len(after.records) == 9 and any("went on separately" in note for note in after.notes)
        assert chains.read_ledger_bytes(path.read_bytes()).is_usual


def test_a_conflicted_copy_beside_it_is_told_and_can_be_taken_in(tmp_path):
    mine, theirs = two_copies(tmp_path)
    copy = mine.with_name("evidence (conflicted copy 2026-01-15).jsonl")
    copy.write_bytes(theirs.read_bytes().replace(b"\n", b"\r\n"))
    ledger = read(mine).check()
    assert any(f"{copy.name} beside it holds 3 more records" in note for note in ledger.notes)
    said, before = [], copy.read_bytes()
    assert len(merge(copy, mine, said.append).check().records) == 7
    assert "3 records" in said[-1] and copy.read_bytes() == before
    assert not any("beside it" in note for note in read(mine).notes)
    assert len(merge(copy, mine, silent).records) == 7


def test_where_the_drive_took_the_other_copy_the_own_records_are_missed_and_can_be_brought_back(tmp_path):
    mine, theirs = two_copies(tmp_path)
    copy = mine.with_name("evidence-conflict.jsonl")
    copy.write_bytes(mine.read_bytes())
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(DamagedFile, match=r"was there before and is missing") as error:
        append(measured(9), mine)
    assert f"merge('{copy.name}')" in str(error.value)
    assert len(merge(copy, mine, silent).check().records) == 7
    append(measured(9), mine)
    assert len(read(mine).check().records) == 8


def test_two_ledgers_in_one_file_are_told_and_both_taken(path, whole):
    append(measured(7), path)
    path.write_bytes(path.read_bytes() + whole)
    ledger = read(path).check()
    assert len(ledger.records) == 5 and "begins another ledger" in ledger.notes[0]


def test_a_line_that_was_taken_out_or_changed_is_still_named_after_another_program(whole):
    for spoil, _ in CHANGES.values():
        values = loaded(whole)
        changed = [*values[:1], values[1] | {"value": 0.99}, *values[2:]]
        for attacked in (lines_of(values[:1] + values[2:], ensure_ascii=False), lines_of(changed, ensure_ascii=False)):
            try:
                content = spoil(attacked)
            except ValueError:  # a change that needs four lines
                continue
            assert chains.read_ledger_bytes(content).faults


def test_a_ledger_is_recognised_by_its_content(whole):
    first, *_ = whole.splitlines()
    for content in (whole, whole[:100], first, whole.replace(b"0.25", b"0.99"), b"\n\n" + whole, b"mine\n" + whole):
        assert chains.looks_like_ledger(content)
    notebook = json.dumps({"cells": [{"cell_type": "code", "source": whole.decode(), "outputs": []}], "nbformat": 4})
    report = json.dumps({"evidence": loaded(whole)}, indent=1)
    texts = [notebook, report, "", "\n", "{", "[]", '{"id": "E-07f3"}', "E-07f3 is my record", "[" * 100_000, "PK\x03"]
    for text in texts:
        assert not chains.looks_like_ledger(text.encode()), text[:40]


@pytest.mark.parametrize(
    "content",
    [
        b"an essay", b"# Essay\n\nI argue.\n", b'{"ranking": ["a"], "n_parameters": {"a": 1}}\n', b"null", b"[]\n",
        b"{}", b'{"cells": [], "nbformat": 4}', b"\x89PNG\r\n\x1a\n\x00\x00", b"id,finding\nE-07f3,x\n", b"1\n",
        b"\xff\xfe\x00\n", b"[" * 100_000 + b"\n", b'{"id": "E-07f3"}\n', b'{"a": 1' + b"0" * 5000 + b"}\n",
        b'{"finding": "x", "hash": NaN}',
    ],
)  # fmt: skip
def test_a_foreign_file_is_named_and_left_alone(path, content):
    refused(path, content, 1)


def test_every_fault_of_a_ledger_is_listed(path, whole):
    one, two, three, four = whole.splitlines(keepends=True)
    path.write_bytes(one + two.replace(b"0.251", b"0.951") + three + b"mine\n" + four)
    faults = read(path).faults
    assert [line for line, _ in faults] == [2, 4]
    assert "line 2 " in str(read(path)) and "line 4 " in str(read(path))


# -- a writing that was cut off ----------------------------------------------------------------------------------------


def test_cut_off_anywhere_in_its_last_line_only_that_is_lost_and_it_is_said(path, whole, monkeypatch):
    *before, last = whole.splitlines(keepends=True)
    for length in [*range(1, 40), *range(40, len(last) - 1, 37), len(last) - 2]:
        for torn in (last[:length], last[: length - 1] + b"\0" * 9):
            monkeypatch.setenv("COURSE_CACHE", str(path.parent / f"cache-{length}-{len(torn)}"))  # knows nothing of it
            path.write_bytes(b"".join(before) + torn)
            ledger = read(path).check()
            assert (len(ledger.records), ledger.torn) == (3, torn)
            assert "line 4 was cut off" in str(ledger)
            said = []
            record = append(measured(50), path, said.append)
            assert "line 4, was cut off" in said[0]
            assert [each.id for each in read(path).check().records][3:] == [record.id]
            assert path.read_bytes().startswith(b"".join(before))
            (beside,) = path.parent.glob("evidence.jsonl.cut-off-*")
            assert beside.read_bytes() == torn and beside.name in said[0]
            beside.unlink()


def test_cut_off_before_its_line_end_nothing_is_lost(path, whole):
    path.write_bytes(whole[:-1])
    assert len(read(path).check().records) == 4
    append(measured(50), path)
    assert path.read_bytes().startswith(whole) and len(read(path).check().records) == 5


def test_a_first_record_that_was_cut_off_leaves_an_empty_ledger(path, whole):
    path.write_bytes(whole[:100])
    append(measured(1), path, silent)
    assert len(read(path).check().records) == 1


OURS = (
    "import os, signal, sys; sys.path[:0] = {!r}, {!r}\nfrom test_ledger import *; from course_utils.errors import *\n"
)


@contextlib.contextmanager
def running(code: str, *arguments: object):
    """A process of its own that runs the code with all names of this file."""
    command = [sys.executable, "-c", OURS.format(str(TESTS), str(Path(__file__).parent)) + code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process


def run(code: str, *arguments: object) -> str:
    with running(code, *arguments) as process:
        return process.communicate()[0]


def test_killed_while_it_writes_it_loses_nothing_that_was_kept(path):
    forever = "for number in range(10**9): print(append(measured(number), Path(sys.argv[1])).id, flush=True)"
    with running(forever, path) as writer:
        kept = [writer.stdout.readline().strip() for _ in range(40)]
        os.kill(writer.pid, signal.SIGKILL)
        kept += writer.communicate()[0].split()
    found = [record.id for record in read(path).check().records]
    assert found[: len(kept)] == kept and len(found) <= len(kept) + 1
    append(measured(-1), path, silent)
    assert len(read(path).check().records) == len(found) + 1


def test_killed_in_the_midst_of_a_line_the_rest_is_told(path):
    """The system is made to kill the writer after so many bytes of the file."""
    append(measured(0), path)
    size = path.stat().st_size
    limit = "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
    die = "signal.signal(signal.SIGXFSZ, lambda *_: os.kill(os.getpid(), signal.SIGKILL))\n"
    with running(limit + die + "append(measured(1), Path(sys.argv[1]))", path, size + 300) as writer:
        assert writer.wait() == -signal.SIGKILL
    assert len(read(path).torn) == 300 and len(read(path).check().records) == 1
    append(measured(2), path, silent)
    assert len(read(path).check().records) == 2


def test_on_a_full_disk_nothing_is_kept_and_nothing_is_half_written(path):
    append(measured(0), path)
    before = path.read_bytes()
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
    ignore = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    act = "try: append(measured(1), Path(sys.argv[1]))\nexcept NoSpace as error: print(error)"
    told = run(limit + ignore + act, path, len(before) + 300)
    assert "cannot be written" in told and "COURSE_LEDGER" in told
    assert path.read_bytes() == before


def test_two_that_write_at_once_lose_nothing(path):
    code = "for number in range(100): append(measured(1000 * int(sys.argv[2]) + number), Path(sys.argv[1]))"
    seen = 0
    with running(code, path, 0) as one, running(code, path, 1) as other:
        while one.poll() is None or other.poll() is None:
            ledger = read(path).check()
            assert len(ledger.records) >= seen and not ledger.torn
            seen = len(ledger.records)
            time.sleep(0.5)
    assert (one.returncode, other.returncode) == (0, 0)
    records = read(path).check().records
    findings = {f"Reading {1000 * who + number}: b gains, “naïvely” 你好." for who in range(2) for number in range(100)}
    assert {record.finding for record in records} == findings
    assert len(records) == len({record.id for record in records}) == 200


def test_a_folder_that_may_not_be_written_is_told_and_can_be_read(whole, path):
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        (folder / "evidence.jsonl").write_bytes(whole)
        folder.chmod(0o555)
        act = (
            "append(measured(8), Path(sys.argv[2]))\n"  # which imports what is needed
            "made = measured(9)\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "print(len(read(sys.argv[1]).check().records))\n"
            "for name in ('evidence.jsonl', 'new.jsonl', 'new/one.jsonl'):\n"
            "    try: append(made, Path(sys.argv[1]).parent / name)\n"
            "    except NoSpace as error: print(error)"
        )
        told = run(act, folder / "evidence.jsonl", path)
        assert told.startswith("4\n") and told.count("cannot be written: Permission denied") == 3, told
        assert (folder / "evidence.jsonl").read_bytes() == whole
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_sound_line_is_parsed_to_itself(whole):
    for line in whole.splitlines():
        record = parse(line)
        assert isinstance(record, Record) and record.line() == line + b"\n"
        with contextlib.suppress(AttributeError):
            record.value = 1
            raise AssertionError("a record can be changed")
