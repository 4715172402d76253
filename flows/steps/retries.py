"""Which of a flow's tasks are tried again, and after what: lost connections, never wrong input."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from db.errors import LOST_CONNECTION
from flows import signals


def is_connection_trouble(_task: Any, _run: Any, state: Any) -> bool:
    """Only lost or refused connections are tried again; wrong input stays wrong."""
    return not signals.asked() and isinstance(state.result(raise_on_failure=False), (*LOST_CONNECTION, OSError))


io_task = task(
    retries=3,
    retry_delay_seconds=[1, 5, 15],
    retry_condition_fn=is_connection_trouble,
    cache_policy=NO_CACHE,
)
pure_task = task(cache_policy=NO_CACHE)
