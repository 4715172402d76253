"""A page of stock Superset to hold ours against: five tables of `SELECT 1`, on the same server."""

from __future__ import annotations

import json
from typing import Any

from tests.superset_fixture import Superset

SLUG = "stock-en"
CHARTS = 5
COLUMN = "one"


def make_stock_page(superset: Superset) -> list[dict[str, Any]]:
    """Put the page there, anew; what each of its charts asks Superset for."""
    client = superset.client("admin")

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = client.request(method, f"/api/v1/{path}", json=body)
        assert answer.status_code in {200, 201}, (path, answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    remove(superset)
    databases = ask("GET", "database/?q=(page_size:100)")["result"]
    database = min(each["id"] for each in databases)
    dataset = ask(
        "POST",
        "dataset/",
        {"database": database, "schema": "reporting", "table_name": SLUG, "sql": f"SELECT 1 AS {COLUMN}"},
    )["id"]
    page = ask("POST", "dashboard/", {"dashboard_title": "Stock", "slug": SLUG, "published": True})["id"]
    charts, bodies = [], []
    for number in range(CHARTS):
        form = {
            "datasource": f"{dataset}__table",
            "viz_type": "table",
            "query_mode": "raw",
            "all_columns": [COLUMN],
            "row_limit": 1,
        }
        context = {
            "datasource": {"id": dataset, "type": "table"},
            # Never from the cache, as customers whom nobody asked for before are not.
            "force": True,
            "queries": [{"columns": [COLUMN], "metrics": [], "orderby": [], "filters": [], "row_limit": 1}],
            "form_data": form,
            "result_format": "json",
            "result_type": "full",
        }
        charts.append(
            ask(
                "POST",
                "chart/",
                {
                    "slice_name": f"Stock {number + 1}",
                    "viz_type": "table",
                    "datasource_id": dataset,
                    "datasource_type": "table",
                    "params": json.dumps(form),
                    "query_context": json.dumps(context),
                    "dashboards": [page],
                },
            )["id"]
        )
        bodies.append({**context, "form_data": {**form, "slice_id": charts[-1]}})
    ask("PUT", f"dashboard/{page}", {"position_json": json.dumps(_positions(charts)), "json_metadata": "{}"})
    return bodies


def remove(superset: Superset) -> None:
    """Take the page away again, with its charts and their dataset."""
    client = superset.client("admin")
    for kind, query in (
        ("dashboard", f"(filters:!((col:slug,opr:eq,value:{SLUG})))"),
        ("chart", "(filters:!((col:slice_name,opr:sw,value:Stock)))"),
        ("dataset", f"(filters:!((col:table_name,opr:eq,value:{SLUG})))"),
    ):
        for each in client.get(f"/api/v1/{kind}/", params={"q": query}).json()["result"]:
            assert client.delete(f"/api/v1/{kind}/{each['id']}").status_code == 200


def _positions(charts: list[int]) -> dict[str, Any]:
    """The charts in rows of three."""
    rows = [charts[start : start + 3] for start in range(0, len(charts), 3)]
    grid = [f"ROW-{number}" for number in range(len(rows))]
    found: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": grid, "parents": ["ROOT_ID"]},
    }
    for name, row in zip(grid, rows, strict=True):
        found[name] = {
            "type": "ROW",
            "id": name,
            "children": [f"CHART-{chart}" for chart in row],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for chart in row:
            found[f"CHART-{chart}"] = {
                "type": "CHART",
                "id": f"CHART-{chart}",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", name],
                "meta": {"chartId": chart, "width": 4, "height": 30},
            }
    return found
