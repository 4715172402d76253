"""New passwords and keys in the place of those that are used, while everything stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db import schema
from db.errors import RefusedError
from db.runs import ledger
from flows.installation import secret_store
from flows.operations.prepare import prepare_database
from flows.services import accounts, database, superset
from flows.settings import SECRETS, Settings

# Erased people are known by it, and their numbers by nobody: what it made cannot be made again with another.
KEPT = "privacy"
WHY_KEPT = "a restore knows erased people by it, and nobody else does"
USER = "user_"


def known() -> list[str]:
    """The secrets of the installation that can be replaced."""
    users = [f"{USER}{user}" for user in accounts.rights(superset.ASSETS)]
    return [name for name in (*SECRETS, *users) if name != KEPT]


def rotate(settings: Settings, names: Sequence[str] = ()) -> dict[str, Any]:
    """Replace these secrets, or all that can be, and set them wherever they are used.

    No night may be under way, and none starts meanwhile. Dashboards that are served are stopped and started anew;
    others get the new ones when they start. If this is killed, the file holds the new secrets, and `creditlens up`
    sets them; for a Postgres elsewhere, `creditlens migrate --take-over`.

    Raises RefusedError for a name that is none, or that must stay; BusyError while a night is under way.
    """
    possible = known()
    if KEPT in names:
        raise RefusedError(f"The secret {KEPT} must stay: {WHY_KEPT}.")
    if unknown := [name for name in names if name not in possible]:
        raise RefusedError(f"There is no secret {unknown[0]!r}; choose from {', '.join(possible)}.")
    chosen = list(names) or possible
    with database.database(settings) as engine:
        schema.require_current(engine)
        database.require_ours(settings, engine)
        with ledger.exclusive(engine):
            served = superset.server(settings).stop()
            before = settings.embedded() if settings.database_url is None else None
            secret_store.rotate(settings.state, chosen)
            if before is not None:
                before.change_superuser_password(settings.secrets()["postgres"])
            prepare_database(settings, take_over=True)
    if served:
        superset.set_up(settings)
    return {
        "rotated": chosen,
        "kept": {KEPT: WHY_KEPT},
        "file": str(settings.state / secret_store.NAME),
        "dashboards": superset.url(settings),
    }
