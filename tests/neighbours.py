"""What else may be on a machine: programs on our ports, other users, copies of our folders."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Reads whatever root reads, as the interpreter may lie below /root, and writes only where it may.
SOMEBODY_ELSE = 65_534
AS_SOMEBODY_ELSE = (
    "setpriv", f"--reuid={SOMEBODY_ELSE}", f"--regid={SOMEBODY_ELSE}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip


def can_be_somebody_else() -> bool:
    """Whether tests can run a command as another user."""
    return os.geteuid() == 0 and shutil.which("setpriv") is not None


class _SaysYes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """200 to every question, and always the same."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def says_yes(port: int = 0) -> Iterator[int]:
    """A program on a port of loopback that says 200, and `true`, to everything; its port."""
    with ThreadingHTTPServer(("127.0.0.1", port), _SaysYes) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def says_nonsense() -> Iterator[int]:
    """A program on a port of loopback that does not speak HTTP; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
