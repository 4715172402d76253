"""Who may what in Superset: real logins, real requests, a written matrix walked as everybody."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import text

from tests.superset_fixture import Superset

MATRIX: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "access.yaml").read_text())
EVERYBODY = ("nobody", "advisor", "lead", "analyst", "operator", "admin")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def names(superset: Superset) -> dict[str, Any]:
    """Ids of this installation for the placeholders of the matrix."""
    admin = superset.client("admin")
    dashboard = admin.get("/api/v1/dashboard/portfolio-en").json()["result"]
    charts = admin.get(f"/api/v1/dashboard/{dashboard['id']}/charts").json()["result"]
    form = next(chart["form_data"] for chart in charts if chart["form_data"]["viz_type"] == "table")
    dataset = int(form["datasource"].split("__")[0])
    columns = admin.get(f"/api/v1/dataset/{dataset}").json()["result"]["columns"]
    databases = admin.get("/api/v1/database/").json()["result"]
    sql = next(database["id"] for database in databases if database["database_name"] == "creditlens SQL")
    other = next(database["id"] for database in databases if database["id"] != sql)
    asked = "accesstest"
    body = {"database_id": sql, "sql": "SELECT 42 AS answer", "client_id": asked}
    assert superset.client("analyst").post("/api/v1/sqllab/execute/", json=body).status_code == 200
    return {
        "dashboard": dashboard["id"],
        "chart": form["slice_id"],
        "dataset": dataset,
        "column": columns[0]["column_name"],
        "sql": sql,
        "other": other,
        "asked": asked,
    }


def filled(value: Any, names: dict[str, Any]) -> Any:
    """A value of the matrix with its placeholders filled in; one that is nothing else keeps its type."""
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if not isinstance(value, str):
        return value
    whole = names.get(value.strip("{}")) if value.startswith("{") and value.endswith("}") else None
    return whole if whole is not None else value.format(**names)


def ask(superset: Superset, names: dict[str, Any], action: str, user: str) -> httpx.Response:
    rule = MATRIX[action]
    method = next(method for method in ("get", "post", "put", "delete") if method in rule)
    known = {**names, "unique": f"test{next(_numbers)}"}
    client = superset.client(None if user == "nobody" else user)
    body = {"json": filled(rule["json"], known)} if "json" in rule else {}
    if "form" in rule:
        form = filled(rule["form"], known)
        body["data"] = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in form.items()}
    return client.request(method, filled(rule[method], known), **body)


def let_in(response: httpx.Response) -> bool:
    """Whether a request was let in. A page says no by sending on to the login, SQL Lab by knowing no database."""
    return response.status_code not in {302, 401, 403} and "was not found" not in response.text


@pytest.mark.parametrize("action", MATRIX)
def test_who_may(superset: Superset, names: dict[str, Any], action: str) -> None:
    rule = MATRIX[action]
    if not rule["by"]:
        statuses = {user: ask(superset, names, action, user).status_code for user in EVERYBODY}
        assert set(statuses.values()) <= {302, 401, 403, 404, 405}, statuses
        return
    answers = {user: ask(superset, names, action, user) for user in EVERYBODY}
    for user, made in answers.items():
        # Superset is everybody's: other tests hold it to the files.
        if "undo" in rule and made.status_code == 201:
            undone = superset.client(user).delete(rule["undo"].format(id=made.json()["id"]))
            assert undone.status_code == 200, undone.text
    assert [user for user in EVERYBODY if let_in(answers[user])] == sorted(rule["by"], key=EVERYBODY.index)
    for user in rule["by"]:
        assert answers[user].status_code < 500, answers[user].text
        if "status" in rule:
            assert answers[user].status_code == rule["status"], answers[user].text
        if "rows" in rule:
            assert answers[user].json()["count"] == rule["rows"]
        if "type" in rule:
            assert answers[user].headers["content-type"].startswith(rule["type"])
        assert filled(rule.get("has", ""), names) in answers[user].text


REFUSED_SQL = {
    "delete": "DELETE FROM reporting.feature",
    "insert": "INSERT INTO reporting.feature (feature_id) VALUES (1)",
    "delete that looks like a question": "EXPLAIN (ANALYZE) DELETE FROM reporting.feature",
    "select into": "SELECT 1 AS x INTO reporting.mine",
    "create": "CREATE TABLE reporting.mine (x int)",
    "grant": "GRANT SELECT ON reporting.feature TO PUBLIC",
    "run a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "read a base table": "SELECT * FROM credit.score",
}


@pytest.mark.parametrize("user", ["analyst", "operator"])
@pytest.mark.parametrize("sql", REFUSED_SQL.values(), ids=REFUSED_SQL.keys())
def test_sql_that_is_no_reading_is_refused(superset: Superset, names: dict[str, Any], user: str, sql: str) -> None:
    body = {"database_id": names["sql"], "sql": sql, "client_id": f"test{next(_numbers)}"}
    answer = superset.client(user).post("/api/v1/sqllab/execute/", json=body)
    assert answer.status_code >= 400, answer.text
    with superset.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM credit.feature")) > 100
        assert connection.scalar(text("SELECT to_regclass('reporting.mine')")) is None


def test_sql_is_asked_as_the_analysts_role_and_charts_as_the_dashboards(
    superset: Superset, names: dict[str, Any]
) -> None:
    seen = {}
    for key in ("sql", "other"):
        # Superset lets nobody call current_user.
        question = "SELECT DISTINCT grantee AS role FROM information_schema.applicable_roles"
        body = {"database_id": names[key], "sql": question, "client_id": f"r{key}"}
        answer = superset.client("admin").post("/api/v1/sqllab/execute/", json=body)
        seen[key] = answer.json()["data"][0]["role"]
    assert seen == {"sql": "creditlens_analyst", "other": "creditlens_dashboard"}


@pytest.mark.parametrize(
    ("limit", "page", "rows"), [("LIMIT 5", 1000, 5), ("LIMIT 250", 100, 100), ("", 100, 100), ("LIMIT 7", None, 7)]
)
def test_the_smaller_limit_holds_of_the_querys_and_the_pages(
    superset: Superset, names: dict[str, Any], limit: str, page: int | None, rows: int
) -> None:
    body = {
        "database_id": names["sql"],
        "sql": f"SELECT customer_id FROM reporting.customer ORDER BY customer_id {limit}",
        "client_id": f"l{next(_numbers)}",
        "queryLimit": page,
    }
    answer = superset.client("analyst").post("/api/v1/sqllab/execute/", json=body)
    assert [row["customer_id"] for row in answer.json()["data"]] == list(range(500_001, 500_001 + rows))


def test_no_password_is_shown_to_an_operator(superset: Superset, names: dict[str, Any]) -> None:
    secrets = json.loads((superset.settings.state / "secrets.json").read_text())
    client = superset.client("operator")
    shown = [client.get(f"/api/v1/database/{names[key]}/connection").text for key in ("sql", "other")]
    shown += [client.get(f"/api/v1/database/{names[key]}").text for key in ("sql", "other")]
    assert not [secret for secret in secrets.values() if any(secret in text for text in shown)]


@pytest.mark.parametrize("user", EVERYBODY)
def test_no_file_becomes_a_table(superset: Superset, names: dict[str, Any], user: str) -> None:
    client = superset.client(None if user == "nobody" else user)
    answer = client.post(
        f"/api/v1/database/{names['sql']}/upload/",
        data={"type": "csv", "table_name": "mine", "schema": "reporting"},
        files={"file": ("mine.csv", b"a,b\n1,2\n", "text/csv")},
    )
    # Superset stumbles over a database that takes no files.
    assert answer.status_code == {"nobody": 401, "admin": 500}.get(user, 403)
    with superset.engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('reporting.mine')")) is None
