"""Alembic's environment: one guarded connection, our tables only."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, Engine, text

from db.engine import driver
from db.models import PRIVATE, VERSION_TABLE, metadata
from db.runs.partitions import PARTITION_PATTERN
from db.schema import use_own_version_table

# Any number, the same for every creditlens: two migrations never run at once on one database.
MIGRATION_LOCK = 0x43524546


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Runs' partitions come and go; they are no part of the schema that migrations describe."""
    if kind == "schema":
        return name == metadata.schema
    return not (kind == "table" and name is not None and PARTITION_PATTERN.match(name))


def migrate(connection: Connection) -> None:
    """Run the migrations in one transaction, under a lock and a limit on waiting for others."""
    connection.execute(text("SET lock_timeout = '30s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    try:
        with connection.begin():
            use_own_version_table(driver(connection))
            context.configure(
                connection=connection,
                target_metadata=metadata,
                include_schemas=True,
                include_name=include_name,
                compare_type=True,
                version_table=VERSION_TABLE,
                version_table_schema=PRIVATE,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text("RESET lock_timeout"))
        connection.commit()


engine: Engine = context.config.attributes["engine"]
with engine.connect() as connection:
    migrate(connection)
