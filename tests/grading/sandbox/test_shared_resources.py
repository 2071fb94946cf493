"""What sandboxes share with this machine: none may block a file, use up a limit, or leave a folder behind."""

import errno
import json
import os
from pathlib import Path

import pytest
from made_checks import code

from course_utils.grading.autograde.execute import check
from course_utils.grading.sandbox import cgroup, sandbox
from course_utils.grading.sandbox.sandbox import sandbox_problem
from course_utils.grading.sandbox.system_calls import system_call_filter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}"),
]
LEASES = """
import fcntl, json, os
told = {}
def attempt(name, *args):
    try:
        fcntl.fcntl(*args)
    except OSError as error:
        told[name] = error.errno
for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
    attempt(f"lease {kind}", os.open("/python/lib/" + os.listdir("/python/lib")[0], os.O_RDONLY), 1024, kind)
attempt("watch", os.open("/packages", os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_CREATE)
attempt("buffer", os.pipe()[1], 1031, 1 << 20)
reader, writer = os.pipe()
attempt("flags", reader, fcntl.F_SETFL, os.O_NONBLOCK)
attempt("inherited", writer, fcntl.F_SETFD, 0)
print(json.dumps(told))
"""
FILES = "import os\nfor i in range(10**9):\n    os.close(os.open(f'{i}', os.O_CREAT | os.O_WRONLY))"


def run(source: str, folder: Path):
    return check([code("own", "", solution=True)], [{"id": "own", "source": source}], folder, None)


@pytest.mark.skipif(not system_call_filter(), reason="no filter for this processor")
def test_no_file_of_the_machine_can_be_leased_or_watched_and_usual_flags_can_be_set(tmp_path):
    found = run(LEASES, tmp_path)
    told = json.loads(found.outputs["own"][0][1])
    assert told == dict.fromkeys((f"lease {os_lock}" for os_lock in (0, 1)), errno.EPERM) | {
        "watch": errno.EPERM, "buffer": errno.EPERM,
    }  # fmt: skip


def test_many_empty_files_end_the_run_before_they_fill_the_memory(tmp_path, monkeypatch):
    # The limit is kept by the process of the checks, which is another one: it reads this module anew.
    found = run(FILES, tmp_path)
    assert f"more than {sandbox.MAX_FILES_IN_MEMORY:,} files" in found.stopped["own"]


@pytest.mark.parametrize("first_is_a_group", [True, False])
def test_groups_are_made_in_one_place_only_and_nowhere_where_there_are_none(tmp_path, monkeypatch, first_is_a_group):
    places = [tmp_path / name for name in ("pids", "top")]
    for place in places:
        place.mkdir()
    if first_is_a_group:  # the system makes such files in each new group; here a folder stands for it
        (places[0] / "cgroup.procs").touch()
        monkeypatch.setattr(cgroup.tempfile, "mkdtemp", lambda **named: str(_group(Path(named["dir"]))))
    monkeypatch.setattr(cgroup, "CONTROLLERS", tuple(places))
    monkeypatch.setattr(cgroup, "_remove", lambda group: None)
    with cgroup.process_limits(5) as (files, _):
        assert [Path(file).parent.parent for file in files] == places[:1] * first_is_a_group
    assert list(places[1].iterdir()) == []


def _group(place: Path) -> Path:
    group = place / f"grading-{os.getpid()}-x"
    group.mkdir()
    for name in ("cgroup.procs", "pids.max"):
        (group / name).touch()
    return group


def test_a_folder_that_an_earlier_version_left_behind_is_removed(tmp_path, monkeypatch):
    ended = next(pid for pid in range(2**22, 0, -1) if not Path(f"/proc/{pid}").exists())
    for owner in (ended, os.getpid()):
        (tmp_path / f"grading-{owner}-x").mkdir()
        (tmp_path / f"grading-{owner}-x" / "pids.max").write_text("5")
    monkeypatch.setattr(cgroup, "CONTROLLERS", (tmp_path,))
    with cgroup.process_limits(5):
        assert [each.name for each in tmp_path.iterdir()] == [f"grading-{os.getpid()}-x"]


def test_no_group_is_left_after_a_run(tmp_path):
    run("1 + 1", tmp_path)
    places = {*cgroup.CONTROLLERS, cgroup.OF_MEMORY, cgroup._own(cgroup.OF_MEMORY)}
    left = [group for place in places for group in place.glob("grading-*-*")]
    assert not [each for each in left if not Path(f"/proc/{each.name.split('-')[1]}").exists()]
