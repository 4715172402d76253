"""Connections of the dashboards' role that are used again.

Superset makes an engine and a connection for each question and throws both away. A new connection costs its
password check and, above all, planning with empty caches: more than most of our questions take. Only the
dashboards' role gets connections from here: what charts ask leaves nothing behind in a session, while an analyst
may set whatever she likes in hers. Each time, the session is told anew who looks (see viewer.py).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import psycopg2
from psycopg2.extensions import STATUS_READY
from psycopg2.extensions import connection as Psycopg2Connection
from viewer import SETTING

IDLE_PER_PROCESS = 8
_idle: deque[KeptConnection] = deque()


class KeptConnection(Psycopg2Connection):  # type: ignore[misc]
    """A connection that, when closed, waits for the next question instead."""

    def close(self) -> None:
        """Keep it if it is whole and there is room, else close it."""
        if not self.closed:
            try:
                self.rollback()
                if self.status == STATUS_READY and len(_idle) < IDLE_PER_PROCESS:
                    _idle.append(self)
                    return
            except psycopg2.Error:
                pass
        super().close()

    def serves(self, viewer: str) -> bool:
        """Tell it who looks; whether the server still knows it."""
        try:
            with self.cursor() as cursor:
                cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, viewer])
            self.commit()
        except psycopg2.Error:
            super().close()
            return False
        return True


def connect(url: str, viewer: str) -> Any:
    """A connection to `url` on behalf of `viewer`: the one given back last that is still alive, or a new one."""
    while _idle:
        try:
            kept = _idle.pop()
        except IndexError:
            break
        if kept.serves(viewer):
            return kept
    return psycopg2.connect(
        url,
        connection_factory=KeptConnection,
        application_name="creditlens dashboards",
        options=f"-c {SETTING}={viewer}",
    )
