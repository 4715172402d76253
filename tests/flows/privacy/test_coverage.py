"""Whatever holds people is looked into by a store: tables and views by the names of their columns, and files."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from db.about import Holds, columns_that
from db.engine import driver
from db.models import metadata
from db.people import copy
from flows.privacy.stores.base import Store
from flows.privacy.stores.registry import every_store
from tests.flows.privacy.personal_columns import places_of, uncovered, uncovered_files, undeclared
from tests.installation import Installation


@pytest.fixture(scope="module")
def stores(installation: Installation) -> tuple[Store, ...]:
    return every_store(installation.settings, installation.engine)


@pytest.fixture
def server(installation: Installation) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose changes nobody sees."""
    with installation.engine.connect() as connection:
        yield driver(connection)
        connection.rollback()


def test_every_column_of_people_is_looked_into(server: psycopg.Connection[Any], stores: tuple[Store, ...]) -> None:
    assert uncovered(server, places_of(stores)) == []
    assert undeclared(metadata.tables.values()) == []


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("TABLE credit.note (customer_id integer)", "credit.note.customer_id"),
        ("TABLE credit.note (sk_id_curr text)", "credit.note.sk_id_curr"),
        ("TABLE credit.note (customers integer[])", "credit.note.customers"),
        ("TABLE public.copied AS SELECT customer_id FROM credit.score", "public.copied.customer_id"),
        ("MATERIALIZED VIEW reporting.kept AS SELECT customer_id FROM credit.score", "reporting.kept.customer_id"),
        ("VIEW reporting.odd AS SELECT run_id AS client_id FROM credit.run_chunk", "reporting.odd.client_id"),
    ],
)
def test_a_new_table_or_view_of_people_is_noticed(
    server: psycopg.Connection[Any], stores: tuple[Store, ...], made: str, named: str
) -> None:
    server.execute(f"CREATE {made}".encode())
    assert uncovered(server, places_of(stores)) == [named]


def test_a_view_of_a_table_that_nobody_looks_into_is_noticed_with_it(
    server: psycopg.Connection[Any], stores: tuple[Store, ...]
) -> None:
    server.execute("CREATE TABLE credit.note (customer_id integer)")
    server.execute("CREATE VIEW reporting.through AS SELECT customer_id FROM credit.note")
    server.execute("CREATE VIEW reporting.noted AS SELECT customer_id FROM reporting.through JOIN credit.score"
                   " USING (customer_id)")  # fmt: skip
    assert uncovered(server, places_of(stores)) == [
        f"{name}.customer_id" for name in ("credit.note", "reporting.noted", "reporting.through")
    ]


def test_a_table_of_ours_that_does_not_say_how_it_holds_people_is_noticed() -> None:
    note = Table("note", MetaData(schema="credit"), Column("customer_id", Integer))
    assert undeclared([*metadata.tables.values(), note]) == ["note.customer_id"]


def test_every_table_of_customers_is_in_the_copy() -> None:
    told = " ".join(copy.COPY.values())
    tables = {table.name for table, _, _ in columns_that(metadata.sorted_tables, Holds.NUMBER, Holds.REFUSED)}
    assert len(tables) >= 7
    assert [name for name in sorted(tables) if not re.search(rf"credit\.{name}\b", told)] == []


def test_every_file_of_people_is_looked_into_and_a_new_kind_of_file_is_noticed(
    installation: Installation, stores: tuple[Store, ...]
) -> None:
    state = installation.settings.state
    for folder in ("data", "superset/cache"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "data" / "application_test.csv").write_text("SK_ID_CURR,NAME_CONTRACT_TYPE\n1,Cash loans\n")
    (state / "night.json").write_text('{"customer_id": 1}')
    (state / "superset" / "cache" / "answer").write_text('{"customer_id": 1}')
    with closing(sqlite3.connect(state / "looks.db")) as other:
        other.execute("CREATE TABLE look (client_number integer)")
    # Said to hold no people, by its name.
    (state / "configuration.json").write_text('{"port": 1, "customer": 7}')
    looked_into = places_of(stores)
    # A search for text does not see numbers in a database.
    unseen = [str(state / "configuration.json"), f"{state / 'looks.db'}: look.client_number"]
    assert uncovered_files(state, looked_into) == unseen
    without_files = {place for place in looked_into if not place.startswith(str(state))}
    assert set(uncovered_files(state, without_files)) == {
        *unseen,
        *(str(state / name) for name in ("night.json", "data/application_test.csv", "superset/cache/answer")),
    }  # fmt: skip


def test_the_names_of_stores_are_their_own(installation: Installation, stores: tuple[Store, ...]) -> None:
    names = [store.name for store in stores if store.there()]
    assert len(names) == len(set(names)) and all(names)
    assert Path(str(installation.settings.state)).name in " ".join(names)
