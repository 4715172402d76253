"""Erasing people from the stores of a real Superset and a real Prefect: them, wherever they are, nothing else."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from db.engine import parse_url, psql_url
from db.superset import people
from flows.privacy import again, erase, export, record
from flows.privacy.page import LANGUAGES
from flows.privacy.stores.prefect_database import find_in_prefect
from flows.privacy.stores.registry import every_store
from flows.privacy.stores.superset_database import LOOK_COLUMNS
from flows.services import superset as superset_service
from flows.settings import Settings
from tests.flows.privacy.personal_columns import places_of, uncovered, uncovered_files
from tests.superset_fixture import Superset

# Numbers that stand for much else: a row limit, a round amount, the beginning of another's number, an answer.
COLLIDING = (42, 10_000, 50_000)
OTHER = 500_003
CUSTOMER = 500_031
# Nobody of the nights that other tests look at.
STRANGER = 910_001
SQL = "SELECT score FROM reporting.customer WHERE customer_id = {} AND amt_credit > 10000 LIMIT 10000"


@pytest.fixture(scope="module")
def metadata(superset: Superset) -> Iterator[psycopg.Connection[Any]]:
    """Superset's own database."""
    url = psql_url(parse_url(superset_service.metadata_url(superset.settings)))
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def ids(superset: Superset) -> dict[str, int]:
    """Numbers of what is asked for below."""
    admin = superset.client("admin")
    page = {"q": "(page_size:100)"}
    datasets = {one["table_name"]: one["id"] for one in admin.get("/api/v1/dataset/", params=page).json()["result"]}
    pages = {one["slug"]: one["id"] for one in admin.get("/api/v1/dashboard/", params=page).json()["result"]}
    databases = {one["database_name"]: one["id"] for one in admin.get("/api/v1/database/").json()["result"]}
    chart = next(
        one["form_data"]["slice_id"]
        for one in admin.get("/api/v1/dashboard/customer-en/charts").json()["result"]
        if one["form_data"]["datasource"].startswith(f"{datasets['customer_score']}__")
    )
    return {
        "dataset": datasets["customer_score"],
        "dashboard": pages["customer-en"],
        "chart": chart,
        "database": databases["creditlens SQL"],
    }


def choose(customer: int) -> str:
    """A dashboard's filters as a browser keeps them."""
    chosen = {"id": "NATIVE_FILTER-customer",
              "extraFormData": {"filters": [{"col": "customer_id", "op": "IN", "val": [customer]}]},
              "filterState": {"value": [customer], "label": str(customer)}}  # fmt: skip
    return json.dumps({"NATIVE_FILTER-customer": chosen})


def look_at(superset: Superset, ids: dict[str, int], user: str, customer: int) -> None:
    """Ask for a chart of the customer, keep the filter, and a link to it."""
    client = superset.client(user)
    body = {
        "datasource": {"id": ids["dataset"], "type": "table"},
        "queries": [{"columns": ["customer_id", "score"], "row_limit": 10_000,
                     "filters": [{"col": "customer_id", "op": "==", "val": customer}]}],
        "form_data": {"dashboardId": ids["dashboard"], "slice_id": ids["chart"], "row_limit": 10_000},
        "result_format": "json",
        "result_type": "full",
    }  # fmt: skip
    assert client.post("/api/v1/chart/data", json=body).status_code == 200
    address = f"/api/v1/dashboard/{ids['dashboard']}/filter_state?tab_id={customer % 97}"
    assert client.post(address, json={"value": choose(customer)}).status_code == 201
    link = {"dataMask": json.loads(choose(customer)), "activeTabs": [], "urlParams": []}
    assert client.post(f"/api/v1/dashboard/{ids['dashboard']}/permalink", json=link).status_code == 201


