"""The check of an essay without a browser: what was saved is read, compared with the ledger, and told at its words."""

import json
import os
from pathlib import Path

import pytest
from made_course import RUBRIC, essay

from course_utils.evidence.claims.check import Finding
from course_utils.evidence.essay.essay import Essay, Section
from course_utils.evidence.ledger.ledger import Ledger, append
from course_utils.experiments.detection.base_rates import base_rates
from course_utils.grading.marking.sample_essays import load_samples, sample_ledger
from course_utils.widgets.essay.essay_check import CLEAR, EssayCheck, _around, sheet
from course_utils.widgets.essay.essay_view import occurrence

HOSTILE = "</script><img src=x onerror=window.__xss=1>"
NAME = "release_strategy.ipynb"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "my essay"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "evidence.jsonl"))
    return folder


def write(folder, strategy: str = "staged release", name: str = NAME, **texts: str) -> None:
    notebook = json.loads(json.dumps(essay()))
    for cell in notebook["cells"]:
        cell["source"] = texts.get(cell["id"].removeprefix("text-"), cell["source"])
        if cell["id"] == "strategy":
            cell["source"] = f"strategy = {strategy!r}"
    (folder / name).write_text(json.dumps(notebook), "utf-8")


def write_sample(folder, name: str) -> None:
    sample = next(each for each in load_samples() if each.name == name)
    write(folder, sample.essay.strategy, **{each.key: each.text for each in sample.essay.sections})


def hear(panel: EssayCheck, **content) -> None:
    panel._on_message(panel, content, [])


def found(panel: EssayCheck) -> list[dict]:
    return [each for group in panel.sheet["groups"] for each in group["findings"]]


@pytest.mark.parametrize("sample", load_samples(), ids=lambda sample: sample.name)
def test_every_finding_is_shown_once_in_its_section_with_its_own_words(folder, sample):
    write_sample(folder, sample.name)
    panel = EssayCheck(ledger=sample_ledger())
    assert panel.message == "" and panel.n_words == sample.essay.n_words
    shown = [(each["severity"], each["kind"], each["says"]) for each in found(panel)]
    assert sorted(shown) == sorted((each.severity, each.kind, each.says) for each in panel.findings)
    assert [each.severity for each in panel.findings] == sorted(each.severity for each in panel.findings)
    assert panel.faults == [each for each in panel.findings if each.severity == "fault"]
    for group in panel.sheet["groups"]:
        severities = [each["severity"] for each in group["findings"]]
        assert severities == sorted(severities)
    for each in found(panel):
        seen = "".join(run["text"] for block in each["blocks"] for run in block["runs"])
        assert bool(each["words"]) == bool(each["blocks"])
        assert each["words"].strip("[]") in seen
    assert sum(each["n"] for each in panel.sheet["sections"]) == panel.n_words


@pytest.mark.parametrize("name", ["one", "three"])
def test_where_nothing_is_wrong_it_does_not_call_the_essay_good(folder, name):
    write_sample(folder, name)
    panel = EssayCheck(ledger=sample_ledger())
    assert panel.faults == [] and panel.sheet["is_clear"]
    assert panel.sheet["verdict"].startswith(CLEAR) and "does not make it a good essay" in CLEAR
    assert all(each["is_engaged"] for each in panel.sheet["read"])


def test_faults_are_counted_and_a_reading_that_is_not_engaged_is_told(folder):
    write_sample(folder, "two")
    panel = EssayCheck(ledger=sample_ledger())
    assert panel.sheet["verdict"].startswith(f"{len(panel.faults)} faults") and not panel.sheet["is_clear"]
    assert [each["is_engaged"] for each in panel.sheet["read"]] == [True, True, True, False]
    assert {each["id"] for each in panel.sheet["cited"] if not each["is_there"]} == {"E-12ab"}
    assert panel.sheet["evidence"]["E-12ab"]["status"] == "no such record"
    assert "299 too few" in panel.sheet["length"]["says"] and panel.sheet["length"]["is_out"]
    used = {each["id"] for each in panel.sheet["cited"]} | {each["id"] for each in panel.sheet["unused"]}
    assert len(used) == 14


