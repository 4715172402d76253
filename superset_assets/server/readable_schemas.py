"""SQL Lab lists the schemas that its role can read, and not what it would be refused."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from superset_assets.server import changes

READABLE = text("SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE')")


@changes.replaces(
    "superset.db_engine_specs.base.BaseEngineSpec.get_schema_names",
    "(inspector)",
    why="SQL Lab lists the schemas that can be read.",
)
def list_what_can_be_read(names: changes.Original) -> changes.Original:
    """Leave out the schemas that whoever is connected may not use."""

    def get_schema_names(_: Any, inspector: Any) -> set[str]:
        found: set[str] = names(inspector)
        if inspector.dialect.name != "postgresql":
            return found
        with inspector.engine.connect() as connection:
            readable = set(connection.execute(READABLE).scalars())
        return (found & readable) - {"information_schema"}

    # The original is a class method too.
    return classmethod(get_schema_names)  # type: ignore[return-value]
