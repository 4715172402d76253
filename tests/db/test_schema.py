"""Migrations: up, the same as the models, down to nothing, and up again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from db import schema
from db.errors import NotMigratedError
from db.models import metadata


def test_models_and_migrated_database_are_the_same(engine: Engine) -> None:
    schema.check(engine)


def test_every_table_has_a_comment(engine: Engine) -> None:
    assert [table.name for table in metadata.tables.values() if not table.comment] == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    assert schema.upgrade(engine) is False


def test_down_to_nothing_and_up_again(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    schema.downgrade(engine)
    with engine.connect() as connection:
        left = connection.scalars(
            text("SELECT nspname FROM pg_namespace WHERE nspname IN ('credit', 'reporting')")
        ).all()
    assert left == []
    with pytest.raises(NotMigratedError, match="creditlens up"):
        schema.require_current(engine)
    assert schema.upgrade(engine) is True
    schema.require_current(engine)
