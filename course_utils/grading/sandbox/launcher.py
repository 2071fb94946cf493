"""Launcher of a sandbox: sets limits, starts bubblewrap, and ends it when the grader has ended.

It is stand-alone and has one thread, so that limits can be set between fork and exec. Whatever the sandbox starts
becomes its child when the parent in between has died (Linux: child subreaper). It ends all of them when the pipe that
it was given, the lifeline, is closed. So nothing stays behind when a grader is killed, at whatever moment.

Started as ``python launcher.py JSON``, with keys line, environment, parent, lifeline, limits, groups, filter. It
passes standard input, output and error on.
"""

import json
import os
import select
import signal
import sys
from typing import TypedDict

POLL_INTERVAL_S = 2


class LaunchRequest(TypedDict):
    """What to start, and under which limits.

    Attributes
    ----------
    line : list of str
        The command; its first word is the path of a program.
    environment : dict
    parent : int
        The grader's process.
    lifeline : int
        The descriptor of a pipe that is closed when the grader has gone.
    limits : dict
        Names of `resource`, without ``RLIMIT_``, and numbers.
    groups : list of str
        Files of control groups that take in processes.
    filter : str
        A system call filter, in hexadecimal digits; "" for none.
    """

    line: list[str]
    environment: dict[str, str]
    parent: int
    lifeline: int
    limits: dict[str, int]
    groups: list[str]
    filter: str


def main(request: LaunchRequest) -> int:
    """Run the command, and return its exit code."""
    _become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: _end(1))
    ended, told_end = os.pipe()
    os.set_blocking(told_end, False)
    signal.set_wakeup_fd(told_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        try:
            _become(request)
        finally:
            os._exit(127)
    for descriptor in (0, 1):  # the reader of these pipes must see the end of the sandbox
        os.close(descriptor)
    while True:
        ready, _, _ = select.select([request["lifeline"], ended], [], [], POLL_INTERVAL_S)
        if request["lifeline"] in ready or os.getppid() != request["parent"]:
            _end(1)
        if ended in ready:
            os.read(ended, 100)
        code = _reaped(child)
        if code is not None:
            _end(code)


def _become(request: LaunchRequest) -> None:
    """Take the limits, and become the sandbox."""
    import resource

    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    for group in request["groups"]:
        with open(group, "w") as file:
            file.write("0")
    for name, value in request["limits"].items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))
    os.close(request["lifeline"])
    line = request["line"]
    if request["filter"]:  # a pipe holds 4,096 bytes at least without a reader
        reader, writer = os.pipe()
        os.write(writer, bytes.fromhex(request["filter"]))
        os.close(writer)
        os.set_inheritable(reader, True)
        line = [line[0], "--seccomp", str(reader), *line[1:]]
    os.execve(line[0], line, request["environment"])


def _reaped(child: int) -> int | None:
    """Collect all that has ended; return the child's exit code when it has."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code if code is not None else 1
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def _end(code: int) -> None:
    """Kill all that is left below this process, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for _ in range(1000):  # what a killed process had started becomes a child of this one
        for pid in _children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    os._exit(code % 256)


def _children() -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            if parent == os.getpid():
                found.append(int(name))
    return found


def _become_subreaper() -> None:
    import ctypes

    set_child_subreaper = 36  # of prctl(2)
    ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
