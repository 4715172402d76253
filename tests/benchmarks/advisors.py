"""Advisors at work: each opens a customer, reads, opens the next, and compares with other cohorts now and then."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext

import httpx

from tests.benchmarks.many_users import Answer, Connections

# Seconds between two customers, and between two cohorts, on average.
CUSTOMER_EVERY, COHORT_EVERY = 10.0, 30.0
# How often an advisor comes back to a customer who was open before.
COMES_BACK = 0.3
# What a browser asks for at once.
AT_ONCE = 6


@dataclass(frozen=True)
class Work:
    """What advisors ask for.

    Attributes
    ----------
    customer, cohort: what the charts of a file, and of a comparison, ask Superset for.
    options: the values of each filter of the cohort, by the name of its column.
    """

    customer: Sequence[str]
    cohort: Sequence[str]
    options: Mapping[str, Sequence[str]]
    ids: Sequence[int]


@dataclass
class Seen:
    """What all advisors together waited for, in seconds."""

    answers: list[Answer] = field(default_factory=list)
    customers: list[float] = field(default_factory=list)
    cohorts: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, other: Seen) -> None:
        """Count another advisor's with these."""
        self.answers += other.answers
        self.customers += other.customers
        self.cohorts += other.cohorts
        self.failed += other.failed


def at_work(
    client: httpx.Client, work: Work, *, advisors: int, seconds: float, trusted: SSLContext | None, cached: bool
) -> Seen:
    """Have some advisors work for some time; what they waited for. They begin spread over ten seconds."""
    # Otherwise the cache would be measured where it is said not to be.
    assert cached or all('"force": false' in body for body in (*work.customer, *work.cohort))
    assert all(any(re.search(_filter(column), body) for body in work.cohort) for column in work.options)
    seen = [Seen() for _ in range(advisors)]
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_one, args=(client, work, end, trusted, cached, seed, seen[seed]), daemon=True)
        for seed in range(advisors)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
    whole = Seen()
    for one in seen:
        whole.add(one)
    # Looked at when the clock has stopped: advisors and servers share the machine's cores.
    whole.failed += sum(thread.is_alive() for thread in threads)
    whole.failed += sum(not answer.is_of_its_customer() for answer in whole.answers)
    return whole


def _one(
    client: httpx.Client, work: Work, end: float, trusted: SSLContext | None, cached: bool, seed: int, seen: Seen
) -> None:
    chance = random.Random(f"advisor {seed} {cached}")
    connections = Connections(client, AT_ONCE, trusted)
    force = (lambda body: body) if cached else (lambda body: body.replace('"force": false', '"force": true'))
    time.sleep(chance.uniform(0, CUSTOMER_EVERY))
    known = [chance.choice(work.ids)]
    due = time.monotonic() + chance.expovariate(1 / COHORT_EVERY)
    try:
        while time.monotonic() < end:
            if time.monotonic() >= due:
                _compare(connections, [force(_cohort(body, work, chance)) for body in work.cohort], known[-1], seen)
                due += chance.expovariate(1 / COHORT_EVERY)
            known.append(chance.choice(known) if chance.random() < COMES_BACK else chance.choice(work.ids))
            _open(connections, [force(body) for body in work.customer], known[-1], seen)
            time.sleep(min(chance.expovariate(1 / CUSTOMER_EVERY), max(0.0, end - time.monotonic())))
    except OSError:
        seen.failed += 1
    finally:
        connections.close()


def _open(connections: Connections, bodies: Sequence[str], customer_id: int, seen: Seen) -> None:
    """Open a file: the page, then its charts, as many at once as a browser asks for."""
    started = time.perf_counter()
    status, _ = connections.open(f"/superset/dashboard/customer-en/?customer={customer_id}")
    seen.failed += status != 200
    _ask(connections, bodies, customer_id, seen)
    seen.customers.append(time.perf_counter() - started)


def _compare(connections: Connections, bodies: Sequence[str], customer_id: int, seen: Seen) -> None:
    started = time.perf_counter()
    _ask(connections, bodies, customer_id, seen)
    seen.cohorts.append(time.perf_counter() - started)


def _ask(connections: Connections, bodies: Sequence[str], customer_id: int, seen: Seen) -> None:
    for start in range(0, len(bodies), AT_ONCE):
        seen.answers += connections.ask(customer_id, bodies[start : start + AT_ONCE])


def _cohort(body: str, work: Work, chance: random.Random) -> str:
    """The same question about other former customers: two filters are set, as a person does."""
    for column in chance.sample(sorted(work.options), min(2, len(work.options))):
        value = chance.choice(work.options[column])
        body = re.sub(rf"({_filter(column)})[^\"]*", rf"\g<1>{value}", body)
    return body


def _filter(column: str) -> str:
    """How a filter with a value stands in a chart's question."""
    return rf'"col": "{column}", "op": "IN", "val": \["'
