"""What the workers of all servers share in Redis, where there is one: answers of queries, and wrong passwords.

Redis may be away, and it is trusted with nothing: an answer carries a signature, without which it is not unpacked,
and while Redis does not answer, each worker asks Postgres and counts by itself. Sessions need no place in it: they
are signed cookies, which every server with the same key reads.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import pickle
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import redis

log = logging.getLogger(__name__)
# flows/services/shared_answers.py drops by these names.
ANSWERS, LOGINS = "creditlens:answer:", "creditlens:login:"
# A reader never waits longer for Redis, and after that nobody asks it for a while.
PATIENCE_SECONDS = 0.5
AWAY_SECONDS = 5.0
Answer = TypeVar("Answer")


class Redis:
    """A Redis that may be away: who asks then gets what they bring for that case."""

    def __init__(self, url: str) -> None:
        self.client: Any = redis.Redis.from_url(
            url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
        self._away_until = float("-inf")

    def ask(self, question: Callable[[Any], Answer], otherwise: Answer) -> Answer:
        """The answer to a question, or `otherwise` while Redis is away."""
        if time.monotonic() < self._away_until:
            return otherwise
        try:
            return question(self.client)
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            # Its text may name the address, which holds a password.
            log.warning("Redis does not answer (%s): nothing is shared meanwhile", type(error).__name__)
            return otherwise


class SharedAnswers:
    """Answers by key, signed with a key of the installation; as published_cache.py uses its files."""

    def __init__(self, shared: Redis, key: str, default_timeout: int) -> None:
        self._redis, self._key, self.default_timeout = shared, key.encode(), default_timeout

    def get(self, key: str) -> Any:
        """The answer; None if there is none, or one that is not ours."""
        kept = self._redis.ask(lambda client: client.get(ANSWERS + key), None)
        if kept is None:
            return None
        signature, content = kept[:32], kept[32:]
        if not hmac.compare_digest(signature, self._sign(key, content)):
            log.warning("An answer in Redis was not signed by us and is not read")
            return None
        return pickle.loads(content)

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Keep an answer; whether it was."""
        content = pickle.dumps(value)
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout or self.default_timeout
        signed = self._sign(key, content) + content
        return bool(self._redis.ask(lambda client: client.set(ANSWERS + key, signed, ex=int(seconds)), False))

    def has(self, key: str) -> bool:
        """Whether there is an answer."""
        return bool(self._redis.ask(lambda client: client.exists(ANSWERS + key), 0))

    def delete(self, key: str) -> bool:
        """Forget an answer."""
        return bool(self._redis.ask(lambda client: client.delete(ANSWERS + key), 0))

    def clear(self) -> bool:
        """Forget all answers."""

        def drop(client: Any) -> bool:
            for key in client.scan_iter(match=f"{ANSWERS}*", count=1_000):
                client.delete(key)
            return True

        return self._redis.ask(drop, False)

    def _sign(self, key: str, content: bytes) -> bytes:
        return hmac.digest(self._key, key.encode() + b"\0" + content, hashlib.sha256)
