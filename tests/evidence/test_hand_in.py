"""Handing in lays the ledger beside the notebook, loses nothing that lay there, and says what will be handed in."""

import json
import os

import pytest
from made_course import essay

from course_utils.errors import CourseError, TextError
from course_utils.evidence.hand_in import NOTEBOOK, hand_in
from course_utils.evidence.ledger.ledger import append, read
from course_utils.experiments.detection.base_rates import base_rates


def kept(path, *shares: float) -> list[str]:
    """Keep measurements, and return their ids."""
    return [append({**base_rates([0.9], [share]).record(), "note": ""}, path, lambda _: None).id for share in shares]


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    path = tmp_path / "course" / "evidence.jsonl"
    monkeypatch.setenv("COURSE_LEDGER", str(path))
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my essay"
    folder.mkdir()
    return folder


def write_essay(folder, name=NOTEBOOK, strategy="Staged release", **texts: str) -> None:
    notebook = json.loads(json.dumps(essay()))
    for cell in notebook["cells"]:
        cell["source"] = texts.get(cell["id"].removeprefix("text-"), cell["source"])
        if cell["id"] == "strategy":
            cell["source"] = f"strategy = {strategy!r}"
    (folder / name).write_text(json.dumps(notebook), "utf-8")


def said(folder) -> str:
    lines: list[str] = []
    hand_in(folder, say=lines.append)
    assert all(isinstance(line, str) and line for line in lines)
    assert len(lines) <= 9
    return "\n".join(lines)


def test_what_is_handed_in_is_the_ledger_to_the_byte(folder, ledger):
    kept(ledger, 0.1, 0.2, 0.3)
    assert "3 records, each as it was written" in said(folder)
    assert (folder / "evidence.jsonl").read_bytes() == ledger.read_bytes()
    assert len(read(folder / "evidence.jsonl").check().records) == 3
    assert "holds all of them already" in said(folder)
    kept(ledger, 0.4)
    said(folder)
    assert (folder / "evidence.jsonl").read_bytes() == ledger.read_bytes()
    assert sorted(os.listdir(folder)) == ["evidence.jsonl"]  # what is only the beginning of it is not kept apart


def test_nothing_that_lay_there_is_lost(folder, ledger, tmp_path):
    mine = kept(ledger, 0.1)
    contents = [b"not a ledger", b"", b"\xff\x00", b"another"]
    for number, content in enumerate(contents):
        (folder / "evidence.jsonl").write_bytes(content)
        told = said(folder)
        assert (folder / "evidence.jsonl").read_bytes() == ledger.read_bytes()
        assert ("It is kept as" in told) == bool(content), number
    there = {file.read_bytes() for file in folder.iterdir()}
    assert there == {each for each in contents if each} | {ledger.read_bytes()}
    other = tmp_path / "other.jsonl"
    kept(other, 0.8)
    for _ in range(3):  # the same older one is kept once
        (folder / "evidence.jsonl").write_bytes(other.read_bytes())
        assert "evidence-4.jsonl" in said(folder)
    assert len(list(folder.iterdir())) == 5
    assert [record.id for record in read(folder / "evidence.jsonl").records] == mine


def test_a_ledger_that_lies_there_is_left_alone(folder, monkeypatch):
    monkeypatch.delenv("COURSE_LEDGER", raising=False)
    monkeypatch.setenv("COURSE_LEDGER", str(folder / "evidence.jsonl"))
    kept(folder / "evidence.jsonl", 0.1)
    before = (folder / "evidence.jsonl").read_bytes()
    assert "itself" in said(folder)
    assert (folder / "evidence.jsonl").read_bytes() == before
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert "itself" in said(link)
    assert [file.name for file in folder.iterdir() if not file.name.startswith(".")] == ["evidence.jsonl"]


def test_without_a_ledger_it_says_how_to_make_one(folder, ledger):
    told = said(folder)
    assert "no ledger yet" in told and "Keep as evidence" in told
    assert list(folder.iterdir()) == []


def test_a_ledger_beside_the_notebook_is_handed_in_where_the_course_has_none(folder, ledger):
    kept(folder / "evidence.jsonl", 0.1, 0.2)
    assert "2 records" in said(folder)


def test_a_changed_ledger_is_told_at_its_line_and_copied_as_it_is(folder, ledger):
    kept(ledger, 0.1, 0.2, 0.3)
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([lines[0], lines[1].replace(b"0.9", b"0.8", 1), lines[2]]))
    told = said(folder)
    assert "Line 2 " in told and "1 record, something is wrong" in told
    assert (folder / "evidence.jsonl").read_bytes() == ledger.read_bytes()


