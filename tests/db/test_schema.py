"""Migrations: up, the same as the models, down to nothing, and up again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from db import registry, schema
from db.errors import NotMigratedError
from db.models import metadata
from flows.steps.rows import dictionary_rows


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


def test_a_dictionary_from_before_groups_is_kept_and_gets_them(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    groups = text("SELECT f.feature_id, f.group_id, f.fact_id, f.computed_from FROM credit.feature AS f ORDER BY 1")
    with engine.connect() as connection:
        synced = connection.execute(groups).all()
    schema.downgrade(engine, "0010")
    assert schema.upgrade(engine) is True
    with engine.connect() as connection:
        alone = connection.execute(groups).all()
        names = connection.scalar(text("SELECT count(*) FROM credit.feature_group"))
    assert alone == [(row.feature_id, row.feature_id, row.feature_id, []) for row in synced]
    assert names == len(synced)
    registry.sync_dictionary(engine, *dictionary_rows())
    with engine.connect() as connection:
        assert connection.execute(groups).all() == synced
        assert connection.scalar(text("SELECT count(*) FROM credit.feature_group")) < names


def test_reasons_are_held_back_from_the_first_where_portfolios_are_on(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    held = text("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'credit.reason'::regclass")
    with engine.begin() as connection:
        assert connection.execute(held).one() == (False, False)
        connection.execute(text("UPDATE credit.portfolio_state SET limited = true"))
    schema.downgrade(engine, "0013")
    assert schema.upgrade(engine) is True
    with engine.connect() as connection:
        assert connection.execute(held).one() == (True, False)
        policies = connection.scalars(
            text("SELECT DISTINCT regexp_replace(qual, '\\y(reason|score)\\.', '', 'g') FROM pg_policies"
                 " WHERE schemaname = 'credit' AND tablename IN ('reason', 'score')")
        ).all()  # fmt: skip
    assert len(policies) == 1


def test_similar_customers_are_held_back_from_the_first_where_portfolios_are_on(
    new_database: Callable[[], Engine],
) -> None:
    engine = new_database()
    held = text(
        "SELECT bool_and(c.relrowsecurity) FROM pg_class AS c WHERE c.oid IN"
        " ('credit.similar_customer'::regclass, 'credit.similar_member'::regclass, 'credit.former_code'::regclass)"
    )
    with engine.begin() as connection:
        assert connection.scalar(held) is False
        connection.execute(text("UPDATE credit.portfolio_state SET limited = true"))
    schema.downgrade(engine, "0014")
    assert schema.upgrade(engine) is True
    with engine.connect() as connection:
        assert connection.scalar(held) is True
        policies = connection.scalars(
            text("SELECT DISTINCT regexp_replace(qual, '\\y(similar_customer|similar_member|former_code|score)\\.',"
                 " '', 'g')"
                 " FROM pg_policies WHERE schemaname = 'credit'"
                 " AND tablename IN ('similar_customer', 'similar_member', 'former_code', 'score')")
        ).all()  # fmt: skip
    assert len(policies) == 1


def test_revisions_are_those_that_alembic_finds(engine: Engine) -> None:
    scripts = ScriptDirectory.from_config(schema.configuration(engine))
    assert schema.revisions() == {script.revision for script in scripts.walk_revisions()}
    assert schema.head() == scripts.get_current_head()
