"""Whose turn it is to take a connection."""

from __future__ import annotations

from collections import Counter
from http.client import HTTPConnection

import httpx
import psutil

from tests.superset_fixture import Superset


def test_connections_are_shared_evenly_between_the_workers(superset: Superset) -> None:
    url = httpx.URL(superset.url)
    opened = [HTTPConnection(url.host, url.port, timeout=30) for _ in range(40)]
    try:
        for connection in opened:
            connection.request("GET", "/health")
        for connection in opened:
            assert connection.getresponse().read() == b"OK"
        ours = {connection.sock.getsockname()[1] for connection in opened}
        workers = Counter(
            one.pid
            for one in psutil.net_connections("tcp")
            if one.raddr and one.laddr.port == url.port and one.raddr.port in ours
        )
    finally:
        for connection in opened:
            connection.close()
    assert sum(workers.values()) == 40
    assert len(workers) == 2
    assert min(workers.values()) >= 12, workers
