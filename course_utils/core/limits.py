"""Resource limits of this process: processor cores, memory, and a name for the processor.

A container, a systemd unit or a JupyterHub gives a process less than the machine has. The machine's own numbers
(`os.cpu_count`, free memory) do not show that. This module reads the limits where the system keeps them:

* the affinity mask: the cores on which the process may run,
* control groups, version 1 and 2: quotas of processor time and of memory, of the process's group and of all groups
  above it,
* ``CPU_LIMIT`` and ``MEM_LIMIT``, which JupyterHub sets, and ``OMP_NUM_THREADS`` and ``MKL_NUM_THREADS``,
* the limit of the address space (``ulimit -v``).

The smallest limit counts. A file that is missing or malformed sets no limit.
"""

import functools
import hashlib
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")
CGROUP_FOLDER = "sys/fs/cgroup"  # where control groups are mounted, also where mountinfo cannot be read
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
CPUINFO_FIELDS = ("model name", "flags", "Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part",
                  "cpu", "uarch", "isa", "cpu model", "vendor_id", "cpu family", "model", "stepping")  # fmt: skip


# -- processor cores ---------------------------------------------------------------------------------------------------


def cpu_limit(root: Path = ROOT, environment: Mapping[str, str] | None = None) -> int:
    """Return the number of cores that this process may use, at least 1.

    A quota of 2.5 cores counts as 2: a third thread would wait half of the time, and the others would wait for it.

    Parameters
    ----------
    root : Path
        The root of the file system, for tests.
    environment : mapping, optional
        The environment variables; those of the process when left out.
    """
    environment = os.environ if environment is None else environment
    quotas = [*_cpu_quotas(root), positive_number(environment.get("CPU_LIMIT"))]
    limits = [_affinity(), *(quota for quota in quotas if quota is not None)]
    return max(1, math.floor(min(limits) + 1e-6))


def thread_limit(root: Path = ROOT, environment: Mapping[str, str] | None = None) -> int:
    """Return how many threads a computation may start: `cpu_limit`, or fewer where the environment says so.

    Hyper-threads are not counted: two of them share one arithmetic unit.
    """
    environment = os.environ if environment is None else environment
    cores = cpu_limit(root, environment)
    return min(cores, psutil.cpu_count(logical=False) or cores, chosen_threads(environment) or cores)


def chosen_threads(environment: Mapping[str, str] | None = None) -> int | None:
    """Return the smallest number of threads that a variable of OpenMP or MKL names, or None.

    ``OMP_NUM_THREADS`` may be a list such as ``4,2``, one number for each level of nested loops: the first counts.
    """
    environment = os.environ if environment is None else environment
    found = (positive_number(environment.get(name, "").partition(",")[0]) for name in THREAD_VARIABLES)
    return min((max(1, int(number)) for number in found if number is not None), default=None)


