"""Who looks, as the dashboards tell Postgres: signed, so that nobody can say it in their place.

Row security (db/access/portfolios.py, migration 0005) holds whoever looks to the own customers, once portfolios
are on.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

SETTING = "creditlens.viewer"
# The roles of roles.yaml whose users are never held to the own customers, in Flask's configuration.
SEE_EVERYBODY = "CREDITLENS_SEE_EVERYBODY"


def current_user() -> Any:
    """Who is signed in, None where nobody is: in commands, for visitors."""
    from flask import g, has_app_context

    user = getattr(g, "user", None) if has_app_context() else None
    return None if user is None or user.is_anonymous else user


def sees_everybody(user: Any) -> bool:
    """Whether a user is never held to the own customers."""
    from flask import current_app

    return user is not None and bool({role.name for role in user.roles} & current_app.config[SEE_EVERYBODY])


def name(user: Any) -> str:
    """The user's name; none of nobody's is anybody's."""
    return "" if user is None else str(user.username)


def signed(key: str, user: Any, backend: int) -> str:
    """The value of SETTING for the connection of one server process; Postgres takes it for five minutes."""
    scope = "all" if sees_everybody(user) else "own"
    said = f"{scope}.{int(time.time())}.{backend}.{name(user).encode().hex()}"
    return f"{said}.{hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()}"
