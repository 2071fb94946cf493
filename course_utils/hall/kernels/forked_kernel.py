"""Forked kernel: runs a notebook before the fork, and serves one viewer as a Jupyter kernel after it."""

import contextlib
import os
import resource
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.displayhook import CapturingDisplayHook
from IPython.utils.capture import capture_output
from ipywidgets import register_comm_target
from traitlets.config import Config

MAX_EXTRA_MB = 600  # how much more memory than the notebook itself a viewer's kernel may take


def run_notebook(notebook: Path) -> dict[str, list[dict]]:
    """Run a notebook's cells in this process, without any socket.

    Returns
    -------
    dict
        The outputs of each code cell by the cell's id, as a notebook stores them.

    Raises
    ------
    Exception
        What a cell raised.
    """
    # No history: its thread would not survive a split, and viewers' kernels must not share its database.
    shell = ZMQInteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    vars(shell)["_showtraceback"] = _show_nothing  # what a cell raises goes to the hall, not to a page
    register_comm_target()  # ipywidgets does so where it is imported in a kernel; here it came before the shell
    os.chdir(notebook.parent)
    cells = nbformat.read(notebook, as_version=4).cells
    return {cell.id: _run_cell(shell, cell.source) for cell in cells if cell.cell_type == "code"}


def _show_nothing(*traceback: object) -> None:
    pass


def _run_cell(shell: ZMQInteractiveShell, source: str) -> list[dict]:
    with capture_output() as captured:
        shell.display_trap.hook = CapturingDisplayHook(shell=shell, outputs=captured._outputs)
        try:
            result = shell.run_cell(source, store_history=False)
        finally:
            shell.display_trap.hook = shell.displayhook
    result.raise_error()
    said = [("stdout", captured.stdout), ("stderr", captured.stderr)]
    streams = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in said if text]
    shown = [
        nbformat.v4.new_output("display_data", data=each["data"], metadata=each["metadata"] or {})
        for each in captured._outputs
    ]
    return streams + shown


# -- after the split ---------------------------------------------------------------------------------------------------


class ForkedKernelApp(IPKernelApp):
    """An ordinary kernel, but for what its template process has done already."""

    name = "ipython-kernel"

    def init_code(self) -> None:
        """Run nothing: the notebook has run."""

    def init_extensions(self) -> None:
        """Load nothing."""

    def init_gui_pylab(self) -> None:
        """Choose no backend: figures of the course are drawn without one."""

    def init_shell(self) -> None:
        """Connect the shell and panels of the template process with this kernel."""
        super().init_shell()
        shell: Any = self.shell
        shell.kernel = self.kernel
        del shell._showtraceback
        for each in self.kernel.comm_manager.comms.values():
            each.kernel = self.kernel

    def log_connection_info(self) -> None:
        """Tell nobody how to connect."""

    def load_config_file(self, *args: object, **kwargs: object) -> None:
        """Read no file of the person's own: the hall decides."""


def live(request: dict, life_line: socket.socket) -> None:
    """Be the kernel that the request describes, until the life line is cut."""
    os.environ.update(request["environment"])
    threading.Thread(target=_end_with, args=(life_line,), name="life-line", daemon=True).start()
    os.chdir(request["folder"])
    tempfile.tempdir = None  # TMPDIR is this viewer's own now
    _limit()
    app = ForkedKernelApp.instance(
        connection_file=request["connection_file"],
        log_level=40,
        parent_handle=0,
        capture_fd_output=False,
    )
    app.initialize([])
    app.start()


def _end_with(life_line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        life_line.recv(1)
    os._exit(0)


def _limit() -> None:
    """Let no viewer take the machine from the others."""
    status = Path("/proc/self/status")
    if not status.exists():
        return  # not Linux: its limits count differently
    sizes = dict(line.split(":", 1) for line in status.read_text().splitlines())
    room = int(sizes["VmData"].split()[0]) * 1024 + MAX_EXTRA_MB * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")  # better that one viewer loses a page than all the model
        Path("/proc/self/comm").write_text("viewer")  # what `top` calls it