@pytest.fixture(scope="module")
def charts(superset: Superset, ids: dict[str, int]) -> Iterator[dict[int, int]]:
    """Charts that an operator made of one customer each, in a filter, an expression and the title."""
    made = {}
    for customer in COLLIDING:
        params = {
            "viz_type": "table", "datasource": f"{ids['dataset']}__table", "row_limit": 10_000, "slice_id": 42,
            "adhoc_filters": [
                {"clause": "WHERE", "expressionType": "SIMPLE", "subject": "customer_id", "operator": "IN",
                 "comparator": [customer, OTHER]},
                {"clause": "WHERE", "expressionType": "SIMPLE", "subject": "amt_credit", "operator": ">",
                 "comparator": customer},
                {"clause": "WHERE", "expressionType": "SQL", "sqlExpression": f"customer_id = {customer}"},
            ],
        }  # fmt: skip
        query = {
            "datasource": {"id": 42, "type": "table"},
            "form_data": params,
            "queries": [{"filters": [{"col": "customer_id", "op": "==", "val": customer}], "row_limit": 50_000}],
        }
        body = {"slice_name": f"Customer {customer}, row 42", "datasource_id": ids["dataset"],
                "datasource_type": "table", "viz_type": "table", "params": json.dumps(params),
                "query_context": json.dumps(query)}  # fmt: skip
        answer = superset.client("operator").post("/api/v1/chart/", json=body)
        assert answer.status_code == 201, answer.text
        made[customer] = answer.json()["id"]
    yield made
    for chart in made.values():
        assert superset.client("operator").delete(f"/api/v1/chart/{chart}").status_code == 200


def content(metadata: psycopg.Connection[Any], *, apart: set[int]) -> dict[str, list[str]]:
    """Every row of every table that is no log, but for charts `apart` and the time of the last login."""
    tables = metadata.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " AND table_type = 'BASE TABLE' AND table_name <> ALL(%s) ORDER BY 1",
        [["logs", "query", "key_value", "saved_query", "ab_user"]],
    ).fetchall()
    found: dict[str, list[str]] = {}
    for (table,) in tables:
        rows = metadata.execute(f"SELECT to_jsonb(t) ->> 'id', t::text FROM {table} AS t ORDER BY 2".encode())
        found[table] = [row for number, row in rows if not (table == "slices" and int(number) in apart)]
    return found


def test_only_what_is_a_persons_changes_in_supersets_own_database(
    superset: Superset, metadata: psycopg.Connection[Any], ids: dict[str, int], charts: dict[int, int]
) -> None:
    analyst = superset.client("analyst")
    for customer in (*COLLIDING, OTHER):
        look_at(superset, ids, "analyst", customer)
        saved = {"db_id": ids["database"], "label": f"of {customer}", "sql": SQL.format(customer)}
        assert analyst.post("/api/v1/saved_query/", json=saved).status_code == 201
        run = {"database_id": ids["database"], "sql": SQL.format(customer), "client_id": f"er{customer}"}
        analyst.post("/api/v1/sqllab/execute/", json=run)
    assets = content(metadata, apart=set(charts.values()))
    filed = "SELECT count(*) FROM key_value WHERE resource <> 'app'"
    kept = metadata.execute(filed).fetchone()
    digests = "SELECT run_id, source_sha256, message FROM credit.scoring_run ORDER BY 1"
    with superset.engine.connect() as connection:
        ledger = connection.exec_driver_sql(digests).all()
    looks = metadata.execute("SELECT count(*) FROM compliance.access_log WHERE customer_id IS NOT NULL").fetchone()
    for customer in COLLIDING:
        found = erase.search(superset.settings, customer).found
        for place in ("logs.json", "key_value.value", "query.sql", "saved_query.sql", "slices.params",
                      "slices.query_context", "slices.slice_name"):  # fmt: skip
            assert f"superset.{place}" in found, (customer, place, found)
        done = erase.erase(superset.settings, customer, by="petra")
        assert done["removed"]["superset.slices"] == 3
        assert done["removed"]["superset.key_value"] >= 2
        assert erase.search(superset.settings, customer).found == {}
        assert [store for store in done["searched"] if store["store"].startswith("Superset's database")]
    assert content(metadata, apart=set(charts.values())) == assets
    with superset.engine.connect() as connection:
        assert connection.exec_driver_sql(digests).all() == ledger
    # That somebody looked is known still, and of everybody else at whom.
    assert metadata.execute("SELECT count(*) FROM compliance.access_log WHERE customer_id = 0").fetchone() >= (3,)
    assert (
        metadata.execute("SELECT count(*) FROM compliance.access_log WHERE customer_id IS NOT NULL").fetchone()
        == looks
    )
    of_the_other = people.find(parse_url(superset_service.metadata_url(superset.settings)), OTHER)
    assert of_the_other["superset.key_value.value"] >= 2
    assert kept is not None
    left = metadata.execute(filed).fetchone()
    assert left is not None and kept[0] - left[0] == 2 * len(COLLIDING)
    queries = [row for (row,) in metadata.execute("SELECT sql FROM saved_query ORDER BY id")]
    assert queries[-4:] == [*[SQL.format(0)] * 3, SQL.format(OTHER)]


