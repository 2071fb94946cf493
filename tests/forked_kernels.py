"""Kernels for tests, each forked from a process that has imported torch and transformers already.

A kernel is an ordinary ipykernel. Only its start differs: importing the libraries takes five processor seconds, and
the tests start about fifty kernels. So one process imports the libraries once, and forks for each kernel. It imports no
modules of the course: each kernel does so itself.

Jupyter starts this file as the kernel's program. It asks the process with the libraries for a fork, forwards signals to
it, and ends when the fork ends. The fork ends when this program ends.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping

MODULES = (
    "ipykernel.kernelapp", "ipykernel.zmqshell", "ipywidgets", "anywidget", "nbformat", "numpy", "pandas",
    "matplotlib.pyplot", "matplotlib_inline.backend_inline", "safetensors.torch", "tokenizers", "torch", "transformers",
    "transformers.modeling_utils", "transformers.models.gpt2.modeling_gpt2", "transformers.models.auto",
    "transformers.generation",
)  # fmt: skip
IS_SAFE = sys.platform == "linux"  # macOS ends a fork that uses some of its libraries


@contextlib.contextmanager
def forked_kernels(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run a process that forks kernels.

    Parameters
    ----------
    environment : mapping
        In which it imports the libraries.

    Yields
    ------
    dict
        The variables that let a program use these kernels as its kernels of the name python3. Empty where there is no
        Linux.

    Raises
    ------
    AssertionError
        The imports wrote something to standard error: then each kernel would have done so.
    """
    if not IS_SAFE:
        yield {}
        return
    from course_utils.core.files import temporary_folder_for_sockets  # kernels start this file without the course

    place = temporary_folder_for_sockets("kernels-")
    with tempfile.TemporaryFile() as said:
        command = [sys.executable, __file__, "serve", str(place / "door")]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        try:
            is_ready = process.stdout.readline() == b"ready\n"
            said.seek(0)
            words = said.read().decode("utf-8", "replace")
            assert is_ready and not words, f"the libraries of the kernels could not be imported in silence: {words}"
            (place / "kernels/python3").mkdir(parents=True)
            kernel = {
                "argv": [sys.executable, "-I", "-S", __file__, "start", str(place / "door"), "{connection_file}"],
                "display_name": "Python 3 (ipykernel)", "language": "python", "metadata": {"debugger": True},
                "kernel_protocol_version": "5.5",
            }  # fmt: skip
            (place / "kernels/python3/kernel.json").write_text(json.dumps(kernel))
            yield {"JUPYTER_PATH": str(place)}
        finally:
            process.stdin.close()  # it ends
            process.wait()
            process.stdout.close()
            shutil.rmtree(place)


# -- the process that has imported the libraries -----------------------------------------------------------------------


def serve(door: str) -> None:
    """Import the libraries, then fork for each request until standard input is closed."""
    del sys.path[0]  # the folder of this file
    for name in MODULES:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system removes forks that have ended
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(door)
        listener.listen(64)
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:
                return
            line, _ = listener.accept()
            with line:
                if os.fork() == 0:
                    listener.close()
                    _live(line)


def _live(line: socket.socket) -> None:
    """Be the kernel that a request asks for; ends the process."""
    try:
        data, descriptors, _, _ = socket.recv_fds(line, 65536, 2)
        while not data.endswith(b"\n"):
            data += line.recv(65536)
        asked = json.loads(data)
        os.setsid()
        for target, descriptor in enumerate(descriptors, 1):
            os.dup2(descriptor, target)
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.environ["JPY_PARENT_PID"] = str(os.getppid())
        _draw_other_numbers()
        line.sendall(f"{os.getpid()}\n".encode())
        threading.Thread(target=_end_with, args=[line], daemon=True).start()
        sys.argv = ["ipykernel_launcher", "-f", asked["connection_file"]]
        from ipykernel import kernelapp

        kernelapp.launch_new_instance()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _draw_other_numbers() -> None:
    """Give this process random numbers of its own: forks would all draw the same."""
    import random

    import numpy
    import torch

    random.seed()
    numpy.random.seed(int.from_bytes(os.urandom(4), "little"))
    torch.seed()


def _end_with(line: socket.socket) -> None:
    """End this process when the program at the other end of a line has ended."""
    line.recv(1)
    os._exit(1)


# -- the program that Jupyter starts -----------------------------------------------------------------------------------


def start(door: str, connection_file: str) -> None:
    """Ask for a fork, forward signals to it, and wait for its end."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(door)
        asked = {"connection_file": connection_file, "folder": os.getcwd(), "environment": dict(os.environ)}
        data = json.dumps(asked).encode() + b"\n"
        line.sendall(data[socket.send_fds(line, [data], [1, 2]) :])
        heard = b""
        while not heard.endswith(b"\n"):
            part = line.recv(64)
            if not part:
                sys.exit("no kernel was forked")
            heard += part
        pid = int(heard)

        def forward(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, forward)
        line.recv(1)


if __name__ == "__main__":
    {"serve": serve, "start": start}[sys.argv[1]](*sys.argv[2:])
