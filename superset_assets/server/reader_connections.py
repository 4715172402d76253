"""Engines and connections of the dashboards' role that are used again.

Superset makes four engines and a connection for each question and throws all away. A new connection costs its
password check and, above all, planning with empty caches: more than most of our questions take; a new engine asks
the server who it is. Only the dashboards' role gets them from here: what charts ask leaves nothing behind in a
session, while an analyst may set whatever she likes in hers. Each time, the session is told anew who looks (see
viewer.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

import psycopg2
from flask import current_app
from psycopg2.extensions import STATUS_READY
from psycopg2.extensions import connection as Psycopg2Connection
from sqlalchemy.engine import Engine
from sqlalchemy.engine.url import make_url

from superset_assets.server import changes
from superset_assets.server.viewer import SETTING

# The dashboards' role in the database, in Flask's configuration.
ROLE = "CREDITLENS_DASHBOARD_ROLE"

IDLE_PER_PROCESS = 8
ENGINES = 100
_idle: deque[KeptConnection] = deque()


@changes.derives("A connection of the dashboards' role is used again.", close=changes.BUILT_IN)
class KeptConnection(Psycopg2Connection):
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

    def serves(self, who_looks: Callable[[int], str]) -> bool:
        """Tell it who looks, in words that are good for it alone; whether the server still knows it."""
        try:
            with self.cursor() as cursor:
                cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, who_looks(self.get_backend_pid())])
            self.commit()
        except psycopg2.Error:
            super().close()
            return False
        return True


def connect(url: str, who_looks: Callable[[int], str]) -> Any:
    """A connection to `url` on behalf of whoever looks: the one given back last that is still alive, or a new one.

    `who_looks` signs for a server process. Raises psycopg2.OperationalError if the server does not answer.
    """
    while _idle:
        try:
            kept = _idle.pop()
        except IndexError:
            break
        if kept.serves(who_looks):
            return kept
    new = psycopg2.connect(url, connection_factory=KeptConnection, application_name="creditlens dashboards")
    if not new.serves(who_looks):
        raise psycopg2.OperationalError("The server closed a connection that was just made.")
    return new


@changes.replaces(
    "superset.models.core.Database._get_sqla_engine",
    "(self, catalog=None, schema=None, nullpool=True, source=None, sqlalchemy_uri=None)",
    why="The engine of the dashboards' role is made once, not four times for each question.",
    upstream="apache/superset#27897, apache/superset#2321",
)
def keep_engines(make: changes.Original) -> changes.Original:
    """Have the engine of that role made once for everything that it depends on; whom it serves is none of that."""
    engines: dict[Hashable, Engine] = {}

    def kept(
        self: Any,
        catalog: str | None = None,
        schema: str | None = None,
        nullpool: bool = True,
        source: Any = None,
        sqlalchemy_uri: str | None = None,
    ) -> Engine:
        uri = sqlalchemy_uri or self.sqlalchemy_uri_decrypted
        if make_url(uri).username != current_app.config[ROLE] or self.impersonate_user:
            return make(self, catalog, schema, nullpool, source, sqlalchemy_uri)
        key = uri, self.extra, self.encrypted_extra, self.server_cert, catalog, schema, nullpool
        engine = engines.get(key)
        if engine is None:
            if len(engines) >= ENGINES:
                engines.clear()
            engine = engines[key] = make(self, catalog, schema, nullpool, source, sqlalchemy_uri)
        return engine

    return kept
