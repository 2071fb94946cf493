"""Other people's code in a box: no network, nothing of this machine to see, a copy to write in, limits on all."""

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from course_utils.errors import CourseError
from course_utils.grading import ceiling

LOOK_EVERY_S = 0.1
MOST_FILES = 20_000  # that are looked at to see how much was written
NOBODY = "65534"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
FROM_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime", "mime.types")
PASSED_ON = ("OMP_", "OPENBLAS_", "MKL_", "GOMP_", "TOKENIZERS_", "TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE")


class NoSandbox(CourseError):
    """Untrusted code was to be run, and this machine has nothing to keep it in."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a box may use before it is closed.

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
    """How something in a box ended: its exit code, why it was closed ("" where it ended by itself), what it printed."""

    code: int
    why: str
    printed: str


@functools.cache
def why_not() -> str:
    """Return why this machine can keep nothing in a box; "" where it can."""
    if not sys.platform.startswith("linux"):
        return "the sandbox, bubblewrap, is for Linux only"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(command(["true"], Path(folder)), capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"bubblewrap cannot make one here: {tried.stderr.strip()[:200]}"


def require_sandbox() -> None:
    """Refuse to go on where there is none.

    Raises
    ------
    NoSandbox
    """
    if why := why_not():
        raise NoSandbox(
            f"Students' code would run with your rights: {why}.",
            "A sandbox, or your word that you do not need one.",
            "Install bubblewrap, grade on a Linux machine, or say --unsafe.",
        )


def command(
    arguments: Sequence[str],
    work: Path,
    read: Sequence[Path | tuple[Path, Path]] = (),
    write: Sequence[Path] = (),
    variables: Mapping[str, str] | None = None,
) -> list[str]:
    """Return a command line that runs another one in a box.

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
    """
    line = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    line += ["--uid", NOBODY, "--gid", NOBODY, "--hostname", "box"]
    for place in map(Path, SYSTEM):
        if place.is_symlink():
            line += ["--symlink", os.readlink(place), str(place)]
        elif place.exists():
            line += ["--ro-bind", str(place), str(place)]
    for name in FROM_ETC:
        line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", "50000000", "--tmpfs", "/dev/shm"]
    line += ["--size", "100000000", "--tmpfs", "/tmp"]
    for place in [*_python(), *read]:
        outside, inside = place if isinstance(place, tuple) else (place, place)
        line += ["--ro-bind", str(outside), str(inside)]
    for place in [work, *write]:
        line += ["--bind", str(place), str(place)]
    for name, value in {**_variables(), **(variables or {})}.items():
        line += ["--setenv", name, value]
    return [*line, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", str(work), "--", *arguments]


def run(
    line: Sequence[str],
    work: Path,
    limits: Limits,
    variables: Mapping[str, str] | None = None,
    watched: Path | None = None,
) -> Outcome:
    """Run a command line, and close the box when it uses more than it may.

    Parameters
    ----------
    line : sequence of str
        As `command` returns it, or one to be run without a box.
    work : Path
        The folder it starts in.
    limits : Limits
    variables : mapping, optional
        The environment, where there is no box to set it.
    watched : Path, optional
        The folder whose size counts, if that is another one: whatever the box may write in must lie in it.
    """
    with tempfile.TemporaryFile() as said, ceiling.kept_by_the_system(limits.n_processes) as enter:
        process = subprocess.Popen(
            line, cwd=work, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            env=None if variables is None else {**os.environ, **variables},
            preexec_fn=functools.partial(_limit, limits, enter),
        )  # fmt: skip
        try:
            why = _watch(process, watched or work, limits)
        finally:
            _close(process)
        said.seek(max(0, said.seek(0, os.SEEK_END) - 4000))
        return Outcome(process.returncode, why, said.read().decode("utf-8", "replace"))


def _watch(process: subprocess.Popen, work: Path, limits: Limits) -> str:
    """Wait for the end, and return why it had to be brought about; "" where it came by itself."""
    end, look_at_disk = time.monotonic() + limits.seconds, 0.0
    while process.poll() is None:
        used_mb, n_processes = _use(process.pid)
        if n_processes > limits.n_processes:
            return f"it started more than {limits.n_processes} processes"
        if used_mb > limits.memory_mb:
            return f"it used more than {limits.memory_mb:,} MB of memory"
        if time.monotonic() > end:
            return f"it took longer than {limits.seconds:g} seconds"
        if time.monotonic() > look_at_disk:
            look_at_disk = time.monotonic() + 1
            if _size_mb(work) > limits.disk_mb:
                return f"it wrote more than {limits.disk_mb:,} MB"
        try:
            process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
    return ""


def _use(pid: int) -> tuple[float, int]:
    """Return the memory and the number of processes below one; each page counts once a process."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return 0.0, 0
    n_bytes = 0
    for each in below:
        try:
            n_bytes += each.memory_info().rss
        except psutil.Error:
            continue
    return n_bytes / 1e6, len(below)


def _size_mb(folder: Path) -> float:
    """Return how much lies below a folder; more than anybody needs where there are too many files to look at."""
    size, n_seen, left = 0, 0, [str(folder)]
    while left:
        try:
            entries = list(os.scandir(left.pop()))
        except OSError:
            continue
        n_seen += len(entries)
        if n_seen > MOST_FILES:
            return float("inf")
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
            elif not entry.is_symlink():
                size += _size(entry)
    return size / 1e6


def _size(entry: os.DirEntry) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def prefix() -> str:
    """Return how the folders of this process's gradings begin: they tell whether it still lives."""
    return f"grading-{os.getpid()}-"


def remove_old(place: Path) -> None:
    """Remove what gradings left that were killed."""
    for folder in place.glob("grading-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)) and folder.is_dir() and not folder.is_symlink():
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder that somebody else has filled, however deep it is."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, capture_output=True)


def _close(process: subprocess.Popen) -> None:
    """End the box: when its first process dies, the system ends all others in it."""
    if process.poll() is None:
        process.kill()
    process.wait()


def _limit(limits: Limits, enter: Callable[[], None]) -> None:
    """Set the limits that the system itself keeps; runs in the new process before anything else."""
    import resource  # not on every system

    enter()
    mega = 1_000_000
    wanted = {
        resource.RLIMIT_AS: (2 * limits.memory_mb + 2000) * mega,
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.file_mb * mega,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 512,
    }
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def _python() -> list[Path]:
    """Return the folders of this Python, of what is installed for it, and of this package."""
    package = Path(__file__).resolve().parents[1]
    folders = {Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parents[1], package}
    wanted = sorted(each for each in folders if not str(each).startswith(SYSTEM))
    return [each for each in wanted if not any(other != each and other in each.parents for other in wanted)]


def _variables() -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    beside = Path(sys.executable).parent
    folders = {"HOME": "/tmp", "TMPDIR": "/tmp", "IPYTHONDIR": "/tmp/ipython", "MPLCONFIGDIR": "/tmp/matplotlib"}
    folders |= {"PATH": f"{beside}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    settings = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    return {**passed, **folders, **settings}
