"""In the box there is nothing to see, nobody to talk to, and not more to use than is allowed."""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_utils.grading import sandbox
from course_utils.grading.sandbox import Limits, NoSandbox, command, require_sandbox, run, why_not

ROOT = Path(__file__).parents[2]
LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); s.accept()"
needs_a_box = pytest.mark.skipif(bool(why_not()), reason=f"no sandbox here: {why_not()}")


@pytest.fixture
def box(tmp_path):
    """Run code in a box; returns how it ended."""

    def boxed(code: str, **limits: float):
        return run(command([sys.executable, "-c", code], tmp_path), tmp_path, Limits(**limits))

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
    begun, mark = time.monotonic(), f"# {secrets.token_hex(8)}"
    done = box(f"{code}\n{mark}", **limits)
    assert why in done.why and done.code != 0
    assert time.monotonic() - begun < 20
    for _ in range(100):
        left = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False).stdout.split()
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {left}")


@needs_a_box
def test_a_folder_too_deep_for_anybody_is_watched_and_removed(box, tmp_path):
    code = "import os, time\nfor i in range(2500):\n  os.mkdir('d'); os.chdir('d')\ntime.sleep(3)"
    assert box(code).why == ""
    sandbox.remove(tmp_path / "d")
    assert not (tmp_path / "d").exists()


@needs_a_box
@pytest.mark.parametrize(
    "code", ["bytearray(30_000_000_000)", "open('x', 'wb').write(bytes(90_000_000))"], ids=["memory", "file"]
)
def test_one_large_wish_is_refused_by_the_system(box, code):
    assert box(code).code != 0


def test_without_a_sandbox_code_is_not_run(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox.why_not.cache_clear()
    try:
        with pytest.raises(NoSandbox, match=r"bubblewrap.*\n.*\n.*--unsafe"):
            require_sandbox()
    finally:
        monkeypatch.undo()
        sandbox.why_not.cache_clear()
