"""What Superset 6.1.0 gets wrong, put right until a release does."""

from __future__ import annotations

from typing import Any

from superset.sql.parse import LimitMethod, SQLStatement


def keep_the_smaller_limit() -> None:
    """Let a query of SQL Lab keep its own LIMIT where that is the smaller one.

    Superset works out which is smaller, the query's or the page's, loses it before it asks (apache/superset#40070)
    and writes the page's over the query's: `LIMIT 5` brings a thousand rows.
    """
    write = SQLStatement.set_limit_value

    def set_limit_value(self: Any, limit: int, method: Any = LimitMethod.FORCE_LIMIT) -> None:
        own = self.get_limit_value()
        if own is None or own > limit:
            write(self, limit, method)

    SQLStatement.set_limit_value = set_limit_value
