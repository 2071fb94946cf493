"""In the box there is nothing to see, nobody to talk to, and not more to use than is allowed."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from repository import ROOT

from course_utils.core.paths import PACKAGE
from course_utils.grading.checks.student_sandbox import student_command
from course_utils.grading.marking import sample_essays
from course_utils.grading.sandbox import sandbox
from course_utils.grading.sandbox.sandbox import (
    Limits,
    NoSandbox,
    require_sandbox,
    run,
    sandbox_command,
    sandbox_problem,
    start_process,
)

pytestmark = pytest.mark.slow

LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); s.accept()"
needs_a_box = pytest.mark.skipif(bool(sandbox_problem()), reason=f"no sandbox here: {sandbox_problem()}")


@pytest.fixture
def box(tmp_path):
    """Run code in a box; returns how it ended."""

    def boxed(code: str, **limits: float):
        return run(
            sandbox_command([sys.executable, "-c", code], tmp_path, hidden=[sample_essays.FOLDER]),
            tmp_path,
            Limits(**limits),
        )

    return boxed


@needs_a_box
def test_honest_code_runs_with_this_course_and_its_libraries(box):
    done = box("import course_utils, numpy; print(numpy.arange(3).sum())")
    assert (done.code, done.why, done.printed.strip()) == (0, "", "3")


@needs_a_box
def test_other_files_of_this_machine_are_not_there(box, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("hidden")
    for path in (
        secret,
        ROOT / "README.md",
        ROOT / "source",
        ROOT / "tests",
        Path.home() / ".ssh",
        Path("/etc/passwd"),
    ):
        assert box(f"open({str(path)!r})").code != 0, path
        assert box(f"import os; print(os.path.exists({str(path)!r}))").printed.strip() == "False", path


@needs_a_box
def test_nothing_outside_its_folder_can_be_written(box, tmp_path):
    for place in ("/x", "/usr/x", "/dev/x", "/etc/x", f"{sys.prefix}/x", f"{ROOT}/course_utils/x"):
        assert box(f"open({place!r}, 'w')").code != 0, place
    assert box("open('mine', 'w').write('x')").code == 0
    assert (tmp_path / "mine").read_text() == "x"


@needs_a_box
def test_no_address_answers(box):
    code = "import socket; s = socket.socket(); s.settimeout(2); s.connect(('127.0.0.1', {}))"
    listening = subprocess.Popen(
        [sys.executable, "-c", LISTEN],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = listening.stdout.readline().strip()
        assert "ConnectionRefusedError" in box(code.format(port)).printed
    finally:
        listening.kill()
        listening.communicate()


@needs_a_box
def test_the_environment_tells_nothing(box, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    printed = box("import os; print(dict(os.environ))").printed
    assert "SECRET_TOKEN" not in printed and str(Path.home()) not in printed.replace(sys.prefix, "").replace(
        sys.base_prefix, ""
    ).replace(str(ROOT), "")


EVERYTHING = """
import os, stat
OF_GRADERS = ("gradebook.db", "size_comparison.ipynb", "mark_scheme.yaml", "marks.yaml", "nbgrader_config.py")
for folder, inside, files in os.walk("/"):
    inside[:] = [each for each in inside if not folder == "/" or each not in ("proc", "dev", "sys")]
    for name in files:
        try:
            mode = os.lstat(os.path.join(folder, name)).st_mode
        except OSError:
            continue
        path = os.path.join(folder, name)
        more_rights = mode & (stat.S_ISUID | stat.S_ISGID) and not os.statvfs(path).f_flag & os.ST_NOSUID
        kind = "setuid" if more_rights else "program" if mode & 0o111 else "file"
        if kind != "file" or folder.endswith(SAMPLES) or (name in OF_GRADERS and "/nbgrader/" not in path):
            print(kind, os.path.join(folder, name))
for file in ("/proc/1/environ", "/proc/2/environ", "/proc/self/environ"):
    try:
        print("environ", file, open(file, "rb").read())
    except OSError as problem:
        print("environ", file, type(problem).__name__)
