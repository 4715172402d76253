"""The roles of this installation's database, with its passwords and their grants."""

from __future__ import annotations

import logging

from sqlalchemy import Engine

from db.access import names, portfolios, roles
from db.engine import connect, driver
from db.errors import RefusedError
from flows.settings import Settings

log = logging.getLogger("creditlens")


def ensure_roles(settings: Settings, engine: Engine) -> bool:
    """The roles with this installation's passwords and their grants; False, with a warning, where we may not.

    Raises RefusedError if the database has roles that are another database's, and we may not make others.
    """
    secrets = settings.secrets()
    with connect(engine) as connection:
        former, ours = names.in_place(driver(connection)), names.choose(driver(connection))
    if engine.url.username != ours.writer:
        portfolios.ensure_key(engine, secrets["viewer"], ours)
        owned = roles.ensure_owner(engine, ours)
        if not owned and former not in {None, ours}:
            raise RefusedError(
                f"The roles of {engine.url.database}, {ours.prefix}_*, cannot be made by this database user, and"
                f" {former.owner} and its like belong to another database of the server: run `creditlens migrate`"
                " once as a user who may make roles."
            )
        roles.ensure_writer(engine, secrets["writer"], ours)
        roles.close_to_everybody(engine)
    readers = roles.ensure_readers(
        engine, {ours.analyst: secrets["analyst"], ours.dashboard: secrets["dashboard"]}, ours
    )
    if not readers:
        log.warning(
            "This database user may not make roles: ask the server's administrator for %s and %s, with %s granted.",
            ours.analyst, ours.dashboard, ours.reader,
        )  # fmt: skip
    if not roles.ensure_decider(engine, secrets["decider"], ours):
        log.warning(
            "This database user may not make the role %s, without which nobody can record a decision in the"
            " dashboards.", ours.decider,
        )  # fmt: skip
    roles.claim_names(engine, ours)
    if former not in {None, ours}:
        kept = roles.shut_out(engine, former)
        if kept:
            log.warning(
                "%s is still a member of %s, which belong to another database of the server: ask the server's"
                " administrator to REVOKE them.", engine.url.username, ", ".join(kept),
            )  # fmt: skip
    return readers
