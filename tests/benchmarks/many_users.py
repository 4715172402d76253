"""Many users at once, who ask for customer after customer: what advisors do, without their browsers."""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from selectors import EVENT_READ, DefaultSelector
from ssl import SSLContext
from typing import Any

import httpx
import numpy as np

from tests.benchmarks.measure import Result, at_least, at_most
from tests.superset_fixture import Superset

USERS = (20, 50)
LOAD_SECONDS = 15
OF_CUSTOMER = re.compile(r'("col": "customer_id", "op": "==", "val": )\d+')


@dataclass(frozen=True)
class Way:
    """How users ask: all charts of a customer at once or one after the other, and seconds between two customers."""

    words: str
    at_once: bool
    pause: float


WAYS = (
    Way("chart after chart, no pause", at_once=False, pause=0),
    # What it takes to type six figures and press Apply.
    Way("all charts at once as a browser does, 2 s to type the next id", at_once=True, pause=2),
    Way("all charts at once, no pause", at_once=True, pause=0),
)


@dataclass(frozen=True)
class Answer:
    """What came back for one chart of a customer, and when."""

    customer_id: int
    seconds: float
    status: int
    content: bytes

    def right(self) -> bool:
        """Whether every query of the chart asked for this customer and brought rows."""
        return self.is_of_its_customer() and all(result["data"] for result in self._results())

    def is_of_its_customer(self) -> bool:
        """Whether every query of the chart was answered and names no other customer."""
        if self.status != 200:
            return False
        return all(
            result["error"] is None
            and set(re.findall(r"customer_id = (\d+)", result["query"])) <= {str(self.customer_id)}
            for result in self._results()
        )

    def _results(self) -> list[dict[str, Any]]:
        # A proxy sends short answers as they are.
        content = gzip.decompress(self.content) if self.content.startswith(b"\x1f\x8b") else self.content
        return list(json.loads(content)["result"])


class Connections:
    """A user's browser: connections that are kept, one for each chart that is asked for at once.

    The load and the server share two cores, so this does nothing but send and receive: reading an answer is for
    when the clock has stopped.
    """

    def __init__(self, client: httpx.Client, count: int, trusted: SSLContext | None = None) -> None:
        url = client.base_url
        kind = partial(HTTPSConnection, context=trusted) if trusted else HTTPConnection
        self._connections = [kind(url.host, url.port, timeout=60) for _ in range(count)]
        self._headers = {
            "Accept-Encoding": "gzip",
            "Content-Type": "application/json",
            "Referer": str(url),
            "Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items()),
            "X-CSRFToken": client.headers["X-CSRFToken"],
        }

    def ask(self, customer_id: int, bodies: Sequence[str]) -> Iterator[Answer]:
        """Ask for all at once; the answers as they come."""
        started = time.perf_counter()
        with DefaultSelector() as waiting:
            for connection, body in zip(self._connections, bodies, strict=False):
                asked = OF_CUSTOMER.sub(rf"\g<1>{customer_id}", body)
                connection.request("POST", "/api/v1/chart/data", asked, self._headers)
                waiting.register(connection.sock, EVENT_READ, connection)
            while waiting.get_map():
                for key, _ in waiting.select():
                    waiting.unregister(key.fileobj)
                    answer = key.data.getresponse()
                    content = answer.read()
                    yield Answer(customer_id, time.perf_counter() - started, answer.status, content)

    def open(self, path: str) -> tuple[int, float]:
        """Ask for a page itself; status and seconds."""
        started = time.perf_counter()
        headers = {name: value for name, value in self._headers.items() if name != "Content-Type"}
        self._connections[0].request("GET", path, headers=headers)
        answer = self._connections[0].getresponse()
        answer.read()
        return answer.status, time.perf_counter() - started

    def close(self) -> None:
        """Close them."""
        for connection in self._connections:
            connection.close()


def many_users(
    superset: Superset, bodies: Sequence[str], ids: Sequence[int], stock: Sequence[dict[str, Any]]
) -> Iterator[Result]:
    """Users who ask for customer after customer, beside as many who ask for a stock page again and again."""
    assert all(OF_CUSTOMER.search(body) for body in bodies), bodies
    client = superset.client("advisor")
    alone, _ = load(client, bodies, ids, WAYS[0], users=1)
    median = float(np.median([answer.seconds for answer in alone]))
    yield Result("1 user, chart after chart: a chart's data, median", median, "s")
    plain = [json.dumps(body) for body in stock]
    for users in USERS:
        for way in WAYS:
            answers, clicks = load(client, bodies, ids, way, users)
            times = [answer.seconds for answer in answers]
            wrong = sum(not answer.right() for answer in answers)
            name = f"{users} users, {way.words}"
            p95 = float(np.percentile(times, 95))
            yield from (
                at_most(f"{name}: failed requests", wrong, "", 0),
                Result(f"{name}: a chart's data, p95", p95, "s"),
                Result(f"{name}: the same / one user's median", p95 / median, "times"),
                Result(f"{name}: a chart's data, median", float(np.median(times)), "s"),
                Result(f"{name}: all data of a customer, p95", float(np.percentile(clicks, 95)), "s"),
                Result(f"{name}: charts per second", len(times) / LOAD_SECONDS, "1/s"),
            )
            if not way.pause:
                others, _ = load(superset.client("admin"), plain, ids, way, users)
                assert all(answer.status == 200 for answer in others)
                yield Result(f"{name}: charts of a stock page per second", len(others) / LOAD_SECONDS, "1/s")
                yield at_least(f"{name}: charts / those of a stock page", len(times) / len(others), "x", 0.8)


def load(
    client: httpx.Client, bodies: Sequence[str], ids: Sequence[int], way: Way, users: int
) -> tuple[list[Answer], list[float]]:
    """Every answer, and the seconds of each click."""
    end = time.monotonic() + LOAD_SECONDS

    def user(seed: int) -> tuple[list[Answer], list[float]]:
        answers: list[Answer] = []
        clicks: list[float] = []
        # Customers whom nobody asked for before: an answer from the cache would say nothing.
        chance = random.Random(f"{way.words} {users} {seed}")
        connections = Connections(client, len(bodies) if way.at_once else 1)
        time.sleep(chance.random() * way.pause)
        while time.monotonic() < end:
            customer_id = chance.choice(ids)
            started = time.perf_counter()
            for some in [bodies] if way.at_once else [[body] for body in bodies]:
                answers += connections.ask(customer_id, some)
            clicks.append(time.perf_counter() - started)
            time.sleep(way.pause)
        connections.close()
        return answers, clicks

    with ThreadPoolExecutor(users) as pool:
        done = list(pool.map(user, range(users)))
    return [answer for answers, _ in done for answer in answers], [click for _, clicks in done for click in clicks]