def test_a_saved_chart_of_a_person_shows_nobody_and_stays_a_chart(
    superset: Superset, metadata: psycopg.Connection[Any], charts: dict[int, int]
) -> None:
    for customer, chart in charts.items():
        row = metadata.execute(
            "SELECT slice_name, params, query_context FROM slices WHERE id = %s", [chart]
        ).fetchone()
        assert row is not None
        name, params, query = row[0], json.loads(row[1]), json.loads(row[2])
        assert name == "Customer 0, row 42"
        assert [one.get("comparator") or one["sqlExpression"] for one in params["adhoc_filters"]] == [
            [0, OTHER], customer, "customer_id = 0"
        ]  # fmt: skip
        assert (params["row_limit"], params["slice_id"], query["datasource"]["id"]) == (10_000, 42, 42)
        assert query["queries"] == [
            {"filters": [{"col": "customer_id", "op": "==", "val": 0}], "row_limit": 50_000}
        ]
    assert superset.client("operator").get(f"/api/v1/chart/{charts[42]}").status_code == 200


def test_the_copy_says_who_looked_and_not_at_whom_else(
    superset: Superset, ids: dict[str, int], tmp_path: Path
) -> None:
    look_at(superset, ids, "advisor", CUSTOMER)
    found = export.export(superset.settings, CUSTOMER, tmp_path, by="petra", languages=LANGUAGES)
    assert found["looks"] >= 1 and found["looks_not_told"] is None
    document = json.loads((tmp_path / f"customer-{CUSTOMER}.json").read_text())
    (look,) = [row for row in document["looks"] if row["username"] == "advisor" and row["kind"] == "view"]
    assert look["chart"] and look["dashboard"] and set(look) == set(LOOK_COLUMNS)
    for language, words in (("en", "Who looked at these data"), ("fr", "Qui a consulté ces données")):
        page = (tmp_path / f"customer-{CUSTOMER}.{language}.html").read_text()
        assert words in page and "<td>advisor</td>" in page


def test_every_number_that_a_hash_may_stand_for_is_known(superset: Superset, ids: dict[str, int]) -> None:
    """Whoever is erased again after a restore is known by a hash only."""
    look_at(superset, ids, "advisor", STRANGER)
    url = parse_url(superset_service.metadata_url(superset.settings))
    hashes = {record.customer_hash(superset.settings, STRANGER)}
    assert STRANGER in people.numbers(url)
    assert again.erase_again(superset.settings, superset.engine, url, hashes, why="restore") == 1
    assert people.find(url, STRANGER) == {}


def test_every_place_of_people_in_supersets_database_and_state_folder_is_looked_into(
    superset: Superset, metadata: psycopg.Connection[Any], ids: dict[str, int]
) -> None:
    look_at(superset, ids, "advisor", CUSTOMER)
    looked_into = places_of(every_store(superset.settings, superset.engine))
    of_superset = {"public": "superset"}
    assert uncovered(metadata, looked_into, schemas=of_superset) == []
    assert set(uncovered(metadata, set(), schemas=of_superset)) == {
        "compliance.access_log.customer_id", "compliance.access_log.customer_in_detail"
    }  # fmt: skip
    state = superset.settings.state
    assert any(path.is_file() for path in superset_service.answers(superset.settings).rglob("*"))
    assert uncovered_files(state, looked_into, apart=[state / "postgres"]) == []


