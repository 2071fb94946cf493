"""A notebook's kernel in a box: what nbgrader starts instead of a kernel, one for each submission."""

import ctypes
import shutil
import signal
import sys
from pathlib import Path

from course_utils.grading.sandbox import Limits, command, run

WHY = "closed.txt"  # in the private folder: why the box had to be closed


def main(arguments: list[str]) -> int:
    """Run a kernel on a copy of the folder here, in which notebooks, and so hidden tests, are missing.

    Parameters
    ----------
    arguments : list of str
        The kernel's connection file, and a private folder that holds it.
    """
    _die_with_parent()
    connection, private = Path(arguments[0]), Path(arguments[1])
    work = private / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(Path.cwd(), work, ignore=shutil.ignore_patterns("*.ipynb", ".*", "submission_secret.txt"))
    kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", str(connection), "--HistoryManager.hist_file=:memory:"]
    line = command(kernel, work, write=[private / "k", connection.parent])
    outcome = run(line, work, Limits(), watched=private)
    if outcome.why:
        (private / WHY).write_text(outcome.why, "utf-8")
    return outcome.code


def _die_with_parent() -> None:
    """Let the system end this process when the grading that started it is gone, and with it the box."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
