"""Advisors with customers of their own, and who looks, as the dashboards tell Postgres."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

from sqlalchemy import Engine

from db.access.portfolios import assign_all, rows


def assign(
    engine: Engine, username: str, *, customers: Sequence[int] = (), regions: Sequence[int] = (), by: str
) -> int:
    """Assign customers, or all of tonight's with a rating of their region, to an advisor; how many were new."""
    return assign_all(engine, rows(username, customers=customers, regions=regions, by=by))


def sign(key: str, username: str, backend: int, *, everybody: bool = False, at: float | None = None) -> str:
    """What the setting `creditlens.viewer` must hold for `username` to look; good for five minutes from `at`.

    In the connection whose server process has the number `backend`, and in no other.
    """
    seconds = int(time.time() if at is None else at)
    said = f"{'all' if everybody else 'own'}.{seconds}.{backend}.{username.encode().hex()}"
    return f"{said}.{hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()}"
