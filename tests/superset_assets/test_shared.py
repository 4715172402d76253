"""What workers of several servers share in a real Redis, and what becomes of it while that is away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from flows.services import superset as superset_service
from flows.settings import PROJECT
from tests.redis_server import RedisServer, redis_server

BEGIN = """
import pickle, sys, time
sys.path.insert(0, sys.argv[2])
from superset_assets.server import failed_logins, shared
url = sys.argv[1]
one, other = shared.Redis(url), shared.Redis(url)
"""
ANSWERS = """
here, there = (shared.SharedAnswers(each, "k" * 40, 60) for each in (one, other))
assert here.get("a") is None and not here.has("a")
assert here.set("a", {"rows": [1, 2]}) and there.get("a") == {"rows": [1, 2]} and there.has("a")
assert 0 < one.client.ttl(shared.ANSWERS + "a") <= 60
assert here.set("b", 2, timeout=5) and 0 < one.client.ttl(shared.ANSWERS + "b") <= 5
assert there.delete("b") and here.get("b") is None
# Moved under another key, changed, or written by somebody without the key.
signed = one.client.get(shared.ANSWERS + "a")
one.client.set(shared.ANSWERS + "c", signed)
assert there.get("c") is None
class Bad:
    def __reduce__(self):
        return print, ("run",)
for bad in (signed[:-1] + b"x", pickle.dumps(Bad()), b"\\0" * 32 + pickle.dumps(Bad()), b""):
    one.client.set(shared.ANSWERS + "d", bad)
    assert there.get("d") is None
assert shared.SharedAnswers(other, "o" * 40, 60).get("a") is None
one.client.set("somebody else's", 1)
assert here.clear() and there.get("a") is None and one.client.exists("somebody else's")
"""
ATTEMPTS = """
def attempts(redis):
    return failed_logins.SharedAttempts(redis, 10, failed_logins.Attempts(5), seconds=2)
here, there = attempts(one), attempts(other)
made = [each.begin("192.0.2.1") for _ in range(5) for each in (here, there)]
assert all(made) and len(set(made)) == 10
assert here.begin("192.0.2.1") is None and there.begin("192.0.2.1") is None
assert there.begin("192.0.2.2")
there.take_back("192.0.2.1", made[0])
assert here.begin("192.0.2.1") and there.begin("192.0.2.1") is None
time.sleep(2.1)
assert here.begin("192.0.2.1"), "the others are older than the window"
"""
AWAY = """
answers = shared.SharedAnswers(one, "k" * 40, 60)
started = time.monotonic()
for number in range(50):
    assert answers.get("a") is None and answers.set("a", 1) is False and not answers.has("a")
    assert answers.clear() is False
took = time.monotonic() - started
assert took < 2, f"readers waited {took} s for nobody"
attempts = failed_logins.SharedAttempts(other, 10, failed_logins.Attempts(5))
made = [attempts.begin("192.0.2.1") for _ in range(5)]
assert all(isinstance(each, float) for each in made), "each worker counts by itself"
assert attempts.begin("192.0.2.1") is None
attempts.take_back("192.0.2.1", made[0])
assert attempts.begin("192.0.2.1")
"""
BACK = """
answers = shared.SharedAnswers(one, "k" * 40, 60)
assert answers.get("a") is None
print("away", flush=True)
sys.stdin.readline()
one._away_until = float("-inf")
assert answers.set("a", 1) and answers.get("a") == 1
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def run(code: str, url: str) -> None:
    done = subprocess.run(
        [superset_service.ENVIRONMENT / "bin" / "python", "-c", BEGIN + code, url, PROJECT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "run" not in done.stdout
    password = url.partition("@")[0].rpartition(":")[2]
    assert password not in done.stderr


def test_an_answer_of_one_server_is_read_by_another_and_only_if_it_is_signed(redis: RedisServer) -> None:
    run(ANSWERS, redis.url)


def test_wrong_passwords_are_counted_over_all_servers(redis: RedisServer) -> None:
    run(ATTEMPTS, redis.url)


def test_while_redis_is_away_nobody_waits_and_each_worker_counts_alone() -> None:
    run(AWAY, RedisServer().url)


def test_a_redis_that_refuses_the_password_counts_as_away(redis: RedisServer) -> None:
    run(AWAY, redis.url.replace(redis.password, "another"))


def test_a_redis_that_is_back_is_used_again() -> None:
    server = RedisServer()
    process = subprocess.Popen(
        [superset_service.ENVIRONMENT / "bin" / "python", "-c", BEGIN + BACK, server.url, PROJECT],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "away\n"
        server.start()
        process.communicate("go on\n", timeout=30)
        assert process.returncode == 0
    finally:
        server.stop()