# --- Prefect ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prefect(prefect_api: str, open_folder: Path) -> Path:
    """The database of the real Prefect server, with runs that speak of people and of other numbers."""
    with httpx.Client(base_url=prefect_api, trust_env=False) as api:
        flow = api.post("/flows/", json={"name": "erasing"}).json()["id"]
        for number in COLLIDING:
            parameters = {"customer_id": number, "row_limit": number, "file": f"/data/{uuid4()}/x.csv"}
            run = api.post("/flow_runs/", json={"flow_id": flow, "parameters": parameters}).json()["id"]
            state = {"type": "FAILED", "message": f"Key (run_id, customer_id)=(1, {number}) already exists."}
            assert api.post(f"/flow_runs/{run}/set_state", json={"state": state, "force": True}).is_success
            said = [
                {"name": "creditlens", "level": 20, "flow_run_id": run, "timestamp": "2026-11-25T09:42:42Z",
                 "message": message}
                for message in (f"customer {number} was refused", f"run {number} has {number:,}.5 rows")
            ]  # fmt: skip
            assert api.post("/logs/", json=said).is_success
    path = open_folder / "prefect-state" / "prefect" / "prefect.db"
    deadline = time.monotonic() + 30
    # The server writes logs and events from memory, a moment later.
    while time.monotonic() < deadline and any(
        f"{path}: {place}" not in find_in_prefect(path, number)
        for number in COLLIDING
        for place in ("log.message", "flow_run.parameters", "flow_run_state.message", "events.resource")
    ):
        time.sleep(0.5)
    return path


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All of Prefect's tables."""
    connection = sqlite3.connect(path, timeout=30)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: sorted(connection.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr) for table in tables
        }
    finally:
        connection.close()


def test_only_what_is_a_persons_changes_in_prefects_own_database(
    prefect: Path, prefect_api: str, superset: Superset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITLENS_STATE", str(prefect.parent.parent))
    monkeypatch.setenv("CREDITLENS_DATABASE_URL", psql_url(superset.engine.url))
    settings = Settings()
    looked_into = places_of(every_store(settings, superset.engine))
    assert uncovered_files(prefect.parent, looked_into) == []
    for number in COLLIDING:
        before = rows_of(prefect)
        found = erase.search(settings, number).found
        for place in ("log.message", "flow_run.parameters", "flow_run_state.message", "events.resource"):
            assert f"{prefect}: {place}" in found, (number, place, found)
        done = erase.erase(settings, number, by="petra")
        assert done["removed"][str(prefect)] >= 4
        assert [store for store in done["searched"] if store["store"] == f"Prefect's database {prefect}"]
        assert not [store for store in done["not_searched"] if "Prefect" in store["store"]]
        after = rows_of(prefect)
        # The server's own services write other tables meanwhile. Pytest counts its folders; one day it is at 42.
        said = {
            new
            for table in ("log", "flow_run_state", "task_run", "task_run_state", "flow")
            for rows in zip(before[table], after[table], strict=True)
            for old, new in zip(*rows, strict=True)
            if old != new and f"/pytest-{number}/" not in str(old)
        }
        assert said == {"customer 0 was refused", "Key (run_id, customer_id)=(1, 0) already exists."}
        messages = [row for row in after["log"] if f"run {number} has {number:,}.5 rows" in row]
        assert len(messages) == 1
        assert not [row for row in after["log"] if f"customer {number} was refused" in row]
        parameters = [json.loads(value) for row in after["flow_run"] for value in row
                      if isinstance(value, str) and '"row_limit"' in value]  # fmt: skip
        assert {"customer_id": 0, "row_limit": number} in [
            {key: one[key] for key in ("customer_id", "row_limit")} for one in parameters
        ]
        assert f"customer {number} was".encode() not in prefect.read_bytes()
        assert {row[0] for row in before["flow_run"]} == {row[0] for row in after["flow_run"]}
    with httpx.Client(base_url=prefect_api, trust_env=False) as api:
        assert len(api.post("/flow_runs/filter", json={"flows": {"name": {"any_": ["erasing"]}}}).json()) == 3
