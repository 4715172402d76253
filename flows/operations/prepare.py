"""A database that is ready for every command: started if it is ours, migrated, with dictionary and roles."""

from __future__ import annotations

from importlib.metadata import version

from sqlalchemy import Engine

from db import registry, schema
from db.decisions import grounds, policies, records
from flows.operations import backups
from flows.operations.roles import ensure_roles
from flows.services import database
from flows.settings import Settings
from flows.steps.rows import dictionary_rows, policy_rows
from scoring.decision_grounds import decision_grounds
from scoring.policy import default_policy


def prepare_database(settings: Settings, *, take_over: bool = False) -> str | None:
    """Start the database if it is ours; migrate it, sync dictionary, roles and grants; its schema's revision.

    A restore that was cut short is finished first. Raises RefusedError if another installation uses the database,
    unless we are to `take_over`.
    """
    database.start_database(settings)
    if not take_over:
        with database.database(settings) as engine:
            database.require_ours(settings, engine)
    backups.resume(settings)
    with database.database(settings) as engine:
        schema.upgrade(engine)
        write_dictionary(engine)
        ensure_roles(settings, engine)
        records.forget_expired(engine, settings.decision_years)
        return schema.current(engine)


def write_dictionary(engine: Engine) -> None:
    """Write the words that views use, and the program's policy unless the lender has one of his own."""
    registry.sync_dictionary(engine, *dictionary_rows())
    grounds.write(engine, decision_grounds())
    policies.follow_the_program(engine, policy_rows(default_policy()), version=version("creditlens"))