def test_an_untouched_notebook_is_told_what_to_begin_with(folder):
    write(folder, strategy="")
    panel = EssayCheck()
    assert panel.n_words == 0 and panel.message == "" and panel.sheet["strategy"] == ""
    assert len(panel.faults) > 8 and not any(each["is_engaged"] for each in panel.sheet["read"])
    assert "There is no ledger yet" in panel.sheet["ledger"]["says"]


def test_what_was_saved_last_is_what_is_checked(folder):
    write(folder, thesis="Two words.")
    panel = EssayCheck()
    assert panel.n_words == 2 and "since the check before" not in panel.sheet["saved"]
    write(folder, thesis="These are four words.")
    assert panel.n_words == 2
    os.utime(folder / NAME, (2e9, 2e9))
    hear(panel, kind="check")
    assert panel.n_words == 4 and panel.sheet["saved"].startswith("on 2033-05-1")
    assert panel.check() == panel.findings and "not since the check before" in panel.sheet["saved"]


def test_a_new_record_is_read_at_the_next_check(folder, tmp_path):
    panel_of = {"path": tmp_path / "evidence.jsonl", "say": lambda _: None}
    id = append({**base_rates([0.9], [0.5]).record(), "note": HOSTILE}, **panel_of).id
    write(folder, thesis=f"It was shown [@{id}].")
    panel = EssayCheck()
    assert panel.sheet["cited"][0]["is_there"] and panel.sheet["unused"] == []
    facts = dict(panel.sheet["evidence"][id]["facts"])
    assert facts["Note"] == HOSTILE and "%" in facts["Measured"]
    new = append({**base_rates([0.8], [0.5]).record(), "note": ""}, **panel_of).id
    panel.check()
    assert [each["id"] for each in panel.sheet["unused"]] == [new]


@pytest.mark.parametrize(("least", "most"), [(1, 2), (3, 9), (10, 20)])
def test_the_range_is_that_of_the_rubric_beside_the_notebook(folder, least, most):
    write(folder, thesis="Five words are in here.")
    (folder / "rubric.yaml").write_text(json.dumps(RUBRIC | {"words": {"least": least, "most": most}}))
    panel = EssayCheck()
    length = panel.sheet["length"]
    assert (length["least"], length["most"]) == (least, most)
    assert length["is_out"] == any(each.kind == "word count" for each in panel.faults) == (not least <= 5 <= most)


def test_a_rubric_that_is_broken_is_told_and_the_usual_range_taken(folder):
    write(folder, thesis="Words.")
    (folder / "rubric.yaml").write_text("words: [")
    panel = EssayCheck()
    assert "rubric" in panel.message and (panel.sheet["length"]["least"], panel.sheet["length"]["most"]) == (800, 1200)


# -- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"cells": 3}', b"[" * 100_000, b'{"cells": []}', None]
)
def test_a_notebook_that_is_missing_or_broken_is_a_message_and_no_traceback(folder, content):
    write(folder, thesis="Before it broke.")
    panel = EssayCheck()
    assert panel.n_words == 3
    (folder / NAME).unlink() if content is None else (folder / NAME).write_bytes(content)
    hear(panel, kind="check")
    assert panel.n_words == 0 and "Traceback" not in panel.message
    if content == b'{"cells": []}':
        assert panel.message == "" and panel.faults
    else:
        assert panel.message and (panel.findings, panel.sheet) == ([], {})
    write(folder, thesis="And it was mended.")
    assert panel.check() and panel.message == "" and panel.n_words == 4


@pytest.mark.parametrize("cells", [[3, None, "x"], [{"metadata": 3}], [{"id": 5, "source": 7, "cell_type": []}]])
def test_odd_cells_are_passed_over(folder, cells):
    (folder / NAME).write_text(json.dumps({"cells": cells}))
    assert EssayCheck().n_words == 0


