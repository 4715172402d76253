"""Who looked at whom is known: real users, real requests, cached answers, exports, SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from db.engine import parse_url, psql_url
from db.superset import access_log
from flows.cli.main import app
from flows.services import superset as superset_service
from tests.flows.cli.json_schema import checked
from tests.superset_fixture import Superset

# Whom no other test looks at.
FIRST, SECOND, THIRD, FOURTH, FIFTH = 500_221, 500_222, 500_223, 500_224, 500_225


@pytest.fixture(scope="module")
def looked(
    superset: Superset, second_advisor: str, chart_data: Callable[..., httpx.Response]
) -> list[dict[str, Any]]:
    """What the log says after everybody below has looked, oldest first."""
    started = datetime.now(UTC)
    for user, customer in (("advisor", FIRST), ("advisor", FIRST), (second_advisor, SECOND)):
        assert chart_data(user, "customer_score", ["customer_id", "decision"], customer).status_code == 200
    assert chart_data("advisor", "customer_score", ["customer_id"], THIRD, form="csv").status_code == 200
    many = {"filters": [{"col": "customer_id", "op": "IN", "val": [FIRST, THIRD]}]}
    assert chart_data("advisor", "worklist", ["customer_id"], **many).status_code == 200
    own = {
        "expressionType": "SQL",
        "sqlExpression": f"max(CASE WHEN customer_id = {SECOND} THEN 1 END)",
        "label": "x",
    }
    assert chart_data("operator", "worklist", ["customer_id"], metrics=[own]).status_code == 200
    # Superset takes all of these for a number.
    for written in (f"{FOURTH}.0", f" {FOURTH} ", f"{FOURTH}e0", float(FOURTH)):
        filters = [{"col": "customer_id", "op": "==", "val": written}]
        assert chart_data("advisor", "customer_score", ["customer_id", "score"], filters=filters).status_code == 200
    nul = {"filters": [{"col": "decision", "op": "==", "val": "a\0b"}]}
    chart_data("advisor", "worklist", ["customer_id"], **nul)
    link = f"(NATIVE_FILTER-customer:(extraFormData:(filters:!((col:customer_id,op:IN,val:!({THIRD}))))))"
    address = superset.client("advisor").get("/superset/dashboard/customer-en/", params={"native_filters": link})
    assert superset.client("advisor").get(address.headers["location"]).status_code == 200
    analyst = superset.client("analyst")
    databases = superset.client("admin").get("/api/v1/database/").json()["result"]
    sql = next(one["id"] for one in databases if one["database_name"] == "creditlens SQL")
    question = f"SELECT score FROM reporting.customer WHERE customer_id = {SECOND}"
    analyst.post("/api/v1/sqllab/execute/", json={"database_id": sql, "sql": question, "client_id": "accesslog1"})
    other = f"SELECT score FROM reporting.customer WHERE customer_id = {FIFTH}.00"
    analyst.post("/api/v1/sqllab/execute/", json={"database_id": sql, "sql": other, "client_id": "accesslog2"})
    assert analyst.get("/api/v1/sqllab/export/accesslog2/").status_code == 200
    with saved_chart(superset, FIFTH) as chart:
        answer = superset.client("admin").get(f"/api/v1/chart/{chart}/data/")
        assert answer.status_code == 200, answer.text
        file = superset.client("admin").get(f"/api/v1/chart/{chart}/data/", params={"format": "csv"})
        assert file.headers["content-type"].startswith("text/csv")
        assert superset.client("advisor").get(f"/api/v1/chart/{chart}/data/").status_code in {403, 404}
    streamed = analyst.post("/api/v1/sqllab/export_streaming/", data={"client_id": "accesslog1"})
    assert streamed.status_code == 200 and len(streamed.text.splitlines()) == 2
    datasets = superset.client("admin").get("/api/v1/dataset/", params={"q": "(page_size:100)"}).json()["result"]
    worklist = next(one["id"] for one in datasets if one["table_name"] == "worklist")
    address = f"/datasource/samples?datasource_type=table&datasource_id={worklist}&per_page=5&page=1&force=false"
    assert analyst.post(address, json={}).status_code == 200
    url = parse_url(superset_service.compliance_url(superset.settings))
    return access_log.read(url, since=started)[::-1]


@contextmanager
def saved_chart(superset: Superset, customer: int) -> Iterator[int]:
    """A chart that somebody saved with a customer in it."""
    operator = superset.client("operator")
    datasets = operator.get("/api/v1/dataset/", params={"q": "(page_size:100)"}).json()["result"]
    dataset = next(one["id"] for one in datasets if one["table_name"] == "customer_score")
    query = {"columns": ["score"], "filters": [{"col": "customer_id", "op": "==", "val": str(customer)}]}
    context = {"datasource": {"id": dataset, "type": "table"}, "queries": [query], "form_data": {}}
    chart = {
        "slice_name": "One customer",
        "viz_type": "table",
        "datasource_id": dataset,
        "datasource_type": "table",
        "params": "{}",
        "query_context": json.dumps(context),
    }
    made = operator.post("/api/v1/chart/", json=chart)
    assert made.status_code == 201, made.text
    yield made.json()["id"]
    assert operator.delete(f"/api/v1/chart/{made.json()['id']}").status_code == 200


def of(looked: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in looked if all(row[name] == value for name, value in wanted.items())]


def test_each_look_names_user_customer_dashboard_and_chart(
    looked: list[dict[str, Any]], second_advisor: str
) -> None:
    for user, customer, times in (("advisor", FIRST, 2), (second_advisor, SECOND, 1)):
        rows = of(looked, username=user, customer_id=customer, kind="view", dataset="customer_score")
        assert len(rows) == times
        for row in rows:
            assert row["dashboard"] and row["chart"]
            assert abs((datetime.now(UTC) - row["looked_at"]).total_seconds()) < 300


def test_a_cached_look_is_a_look(looked: list[dict[str, Any]]) -> None:
    rows = of(looked, username="advisor", customer_id=FIRST, kind="view", dataset="customer_score")
    assert [row["cached"] for row in rows] == [False, True]


def test_a_number_is_the_customers_however_it_is_written(looked: list[dict[str, Any]]) -> None:
    assert len(of(looked, username="advisor", customer_id=FOURTH, kind="view", dataset="customer_score")) == 4


def test_the_customer_of_a_saved_query_is_looked_at_by_whoever_asks_for_it(looked: list[dict[str, Any]]) -> None:
    view, file = of(looked, customer_id=FIFTH)
    assert (view["username"], view["kind"], view["dataset"]) == ("admin", "view", "customer_score")
    assert (file["username"], file["kind"], file["dataset"]) == ("admin", "export", "customer_score")
    # Who was refused has seen nobody.
    assert not [row for row in looked if row["dataset"] is None and row["kind"] in {"view", "list"}]


def test_the_answer_of_sql_as_a_file_is_an_export(looked: list[dict[str, Any]]) -> None:
    file, streamed = of(looked, kind="export", username="analyst")
    assert (file["customer_in_detail"], streamed["customer_in_detail"]) == ([FIFTH], [SECOND])
    assert file["detail"].startswith("csv; SELECT score")


def test_an_export_is_listed_as_one(looked: list[dict[str, Any]]) -> None:
    (row,) = of(looked, kind="export", username="advisor")
    assert (row["username"], row["customer_id"], row["dataset"]) == ("advisor", THIRD, "customer_score")
    assert row["detail"].startswith("csv")


def test_several_customers_of_one_look_are_rows_of_their_own(looked: list[dict[str, Any]]) -> None:
    rows = of(looked, kind="view", dataset="worklist")
    assert {row["customer_id"] for row in rows} == {FIRST, THIRD}


def test_an_expression_that_names_a_customer_is_shown(looked: list[dict[str, Any]]) -> None:
    (row,) = [row for row in of(looked, kind="list", dataset="worklist") if SECOND in row["customer_in_detail"]]
    assert f"customer_id = {SECOND}" in row["detail"]


def test_a_request_that_jsonb_does_not_take_hides_nothing(looked: list[dict[str, Any]]) -> None:
    rows = of(looked, kind="list", dataset="worklist")
    assert [row for row in rows if "a?b" in (row["detail"] or "")]


def test_a_link_to_a_customer_sql_and_samples_are_listed(looked: list[dict[str, Any]]) -> None:
    (page,) = of(looked, kind="dashboard")
    assert page["customer_in_detail"] == [THIRD]
    # Another test's analyst may have asked a moment before.
    (asked,) = [row for row in of(looked, kind="sql", username="analyst") if row["customer_in_detail"] == [SECOND]]
    assert asked["detail"].startswith("SELECT score")
    (sampled,) = of(looked, kind="samples", username="analyst")
    assert sampled["dataset"] == "worklist"


def test_the_command_tells_the_same(
    superset: Superset, looked: list[dict[str, Any]], second_advisor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITLENS_DATABASE_URL", psql_url(superset.engine.url))
    monkeypatch.setenv("CREDITLENS_STATE", str(superset.settings.state))
    run = CliRunner().invoke(app, ["access-log", "--customer", str(SECOND), "--json"])
    assert run.exit_code == 0, run.output
    rows = checked("access-log", run.stdout)["rows"]
    assert {(row["username"], row["kind"]) for row in rows} == {
        (second_advisor, "view"), ("operator", "list"), ("analyst", "sql"), ("analyst", "export"),
    }  # fmt: skip
    table = CliRunner().invoke(app, ["access-log", "--user", second_advisor, "--since", "2020-01-01"])
    lines = table.stdout.splitlines()
    assert lines[0].split(",") == list(access_log.COLUMNS)
    assert len(lines) > 1 and all(second_advisor in line for line in lines[1:])
    none = CliRunner().invoke(app, ["access-log", "--since", "2999-01-01", "--json"])
    assert checked("access-log", none.stdout) == {"rows": []}


@pytest.mark.parametrize("table", ["logs", "query", "ab_user"])
def test_its_reader_reads_the_log_and_nothing_else(
    superset: Superset, looked: list[dict[str, Any]], table: str
) -> None:
    url = superset_service.compliance_url(superset.settings)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"SELECT * FROM public.{table}")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SET TRANSACTION READ WRITE; CREATE TABLE public.mine (x int)")
    elsewhere = psql_url(parse_url(url).set(database=superset.engine.url.database))
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(elsewhere)


def test_every_column_is_explained(superset: Superset, looked: list[dict[str, Any]]) -> None:
    with psycopg.connect(superset_service.metadata_url(superset.settings)) as connection:
        found = connection.execute(
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
            " WHERE attrelid = 'compliance.access_log'::regclass AND attnum > 0 ORDER BY attnum"
        ).fetchall()
    assert dict(found) == dict(access_log.COLUMNS)


def test_what_is_older_than_is_kept_goes(superset: Superset, looked: list[dict[str, Any]]) -> None:
    from db.superset.metadata import prune_log

    url = parse_url(superset_service.metadata_url(superset.settings))
    with psycopg.connect(psql_url(url)) as connection:
        connection.execute("INSERT INTO logs (action, json, dttm) VALUES ('dashboard', '{}', '2020-01-01')")
    assert prune_log(url, 365) == 1
    assert prune_log(url, 365) == 0
