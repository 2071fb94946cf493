"""Sandbox for untrusted code, made with bubblewrap: no network, an empty environment, chosen files, limits.

`sandbox_command` returns a command line for a sandbox that shows this Python, what is installed for it, and folders
that the caller names. Essays are examined in it, by the course's own code.
`course_utils.grading.checks.student_sandbox` builds a smaller one for students' code from the same parts. In neither is
there a shell, a program of ``/usr/bin``, a folder of this machine's users, or another process to see.
"""

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from course_utils.core.paths import PACKAGE, source_file
from course_utils.errors import CourseError
from course_utils.grading.sandbox import cgroup, launcher
from course_utils.grading.sandbox.system_calls import system_call_filter

POLL_INTERVAL_S = 0.1
MAX_MEASURED_FILES = 20_000  # that are looked at to see how much was written
SPARE_MB = 400  # what is in the folders in memory counts for the system, and not for `exceeded_limit`
IN_MEMORY = ("/tmp", "/dev/shm", "/work")  # folders of a sandbox that may be in memory
MAX_FILES_IN_MEMORY = 50_000
MAX_OPEN_FILES = 256  # each pipe and socket holds memory that no process is charged for
NOBODY = "65534"
LIBRARIES = ("/lib", "/lib32", "/lib64", "/libx32", "/usr/lib64")
ETC_FILES = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "fonts", "localtime", "mime.types")
INHERITED_VARIABLES = ("OMP_", "OPENBLAS_", "MKL_", "GOMP_", "TOKENIZERS_", "TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE")
MIN_VERSION_NO_NAMESPACES = (0, 8)  # the release of bubblewrap that can forbid further user namespaces


class NoSandbox(CourseError):
    """No sandbox is available on this machine for untrusted code."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of a sandbox; when one is exceeded, the sandbox is ended.

    Parameters
    ----------
    seconds, cpu_seconds : float
        On the clock, and of one process.
    memory_mb, disk_mb, file_mb : int
        In all, written in all, and in one file.
    n_processes : int
    """

    seconds: float = 300
    cpu_seconds: int = 300
    memory_mb: int = 3000
    disk_mb: int = 200
    file_mb: int = 50
    n_processes: int = 64


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a run: its exit code, why it was ended ("" where it ended by itself), and what it printed."""

    code: int
    why: str
    printed: str


@functools.cache
def sandbox_problem() -> str:
    """Return why this machine can make no sandbox; "" where it can."""
    if not sys.platform.startswith("linux"):
        return "the sandbox, bubblewrap, is for Linux only"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    with tempfile.TemporaryDirectory() as folder:
        line = sandbox_command([sys.executable, "-I", "-S", "-c", ""], Path(folder))
        tried = subprocess.run(line, capture_output=True, text=True, check=False, env={})
    return "" if tried.returncode == 0 else f"bubblewrap cannot make one here: {tried.stderr.strip()[:200]}"


def require_sandbox() -> None:
    """Raise an error where no sandbox can be made.

    Raises
    ------
    NoSandbox
    """
    if why := sandbox_problem():
        raise NoSandbox(
            f"Students' code would run with your rights: {why}.",
            "A sandbox, or your word that you do not need one.",
            "Install bubblewrap, grade on a Linux machine, or say --unsafe.",
        )


def sandbox_command(
    arguments: Sequence[str],
    work: Path,
    read: Sequence[Path | tuple[Path, Path]] = (),
    write: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
    hidden: Sequence[Path] = (),
) -> list[str]:
    """Return a command line that runs another one in a sandbox.

    Parameters
    ----------
    arguments : sequence of str
    work : Path
        The folder it starts in; it may write there.
    read, write : sequence of Path
        What else it sees; a pair tells where it lies and where it is to appear. Of all other files it does not even
        learn that they exist.
    variables : mapping, optional
        Of its environment, besides a few that name folders in the box.
    hidden : sequence of Path
        Folders of this package that are empty in the box.

    Notes
    -----
    It must be started with an empty environment, as `run` does: bubblewrap keeps its own, which can be read in the box.
    """
    line = empty_sandbox()
    for library in LIBRARIES:
        if os.path.islink(library):
            line += ["--symlink", os.readlink(library), library]
    for folder in _library_folders():
        line += ["--ro-bind", str(folder), str(folder)]
    for name in ETC_FILES:
        line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    line += ["--proc", "/proc", *memory_folders()]
    for shown in [*_python(), *read]:
        outside, inside = shown if isinstance(shown, tuple) else (shown, shown)
        line += ["--ro-bind", str(outside), str(inside)]
    for folder in hidden:
        line += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
    for path in [work, *write]:
        line += ["--bind", str(path), str(path)]
    line += environment_options({**_variables(), **(variables or {})})
    return [*line, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", str(work), "--", *arguments]


def run(
    line: Sequence[str],
    work: Path,
    limits: Limits,
    variables: Mapping[str, str] | None = None,
    watched: Path | None = None,
) -> Outcome:
    """Run a command line, and end it when it exceeds a limit.

    Parameters
    ----------
    line : sequence of str
        As `sandbox_command` returns it, or one to be run without a box.
    work : Path
        The folder it starts in.
    limits : Limits
    variables : mapping, optional
        The environment, where there is no box to set it.
    watched : Path, optional
        The folder whose size counts, if that is another one: whatever the box may write in must lie in it.
    """
    environment = {} if variables is None else {**os.environ, **variables}
    with tempfile.TemporaryFile() as errors:
        with start_process(
            line, limits, environment, work, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        ) as process:
            why = wait_within_limits(process, watched or work, limits)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
        return Outcome(process.returncode, why, errors.read().decode("utf-8", "replace"))


@contextlib.contextmanager
def start_process(
    line: Sequence[str],
    limits: Limits,
    environment: Mapping[str, str],
    work: Path,
    *,
    stdin: int | IO[bytes],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command line under limits; at the end of the block all that it started is ended.

    Parameters
    ----------
    line : sequence of str
    limits : Limits
    environment : mapping
        Of the command: empty for a sandbox.
    work : Path
        The folder in which it starts.
    stdin, stdout, stderr : int or file
        As for `subprocess.Popen`.
    """
    if not sys.platform.startswith("linux"):  # no sandbox: the user has chosen --unsafe
        process = subprocess.Popen(
            line, cwd=work, env=dict(environment), start_new_session=True, stdin=stdin, stdout=stdout, stderr=stderr
        )
        try:
            yield process
        finally:
            _close(process)
        return
    lifeline, write_end = os.pipe()
    try:
        with cgroup.process_limits(limits.n_processes, limits.memory_mb + SPARE_MB) as (groups, n_threads):
            program = shutil.which(line[0]) or line[0]
            refused = system_call_filter() if Path(program).name == "bwrap" else b""
            request: launcher.LaunchRequest = {
                "line": [program, *line[1:]], "environment": dict(environment),
                "parent": os.getpid(), "lifeline": lifeline, "limits": _system_limits(limits, n_threads),
                "groups": groups, "filter": refused.hex(),
            }  # fmt: skip
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(source_file(launcher.__name__)), json.dumps(request)],
                cwd=work, pass_fds=[lifeline],
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                start_new_session=True, stdin=stdin, stdout=stdout, stderr=stderr,
            )  # fmt: skip
            os.close(lifeline)
            lifeline = -1
            try:
                yield process
            finally:
                os.close(write_end)  # the launcher sees it, and ends all that it has started
                write_end = -1
                process.wait()
    finally:
        for descriptor in (lifeline, write_end):
            if descriptor >= 0:
                os.close(descriptor)


