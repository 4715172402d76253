"""The rows of one run as they leave the database: for archives, all of one moment, as CSV that Postgres writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql
from sqlalchemy import Engine, Table, select

from db.engine import connect, driver
from db.models import SCHEMA, feature, past_score, reason, score, scoring_run, shap_value, what_if, what_if_summary
from db.runs.ledger import Run

# Figures about groups of former customers are left out: whoever is erased may be counted in them, and nobody can
# tell in which (db.people.rows).
DETAILS = (score, shap_value, reason, what_if_summary, what_if)


@dataclass(frozen=True, slots=True)
class Kept:
    """A published run, the digest of its file, and whether its details are still in the database."""

    run: Run
    source_sha256: str
    details: bool


def published_runs(engine: Engine) -> list[Kept]:
    """Every published run, the newest date first; withdrawn ones are none."""
    names = list(Run.__dataclass_fields__)
    query = select(*(scoring_run.c[name] for name in names), scoring_run.c.source_sha256, scoring_run.c.retired_at)
    query = query.where(scoring_run.c.status == "published")
    with connect(engine) as connection:
        rows = connection.execute(query.order_by(scoring_run.c.as_of.desc(), scoring_run.c.run_id.desc()))
        return [
            Kept(Run(**{name: row._mapping[name] for name in names}), row.source_sha256, row.retired_at is None)
            for row in rows
        ]


class Extract:
    """The tables of one run as of one moment."""

    def __init__(self, server: Connection[Any], run: Kept) -> None:
        self._server, self._run_id = server, run.run.run_id
        self.tables: tuple[Table, ...] = DETAILS if run.details else (score,)
        # The scores of a run whose details were dropped are kept elsewhere.
        self._source = {score.name: score if run.details else past_score}

    def rows(self, table: Table) -> int:
        """How many rows the run has in it."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE run_id = {}").format(self._named(table), self._run_id)
        found = self._server.execute(query).fetchone()
        assert found is not None
        return int(found[0])

    def csv(self, table: Table) -> Iterator[bytes]:
        """Its rows as CSV without a header, columns in the table's order; nothing stands for NULL."""
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns.keys()))
        query = sql.SQL("COPY (SELECT {} FROM {} WHERE run_id = {}) TO STDOUT (FORMAT csv)").format(
            columns, self._named(table), self._run_id
        )
        return self._copy(query)

    def features(self) -> Iterator[bytes]:
        """The dictionary of features, by which contributions are named, in the same way."""
        columns = sql.SQL(", ").join(map(sql.Identifier, FEATURE_COLUMNS))
        query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY feature_id) TO STDOUT (FORMAT csv)")
        return self._copy(query.format(columns, sql.Identifier(SCHEMA, feature.name)))

    def _named(self, table: Table) -> sql.Identifier:
        return sql.Identifier(SCHEMA, self._source.get(table.name, table).name)

    def _copy(self, query: sql.Composed) -> Iterator[bytes]:
        with self._server.cursor() as cursor, cursor.copy(query) as copy:
            yield from map(bytes, copy)


FEATURE_COLUMNS: Sequence[str] = ("feature_id", "name", "label_en", "label_fr")


@contextmanager
def extract(engine: Engine, run: Kept) -> Iterator[Extract]:
    """The run's tables in one transaction that sees one moment. The caller holds the run lock."""
    with connect(engine) as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield Extract(driver(connection), run)
