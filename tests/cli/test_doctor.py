"""The doctor: one line a thing, a cure for what is wrong, and a verdict."""

import shutil
import socket

import pytest
from packaging.requirements import Requirement

from course_utils.cli import doctor
from course_utils.core import extras
from course_utils.models.registry import checksums, registry


def finding(thing: str) -> doctor.Finding:
    return next(each for each in doctor.examine().findings if each.thing == thing)


def test_a_machine_with_a_model_is_ready():
    report = doctor.examine()
    assert report.is_ready, str(report)
    assert "The course can run here." in str(report)


def test_every_thing_is_looked_at():
    things = {each.thing for each in doctor.examine().findings}
    assert things >= {"Python", *registry.CATALOGUE, "random-gpt2", "human texts", "memory", "disk", "port", "browser"}


def test_what_must_be_fixed_has_a_cure(monkeypatch):
    asked = {"": ["no-such-package>=1", "pytest<1", "numpy>=1"], "grading": ["no-such-grader>=2"]}
    told = {extra: [Requirement(line) for line in lines] for extra, lines in asked.items()}
    monkeypatch.setattr(extras, "requirements", lambda: told)
    report = doctor.examine()
    to_fix = [each for each in report.findings if each.state == "fix"]
    assert {each.thing: each.cure for each in to_fix} == {
        "no-such-package": 'python -m pip install "no-such-package>=1"',
        "pytest": 'python -m pip install "pytest<1"',
    }
    assert "Put right 2 things first" in str(report)
    of_extra = next(each for each in report.findings if each.thing == "no-such-grader")
    assert of_extra.state == "note" and "only for grading" in of_extra.found and of_extra.cure


def test_a_pocket_model_alone_is_told_how_to_get_a_fluent_one(monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", "")
    assert finding("default model").state == "note"
    assert "fetch --default" in finding("default model").found


def test_a_damaged_model_is_named_with_its_cure(tiny_folder, tmp_path, monkeypatch):
    shutil.copytree(tiny_folder, tmp_path / "models" / "mine")
    (tmp_path / "models" / "mine" / checksums.WEIGHTS).write_bytes(b"short")
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "models"))
    assert finding("mine").state == "fix"
    assert checksums.WEIGHTS in finding("mine").found


def test_a_taken_port_is_seen(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(doctor, "JUPYTER_PORT", other.getsockname()[1])
        assert "taken" in finding("port").found


@pytest.mark.parametrize("state", ["ok", "note", "fix"])
def test_a_line_begins_with_its_state(state):
    assert str(doctor.Finding("disk", "full", state, "Make room.")).startswith(state)


def test_a_notebook_shows_the_report_as_its_lines():
    report = doctor.examine()
    assert repr(report) == str(report)


@pytest.mark.parametrize(
    ("variable", "value", "thing", "costs"),
    [
        ("COURSE_CACHE", "/dev/null/cache", "cache folder", "results are computed anew"),
        ("COURSE_LEDGER", "/dev/null/evidence.jsonl", "ledger", "no result can be kept"),
        ("JUPYTER_RUNTIME_DIR", "/dev/null/jupyter", "Jupyter", "JupyterLab cannot start"),
        ("COURSE_MODELS", "/dev/null/models", "class's models", "COURSE_MODELS"),
        ("ALL_PROXY", "socks://127.0.0.1:9", "downloads", "ALL_PROXY"),
        ("HF_ENDPOINT", "no address", "downloads", "HF_ENDPOINT"),
        ("SSL_CERT_FILE", "/nonexistent", "downloads", "SSL_CERT_FILE"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_it_costs_and_a_cure(monkeypatch, variable, value, thing, costs):
    monkeypatch.setenv(variable, value)
    found = finding(thing)
    assert found.state == ("fix" if thing in ("ledger", "Jupyter") else "note")
    assert costs in found.found and found.cure


def test_looking_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "not" / "made"))
    monkeypatch.setenv("COURSE_LEDGER", str(tmp_path / "here" / "evidence.jsonl"))
    assert finding("cache folder").state == finding("ledger").state == "ok"
    assert not (tmp_path / "here").exists()
    notes = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parent.name for path in notes} <= {"verified"}  # which models were found whole


def test_a_full_disk_is_a_note_for_a_model_that_is_here_still_speaks(monkeypatch):
    monkeypatch.setattr(doctor, "ROOM_TO_WORK_MB", 1e12)
    assert finding("disk").state == "note"
    assert doctor.examine().is_ready
