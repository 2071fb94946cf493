"""A child process of the hall ends with the hall, however that ends, and never runs without it."""

import os
import subprocess
import sys

import psutil
import pytest
from guest import SOON_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent"),
]

CHILD = [sys.executable, "-m", "course_utils.hall.kernels.child"]
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([*sys.argv[1:], str(os.getpid()), "serve", "--port", "0", "--model", "pocket-small"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_it_becomes_the_course_with_its_words():
    done = subprocess.run([*CHILD, str(os.getpid()), "models"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "pocket-small" in done.stdout


def test_it_does_not_begin_without_its_parent():
    done = subprocess.run([*CHILD, "1", "models"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "pocket-small" not in done.stdout


def test_it_ends_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *CHILD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with parent:
        child = psutil.Process(int(parent.stdout.readline()))
        for line in parent.stdout:  # what the server says when it has begun
            if "answer at" in line:
                break
        assert child.cmdline()[2:4] == ["course_utils", "serve"] and child.nice() > 0
        parent.kill()
    psutil.wait_procs([child], timeout=SOON_S)
    assert not child.is_running()
