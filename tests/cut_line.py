"""A line between a client and a server that a test can cut, as when a process is killed, and mend."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class CutLine:
    """A port of its own that passes everything on to a server.

    Parameters
    ----------
    url : str
        The server's address.

    Attributes
    ----------
    url : str
        Where to ask instead.
    n_requests, n_bytes : int
        How often was asked, and how long the answers were.
    cut_after : int or None
        Cut the line by itself when so many bytes of answers have come.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server, self._pairs, self._lock = (parts.hostname, parts.port), [], threading.Lock()
        self.n_requests, self.cut_after, self.n_bytes = 0, None, 0
        self._listener, self._port, self._is_over = None, 0, False
        self.mend()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_cut(self) -> bool:
        return self._listener is None

    def cut(self, for_ever: bool = False) -> None:
        """Break every connection, and answer nobody from now on."""
        with self._lock:
            self._is_over = for_ever
            listener, self._listener, pairs, self._pairs = self._listener, None, self._pairs, []
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for each in pairs:
            with contextlib.suppress(OSError):  # with a reset, as a killed process's connections end
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def mend(self) -> None:
        """Answer again, at the same port."""
        with self._lock:
            if self._listener or self._is_over:
                return
            listener = self._listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(16)
            self._port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._server)
                with self._lock:
                    self.n_requests += 1
                    self._pairs += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool = False) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
                self.n_bytes += len(piece) * is_answer
                if self.cut_after is not None and self.n_bytes > self.cut_after:
                    self.cut_after = None
                    self.cut()
        for each in (source, target):  # who hangs up on one side hangs up on the other
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cut_line(url: str) -> Iterator[CutLine]:
    """Yield a line to a server, and cut it in the end."""
    line = CutLine(url)
    try:
        yield line
    finally:
        line.cut(for_ever=True)