def test_a_line_that_was_cut_off_is_not_handed_in(folder, ledger):
    kept(ledger, 0.1, 0.2)
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + b'{"id": "E-')
    assert "cut off" in said(folder)
    assert (folder / "evidence.jsonl").read_bytes() == whole


@pytest.mark.parametrize("missing", [0, 1])
def test_it_says_what_is_cited_and_what_is_missing(folder, ledger, missing):
    first, second = kept(ledger, 0.1, 0.2)
    other = "E-dead0" if missing else second
    write_essay(folder, thesis=f"One [@{first}], two [@{other}], and some words.")
    told = said(folder)
    assert "5 words" in told and "Staged release" in told and "as you saved it at" in told
    assert ("not in your ledger: E-dead0." in told) == bool(missing)
    assert ("all ids that it cites are there" in told) == (not missing)
    n_faults = int(told.split("The checks see ")[1].split()[0])
    assert n_faults >= 8 + missing


def test_the_number_of_faults_falls_when_one_is_mended(folder, ledger):
    (id,) = kept(ledger, 0.1)
    counts = []
    for text in (f"It was 0.999 [@{id}].", f"It was shown [@{id}]."):
        write_essay(folder, thesis=text)
        counts.append(int(said(folder).split("The checks see ")[1].split()[0]))
    assert counts[0] == counts[1] + 1


def test_the_essay_is_found_under_another_name_and_other_notebooks_are_not_taken_for_it(folder, ledger):
    (folder / "broken.ipynb").write_text("{")
    (folder / "size_comparison.ipynb").write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "Hello"}]}))
    assert "No essay was found" in said(folder)
    write_essay(folder, name="my essay (2).ipynb", thesis="Three words here")
    assert "my essay (2).ipynb" in said(folder)
    write_essay(folder, thesis="Two words")
    assert f"{NOTEBOOK}, as you saved it" in said(folder)


def test_of_several_essays_under_other_names_the_one_saved_last_is_meant(folder, ledger):
    for n, name in enumerate(("b.ipynb", "a.ipynb", "c.ipynb")):
        write_essay(folder, name=name, thesis="Words")
        os.utime(folder / name, (1e9 + n, 1e9 + n))
    assert "c.ipynb, as" in said(folder)
    os.utime(folder / "a.ipynb", (2e9, 2e9))
    assert "a.ipynb, as" in said(folder)
    lines: list[str] = []
    hand_in(folder, notebook="b.ipynb", say=lines.append)
    assert "b.ipynb, as" in "\n".join(lines)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"cells": 3}', b"[" * 100_000])
def test_a_notebook_that_cannot_be_read_is_told_and_the_ledger_still_copied(folder, ledger, content):
    kept(ledger, 0.1)
    (folder / NOTEBOOK).write_bytes(content)
    write_essay(folder, name="other.ipynb", thesis="Words")
    told = said(folder)
    assert "notebook" in told and "other.ipynb" not in told
    assert (folder / "evidence.jsonl").read_bytes() == ledger.read_bytes()


def test_a_ledger_that_is_named_is_the_one_that_is_handed_in(folder, ledger, tmp_path):
    kept(ledger, 0.1)
    (mine,) = kept(tmp_path / "mine.jsonl", 0.2)
    hand_in(folder, ledger=tmp_path / "mine.jsonl", say=lambda _: None)
    assert [record.id for record in read(folder / "evidence.jsonl").records] == [mine]


def test_the_folder_is_here_unless_named_and_must_be_one(folder, ledger, monkeypatch):
    kept(ledger, 0.1)
    monkeypatch.chdir(folder)
    hand_in(say=lambda _: None)
    assert (folder / "evidence.jsonl").is_file()
    with pytest.raises(TextError, match="no folder"):
        hand_in(folder / "nowhere", say=lambda _: None)


def test_what_cannot_be_written_leaves_what_was_there(folder, ledger):
    kept(ledger, 0.1)
    (folder / "evidence.jsonl").mkdir()
    with pytest.raises(CourseError, match="not a file"):
        hand_in(folder, say=lambda _: None)
    assert (folder / "evidence.jsonl").is_dir()
    assert len(list(folder.iterdir())) == 1


def test_it_prints_and_returns_nothing(folder, ledger, capfd):
    kept(ledger, 0.1)
    assert hand_in(folder) is None
    out, err = capfd.readouterr()
    assert "1 record, each as it was written" in out
    assert err == ""
