"""What Prefect says while its database is busy: asked again, a few times."""

from __future__ import annotations

import http.server
import threading
import urllib.error
from collections.abc import Iterator

import pytest

from flows.operations import schedule


class Busy(http.server.BaseHTTPRequestHandler):
    """A server that is too busy for its first answers."""

    left = 0
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        busy, type(self).left = self.left > 0, self.left - 1
        self.send_response(503 if busy else 200)
        self.end_headers()
        if not busy:
            self.wfile.write(b'{"paused": false}')

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(schedule.time, "sleep", lambda _: None)
    serving = http.server.HTTPServer(("127.0.0.1", 0), Busy)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


@pytest.mark.parametrize("busy", [0, 1, schedule.BUSY_ANSWERS - 1])
def test_a_busy_server_is_asked_again(server: str, monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    monkeypatch.setattr(Busy, "left", busy)
    assert schedule._ask(server) == {"paused": False}


def test_one_that_stays_busy_is_believed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Busy, "left", 100)
    monkeypatch.setattr(Busy, "asked", 0)
    with pytest.raises(urllib.error.HTTPError):
        schedule._ask(server)
    assert Busy.asked == schedule.BUSY_ANSWERS
