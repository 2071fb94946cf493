"""The system itself keeps a fork bomb small: no luck in who looks first."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from course_utils.grading.sandbox import cgroup
from course_utils.grading.sandbox.sandbox import Limits, start_process

pytestmark = pytest.mark.slow

MANY_FORKS = """
import os, signal
children = []
try:
    for _ in range(5000):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except BlockingIOError:
    pass
groups = [line.split(":") for line in open("/proc/self/cgroup").read().splitlines()]
print(len(children), *(group for _, kept, group in groups if kept in ("pids", "") and "/grading-" in group))
for child in children:
    os.kill(child, signal.SIGKILL)
"""
groups = [each for each in cgroup.CONTROLLERS if os.access(each, os.W_OK) and (each / "cgroup.procs").exists()]
needs_a_ceiling = pytest.mark.skipif(
    not Path("/proc/loadavg").exists() or (os.getuid() == 0 and not groups), reason="no ceiling for a superuser here"
)


@needs_a_ceiling
def test_no_more_processes_are_started_than_fit_below_the_ceiling():
    line = [sys.executable, "-c", MANY_FORKS]
    with tempfile.TemporaryFile() as said:
        with start_process(
            line, Limits(n_processes=5), {}, Path("/"), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL
        ) as process:
            assert process.wait(240) == 0
        said.seek(0)
        printed = said.read().decode()
    n_children, *entered = printed.split()
    assert 5 < int(n_children) < 5 + 2 * cgroup.SPARE
    assert not [group for group in entered for each in groups if (each / group.lstrip("/")).exists()]
    assert entered or os.getuid() != 0


def test_there_is_nothing_over_whoever_did_not_enter():
    with cgroup.process_limits(0):
        assert subprocess.run(["true"], check=False).returncode == 0


@pytest.mark.skipif(not groups, reason="no control groups to be had here")
def test_the_group_of_a_grading_that_was_killed_goes_with_the_next_one():
    code = "from course_utils.grading.sandbox import cgroup; import os\nwith cgroup.process_limits(5): os._exit(9)"
    child = subprocess.Popen([sys.executable, "-c", code])
    assert child.wait(60) == 9

    def left() -> list[Path]:
        return [group for each in groups for group in each.glob(f"grading-{child.pid}-*")]

    assert left()
    with cgroup.process_limits(5):
        assert not left()