"""
SHELLS = ("sh", "bash", "dash", "busybox", "perl", "env", "su", "sudo", "mount", "bwrap", "ssh", "git", "curl", "ls")


@needs_a_box
@pytest.mark.parametrize("is_small", [True, False], ids=["small", "large"])
def test_neither_set_of_files_shows_a_shell_more_rights_or_the_graders_environment(is_small, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub-secret-123")
    hidden = f"/{sample_essays.FOLDER.relative_to(PACKAGE.parent)}"
    line = (
        student_command(None)
        if is_small
        else sandbox_command([sys.executable], tmp_path, hidden=[sample_essays.FOLDER])
    )
    if is_small:
        line = line[: line.index("--", line.index("--chdir")) + 2]  # the same sandbox with another program
    with tempfile.TemporaryFile() as said:
        code = f"SAMPLES = {hidden!r}\n{EVERYTHING}"
        with start_process(
            [*line, "-I", "-S", "-c", code], Limits(), {}, tmp_path, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        ) as process:
            assert process.wait(240) == 0
        said.seek(0)
        found = [each.split(" ", 2) for each in said.read().decode().splitlines()]
    programs = {Path(each[1]).name for each in found if each[0] == "program"}
    assert not programs & set(SHELLS)
    assert not [each for each in found if each[0] in ("setuid", "file")]
    assert "hub-secret-123" not in str(found)
    environments = [each for each in found if each[0] == "environ"]
    assert len(environments) == 3
    if is_small:  # no /proc at all: its mounts would name folders of this machine
        assert {each[2] for each in environments} == {"FileNotFoundError"}
        assert not [each for each in found if str(tmp_path) in str(each) or str(ROOT) in str(each)]
    else:
        assert environments[0][2] in ("b''", "PermissionError")


@needs_a_box
def test_a_sandbox_ends_with_the_process_that_started_it_at_whatever_moment(tmp_path):
    mark = f"mark{os.getpid()}"
    code = (
        "import sys; from pathlib import Path; from course_utils.grading.sandbox.sandbox import *\n"
        f"line = sandbox_command([sys.executable, '-c', 'while True: pass  # {mark}'], Path({str(tmp_path)!r}))\n"
        f"print('begun', flush=True); run(line, Path({str(tmp_path)!r}), Limits())"
    )
    for after in (0.0, 0.05, 0.15, 0.4):
        grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert grader.stdout.readline() == "begun\n"
        time.sleep(after)  # the moment of the kill is what differs
        grader.kill()
        grader.communicate()
        for _ in range(600):
            if not subprocess.run(["pgrep", "-f", mark], capture_output=True, check=False).stdout:
                break
            time.sleep(0.1)
        else:
            pytest.fail("a sandbox is still there")


@needs_a_box
def test_other_processes_cannot_be_seen(box):
    assert box(f"import os; os.kill({os.getpid()}, 0)").code != 0
    assert int(box("import os; print(sum(name.isdigit() for name in os.listdir('/proc')))").printed) <= 3


@needs_a_box
@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        ("while True: pass", {"seconds": 1}, "longer than 1 seconds"),
        ("a = []\nwhile True: a.append(bytearray(20_000_000))", {"memory_mb": 300}, "300 MB of memory"),
        ("import os\nwhile True: os.fork()", {"n_processes": 20}, "more than 20 processes"),
        (
            "import os, time\nfor i in range(99):\n  open(str(i), 'wb').write(bytes(9_000_000))\ntime.sleep(9)",
            {"disk_mb": 50},
            "wrote more than 50 MB",
        ),
        ("import os\nos.setsid()\nos.fork()\nos.fork()\nwhile True: pass", {"seconds": 1}, "longer than"),
    ],
    ids=["time", "memory", "processes", "disk", "daemon"],
)
def test_what_takes_too_much_is_closed_with_all_that_it_started(box, code, limits, why):
    mark = f"# {secrets.token_hex(8)}"
    done = box(f"{code}\n{mark}", **limits)
    assert why in done.why and done.code != 0
    for _ in range(1200):
        left = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout.split()
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {left}")


@needs_a_box
def test_a_folder_too_deep_for_anybody_is_watched_and_removed(box, tmp_path):
    code = "import os, time\nfor i in range(2500):\n  os.mkdir('d'); os.chdir('d')\ntime.sleep(3)"
    assert box(code).why == ""
    sandbox.remove_folder(tmp_path / "d")
    assert not (tmp_path / "d").exists()


@needs_a_box
@pytest.mark.parametrize(
    "code", ["bytearray(30_000_000_000)", "open('x', 'wb').write(bytes(90_000_000))"], ids=["memory", "file"]
)
def test_one_large_wish_is_refused_by_the_system(box, code):
    assert box(code).code != 0


def test_without_a_sandbox_code_is_not_run(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox.sandbox_problem.cache_clear()
    try:
        with pytest.raises(NoSandbox, match=r"bubblewrap.*\n.*\n.*--unsafe"):
            require_sandbox()
    finally:
        monkeypatch.undo()
        sandbox.sandbox_problem.cache_clear()
