from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.superset_fixture import RUNNING, Superset

SECOND_ADVISOR = "second"


@pytest.fixture(scope="module", autouse=True)
def english(request: pytest.FixtureRequest) -> None:
    """Each file starts in English, whatever language the files before it left the clients in."""
    if running := request.config.stash.get(RUNNING, None):
        running.speak_english()


@pytest.fixture(scope="module")
def second_advisor(superset: Superset) -> str:
    """Another advisor, made as an administrator makes one."""
    admin = superset.client("admin")
    roles = admin.get("/api/v1/security/roles/", params={"q": "(page_size:100)"}).json()["result"]
    advisor = next(role["id"] for role in roles if role["name"] == "Advisor")
    password = "another-advisors-password"
    made = admin.post(
        "/api/v1/security/users/",
        json={
            "username": SECOND_ADVISOR,
            "first_name": "Second",
            "last_name": "Advisor",
            "email": "second@creditlens.invalid",
            "active": True,
            "roles": [advisor],
            "password": password,
        },
    )
    assert made.status_code in {201, 422}, made.text
    superset.users[SECOND_ADVISOR] = password
    return SECOND_ADVISOR


@pytest.fixture(scope="module")
def chart_data(superset: Superset) -> Callable[..., httpx.Response]:
    """Asks as a browser does for a chart of a dashboard: (user, dataset, columns, customer, more of the query)."""
    admin = superset.client("admin")
    page = {"q": "(page_size:100)"}
    datasets = {one["table_name"]: one["id"] for one in admin.get("/api/v1/dataset/", params=page).json()["result"]}
    places: dict[int, tuple[int, int]] = {}
    for dashboard in admin.get("/api/v1/dashboard/", params=page).json()["result"]:
        for chart in admin.get(f"/api/v1/dashboard/{dashboard['id']}/charts").json()["result"]:
            dataset = int(chart["form_data"]["datasource"].split("__")[0])
            places.setdefault(dataset, (dashboard["id"], chart["form_data"]["slice_id"]))

    def asked(
        user: str,
        dataset: str,
        columns: list[Any],
        customer: int | None = None,
        form: str = "json",
        row_limit: int = 1000,
        **query: Any,
    ) -> httpx.Response:
        dashboard, chart = places[datasets[dataset]]
        filters = [] if customer is None else [{"col": "customer_id", "op": "==", "val": customer}]
        body = {
            "datasource": {"id": datasets[dataset], "type": "table"},
            "queries": [{"columns": columns, "filters": filters, "row_limit": row_limit, **query}],
            "form_data": {"dashboardId": dashboard, "slice_id": chart, "row_limit": row_limit},
            "result_format": form,
            "result_type": "full",
        }
        return superset.client(user).post("/api/v1/chart/data", json=body)

    return asked
