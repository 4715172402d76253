"""What Superset sends to a browser: headers, cookies, languages, looks, and nothing from elsewhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html import unescape

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, text

from db.engine import make_engine, psql_url, transaction
from db.server.embedded import SUPERUSER, EmbeddedPostgres
from flows.services import http
from flows.services import superset as superset_service
from tests.superset_fixture import Superset


def bootstrap(page: str) -> dict:
    """What a page tells the browser's part of Superset."""
    found = re.search(r'data-bootstrap="([^"]+)"', page)
    assert found
    return json.loads(unescape(found[1]))["common"]


def test_the_login_page_answers_and_so_does_the_health_check(superset: Superset) -> None:
    assert superset_service.url(superset.settings) == superset.url
    assert http.answers(f"{superset.url}/health")


def test_the_content_security_policy_names_no_other_host_and_no_unsafe_script(superset: Superset) -> None:
    for page in ("/login/", "/superset/dashboard/worklist-en/"):
        policy = superset.client("advisor").get(page, follow_redirects=True).headers["content-security-policy"]
        assert not re.search(r"https?://|\b[\w-]+\.(com|org|net|io|sh|de)\b", policy)
        script = re.search(r"script-src ([^;]+)", policy)
        assert script
        assert "unsafe" not in script[1]
        assert "'nonce-" in script[1]


def test_headers_that_keep_a_page_to_itself(superset: Superset) -> None:
    headers = superset.client(None).get("/login/").headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    other = superset.client(None).get("/login/", headers={"Origin": "https://elsewhere.example"}).headers
    assert "access-control-allow-origin" not in other


def test_the_session_cookie_is_closed_to_scripts_and_other_sites(superset: Superset) -> None:
    with httpx.Client(base_url=superset.url, trust_env=False) as client:
        cookie = client.get("/login/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_a_write_without_the_pages_token_is_refused(superset: Superset) -> None:
    client = superset.client("admin")
    token = client.headers.pop("X-CSRFToken")
    try:
        answer = client.put("/api/v1/dashboard/1", json={"dashboard_title": "Taken over"})
    finally:
        client.headers["X-CSRFToken"] = token
    assert answer.status_code == 400
    assert "CSRF" in answer.text


def test_pages_and_scripts_ask_for_nothing_from_elsewhere(superset: Superset) -> None:
    page = superset.client("advisor").get("/superset/dashboard/worklist-en/").text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    patched = list((superset.settings.state / "superset" / "scripts").glob("*.js"))
    assert len(patched) == 1
    served = superset.client(None).get(f"/static/assets/{patched[0].name}")
    assert served.status_code == 200
    assert "scarf.sh" not in served.text
    assert "max-age=31536000" in served.headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["/creditlens/logo.svg", "/creditlens/logo-dark.svg", "/creditlens/favicon.svg", "/favicon.ico"]
)
def test_logo_and_icon_are_served_to_everybody(superset: Superset, path: str) -> None:
    answer = superset.client(None).get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/svg+xml")


def test_a_dashboard_is_shown_in_its_own_language(superset: Superset) -> None:
    client = superset.client("advisor")
    for language, decimal in (("fr", ","), ("en", ".")):
        told = bootstrap(client.get(f"/superset/dashboard/portfolio-{language}/").text)
        assert told["locale"] == language
        assert told["d3_format"]["decimal"] == decimal
        home = client.get("/")
        assert home.headers["location"] == f"/superset/dashboard/worklist-{language}/"
    assert client.get("/superset/language_pack/fr/").status_code == 200


def test_the_theme_is_ours_in_light_and_dark(superset: Superset) -> None:
    told = bootstrap(superset.client("advisor").get("/superset/dashboard/worklist-en/").text)
    assert told["theme"]["default"]["token"]["colorPrimary"] == "#0072B2"
    assert told["theme"]["dark"]["token"]["brandLogoUrl"] == "/creditlens/logo-dark.svg"
    assert "creditlens" in [scheme["id"] for scheme in told["extra_categorical_color_schemes"]]


@pytest.mark.parametrize(
    "feature",
    ["ENABLE_TEMPLATE_PROCESSING", "EMBEDDED_SUPERSET", "ALERT_REPORTS", "TAGGING_SYSTEM", "DRILL_BY",
     "DRILL_TO_DETAIL", "ENABLE_JAVASCRIPT_CONTROLS", "ALLOW_ADHOC_SUBQUERY"],
)  # fmt: skip
def test_what_is_not_needed_is_off(superset: Superset, feature: str) -> None:
    told = bootstrap(superset.client("advisor").get("/superset/dashboard/worklist-en/").text)
    assert told["feature_flags"][feature] is False