def test_a_ledger_that_is_broken_is_told_and_the_essay_still_checked(folder, tmp_path):
    lines = sample_ledger().read_bytes().splitlines(keepends=True)
    (tmp_path / "evidence.jsonl").write_bytes(b"".join([*lines[:3], lines[3].replace(b"a", b"b"), *lines[4:]]))
    write_sample(folder, "one")
    panel = EssayCheck()
    assert panel.n_words > 1000 and panel.sheet["ledger"]["faults"][0].startswith("Line 4 ")
    assert "3 records" in panel.sheet["ledger"]["faults"][-1] and panel.sheet["ledger"]["says"].startswith("3 records")
    (tmp_path / "evidence.jsonl").unlink()
    (tmp_path / "evidence.jsonl").mkdir()
    panel.check()
    assert "is no file" in panel.message and panel.n_words > 1000 and panel.faults


def test_half_letters_and_script_reach_the_page_as_text(folder):
    write(folder, strategy=HOSTILE)
    text = (folder / NAME).read_text().replace("*Write here.*", f"Half \\ud800 a letter 91.7 % {HOSTILE}", 1)
    (folder / NAME).write_text(text)
    panel = EssayCheck()
    json.dumps(panel.sheet, ensure_ascii=False).encode("utf-8")
    assert panel.message == "" and panel.sheet["strategy"] == HOSTILE
    assert any(HOSTILE in run["text"] for each in found(panel) for block in each["blocks"] for run in block["runs"])


def test_an_essay_under_another_name_is_found_and_named(folder):
    write(folder, name="my essay (2).ipynb", thesis="Two words.")
    assert EssayCheck().sheet["file"] == "my essay (2).ipynb"
    write(folder, name="third.ipynb", thesis="Now three words.")
    assert EssayCheck("third.ipynb").n_words == 3 and EssayCheck(folder / "third.ipynb").n_words == 3


# -- the words in their paragraph --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(4))
def test_the_very_words_are_meant_and_not_others_like_them(place):
    text = "In 2017, E-7000.\n\nOne 7 % and 17 %, then [@E-7606] 7 % and **7 %**; 7 % of 7.\n \nAfter 7 %."
    starts = [i for i in range(len(text)) if text.startswith("7 %", i) and not text[i - 1].isdigit()][:4]
    start = starts[place]
    before, after = _around(text, start, start + 3)
    assert before + "7 %" + after == text.split("\n\n")[1].split("\n \n")[0]
    paragraph = before + "7 %" + after
    letters = [i for i, letter in enumerate(paragraph) if letter == "7"]
    found, place = occurrence(paragraph, len(before), len(before) + 3)
    assert found == "7" and letters[place] == len(before)


def test_of_a_very_long_paragraph_only_what_is_near_is_shown(folder):
    write(folder, thesis="word " * 6000 + "91.7 % " + "word " * 6000)
    panel = EssayCheck()
    (each,) = [each for each in found(panel) if each["quote"] == "91.7 %"]
    seen = "".join(run["text"] for run in each["blocks"][0]["runs"])
    assert len(seen) < 4000 and seen.startswith("… ") and seen.endswith(" …") and "91.7 %" in seen


@pytest.mark.parametrize("n", [1, 199, 200, 201, 5000])
def test_of_very_many_findings_the_first_are_shown_and_the_rest_counted(n):
    text = "It was 7 % of them."
    findings = [Finding("other number", "fault", f"No {k}.", "thesis", 7, 10, "7 %") for k in range(n)]
    told = sheet(Essay((Section("thesis", "Thesis", text),)), Ledger(Path("none"), ()), (1, 9), findings)
    shown = [each["says"] for group in told["groups"] for each in group["findings"]]
    assert shown == [f"No {k}." for k in range(min(n, 200))] and told["n_more"] == n - len(shown)
    assert told["verdict"].startswith(f"{n:,} fault")
