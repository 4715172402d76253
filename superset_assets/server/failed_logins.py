"""Wrong passwords, counted by address: so many a minute, over the form and the API together, and then no more.

Superset's own limit counts every login on the form and none on the API. It also looks first and counts afterwards,
so thirty attempts at once all come through, and counts anew each minute, so the last second of one and the first of
the next have twice as many. Here an attempt counts from its arrival on for a minute, unless its password is right.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque

from flask import Flask, Response, g, request, session

from superset_assets.server.fair_worker import WORKERS
from superset_assets.server.shared import LOGINS, Redis

PATHS = frozenset({"/login/", "/api/v1/security/login"})
# Without Redis, no worker knows what the others count: together, they let this many through.
PER_MINUTE = 10
SECONDS = 60.0
ADDRESSES_REMEMBERED = 10_000
TOO_MANY = {
    "en": "Too many wrong passwords from your address. Wait a minute, then try again.",
    "fr": "Trop de mots de passe erronés depuis votre adresse. Patientez une minute, puis réessayez.",
}
# Looks, counts and adds in one step, by the clock of Redis; 1 where the attempt may be made.
BEGIN = """
local time = redis.call('TIME')
local now, window = time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2] * 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[3])
redis.call('PEXPIRE', KEYS[1], window)
return 1
"""
log = logging.getLogger(__name__)


class Attempts:
    """Attempts of the last minute by address, at most `most` of each; asked by several threads at once."""

    def __init__(self, most: int, seconds: float = SECONDS) -> None:
        self._most = most
        self._seconds = seconds
        self._lock = threading.Lock()
        self._moments: dict[str, deque[float]] = {}

    def begin(self, address: str) -> float | None:
        """Count an attempt; its moment, or None where the address has none left."""
        now = time.monotonic()
        with self._lock:
            if len(self._moments) > ADDRESSES_REMEMBERED:
                self._forget(now)
            moments = self._moments.setdefault(address, deque())
            while moments and moments[0] <= now - self._seconds:
                moments.popleft()
            if len(moments) >= self._most:
                return None
            moments.append(now)
            return now

    def take_back(self, address: str, moment: float) -> None:
        """Count the attempt of that moment no more."""
        with self._lock:
            moments = self._moments.get(address)
            if moments and moment in moments:
                moments.remove(moment)

    def _forget(self, now: float) -> None:
        """Drop the addresses that have had no attempt for a minute."""
        ended = now - self._seconds
        for address in [one for one, moments in self._moments.items() if not moments or moments[-1] <= ended]:
            del self._moments[address]


class SharedAttempts:
    """The same, counted together by all workers of all servers; by each alone while Redis is away."""

    def __init__(self, shared: Redis, most: int, alone: Attempts, seconds: float = SECONDS) -> None:
        self._redis, self._most, self._alone, self._seconds = shared, most, alone, seconds

    def begin(self, address: str) -> float | str | None:
        """Count an attempt; what takes it back, or None where the address has none left."""
        attempt = secrets.token_hex(8)
        may = self._redis.ask(
            lambda client: client.eval(BEGIN, 1, LOGINS + address, self._most, int(self._seconds), attempt), None
        )
        if may is None:
            return self._alone.begin(address)
        return attempt if may else None

    def take_back(self, address: str, attempt: float | str) -> None:
        """Count that attempt no more."""
        if isinstance(attempt, str):
            self._redis.ask(lambda client: client.zrem(LOGINS + address, attempt), None)
        else:
            self._alone.take_back(address, attempt)


def limit_failed_logins(app: Flask) -> None:
    """Answer 429, without a look at the password, to an address that had too many wrong."""
    alone, url = Attempts(PER_MINUTE // WORKERS), app.config["CREDITLENS_REDIS_URL"]
    attempts = SharedAttempts(Redis(url), PER_MINUTE, alone) if url else alone

    @app.before_request
    def count() -> Response | None:
        if request.method != "POST" or request.path not in PATHS:
            return None
        address = request.remote_addr or ""
        g.login_attempt = attempts.begin(address)
        if g.login_attempt is not None:
            return None
        log.warning("Too many wrong passwords from %s", address)
        language = session.get("locale", app.config["BABEL_DEFAULT_LOCALE"])
        headers = {"Retry-After": str(int(SECONDS))}
        return Response(TOO_MANY.get(language, TOO_MANY["en"]), 429, headers, mimetype="text/plain")

    @app.after_request
    def forget_if_right(response: Response) -> Response:
        if g.get("login_attempt") is not None and right(response):
            attempts.take_back(request.remote_addr or "", g.login_attempt)
        return response


def right(response: Response) -> bool:
    """Whether somebody was signed in, or none tried to: the API says 401, the form sends back to itself."""
    return response.status_code < 400 and "/login" not in response.headers.get("Location", "")
