"""A database that is ready for every command: started if it is ours, migrated, with dictionary and roles."""

from __future__ import annotations

import logging

from sqlalchemy import Engine

from db import portfolios, registry, roles, schema
from db.embedded import WRITER
from flows import services
from flows.loading import dictionary_rows
from flows.settings import Settings

log = logging.getLogger("creditlens")


def prepare_database(settings: Settings) -> str | None:
    """Start the database if it is ours; migrate it, sync dictionary, roles and grants; its schema's revision.

    A restore that was cut short is finished first.
    """
    # It needs `ensure_roles` of this module.
    from flows import backups

    services.start_database(settings)
    backups.resume(settings)
    with services.database(settings) as engine:
        schema.upgrade(engine)
        registry.sync_dictionary(engine, *dictionary_rows())
        ensure_roles(settings, engine)
        return schema.current(engine)


def ensure_roles(settings: Settings, engine: Engine) -> None:
    """The roles with this installation's passwords and their grants; a warning where we may not make them."""
    secrets = settings.secrets()
    passwords = {roles.ANALYST: secrets["analyst"], roles.DASHBOARD: secrets["dashboard"]}
    if engine.url.username != WRITER:
        portfolios.ensure_key(engine, secrets["viewer"])
        roles.ensure_owner(engine)
        roles.ensure_writer(engine, secrets["writer"])
        roles.close_to_everybody(engine)
    if not roles.ensure_readers(engine, passwords):
        log.warning(
            "This database user may not make roles: ask the server's administrator for %s and %s, with %s granted.",
            roles.ANALYST, roles.DASHBOARD, roles.READER,
        )  # fmt: skip
