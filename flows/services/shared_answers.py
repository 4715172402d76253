"""The answers that the dashboards of several servers keep together in Redis (CREDITLENS_REDIS_URL).

Redis' client is imported where there is one: no command should wait for it that needs none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flows.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger("creditlens")
# By the name that superset_assets/server/shared.py files them under.
ANSWERS = "creditlens:answer:"
SECONDS = 5.0


def client(settings: Settings) -> Redis | None:
    """A client of the Redis that the settings name, None if they name none."""
    if settings.redis_url is None:
        return None
    from redis import Redis

    url = settings.redis_url.get_secret_value()
    return Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)


def why_not(settings: Settings) -> str | None:
    """Why the Redis that the settings name cannot be asked, None if it can, or if they name none."""
    if (asked := client(settings)) is None:
        return None
    from redis import RedisError

    try:
        with asked:
            asked.ping()
    except RedisError as error:
        # Its text may name the address, which holds a password.
        return f"it does not answer ({type(error).__name__})"
    return None


def answers(settings: Settings) -> Iterator[tuple[bytes, bytes]]:
    """Key and content of each. Raises redis.RedisError if Redis does not answer."""
    if (asked := client(settings)) is None:
        return
    with asked:
        for key in asked.scan_iter(match=f"{ANSWERS}*", count=1_000):
            content = asked.get(key)
            if isinstance(key, bytes) and isinstance(content, bytes):
                yield key, content


def drop(settings: Settings) -> int:
    """Remove them all; how many went. Where Redis does not answer, that is told: they last five minutes."""
    if (asked := client(settings)) is None:
        return 0
    if problem := why_not(settings):
        log.warning("Redis keeps answers of the dashboards for up to five minutes more: %s.", problem)
        return 0
    with asked:
        return sum(int(asked.delete(key)) for key in asked.scan_iter(match=f"{ANSWERS}*", count=1_000))
