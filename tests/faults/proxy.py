"""A way to Postgres that loses an answer: the one to a COMMIT, after the server has got it."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_ENDS = (COMMIT, b"ROLLBACK\x00")


@dataclass
class Proxy:
    """Passes connections on to a port of loopback, and cuts one of them once: see `lose`."""

    target: int
    lost: threading.Event = field(default_factory=threading.Event)
    _pattern: re.Pattern[bytes] | None = None
    _server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def lose(self, pattern: str) -> None:
        """Cut the connection after its next COMMIT of a transaction in which a statement matches the pattern."""
        self.lost.clear()
        self._pattern = re.compile(pattern.encode())

    def serve(self) -> None:
        """Until it is closed."""
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._connect, args=(client, server), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        committing = threading.Event()
        with client, server:
            answers = threading.Thread(target=self._answer, args=(client, server, committing), daemon=True)
            answers.start()
            self._ask(client, server, committing)
            answers.join()

    def _ask(self, client: socket.socket, server: socket.socket, committing: threading.Event) -> None:
        matched = False
        for content in _received(client):
            matched |= self._pattern is not None and bool(self._pattern.search(content))
            if any(end in content for end in _ENDS):
                if matched and COMMIT in content:
                    self._pattern = None
                    committing.set()
                matched = False
            with suppress(OSError):
                server.sendall(content)
        _cut(server)

    def _answer(self, client: socket.socket, server: socket.socket, committing: threading.Event) -> None:
        for content in _received(server):
            if committing.is_set():
                assert content.startswith(b"C\x00\x00\x00\x0bCOMMIT\x00"), content
                self.lost.set()
                break
            client.sendall(content)
        _cut(client)
        _cut(server)


def _received(source: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            content = source.recv(1 << 20)
        except OSError:
            return
        if not content:
            return
        yield content


def _cut(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