def wait_within_limits(process: subprocess.Popen[bytes], work: Path, limits: Limits) -> str:
    """Wait for a process, and return which limit it exceeded; "" where it ended by itself."""
    end, look_at_disk = time.monotonic() + limits.seconds, 0.0
    while process.poll() is None:
        if why := exceeded_limit(process.pid, limits):
            return why
        if time.monotonic() > end:
            return f"it took longer than {limits.seconds:g} seconds"
        if time.monotonic() > look_at_disk:
            look_at_disk = time.monotonic() + 1
            if _size_mb(work) > limits.disk_mb:
                return f"it wrote more than {limits.disk_mb:,} MB"
        try:
            process.wait(POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            continue
    return ""


def exceeded_limit(pid: int, limits: Limits) -> str:
    """Return which limit the processes below one exceed; "" for none."""
    used_mb, n_processes, n_files = _use(pid)
    if n_processes > limits.n_processes:
        return f"it started more than {limits.n_processes} processes"
    if used_mb > limits.memory_mb:
        return f"it used more than {limits.memory_mb:,} MB of memory"
    if n_files > MAX_FILES_IN_MEMORY:
        return f"it made more than {MAX_FILES_IN_MEMORY:,} files"
    return ""


def _use(pid: int) -> tuple[float, int, int]:
    """Return the memory of the processes below one, their number, and that of the files in their folders in memory.

    Each page counts once a process. An empty file takes a kilobyte that no process is charged for, and no limit in
    megabytes counts it.
    """
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return 0.0, 0, 0
    n_bytes = 0
    for child in below:
        try:
            n_bytes += child.memory_info().rss
        except psutil.Error:
            continue
    return n_bytes / 1e6, len(below), max(map(_n_files, (each.pid for each in below)), default=0)


def _n_files(pid: int) -> int:
    """Return how many files are in the folders in memory that a process of a sandbox sees."""
    n_files = 0
    for place in IN_MEMORY:
        with contextlib.suppress(OSError):
            seen = f"/proc/{pid}/root{place}"
            if os.stat(seen).st_dev not in _shared_devices():
                found = os.statvfs(seen)
                n_files += found.f_files - found.f_ffree
    return n_files


@functools.cache
def _shared_devices() -> frozenset[int]:
    """Return the devices of this machine's own folders: what is in them is none of a sandbox's."""
    return frozenset(
        os.stat(place).st_dev for place in ("/", *IN_MEMORY, tempfile.gettempdir()) if os.path.isdir(place)
    )


def _size_mb(folder: Path) -> float:
    """Return how much lies below a folder; more than anybody needs where there are too many files to look at."""
    size, n_seen, left = 0, 0, [str(folder)]
    while left:
        try:
            entries = list(os.scandir(left.pop()))
        except OSError:
            continue
        n_seen += len(entries)
        if n_seen > MAX_MEASURED_FILES:
            return float("inf")
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
            elif not entry.is_symlink():
                size += _size(entry)
    return size / 1e6


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def temporary_prefix() -> str:
    """Return how the folders of this process's gradings begin: they tell whether it still lives."""
    return f"grading-{os.getpid()}-"


def remove_stale_folders(parent: Path) -> None:
    """Remove what gradings left that were killed."""
    for folder in parent.glob("grading-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)) and folder.is_dir() and not folder.is_symlink():
            remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder that somebody else has filled, however deep it is."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True)


def _close(process: subprocess.Popen[bytes]) -> None:
    """End the box: when its first process dies, the system ends all others in it."""
    if process.poll() is None:
        process.kill()
    process.wait()


def _system_limits(limits: Limits, n_threads: int) -> dict[str, int]:
    """Return the limits that the system itself keeps, by their names after ``RLIMIT_``."""
    mega = 1_000_000
    found = {
        "AS": (2 * limits.memory_mb + 2000) * mega, "CPU": limits.cpu_seconds, "FSIZE": limits.file_mb * mega,
        "CORE": 0, "NOFILE": MAX_OPEN_FILES,
    }  # fmt: skip
    return found | ({"NPROC": n_threads} if n_threads else {})


# -- what a sandbox shows ----------------------------------------------------------------------------------------------


def empty_sandbox() -> list[str]:
    """Return the beginning of a command line: nothing to see, nobody's rights, an empty environment."""
    line = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
    line += ["--cap-drop", "ALL", "--clearenv", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "box"]
    return line + (["--unshare-user", "--disable-userns"] if _bubblewrap_version() >= MIN_VERSION_NO_NAMESPACES else [])


def memory_folders() -> list[str]:
    """Return the folders that are in memory and end with the sandbox."""
    line = ["--dev", "/dev", "--size", "50000000", "--tmpfs", "/dev/shm"]
    return [*line, "--size", "100000000", "--tmpfs", "/tmp"]


def environment_options(variables: Mapping[str, str]) -> list[str]:
    """Return the options of bubblewrap that set environment variables."""
    return [word for name, value in variables.items() for word in ("--setenv", name, value)]


@functools.cache
def _bubblewrap_version() -> tuple[int, ...]:
    output = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in output.split()[-1].split(".") if part.isdigit()) if output.split() else ()


@functools.cache
def _library_folders() -> list[Path]:
    """Return the folders in which the dynamic loader looks for shared libraries."""
    finder = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    output = subprocess.run([finder, "-p"], capture_output=True, text=True, check=False).stdout if finder else ""
    found = {Path(line.split(" => ")[1].strip()).parent for line in output.splitlines() if " => " in line}
    found |= {Path(library) for library in LIBRARIES if os.path.isdir(library)} if not found else {Path("/lib64")}
    return _outermost({Path(os.path.realpath(folder)) for folder in found if folder.is_dir()})


def _python() -> list[Path | tuple[Path, Path]]:
    """Return this Python: its program, its library, what is installed for it, and this package."""
    program = Path(os.path.realpath(sys.executable))
    folders = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {Path(getsitepackage) for getsitepackage in site.getsitepackages()} | {PACKAGE, program}
    folders |= set(Path(sys.base_prefix, "lib").glob("libpython*"))
    if sys.prefix != sys.base_prefix:
        folders.add(Path(sys.prefix))
    shown: list[Path | tuple[Path, Path]] = [*_outermost({folder for folder in folders if folder.exists()})]
    link = Path(sys.executable)
    while link.is_symlink():  # from .venv/bin/python to the program; each link must be there
        link = link.parent / os.readlink(link)
        if not any(path in link.parents or path == link for path in shown):
            shown.append((program, link))
    return shown


def _outermost(folders: set[Path]) -> list[Path]:
    """Return places in order, without those that lie in another one."""
    return [folder for folder in sorted(folders) if not any(other in folder.parents for other in folders)]


def _variables() -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name.startswith(INHERITED_VARIABLES)}
    folders = {"HOME": "/tmp", "TMPDIR": "/tmp", "IPYTHONDIR": "/tmp/ipython", "MPLCONFIGDIR": "/tmp/matplotlib"}
    folders |= {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(PACKAGE.parent)}
    settings = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    return {**passed, **folders, **settings}
