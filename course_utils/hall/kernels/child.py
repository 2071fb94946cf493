"""Child process of the demo server: it asks the system to end it when its parent ends.

The hall has threads. Code that runs between fork and exec (``preexec_fn``) may then wait for ever for a lock that some
thread held at the fork. So the child asks after its start: this module is started with ``python -m``, the parent's
process id and the words of a command line, and becomes that command line. Only Linux knows how to end a process with
its parent.
"""

import contextlib
import ctypes
import os
import signal
import sys

NICER = 5  # pages answer first; texts take what is left
PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Let Linux end this process when its parent ends; end it now if that has happened already.

    Parameters
    ----------
    parent : int
        The parent's process id, as the parent itself knows it.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the hall has ended")


def main() -> None:
    """Become the course's command line; the parent's id is the first word, the command's words follow."""
    end_with_parent(int(sys.argv[1]))
    with contextlib.suppress(OSError):
        os.nice(NICER)
    os.execv(sys.executable, [sys.executable, "-m", "course_utils", *sys.argv[2:]])  # what was asked for stays


if __name__ == "__main__":
    main()
