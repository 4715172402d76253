"""What Superset 6.1.0 gets wrong, put right until a release does."""

from __future__ import annotations

from typing import Any

from superset.sql.parse import LimitMethod

from superset_assets.server import changes


@changes.replaces(
    "superset.sql.parse.SQLStatement.set_limit_value",
    "(self, limit, method=LimitMethod.FORCE_LIMIT)",
    why="A query of SQL Lab keeps its own LIMIT where that is smaller than the page's.",
    upstream="apache/superset#40070",
)
def keep_the_smaller_limit(write: changes.Original) -> changes.Original:
    """Let a query of SQL Lab keep its own LIMIT where that is the smaller one.

    Superset works out which is smaller, the query's or the page's, loses it before it asks, and writes the page's
    over the query's: `LIMIT 5` brings a thousand rows.
    """

    def set_limit_value(self: Any, limit: int, method: Any = LimitMethod.FORCE_LIMIT) -> None:
        own = self.get_limit_value()
        if own is None or own > limit:
            write(self, limit, method)

    return set_limit_value
