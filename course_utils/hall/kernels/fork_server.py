"""Fork server of the demos: forks a prepared kernel for each viewer, in milliseconds.

A kernel of its own costs a viewer most of a second and eighty megabytes, nearly all of it the same for everybody: the
imports, and the panel that the notebook makes. Here both are done once. The *fork server* imports what every demo
needs, and forks one *template process* for each notebook. The template process runs the notebook and waits. For each
viewer it forks again, and the new process becomes a kernel (`forked_kernel`) that has the panel already. The operating
system copies a page of memory only when one of the processes writes to it.

::

    hall ── fork server ─┬─ template process "playground" ─┬─ kernel of viewer 1
                         │                                 └─ kernel of viewer 2
                         └─ template process "sizes" ─── …

No thread may run before a fork: a child gets only the thread that forked, and a lock that another thread held then
stays locked in the child for ever. `_come_to_rest` waits for the panels' worker thread for this reason.

Whoever asks keeps the connection open: it is the life line. When the hall's end closes, the process ends; when the
process ends, the hall's end closes.
"""

import ast
import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from course_utils.errors import CourseError

MAX_REQUEST_BYTES = 1 << 20


def main() -> None:
    """Be the fork server, at the socket that the command line names; the notebooks come after it."""
    door, *notebooks = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in the terminal is the hall's to answer
    _import_what_every_demo_needs()
    for notebook in notebooks:
        _import_what_it_names(Path(notebook))
    gc.collect()
    gc.freeze()
    with _listen(door) as listener:
        _serve(listener, sys.stdin.fileno(), _become_template)


def _import_what_every_demo_needs() -> None:
    vars(sys)["modules"]["debugpy"] = (
        None  # strangers need no debugger; ipykernel does without, and a kernel saves 15 MB
    )
    import anywidget  # noqa: F401
    import ipywidgets  # noqa: F401
    import tornado.platform.asyncio  # noqa: F401

    from course_utils.hall.kernels import forked_kernel  # noqa: F401


def _import_what_it_names(notebook: Path) -> None:
    """Import the course's rooms that a notebook names: done here once, all template processes share them."""
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        with contextlib.suppress(Exception):  # the notebook itself will say what is wrong with it
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if cell["cell_type"] == "code" and isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    _import_ours(node.module, [alias.name for alias in node.names])


def _import_ours(module: str, names: list[str]) -> None:
    if module.split(".")[0] == "course_utils":
        room = importlib.import_module(module)
        for name in names:
            getattr(room, name, None)  # the front desk fetches a name when it is asked for


def _serve(listener: socket.socket, life_line: int, become: Callable[[dict, socket.socket], None]) -> None:
    """Split off a process for each request, until the life line is cut."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end leave nothing to be collected
    while True:
        ready, _, _ = select.select([listener.fileno(), life_line], [], [])
        if life_line in ready:
            return
        connection, _ = listener.accept()
        request = _read_request(connection)
        if request is not None and os.fork() == 0:
            listener.close()
            os.close(life_line)  # the parent's own: held here, its other end would not notice the parent's end
            _run_and_exit(become, request, connection)
        connection.close()


def _run_and_exit(become: Callable[[dict, socket.socket], None], request: dict, connection: socket.socket) -> None:
    """Live this child's life; nothing of its parent's follows, whatever happens."""
    code = 0
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        become(request, connection)
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        code = 1
    finally:
        os._exit(code)


def _listen(door: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(door)
    listener.listen(256)
    return listener


def _read_request(connection: socket.socket) -> dict | None:
    """Read one line of JSON; a hall that hung up, or is stuck, asked for nothing."""
    connection.settimeout(5)
    heard = b""
    try:
        while not heard.endswith(b"\n") and len(heard) < MAX_REQUEST_BYTES:
            part = connection.recv(65536)
            if not part:
                return None
            heard += part
        connection.settimeout(None)
        return json.loads(heard)
    except (OSError, ValueError):
        return None


def answer(connection: socket.socket, **said: object) -> None:
    """Tell the hall, in one line."""
    connection.sendall(json.dumps(said).encode() + b"\n")


# -- a notebook's template process -------------------------------------------------------------------------------------


def _become_template(request: dict, connection: socket.socket) -> None:
    """Run the notebook, tell what its cells show, then split off a kernel for each viewer."""
    from course_utils.hall.kernels import forked_kernel

    try:
        cells = forked_kernel.run_notebook(Path(request["notebook"]))
        _come_to_rest(request["rest_s"])
    except Exception as problem:
        if not isinstance(problem, CourseError):
            traceback.print_exc(file=sys.__stderr__)
        answer(connection, error=f"{type(problem).__name__}: {problem}")
        return
    with _listen(request["door"]) as listener:
        gc.collect()
        gc.freeze()  # the collector must not touch, and so copy, what all viewers share
        answer(connection, pid=os.getpid(), cells=cells)
        _serve(listener, connection.fileno(), _become_kernel)


def _come_to_rest(patience: float) -> None:
    """Wait until panels have prepared what they prepare in the background: a thread does not survive a split."""
    from course_utils.widgets.base.worker import the_worker

    end = time.monotonic() + patience
    the_worker().rest(patience)
    while threading.active_count() > 1 and time.monotonic() < end:
        time.sleep(0.05)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if left:
        raise RuntimeError(f"threads that still run, and would be missing in every viewer's kernel: {', '.join(left)}")


def _become_kernel(request: dict, connection: socket.socket) -> None:
    from course_utils.hall.kernels import forked_kernel

    answer(connection, pid=os.getpid())
    _draw_other_numbers()
    forked_kernel.live(request, connection)


def _draw_other_numbers() -> None:
    """Give this process a chance of its own: without it all viewers would draw the same numbers."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(int.from_bytes(os.urandom(4), "little"))
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


if __name__ == "__main__":
    main()
