"""Rights that are remembered for some seconds open nothing else, and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import Engine, text

from db.engine import make_engine
from flows.services import superset as superset_service
from tests.superset_fixture import Superset

CUSTOMER = 500_041
SECONDS_REMEMBERED = 15


@pytest.fixture(scope="module")
def metadata(superset: Superset) -> Iterator[Engine]:
    """Superset's own database, as its owner."""
    engine = make_engine(superset_service.metadata_url(superset.settings))
    yield engine
    engine.dispose()


@pytest.fixture
def sees_the_score(chart_data: Callable[..., httpx.Response]) -> Callable[[], httpx.Response]:
    """The advisor asks for a chart that she may see."""

    def ask() -> httpx.Response:
        return chart_data("advisor", "customer_score", ["customer_id", "score"], CUSTOMER)

    assert ask().status_code == 200
    return ask


@pytest.mark.parametrize(
    "other",
    [
        {"datasource": "alien"},
        {"slice_id": "alien"},
        {"dashboardId": "alien"},
        {"dashboardId": None},
        {"slice_id": 0},
        {"type": "NATIVE_FILTER"},
        {"type": "NATIVE_FILTER", "native_filter_id": "NATIVE_FILTER-none"},
        {"parent_slice_id": "alien"},
    ],
    ids=str,
)
def test_a_chart_that_was_seen_opens_nothing_else(
    superset: Superset, sees_the_score: Callable[[], httpx.Response], other: dict[str, object]
) -> None:
    client, admin = superset.client("advisor"), superset.client("admin")
    page = {"q": "(page_size:100)"}
    datasets = {one["table_name"]: one["id"] for one in admin.get("/api/v1/dataset/", params=page).json()["result"]}
    seen = next(
        one
        for one in admin.get("/api/v1/dashboard/customer-en/charts").json()["result"]
        if one["form_data"]["datasource"].startswith(f"{datasets['customer_score']}__")
    )
    pages = {one["slug"]: one["id"] for one in admin.get("/api/v1/dashboard/", params=page).json()["result"]}
    alien = admin.get("/api/v1/dashboard/portfolio-en/charts").json()["result"][0]["form_data"]["slice_id"]
    form = {"dashboardId": pages["customer-en"], "slice_id": seen["form_data"]["slice_id"]}
    body = {
        "datasource": {"id": datasets["customer_score"], "type": "table"},
        "queries": [
            {
                "columns": ["customer_id"],
                "filters": [{"col": "customer_id", "op": "==", "val": CUSTOMER}],
                "row_limit": 1,
            }
        ],
        "form_data": form,
    }
    assert client.post("/api/v1/chart/data", json=body).status_code == 200
    places = {"slice_id": alien, "dashboardId": pages["portfolio-en"], "parent_slice_id": alien}
    if "datasource" in other:
        changed = {**body, "datasource": {"id": datasets["run_history"], "type": "table"}}
        changed["queries"] = [{"columns": ["run_id"], "row_limit": 1}]
    else:
        values = {key: places[key] if value == "alien" else value for key, value in other.items()}
        changed = {**body, "form_data": {**form, **values}}
    for _ in range(2):
        answer = client.post("/api/v1/chart/data", json=changed)
        assert answer.status_code == 403, answer.text


def test_who_loses_the_role_loses_a_chart_seen_a_moment_ago(
    sees_the_score: Callable[[], httpx.Response], metadata: Engine
) -> None:
    give = (
        "UPDATE ab_user_role SET role_id = (SELECT id FROM ab_role WHERE name = :role)"
        " WHERE user_id = (SELECT id FROM ab_user WHERE username = 'advisor')"
    )
    try:
        with metadata.begin() as connection:
            connection.execute(text(give), {"role": "Public"})
        assert sees_the_score().status_code in {401, 403}
    finally:
        with metadata.begin() as connection:
            connection.execute(text(give), {"role": "Advisor"})
    assert sees_the_score().status_code == 200


def test_a_dashboard_taken_from_a_role_is_gone_within_seconds(
    sees_the_score: Callable[[], httpx.Response], metadata: Engine
) -> None:
    with metadata.begin() as connection:
        taken = connection.execute(
            text(
                "DELETE FROM dashboard_roles WHERE role_id = (SELECT id FROM ab_role WHERE name = 'Advisor')"
                " RETURNING dashboard_id, role_id"
            )
        ).all()
        # Without any role, a dashboard is everybody's who may see one of its datasets.
        connection.execute(text("INSERT INTO dashboard_roles (dashboard_id, role_id) SELECT id, 1 FROM dashboards"))
    try:
        deadline = time.monotonic() + SECONDS_REMEMBERED + 2
        while sees_the_score().status_code != 403:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        with metadata.begin() as connection:
            connection.execute(text("DELETE FROM dashboard_roles WHERE role_id = 1"))
            for dashboard_id, role_id in taken:
                connection.execute(
                    text("INSERT INTO dashboard_roles (dashboard_id, role_id) VALUES (:dashboard, :role)"),
                    {"dashboard": dashboard_id, "role": role_id},
                )
    assert sees_the_score().status_code == 200
