"""Those who are told when something goes wrong: a webhook and a mail server on loopback."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of JSON on loopback: its address and what it got."""
    got: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            broken = self.path.startswith("/broken?") or (self.path.startswith("/broken-once") and len(got) == 1)
            self.send_response(500 if broken else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mail() -> Iterator[tuple[str, list[str]]]:
    """A mail server on loopback that speaks just enough SMTP: its address and the mails it got."""
    got: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline().strip().upper():
                if line.startswith(b"EHLO"):
                    self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                elif line.startswith(b"AUTH"):
                    self.wfile.write(b"235 welcome\r\n")
                elif line == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(part.decode())
                    got.append("".join(lines))
                    self.wfile.write(b"250 taken\r\n")
                elif line == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 fine\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"smtp://night%40bank.example:a-password@127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
        thread.join()
