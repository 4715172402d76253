"""A number is a person's where it stands whole and nothing says that it is something else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from db.people import mentions


def mentioned(text: str, customer_id: int, *, certain: bool = False) -> int:
    return sum(1 for _ in mentions.spans(text, customer_id, certain=certain))


@pytest.mark.parametrize(
    ("text", "customer_id"),
    [
        ("row of 500005 refused", 500_005),
        ("Key (run_id, customer_id)=(4, 500005) already exists.", 500_005),
        ("SK_ID_CURR=0500005", 500_005),
        ("customer 42", 42),
        ("500005,Cash loans,1", 500_005),
        ("SELECT * FROM reporting.customer WHERE customer_id = 10000", 10_000),
        ("SELECT * FROM x AS c WHERE c.customer_id IN (500004,500005) LIMIT 10000", 500_005),
        ("WHERE customer_id BETWEEN 10000 AND 50000", 50_000),
        ("WHERE 10000 = customer_id", 10_000),
        ("WHERE customer_id = '500005.0'", 500_005),
        ("SELECT 1\\n500005", 500_005),
        ("/superset/explore/?form_data=%7B%22val%22%3A%5B500005%5D%7D", 500_005),
        ("native_filters=(f:(filters:!((col:customer_id,op:IN,val:!(500005)))))", 500_005),
        ("/superset/dashboard/customer-en/?customer=500005&native_filters_key=a", 500_005),
        ("/creditlens/customer?number=500005", 500_005),
        ("customer_500005.csv", 500_005),
        ("-- look at 50000 again", 50_000),
    ],
)
def test_a_number_that_may_be_a_persons_is_found(text: str, customer_id: int) -> None:
    assert mentioned(text, customer_id) == 1
    cleaned = mentions.without(text, customer_id, "0")
    assert cleaned.times == 1
    assert mentioned(cleaned.content, customer_id) == 0


@pytest.mark.parametrize(
    ("text", "customer_id"),
    [
        ("row of 9500005 refused, 5000051 too", 500_005),
        ("3f2a42b1-0042-4242-8042-a42b42c42d42", 42),
        ("9c92b567a00a98ad7def3e4299c8b18e", 42),
        ("loaded at 2026-11-25 09:42:42.042", 42),
        ("version 6.1.42, AUC 0.42, 42.5, took 42.0 s", 42),
        ("10,042 rows of 42,000", 42),
        ("run 42 of model 42 ended, run_id=42, slice_id: 42", 42),
        ("SELECT * FROM x WHERE amt_credit > 10000 LIMIT 10000", 10_000),
        ("WHERE amt_credit BETWEEN 10000 AND 50000", 50_000),
        ("/superset/dashboard/42/?dashboard_page_id=x", 42),
        ("?slice_id%22%3A42", 42),
        ("300 applications, customers: 42", 42),
        ("Interrupted runs closed: 7, 42", 42),
        ("Details of older runs dropped: 42, 43", 42),
    ],
)
def test_a_number_that_is_something_else_is_left_alone(text: str, customer_id: int) -> None:
    assert mentioned(text, customer_id) == 0
    assert mentions.without(text, customer_id, "0") == (text, 0)


def test_an_asset_speaks_of_a_person_only_where_it_says_so() -> None:
    for text in ("the last 30 nights", "30", "at 30", "score > 30"):
        assert mentioned(text, 30, certain=True) == 0
    for text in ("Customer 30", "Client n° 30", '"customer_id" = 30', "x.customer_id in (1, 30)"):
        assert mentioned(text, 30, certain=True) == 1


CHART: dict[str, Any] = {
    "row_limit": 10_000,
    "slice_id": 10_000,
    "adhoc_filters": [
        {"clause": "WHERE", "subject": "customer_id", "operator": "IN", "comparator": [10_000, "10000", 500_003]},
        {"clause": "WHERE", "subject": "amt_credit", "operator": ">", "comparator": 10_000},
        {"expressionType": "SQL", "sqlExpression": "customer_id = 10000 AND amt_credit > 10000"},
    ],
    "form_data": json.dumps({"filters": [{"col": "customer_id", "op": "==", "val": 10_000}], "row_limit": 10_000}),
    "uuid": "10000000-1000-1000-1000-100000010000",
}


@pytest.mark.parametrize("certain", [True, False])
def test_in_a_chart_only_the_filter_on_the_customer_changes(certain: bool) -> None:
    found = mentions.without_in(json.dumps(CHART), 10_000, certain=certain)
    made = json.loads(found.content)
    assert found.times == 4
    assert made["adhoc_filters"][0]["comparator"] == [0, "0", 500_003]
    assert made["adhoc_filters"][1:] == [
        CHART["adhoc_filters"][1],
        {"expressionType": "SQL", "sqlExpression": "customer_id = 0 AND amt_credit > 10000"},
    ]
    assert json.loads(made["form_data"]) == {
        "filters": [{"col": "customer_id", "op": "==", "val": 0}], "row_limit": 10_000
    }  # fmt: skip
    assert {key: made[key] for key in ("row_limit", "slice_id", "uuid")} == {
        key: CHART[key] for key in ("row_limit", "slice_id", "uuid")
    }
    assert mentions.without_in(found.content, 10_000, certain=certain) == (found.content, 0)


def test_a_chosen_customer_is_found_in_a_dashboards_filters_and_a_chosen_amount_is_not() -> None:
    def mask(column: str) -> dict[str, Any]:
        return {
            "NATIVE_FILTER-a": {
                "id": "NATIVE_FILTER-a",
                "extraFormData": {"filters": [{"col": column, "op": "IN", "val": [50_000]}]},
                "filterState": {"value": [50_000], "label": "50000", "validateStatus": False},
            }
        }

    assert mentions.without_in(json.dumps(mask("customer_id")), 50_000).times == 3
    assert mentions.without_in(json.dumps(mask("customer_id")), 50_000, certain=True).times == 3
    assert mentions.without_in(json.dumps(mask("amt_credit")), 50_000).times == 0
    configured = {"targets": [{"column": {"name": "customer_id"}, "datasetId": 42}],
                  "defaultDataMask": {"filterState": {"value": [42]}}}  # fmt: skip
    found = mentions.without_in(json.dumps(configured), 42, certain=True)
    assert json.loads(found.content) == {**configured, "defaultDataMask": {"filterState": {"value": [0]}}}


def test_a_log_of_requests_keeps_its_own_numbers() -> None:
    said = {"look": {"dashboard": 42, "chart": 42, "dataset": 42, "format": "json",
                     "queries": [{"filters": [{"col": "customer_id", "op": "IN", "val": [42]}]}]},
            "slice_id": 42, "dashboard_id": "42", "duration_ms": 42, "ts": 42, "is_cached": [True]}  # fmt: skip
    found = mentions.without_in(json.dumps(said), 42)
    assert found.times == 1
    assert json.loads(found.content) == {
        **said, "look": {**said["look"], "queries": [{"filters": [{"col": "customer_id", "op": "IN", "val": [0]}]}]}
    }  # fmt: skip