@pytest.fixture(scope="module")
def metadata(superset: Superset) -> Iterator[Engine]:
    """Superset's own database, as its owner."""
    engine = make_engine(superset_service.metadata_url(superset.settings))
    yield engine
    engine.dispose()


def chart_data(superset: Superset, user: str, table: str, columns: list[str], customer: int | None = None) -> dict:
    """What a dataset answers; `result` with rows, or the errors."""
    client = superset.client(user)
    found = superset.client("admin").get("/api/v1/dataset/?q=(page_size:100)").json()["result"]
    dataset = next(dataset["id"] for dataset in found if dataset["table_name"] == table)
    filters = [{"col": "customer_id", "op": "==", "val": customer}] if customer else []
    body = {
        "datasource": {"id": dataset, "type": "table"},
        "queries": [{"columns": columns, "filters": filters, "row_limit": 7}],
    }
    answer = client.post("/api/v1/chart/data", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"][0]


def test_an_answer_is_cached_and_another_published_run_has_answers_of_its_own(superset: Superset) -> None:
    def ask() -> dict:
        return chart_data(superset, "admin", "run_history", ["run_id", "is_current"])

    first, again = ask(), ask()
    assert (bool(first["is_cached"]), bool(again["is_cached"])) == (False, True)
    assert first["data"] == again["data"]
    pointer = "UPDATE credit.published_run SET run_id = :run"
    older, newer = sorted(row["run_id"] for row in first["data"])
    try:
        with transaction(superset.engine) as connection:
            connection.execute(text(pointer), {"run": older})
        time.sleep(1.1)
        moved = ask()
        assert not moved["is_cached"]
        assert {row["run_id"] for row in moved["data"] if row["is_current"]} == {older}
    finally:
        with transaction(superset.engine) as connection:
            connection.execute(text(pointer), {"run": newer})
    time.sleep(1.1)
    assert {row["run_id"] for row in ask()["data"] if row["is_current"]} == {newer}


def test_the_answers_that_are_dropped_are_the_ones_that_are_kept(superset: Superset) -> None:
    """An erasure and a restore empty this folder from outside."""

    def ask() -> bool:
        return bool(chart_data(superset, "admin", "customer_score", ["score", "band"], 500_031)["is_cached"])

    ask()
    assert ask()
    assert superset_service.drop_answers(superset.settings) > 0
    assert not ask()
    assert ask()


def test_the_log_has_one_row_per_chart_that_says_who_asked_about_whom(superset: Superset, metadata: Engine) -> None:
    with metadata.begin() as connection:
        last = connection.scalar(text("SELECT max(id) FROM logs"))
    chart_data(superset, "analyst", "customer_score", ["score"], customer=500_017)
    with metadata.begin() as connection:
        rows = connection.execute(
            text(
                "SELECT l.action, u.username, l.json FROM logs l JOIN ab_user u ON u.id = l.user_id"
                " WHERE l.id > :last AND u.username = 'analyst'"
            ),
            {"last": last},
        ).all()
    assert [(action, user) for action, user, _ in rows] == [("ChartDataRestApi.data", "analyst")]
    assert "500017" in rows[0][2]


def test_a_connection_that_the_server_has_closed_is_not_used_again(
    superset: Superset, postgres: EmbeddedPostgres
) -> None:
    for customer in range(500_020, 500_030):
        chart_data(superset, "admin", "customer_score", ["score"], customer=customer)
    with psycopg.connect(psql_url(postgres.url(SUPERUSER, database="postgres"))) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'creditlens_dashboard'"
        ).fetchone()
    assert ended is not None
    assert ended[0] > 0
    for customer in range(500_030, 500_040):
        chart_data(superset, "admin", "customer_score", ["score"], customer=customer)


def test_taking_a_role_from_somebody_works_at_once(superset: Superset, metadata: Engine) -> None:
    client = superset.client("analyst")
    assert client.get("/api/v1/database/").status_code == 200
    give = (
        "UPDATE ab_user_role SET role_id = (SELECT id FROM ab_role WHERE name = :role)"
        " WHERE user_id = (SELECT id FROM ab_user WHERE username = 'analyst')"
    )
    try:
        with metadata.begin() as connection:
            connection.execute(text(give), {"role": "Advisor"})
        assert client.get("/api/v1/database/").status_code == 403
    finally:
        with metadata.begin() as connection:
            connection.execute(text(give), {"role": "Analyst"})
    assert client.get("/api/v1/database/").status_code == 200
