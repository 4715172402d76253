"""Superset's keys are lost, as with secrets.json: it is set up with new ones, and everybody keeps working."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from db.engine import make_engine, psql_url
from db.server.embedded import SUPERUSER, EmbeddedPostgres, free_port
from flows.installation import secret_store
from flows.services import database
from flows.services import superset as superset_service
from flows.settings import Settings
from tests.superset_fixture import Superset, csrf_token, sign_in

ALICE = "a-password-of-alice"


@pytest.fixture
def own(superset: Superset, postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a Superset of the test's own, beside the session's."""
    maker = make_engine(postgres.url(SUPERUSER, database="postgres")).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with maker.connect() as connection:
        name = f"keys_{tmp_path.name[-20:]}"
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE template0'))
    maker.dispose()
    shutil.copy(superset.settings.state / "secrets.json", tmp_path)
    metadata = psql_url(postgres.url(SUPERUSER, database=name))
    settings = superset.settings.model_copy(
        update={"state": tmp_path, "superset_port": free_port(None), "superset_database_url": SecretStr(metadata)}
    )
    yield settings
    superset_service.server(settings).stop()


Clients = Callable[[str], httpx.Client]


@pytest.fixture
def client_of() -> Iterator[Clients]:
    """Makes clients of a server, which are closed at the end."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(httpx.Client(base_url=url, timeout=60, trust_env=False))


def signed_in(client: httpx.Client, user: str, password: str) -> httpx.Client:
    assert "/login" not in sign_in(client, user, password).headers["location"], f"{user} was not let in"
    client.headers["X-CSRFToken"] = csrf_token(client, "/dashboard/list/")
    return client


def rows_shown(client: httpx.Client) -> int:
    """How many rows the tables of a dashboard show; some have none in these nights."""
    dashboard = client.get("/api/v1/dashboard/portfolio-en").json()["result"]["id"]
    charts = client.get(f"/api/v1/dashboard/{dashboard}/charts").json()["result"]
    rows = 0
    for form in [chart["form_data"] for chart in charts if chart["form_data"]["viz_type"] == "table"]:
        columns = form.get("all_columns") or form.get("groupby")
        if not columns:
            continue
        body = {
            "datasource": {"id": int(form["datasource"].split("__")[0]), "type": "table"},
            "queries": [{"columns": columns[:1], "row_limit": 5}],
            "form_data": {"dashboardId": dashboard, "slice_id": form["slice_id"], "row_limit": 5},
            "result_format": "json",
            "result_type": "full",
        }
        answer = client.post("/api/v1/chart/data", json=body)
        assert answer.status_code == 200, answer.text
        rows += len(answer.json()["result"][0]["data"])
    return rows


def test_with_new_keys_everybody_signs_in_and_sees_charts(
    own: Settings, superset: Superset, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    before = superset_service.set_up(own)
    admin = signed_in(client_of(before.url), "admin", before.users["admin"])
    # What only the lost key opens: the password of a connection that somebody added.
    connection = {"database_name": "added", "sqlalchemy_uri": database.reader_url(own)}
    made = admin.post("/api/v1/database/", json=connection)
    assert made.status_code == 201, made.text
    roles = admin.get("/api/v1/security/roles/", params={"q": "(page_size:100)"}).json()["result"]
    alice = {
        "username": "alice",
        "first_name": "A",
        "last_name": "A",
        "email": "alice@bank.invalid",
        "active": True,
    }
    alice |= {"roles": [role["id"] for role in roles if role["name"] == "Advisor"], "password": ALICE}
    assert admin.post("/api/v1/security/users/", json=alice).status_code == 201
    assert rows_shown(signed_in(client_of(before.url), "alice", ALICE)) > 0

    file = own.state / "secrets.json"
    kept = {name: value for name, value in json.loads(file.read_text()).items()
            if not name.startswith(("superset_", "user_"))}  # fmt: skip
    file.write_text(json.dumps(kept))
    caplog.set_level("INFO", "creditlens")
    after = superset_service.set_up(own)

    assert after.provisioned and not set(before.users.values()) & set(after.users.values())
    assert any("dbs.password" in record.getMessage() for record in caplog.records)
    for user, password in {**after.users, "alice": ALICE}.items():
        assert rows_shown(signed_in(client_of(after.url), user, password)) > 0
    # Who was signed in signs in again.
    assert "/login" in admin.get("/dashboard/list/").headers.get("location", "")
    admin = signed_in(client_of(after.url), "admin", after.users["admin"])
    names = {one["database_name"] for one in admin.get("/api/v1/database/").json()["result"]}
    assert {"creditlens", "creditlens SQL"} <= names
    assert "/login" in sign_in(client_of(after.url), "admin", before.users["admin"]).headers["location"]
    assert superset_service.set_up(own).provisioned is False


def test_with_rotated_keys_what_was_encrypted_can_be_read_and_the_old_key_is_gone(
    own: Settings, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    before = superset_service.set_up(own)
    admin = signed_in(client_of(before.url), "admin", before.users["admin"])
    connection = {"database_name": "added", "sqlalchemy_uri": database.reader_url(own)}
    made = admin.post("/api/v1/database/", json=connection)
    assert made.status_code == 201, made.text
    caplog.set_level("INFO", "creditlens")
    secret_store.rotate(own.state, ["superset_secret_key", "superset_jwt_key", "user_admin"])
    # Killed here, and begun again: the first key is the one that counts.
    secret_store.rotate(own.state, ["superset_secret_key"])
    after = superset_service.set_up(own)
    assert after.provisioned and after.users["admin"] != before.users["admin"]
    assert secret_store.ENCRYPTED not in json.loads((own.state / "secrets.json").read_text())
    said = [record.getMessage() for record in caplog.records]
    assert any(re.search(r"encrypted with the new key: [1-9]", line) for line in said), said
    assert not any("lost key" in line for line in said)
    assert rows_shown(signed_in(client_of(after.url), "admin", after.users["admin"])) > 0
    assert superset_service.set_up(own).provisioned is False
