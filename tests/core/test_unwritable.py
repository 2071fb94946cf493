"""A disk that is full or read-only stops only what must be written: a real small disk, a real read-only home."""

import os
import subprocess
import sys

import pytest
from repository import ROOT

pytestmark = pytest.mark.slow

CAN_MOUNT = (
    sys.platform == "linux"
    and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
)

# Run with a read-only home, once a cache folder: what needs no file works and says nothing on stderr; what a person
# needs to keep raises NoSpace and names its file.
EVERYTHING = """
import contextlib, io, os, sys
from pathlib import Path
from course_utils import Playground, Settings, TrainingLab, load
from course_utils.__main__ import main
from course_utils.core.files import replace_file
from course_utils.errors import NoSpace
from course_utils.classroom import database as class_file
from course_utils.evidence.ledger import ledger
from course_utils.experiments.readers import preferences
from course_utils.experiments.release import decisions as release_decisions, release_plan as staged_release
from course_utils.experiments.core.cache import cached
from course_utils.widgets.card_sort.card_sort import CardSort

def refuses(work, path):
    try:
        work(path)
    except NoSpace as problem:
        assert str(path) in str(problem) and len(str(problem).splitlines()) <= 3, problem
    else:
        raise AssertionError(f"{path} was written")

def vote(path):
    with class_file.transaction(path):
        pass

def fix(path):
    staged_release.Plan(path).fix(staged_release.Rule("bits", "at most", 3.0))

MEASURED = {"finding": "f", "metric": "m", "value": 1.0, "note": ""}
for place in map(Path, sys.argv[1:]):
    os.environ["COURSE_CACHE"] = str(place)
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()) as out:
        assert load("pocket-small").generate("A", Settings(max_new_tokens=3))[0].text
        assert cached("kind", [1], lambda: {"a": 1}) == cached("kind", [1], lambda: {"a": 1}) == {"a": 1}
        Playground(), TrainingLab()
        import matplotlib.pyplot
        assert main(["models"]) == 0
        assert main(["say", "A", "--tokens", "3"]) == 0
        main(["doctor"])
    assert said.getvalue() == "", (place, said.getvalue())
    found = out.getvalue()
    assert f"{place} cannot be written" in found and "results are computed anew" in found, (place, found)
    assert "JupyterLab cannot start" in found, found
    refuses(lambda path: preferences.append(path, {"ranking": []}), place / "rankings.jsonl")
    refuses(lambda path: release_decisions.Decisions(path).keep_draft("Feb 2019", "x"), place / "decisions.jsonl")
    refuses(fix, place / "plan.jsonl")
    refuses(lambda path: CardSort(record=path).put("Photoshop", "deceptive"), place / "cards.json")
    refuses(vote, place / "class.sqlite")
    refuses(lambda path: replace_file(path, "x" * 100_000), place / "file")
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(["fetch", "texts"]) == 1
    assert str(place) in said.getvalue() and len(said.getvalue().splitlines()) <= 3, said.getvalue()
"""


@pytest.mark.skipif(not CAN_MOUNT, reason="this user may not mount a small disk")
def test_nothing_stops_what_needs_no_file(tmp_path):
    full, read_only, home, long = (tmp_path / name for name in ("full", "read-only", "home", "x" * 300))
    for folder in (full, read_only, home):
        folder.mkdir()
    (tmp_path / "everything.py").write_text(EVERYTHING)
    mount = (
        f"mount -t tmpfs -o size=64k none {full} && {{ head -c 64k /dev/zero >{full}/x; true; }} && "
        f"mount -t tmpfs -o ro none {read_only} && mount -t tmpfs -o ro none {home} && "
        f"exec {sys.executable} everything.py {full} {read_only} {long}"
    )
    names = ("MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "PIP_NO_INDEX": "1", "COURSE_MODELS": ""}
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", mount],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
