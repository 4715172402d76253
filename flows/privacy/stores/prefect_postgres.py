"""The Postgres database of a Prefect server elsewhere, whose address CREDITLENS_PREFECT_DATABASE_URL tells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import psycopg
from psycopg import sql

from db.engine import open_session, parse_url
from db.people import mentions
from flows.privacy.stores.base import Erased, Found, NotSearched, Store
from flows.privacy.stores.database import at
from flows.privacy.stores.prefect_database import TEXTS
from flows.settings import Settings


class PrefectPostgres(Store):
    """The same texts as in the file of a local server."""

    def __init__(self, settings: Settings) -> None:
        address = settings.prefect_database_url
        self._url = parse_url(address.get_secret_value()) if address is not None else None

    @property
    def name(self) -> str:
        assert self._url is not None
        return f"Prefect's database {at(self._url)}"

    def there(self) -> bool:
        return self._url is not None

    def why_not(self) -> NotSearched | None:
        assert self._url is not None
        try:
            with open_session(self._url):
                return None
        except psycopg.OperationalError as error:
            to_do = "make it reachable, then erase again; the messages of its logs and states may name the person"
            return NotSearched(self.name, str(error).strip().splitlines()[0], to_do)

    def places(self) -> Collection[str]:
        return [f"{self.name}: {table}.{column}" for table, columns in TEXTS.items() for column in columns]

    def looked_at(self) -> str:
        return "; ".join(f"{table} ({', '.join(columns)})" for table, columns in TEXTS.items())

    def find(self, customer_id: int) -> Found:
        assert self._url is not None
        found: dict[str, int] = {}
        with open_session(self._url) as connection:
            for table, column, _, _, _ in _texts(connection, customer_id):
                place = f"{self.name}: {table}.{column}"
                found[place] = found.get(place, 0) + 1
        return Found(found)

    def erase(self, customer_id: int) -> Erased:
        """Take the number out of the texts, and what it stood in off the disk, with what Prefect deleted before."""
        assert self._url is not None
        with open_session(self._url) as connection:
            connection.autocommit = True
            changed: set[str] = set()
            texts = 0
            for table, column, kind, row, content in list(_texts(connection, customer_id)):
                change = sql.SQL("UPDATE {} SET {} = %s::text::{} WHERE id = %s").format(
                    sql.Identifier(table), sql.Identifier(column), sql.SQL(kind)
                )
                connection.execute(change, [content, row])
                changed.add(table)
                texts += 1
            for table in sorted(changed):
                connection.execute(sql.SQL("VACUUM {}").format(sql.Identifier(table)))
        return Erased({self.name: texts} if texts else {})


def _texts(connection: psycopg.Connection[Any], customer_id: int) -> Iterator[tuple[str, str, str, object, str]]:
    """(table, column, its type, key of the row, the text without the person)."""
    kinds = {
        (table, column): kind
        for table, column, kind in connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        ).fetchall()
    }
    for table, columns in TEXTS.items():
        for column in columns:
            name = column if (table, column) in kinds else column.removesuffix("_")
            if (table, name) not in kinds:
                continue
            kind = {"character varying": "varchar"}.get(kinds[table, name], kinds[table, name])
            rows = connection.execute(
                sql.SQL("SELECT id, {0}::text FROM {1} WHERE strpos({0}::text, %s) > 0").format(
                    sql.Identifier(name), sql.Identifier(table)
                ),
                [str(customer_id)],
            ).fetchall()
            for row, content in rows:
                found = mentions.without_in(content, customer_id)
                if found.times:
                    yield table, name, kind, row, found.content
