"""A real Redis for tests, with a password, on a port of its own, which may be stopped and started again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis, RedisError

from db.server.embedded import free_port, new_password


class RedisServer:
    """The server's process and address."""

    def __init__(self) -> None:
        self.port, self.password = free_port(None), new_password()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def start(self) -> None:
        """Start it; returns once it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is not installed (Debian: apt-get install redis-server)"
        self._process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._process.stdin is not None
        lines = f'bind 127.0.0.1\nport {self.port}\nsave ""\nappendonly no\nrequirepass {self.password}\n'
        self._process.stdin.write(lines.encode())
        self._process.stdin.close()
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client().ping()
                return
            except RedisError:
                assert time.monotonic() < deadline and self._process.poll() is None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, with all that it holds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server, for the block."""
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
