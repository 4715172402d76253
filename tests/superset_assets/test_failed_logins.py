"""Wrong passwords: ten a minute from one address, whatever worker they reach; right ones as often as one likes."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from flows.services import superset as superset_service
from flows.settings import PROJECT
from tests.superset_fixture import Superset, sign_in

PER_MINUTE = 10
SLIDES = """
import sys, time
sys.path.insert(0, sys.argv[1])
from superset_assets.server import failed_logins
now = [0.0]
failed_logins.time.monotonic = lambda: now[0]
attempts = failed_logins.Attempts(5)
for moment in (0, 56, 57, 58, 59):
    now[0] = moment
    assert attempts.begin("a") == moment
assert attempts.begin("a") is None
assert attempts.begin("b") == 59
now[0] = 60
assert attempts.begin("a") == 60, "the first is a minute old"
assert attempts.begin("a") is None, "the other four are not"
attempts.take_back("a", 60)
assert attempts.begin("a") == 60
now[0] = 200
for number in range(failed_logins.ADDRESSES_REMEMBERED + 10):
    attempts.begin(str(number))
assert "a" not in attempts._moments and "0" in attempts._moments
"""


def test_an_attempt_counts_for_the_minute_that_follows_it() -> None:
    python = superset_service.ENVIRONMENT / "bin" / "python"
    subprocess.run([python, "-c", SLIDES, PROJECT], check=True)


def answers_to_many_at_once(
    superset: Superset, address: str, wrong: Callable[[httpx.Client], httpx.Response]
) -> Counter[int]:
    """Statuses that thirty people get who each type four wrong passwords, all at once, from one address."""
    statuses: Counter[int] = Counter()
    together = threading.Barrier(30)

    def somebody() -> list[int]:
        elsewhere = httpx.HTTPTransport(local_address=address)
        with httpx.Client(base_url=superset.url, trust_env=False, timeout=60, transport=elsewhere) as client:
            together.wait()
            return [wrong(client).status_code for _ in range(4)]

    with ThreadPoolExecutor(30) as pool:
        for found in [pool.submit(somebody) for _ in range(30)]:
            statuses.update(found.result())
    return statuses


def wrong_over_the_api(client: httpx.Client) -> httpx.Response:
    return client.post(
        "/api/v1/security/login", json={"username": "advisor", "password": "wrong", "provider": "db"}
    )


def wrong_on_the_form(client: httpx.Client) -> httpx.Response:
    return sign_in(client, "advisor", "wrong")


# Each test from an address of its own, which is then shut out for a minute; the other tests' is not.
@pytest.mark.parametrize(
    ("address", "wrong", "refused"),
    [("127.0.0.2", wrong_over_the_api, 401), ("127.0.0.3", wrong_on_the_form, 302)],
)
def test_of_a_hundred_wrong_passwords_at_once_ten_are_looked_at_whatever_worker_they_reach(
    superset: Superset, address: str, wrong: Callable[[httpx.Client], httpx.Response], refused: int
) -> None:
    statuses = answers_to_many_at_once(superset, address, wrong)
    assert set(statuses) == {refused, 429}
    assert statuses[refused] == PER_MINUTE


def test_form_and_api_count_together_and_nobody_else_is_shut_out(superset: Superset) -> None:
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.4")
    with httpx.Client(base_url=superset.url, trust_env=False, timeout=30, transport=elsewhere) as client:
        statuses = [
            wrong(client).status_code for _ in range(10) for wrong in (wrong_over_the_api, wrong_on_the_form)
        ]
        assert statuses.count(401) + statuses.count(302) <= PER_MINUTE
        assert statuses[-1] == 429
    with httpx.Client(base_url=superset.url, trust_env=False, timeout=30) as client:
        assert sign_in(client, "advisor", superset.users["advisor"]).status_code == 302


def test_whoever_types_the_right_password_is_never_shut_out(superset: Superset) -> None:
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.5")
    right = {"username": "advisor", "password": superset.users["advisor"], "provider": "db"}
    with httpx.Client(base_url=superset.url, trust_env=False, timeout=30, transport=elsewhere) as client:
        assert {client.post("/api/v1/security/login", json=right).status_code for _ in range(25)} == {200}
