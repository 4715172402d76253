"""Who has no SQL Lab has none by way of a chart's request either, and sees what others saved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.superset_fixture import Superset

HIDDEN = "(ts_stat('SELECT array_to_tsvector(ARRAY[c::text]) FROM reporting.former_customer AS c LIMIT 1')).word"
Chart = Callable[..., httpx.Response]


def metric(expression: str) -> dict[str, str]:
    return {"expressionType": "SQL", "sqlExpression": expression, "label": "mine"}


def column(expression: str) -> dict[str, str]:
    return {"sqlExpression": expression, "label": "mine", "expressionType": "SQL"}


COUNT = {"expressionType": "SIMPLE", "aggregate": "COUNT", "column": {"column_name": "customer_id"}, "label": "n"}
REQUESTS: dict[str, dict[str, Any]] = {
    "a metric": {"columns": ["customer_id"], "metrics": [metric("max(score)")]},
    "a metric that runs a query": {"columns": ["customer_id"], "metrics": [metric(f"max({HIDDEN})")]},
    "a column": {"columns": [column("score + 1")]},
    "a column that says it is a reference": {"columns": [column("score + 1") | {"isColumnReference": True}]},
    "a column's name that is none": {"columns": ["current_setting('creditlens.viewer')"], "metrics": [COUNT]},
    "a column's name among rows": {"columns": ["customer_id", 'score", current_user AS "x']},
    "a group": {"columns": ["customer_id"], "groupby": ["current_user"], "metrics": [COUNT]},
    "a filter's column": {"columns": ["customer_id"], "filters": [{"col": column("1 + 1"), "op": "==", "val": 2}]},
    "a condition": {"columns": ["customer_id"], "extras": {"where": "score > 1"}},
    "a condition on groups": {"metrics": [COUNT], "columns": ["band"], "extras": {"having": "max(score) > 1"}},
    "an order": {"columns": ["customer_id"], "orderby": [[metric("max(score)"), True]]},
    "a limit of series": {
        "columns": ["customer_id"], "metrics": [COUNT], "series_columns": ["customer_id"], "series_limit": 3,
        "series_limit_metric": metric("max(score)"),
    },
}  # fmt: skip


@pytest.mark.parametrize("said", REQUESTS.values(), ids=REQUESTS.keys())
def test_an_advisors_own_sql_is_refused_wherever_it_stands(chart_data: Chart, said: dict[str, Any]) -> None:
    answer = chart_data("advisor", "worklist", **said)
    assert answer.status_code == 400, answer.text
    # Superset itself knows that a name is none of a column.
    assert re.search("as the chart was saved|Columns missing in dataset", answer.json()["message"])


def test_an_analyst_may_ask_in_sql_in_charts_too(chart_data: Chart) -> None:
    answer = chart_data("analyst", "worklist", ["customer_id"], metrics=[metric("max(score) + 1000")])
    assert answer.status_code == 200, answer.text
    assert all(row["mine"] >= 1000 for row in answer.json()["result"][0]["data"])


@pytest.fixture(scope="module")
def saved(superset: Superset, chart_data: Chart) -> Iterator[dict[str, Any]]:
    """A chart with SQL in it that an operator has put on the customer file; what a browser asks for it."""
    operator = superset.client("operator")
    page = {"q": "(page_size:100)"}
    datasets = operator.get("/api/v1/dataset/", params=page).json()["result"]
    dataset = next(one["id"] for one in datasets if one["table_name"] == "worklist")
    dashboards = operator.get("/api/v1/dashboard/", params=page).json()["result"]
    dashboard = next(one["id"] for one in dashboards if one["slug"] == "customer-en")
    params = {
        "viz_type": "table",
        "datasource": f"{dataset}__table",
        "adhoc_filters": [{"clause": "WHERE", "expressionType": "SQL", "sqlExpression": "score > 1"}],
        "metrics": [metric("max(score) + 1000")],
    }
    chart = {
        "slice_name": "An operator's own",
        "viz_type": "table",
        "datasource_id": dataset,
        "datasource_type": "table",
        "params": json.dumps(params),
        "dashboards": [dashboard],
    }
    made = operator.post("/api/v1/chart/", json=chart)
    assert made.status_code == 201, made.text
    yield {
        "datasource": {"id": dataset, "type": "table"},
        "queries": [{"columns": ["customer_id"], "metrics": params["metrics"], "extras": {"where": "(score > 1)"}}],
        "form_data": {"dashboardId": dashboard, "slice_id": made.json()["id"]},
        "result_type": "full",
    }
    assert operator.delete(f"/api/v1/chart/{made.json()['id']}").status_code == 200


def test_what_an_operator_saved_on_a_dashboard_an_advisor_sees(superset: Superset, saved: dict[str, Any]) -> None:
    answer = superset.client("advisor").post("/api/v1/chart/data", json=saved)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["result"][0]["data"]) == 300


def test_what_was_saved_is_no_leave_for_anything_else(superset: Superset, saved: dict[str, Any]) -> None:
    (query,) = saved["queries"]
    for other in ({"metrics": [metric("max(score) + 1001")]}, {"extras": {"where": "(score > 1) OR (score < 1)"}}):
        answer = superset.client("advisor").post("/api/v1/chart/data", json=saved | {"queries": [query | other]})
        assert answer.status_code == 400, answer.text