def _affinity() -> int:
    """Return the number of cores in the affinity mask; all cores where the system has no such mask."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):
        count = getattr(os, "process_cpu_count", os.cpu_count)()
        return count or 1


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the quota of every group that has one, in cores."""
    for folder in _groups(root, "cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        yield from _quota(quota, period or "100000")
        yield from _quota(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us") or "100000")


def _quota(quota: str, period: str) -> Iterator[float]:
    allowed, per = positive_number(quota), positive_number(period)
    if allowed is not None and per is not None:
        yield allowed / per


# -- memory ------------------------------------------------------------------------------------------------------------


def memory_available_mb(root: Path = ROOT, environment: Mapping[str, str] | None = None) -> float:
    """Return the memory that this process can still take, in megabytes (10^6 bytes), at least 0.

    Parameters
    ----------
    root : Path
        The root of the file system, for tests.
    environment : mapping, optional
        The environment variables; those of the process when left out.

    Notes
    -----
    Swap space is not counted: a model in swap is too slow to use. Files that the system keeps in memory and can drop
    (``inactive_file``) count as free.
    """
    environment = os.environ if environment is None else environment
    available = [psutil.virtual_memory().available, *_group_memory(root), *_address_space()]
    limit = bytes_of(environment.get("MEM_LIMIT"))
    if limit is not None:
        available.append(limit - psutil.Process().memory_info().rss)
    return max(min(available), 0) / 1e6


def _group_memory(root: Path) -> Iterator[float]:
    """Yield what is left in every group that has a limit, in bytes."""
    for folder in _groups(root, "memory"):
        stat = _numbers(_read(folder / "memory.stat"))
        for limit, used, dropped in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.high", "memory.current", "inactive_file"),  # above it the process is slowed down to a standstill
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most = positive_number(_read(folder / limit), zero=True)
            if most is not None:
                yield most - max(0, _whole(_read(folder / used)) - stat.get(dropped, 0))
        # Version 1 also tells the smallest limit of all groups above, which a container cannot see otherwise.
        if "hierarchical_memory_limit" in stat:
            n_used = _whole(_read(folder / "memory.usage_in_bytes")) - stat.get("total_inactive_file", 0)
            yield stat["hierarchical_memory_limit"] - max(0, n_used)


def _address_space() -> Iterator[float]:
    """Yield what is left of the limit of the address space, in bytes."""
    try:
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, OSError, ValueError):
        return
    if limit != resource.RLIM_INFINITY:
        yield limit - psutil.Process().memory_info().vms


# -- control groups ----------------------------------------------------------------------------------------------------


def _groups(root: Path, controller: str) -> list[Path]:
    """Return the folders of this process's control group and of those above it, for ``cpu`` or ``memory``."""
    memberships = list(_memberships(_read(root / "proc/self/cgroup"))) or [([], "/")]
    mounts = list(_mounts(_read(root / "proc/self/mountinfo")))
    usual = root / CGROUP_FOLDER
    found: dict[Path, None] = {}
    for controllers, path in memberships:
        if not controllers:  # version 2: one tree for all controllers
            folders = [(root / point.lstrip("/"), top) for kind, point, top, _ in mounts if kind == "cgroup2"]
            folders += [(usual, "/"), (usual / "unified", "/")]
        elif controller in controllers:
            folders = [(root / point.lstrip("/"), top) for kind, point, top, options in mounts
                      if kind == "cgroup" and controller in options]  # fmt: skip
            folders += [(usual / controller, "/"), (usual / ",".join(controllers), "/")]
        else:
            continue
        for point, top in folders:
            found |= dict.fromkeys(_upwards(point, top, path))
    # In a container the kernel's files may lie in the usual folders although no line tells of that controller.
    found |= dict.fromkeys((usual, usual / controller))
    return [folder for folder in found if folder.is_dir()]


def _memberships(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the controllers and the path in each line of ``/proc/self/cgroup``; no controllers mean version 2."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator and number.isdigit():
            yield [controller for controller in controllers.split(",") if controller], path


def _mounts(text: str) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield kind, mount point, root and options of each control group tree in ``/proc/self/mountinfo``."""
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, more = before.split(), after.split()
        if separator and len(fields) >= 5 and more and more[0] in ("cgroup", "cgroup2"):
            yield more[0], _unescaped(fields[4]), _unescaped(fields[3]), more[-1].split(",")


def _unescaped(path: str) -> str:
    r"""Return a path of mountinfo, in which a space stands as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _upwards(point: Path, top: str, path: str) -> list[Path]:
    """Return a group's folder below a mount point and all folders above it, up to the mount point.

    Parameters
    ----------
    point : Path
        The mount point.
    top : str
        Which group is mounted there.
    path : str
        The process's group.
    """
    try:
        inside = PurePosixPath(path).relative_to(top)
    except ValueError:  # the mount shows another part of the tree: that of a container
        inside = PurePosixPath(path.lstrip("/"))
    if ".." in inside.parts:
        return [point]
    folder = point / inside
    return [folder, *(above for above in folder.parents if above == point or point in above.parents)]


# -- the processor -----------------------------------------------------------------------------------------------------


@functools.cache
def processor(root: Path = ROOT) -> str:
    """Return a name for this processor: its model, and a hash of its instructions.

    A home folder may be shared by machines with different processors. What was measured on one of them is remembered
    under this name and is not used on another.
    """
    fields = _cpuinfo(_read(root / "proc/cpuinfo"))
    if not fields and sys.platform == "darwin":
        fields = {"model name": _sysctl("machdep.cpu.brand_string"), "flags": _sysctl("machdep.cpu.features")}
    name = next((fields[field] for field in ("model name", "uarch", "cpu", "cpu model") if fields.get(field)), "")
    if not name and "CPU part" in fields:
        name = f"implementer {fields.get('CPU implementer', '?')}, part {fields['CPU part']}"
    name = name or platform.processor() or platform.machine() or "unknown processor"
    everything = "\n".join(f"{field}: {fields[field]}" for field in sorted(fields))
    digest = hashlib.sha256(everything.encode()).hexdigest()[:12]
    return f"{platform.machine()} {name} ({digest})"


def _cpuinfo(text: str) -> dict[str, str]:
    """Return what all cores say in the fields that matter; different values of different cores, joined in order."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        field, separator, value = (part.strip() for part in line.partition(":"))
        if separator and value and field in CPUINFO_FIELDS:
            ordered = " ".join(sorted(set(value.split()))) if field in ("flags", "Features") else value
            found.setdefault(field, set()).add(ordered)
    return {field: " | ".join(sorted(values)) for field, values in found.items()}


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# -- reading -----------------------------------------------------------------------------------------------------------


def positive_number(text: str | None, zero: bool = False) -> float | None:
    """Return a positive number, or None for all that names no limit: ``max``, ``-1``, nothing, or no number.

    Parameters
    ----------
    text : str or None
    zero : bool
        Whether 0 is a limit too.

    Examples
    --------
    >>> positive_number("2.5"), positive_number("max"), positive_number("-1"), positive_number("nan")
    (2.5, None, None, None)
    """
    try:
        number = float((text or "").strip())
    except ValueError:
        return None
    return number if math.isfinite(number) and (number > 0 or (zero and number == 0)) else None


def bytes_of(text: str | None) -> float | None:
    """Return a number of bytes, which may end with K, M, G or T; None where it is no positive number.

    Examples
    --------
    >>> bytes_of("1073741824"), bytes_of("1G"), bytes_of("512 MiB"), bytes_of("none")
    (1073741824.0, 1073741824.0, 536870912.0, None)
    """
    found = re.fullmatch(r"\s*([0-9.eE+]+)\s*([KMGT]?)(?:i?B)?\s*", text or "", re.IGNORECASE)
    number = positive_number(found[1]) if found else None
    return None if found is None or number is None else number * UNITS[found[2].upper()]


def _whole(text: str) -> int:
    return int(positive_number(text) or 0)


def _numbers(text: str) -> dict[str, int]:
    """Return the numbers of a file such as memory.stat, by their names; malformed lines are left out."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _read(path: Path) -> str:
    """Return a small file of the kernel's; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
