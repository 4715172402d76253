"""Advisors are held to their own customers over HTTP: charts, exports, filters, and cached answers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from db.access import portfolios
from flows.services import superset as superset_service
from tests import portfolio
from tests.superset_fixture import Superset, sign_in

OWN, OTHER = 500_003, 500_011


@pytest.fixture(scope="module")
def limited(superset: Superset, second_advisor: str) -> Iterator[None]:
    """Portfolios are on: each of the two advisors has one customer."""
    assert portfolios.ensure_key(superset.engine, superset.settings.secrets()["viewer"])
    portfolio.assign(superset.engine, "advisor", customers=[OWN], by="test")
    portfolio.assign(superset.engine, second_advisor, customers=[OTHER], by="test")
    portfolios.switch(superset.engine, limited=True, by="test")
    # The server looks once a second.
    time.sleep(1.1)
    yield
    portfolios.switch(superset.engine, limited=False, by="test")
    for user in ("advisor", second_advisor):
        portfolios.unassign(superset.engine, user, everything=True)
    time.sleep(1.1)


def rows(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"][0]["data"]


def test_each_advisor_sees_the_own_customer_and_not_the_others(
    limited: None, chart_data: Callable[..., httpx.Response], second_advisor: str
) -> None:
    for user, own, other in (("advisor", OWN, OTHER), (second_advisor, OTHER, OWN)):
        assert rows(chart_data(user, "customer_score", ["customer_id", "score"], own))[0]["customer_id"] == own
        assert rows(chart_data(user, "customer_score", ["customer_id", "score"], other)) == []
        assert {row["customer_id"] for row in rows(chart_data(user, "worklist", ["customer_id"]))} == {own}


def test_a_cached_answer_is_not_for_another_advisor(
    limited: None, chart_data: Callable[..., httpx.Response], second_advisor: str
) -> None:
    columns = ["customer_id", "band_label_en"]
    first = chart_data("advisor", "customer_score", columns, OWN).json()["result"][0]
    again = chart_data("advisor", "customer_score", columns, OWN).json()["result"][0]
    assert not first["is_cached"]
    assert again["is_cached"] and again["data"] == first["data"] != []
    foreign = chart_data(second_advisor, "customer_score", columns, OWN).json()["result"][0]
    assert not foreign["is_cached"] and foreign["data"] == []
    # Nor the empty answer for him who may.
    assert chart_data("advisor", "customer_score", columns, OWN).json()["result"][0]["data"] == first["data"]


def test_a_changed_assignment_outdates_what_was_cached(
    superset: Superset, limited: None, chart_data: Callable[..., httpx.Response], second_advisor: str
) -> None:
    assert rows(chart_data(second_advisor, "customer_score", ["score"], OWN)) == []
    portfolio.assign(superset.engine, second_advisor, customers=[OWN], by="test")
    time.sleep(1.1)
    assert len(rows(chart_data(second_advisor, "customer_score", ["score"], OWN))) == 1
    portfolios.unassign(superset.engine, second_advisor, customers=[OWN])
    time.sleep(1.1)
    assert rows(chart_data(second_advisor, "customer_score", ["score"], OWN)) == []


# As a browser asks for the worklist: Superset has another way for so many rows.
@pytest.mark.parametrize("row_limit", [1000, 100_000])
def test_exports_hold_the_own_customers_only(
    limited: None, chart_data: Callable[..., httpx.Response], row_limit: int
) -> None:
    answer = chart_data("advisor", "worklist", ["customer_id", "score"], form="csv", row_limit=row_limit)
    assert answer.status_code == 200
    lines = answer.text.strip().splitlines()
    assert len(lines) == 2 and lines[1].startswith(str(OWN))


def test_analysts_and_operators_see_everybody_in_charts_and_in_sql(
    superset: Superset, limited: None, chart_data: Callable[..., httpx.Response]
) -> None:
    for user in ("analyst", "operator", "admin"):
        assert len(rows(chart_data(user, "worklist", ["customer_id"]))) == 300, user
    databases = superset.client("admin").get("/api/v1/database/").json()["result"]
    sql = next(one["id"] for one in databases if one["database_name"] == "creditlens SQL")
    query = {"database_id": sql, "sql": "SELECT count(*) AS n FROM reporting.customer", "client_id": "portfolio1"}
    answer = superset.client("analyst").post("/api/v1/sqllab/execute/", json=query)
    assert answer.json().get("data") == [{"n": 300}], answer.text


def test_who_sees_everybody_is_what_roles_yaml_says_of_an_installation_that_stands(
    superset: Superset, limited: None, chart_data: Callable[..., httpx.Response], tmp_path: Path
) -> None:
    assets = tmp_path / "assets"
    shutil.copytree(superset_service.ASSETS, assets)
    said = yaml.safe_load((assets / "roles.yaml").read_text())
    said["roles"]["Analyst"]["sees_everybody"] = False
    said["users"]["deputy"] = {"role": "Advisor", "may": "the dashboards"}
    (assets / "roles.yaml").write_text(yaml.safe_dump(said))
    assert len(rows(chart_data("analyst", "worklist", ["customer_id"]))) == 300
    try:
        changed = superset_service.set_up(superset.settings, assets=assets)
        assert (changed.provisioned, changed.url) == (True, superset.url)
        assert rows(chart_data("analyst", "worklist", ["customer_id"])) == []
        assert len(rows(chart_data("operator", "worklist", ["customer_id"]))) == 300
        with httpx.Client(base_url=superset.url, timeout=60, trust_env=False) as deputy:
            signed_in = sign_in(deputy, "deputy", changed.users["deputy"])
            assert "/login" not in signed_in.headers["location"]
    finally:
        assert superset_service.set_up(superset.settings).provisioned
    assert len(rows(chart_data("analyst", "worklist", ["customer_id"]))) == 300


def test_the_night_as_a_whole_stays_visible(limited: None, chart_data: Callable[..., httpx.Response]) -> None:
    column = {"column_name": "customers"}
    metric = {"expressionType": "SIMPLE", "aggregate": "SUM", "column": column, "label": "customers"}
    counted = rows(chart_data("advisor", "band_distribution", ["run_id"], metrics=[metric]))
    assert max(row["customers"] for row in counted) == 300


def test_many_advisors_on_the_same_connections_never_see_each_others(
    limited: None, chart_data: Callable[..., httpx.Response], second_advisor: str
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def seen(number: int) -> bool:
        user, own = (("advisor", OWN), (second_advisor, OTHER))[number % 2]
        # Another row limit each time: no answer is cached.
        found = rows(chart_data(user, "worklist", ["customer_id"], row_limit=500 + number))
        return {row["customer_id"] for row in found} == {own}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(seen, range(60)))
