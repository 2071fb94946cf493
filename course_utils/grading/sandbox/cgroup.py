"""Control group with limits on processes and memory, for what grows faster than a watching process can count.

Only the system sees memory that belongs to no process, such as files in memory and what waits in pipes and sockets.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

CONTROLLERS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))  # control groups, version 1 and 2
OF_MEMORY = Path("/sys/fs/cgroup/memory")  # version 1; version 2 has one group for all
MEMORY_FILES = ("memory.max", "memory.limit_in_bytes", "memory.swap.max", "memory.memsw.limit_in_bytes")
SPARE = 500  # threads count as well, and a kernel with a model in it has many


@contextlib.contextmanager
def process_limits(n_processes: int, memory_mb: int = 0) -> Iterator[tuple[list[str], int]]:
    """Yield files into which a new process writes 0 to enter control groups, and the limit of its user's processes.

    There is no file where there is no group to be had. The limit is 0 where nobody tells how many processes run now.

    It is above the number that `sandbox.run` looks for, as it counts threads too: it keeps the machine alive until
    somebody looks. The rights of a superuser bring a control group, where the system has them to give; anybody else
    gets the limit that a user has, which the superuser is exempt from.

    Parameters
    ----------
    n_processes : int
    memory_mb : int, optional
        0 for no limit.
    """
    groups = _groups(n_processes + SPARE, memory_mb)
    running = _running()
    try:
        yield [str(group / "cgroup.procs") for group in groups], running + n_processes + SPARE if running else 0
    finally:
        for group in groups:
            _remove(group)


def _groups(n_threads: int, memory_mb: int) -> list[Path]:
    """Make control groups that may hold so many threads and so much memory; none where there are none to be had."""
    limits = {"pids.max": str(n_threads)}
    if memory_mb:
        limits |= dict.fromkeys(MEMORY_FILES, str(memory_mb * 1_000_000)) | {"memory.swap.max": "0"}
    for each in CONTROLLERS:
        _remove_old(each)
    made = (_group(each, "pids.max", limits) for each in CONTROLLERS)
    first = next((group for group in made if group), None)  # of one version only: the second would be entered by nobody
    found = [first] if first else []
    if memory_mb and OF_MEMORY.is_dir():
        _remove_old(_own(OF_MEMORY))
    if memory_mb and OF_MEMORY.is_dir() and (group := _group(_own(OF_MEMORY), "memory.limit_in_bytes", limits)):
        found.append(group)
    return found


def _group(controller: Path, needed: str, limits: Mapping[str, str]) -> Path | None:
    """Make a group with these limits; None where it cannot be made, or the limit that it is for cannot be set.

    The folder above the control groups of version 1 is no group, although root may write there: what is made in it is a
    usual folder with usual files, which limits nothing.
    """
    if not (controller / "cgroup.procs").exists():
        return None
    try:
        group = Path(tempfile.mkdtemp(prefix=f"grading-{os.getpid()}-", dir=controller))
    except OSError:
        return None
    for name, limit in limits.items():
        try:
            if (group / name).exists():
                (group / name).write_text(limit)
            elif name == needed:
                raise FileNotFoundError(group / name)
        except OSError:
            if name == needed:
                _remove(group)
                return None
    return group


def _own(controller: Path) -> Path:
    """Return the group in which this process is: its limit holds for the groups below it too."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return controller
    paths = [line.split(":", 2)[2] for line in lines if line.count(":") >= 2 and line.split(":")[1] == controller.name]
    own = controller / paths[0].lstrip("/") if paths else controller
    return own if own.is_dir() else controller


def _remove_old(controller: Path) -> None:
    """Remove the groups of gradings that were killed; one in which something still runs stays."""
    for group in controller.glob("grading-*-*"):
        owner = group.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            with contextlib.suppress(OSError):
                if not (group / "cgroup.procs").exists():  # an earlier version of the course made such a folder
                    (group / "pids.max").unlink(missing_ok=True)
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
