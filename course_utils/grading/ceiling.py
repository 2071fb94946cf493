"""A ceiling on processes that the system itself keeps: a fork bomb is faster than whoever counts them."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

CONTROLLERS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))  # control groups, version 1 and 2
SPARE = 500  # threads count as well, and a kernel with a model in it has many


@contextlib.contextmanager
def kept_by_the_system(n_processes: int) -> Iterator[tuple[str, int]]:
    """Yield the file into which a new process writes 0 to enter a control group, and the limit of its user's processes.

    The file is "" where there is no group to be had, and the limit 0 where nobody tells how many processes run now.

    It is above the number that `sandbox.run` looks for, as it counts threads too: it keeps the machine alive until
    somebody looks. The rights of a superuser bring a control group, where the system has them to give; anybody else
    gets the limit that a user has, which the superuser is exempt from.

    Parameters
    ----------
    n_processes : int
    """
    group = _group(n_processes + SPARE)
    running = _running()
    try:
        yield str(group / "cgroup.procs") if group else "", running + n_processes + SPARE if running else 0
    finally:
        if group:
            _remove(group)


def _group(n_threads: int) -> Path | None:
    """Make a control group that may hold so many threads; None where there are none to be had."""
    for controller in CONTROLLERS:
        _remove_old(controller)
        try:
            group = Path(tempfile.mkdtemp(prefix=f"grading-{os.getpid()}-", dir=controller))
        except OSError:
            continue
        try:
            (group / "pids.max").write_text(str(n_threads))
            return group
        except OSError:
            _remove(group)
    return None


def _remove_old(controller: Path) -> None:
    """Remove the groups of gradings that were killed; one in which something still runs stays."""
    for group in controller.glob("grading-*-*"):
        owner = group.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            with contextlib.suppress(OSError):
                os.rmdir(group)


def _running() -> int:
    """Return how many processes and threads this machine has now; 0 where it does not tell, as off Linux."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    except OSError:
        return 0


def _remove(group: Path) -> None:
    """Remove a group once the last of its processes is gone, which takes the system a moment."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            os.rmdir(group)
            return
        time.sleep(0.05)
