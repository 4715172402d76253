"""Workers that share connections evenly.

A browser keeps its connections, and asks on each of them again and again. Whoever is quickest takes a new one,
which left one worker with three times as many as the other: its users waited while the other had nothing to do.
"""

from __future__ import annotations

import time
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from superset_assets.server import changes

WORKERS = 2
SECONDS_PER_CONNECTION = 0.0005
SECONDS_AT_MOST = 0.02


@changes.derives(
    "The worker with the fewest connections takes the next one.",
    upstream="benoitc/gunicorn#3433",
    accept="(self, listener)",
)
class FairWorker(ThreadWorker):
    """A worker that lets those go first who have fewer connections."""

    def accept(self, listener: Any) -> None:
        """Take the connection that has come in, if no other worker has by now."""
        time.sleep(min(SECONDS_AT_MOST, SECONDS_PER_CONNECTION * self.nr_conns))
        super().accept(listener)
