"""What analysts find in SQL Lab: the README's queries, saved for each of them, and the schema that can be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, text

from db.engine import make_engine
from flows.services import superset as superset_service
from superset_assets.generator.queries import queries
from tests.superset_fixture import Superset


@pytest.fixture(scope="module")
def metadata(superset: Superset) -> Iterator[Engine]:
    engine = make_engine(superset_service.metadata_url(superset.settings))
    yield engine
    engine.dispose()


def saved(superset: Superset, user: str) -> dict[str, dict[str, Any]]:
    answer = superset.client(user).get("/api/v1/saved_query/?q=(page_size:100)")
    assert answer.status_code == 200
    return {row["label"]: row for row in answer.json()["result"]}


def test_the_files_are_the_readmes_queries_without_a_customers_number() -> None:
    files = (superset_service.ASSETS / "saved_queries").glob("*.yaml")
    assert {file.stem: yaml.safe_load(file.read_text()) for file in files} == queries()
    assert len(queries()) == 15
    assert not [name for name, query in queries().items() if "1000" in query["sql"]]


def test_an_analyst_finds_them_and_each_gives_an_answer(superset: Superset) -> None:
    found = saved(superset, "analyst")
    assert set(found) == {query["label"] for query in queries().values()}
    for number, (label, query) in enumerate(found.items()):
        asked = {
            "database_id": query["db_id"] if "db_id" in query else query["database"]["id"],
            "sql": query["sql"],
        }
        answer = superset.client("analyst").post(
            "/api/v1/sqllab/execute/", json={**asked, "client_id": f"saved{number}", "schema": "reporting"}
        )
        assert answer.status_code == 200, (label, answer.text)


def test_a_second_provisioning_changes_none_and_keeps_what_people_saved(
    superset: Superset, metadata: Engine
) -> None:
    client = superset.client("analyst")
    (database,) = {query["database"]["id"] for query in saved(superset, "analyst").values()}
    mine = client.post("/api/v1/saved_query/", json={"label": "mine", "db_id": database, "sql": "SELECT 1"})
    rows = text("SELECT id, uuid, label, sql, extra_json, changed_on FROM saved_query ORDER BY id")
    with metadata.connect() as connection:
        before = connection.execute(rows).all()
    superset_service.set_up(superset.settings)
    with metadata.connect() as connection:
        assert connection.execute(rows).all() == before
    client.delete(f"/api/v1/saved_query/{mine.json()['id']}")


def test_sql_lab_lists_the_schema_that_can_be_read_and_no_other(superset: Superset) -> None:
    (database,) = {query["database"]["id"] for query in saved(superset, "analyst").values()}
    answer = superset.client("analyst").get(f"/api/v1/database/{database}/schemas/?q=(force:!t)")
    assert answer.json()["result"] == ["reporting"]
