"""Dashboards on a phone: the same charts and texts, one below the other, for readers only."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from flows.settings import PROJECT
from superset_assets.server.narrow_layout import kind, left_out, stacked
from tests.superset_fixture import Superset

DASHBOARDS = sorted((PROJECT / "superset_assets" / "assets" / "dashboards").glob("*.yaml"))
LEAVES = {"CHART", "MARKDOWN"}


def leaves(position: dict[str, Any], name: str = "ROOT_ID") -> list[str]:
    """What is shown, in the order of the layout."""
    part = position[name]
    if kind(part) in LEAVES:
        return [name]
    return [leaf for child in part["children"] for leaf in leaves(position, child)]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_everything_is_there_once_in_the_same_order_and_as_wide_as_the_screen(path: Any) -> None:
    wide = yaml.safe_load(path.read_text())["position"]
    narrow = stacked(wide)
    shown = [name for name in leaves(wide) if wide[name]["meta"].get("narrow") is not False]
    assert leaves(narrow) == shown
    assert {narrow[name]["meta"]["width"] for name in shown} == {12}
    for name, part in narrow.items():
        if kind(part) is None:
            continue
        if part["parents"]:
            assert name in narrow[part["parents"][-1]]["children"]
        if kind(part) == "ROW":
            assert len(part["children"]) == 1
        if kind(part) == "MARKDOWN":
            assert part["meta"]["height"] >= wide[name]["meta"]["height"]
    assert not left_out(narrow)


def layout(superset: Superset, user: str, screen: str) -> dict[str, Any]:
    client = superset.client(user)
    answer = client.get("/api/v1/dashboard/customer-en", headers={"Cookie": cookies(client, screen)})
    assert "Cookie" in answer.headers["vary"]
    return json.loads(answer.raise_for_status().json()["result"]["position_json"])


def cookies(client: Any, screen: str) -> str:
    kept = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return f"{kept}; creditlens_screen={screen}"


def test_a_reader_on_a_narrow_screen_gets_the_narrow_layout_and_the_charts_that_it_has(superset: Superset) -> None:
    wide, narrow = layout(superset, "advisor", "wide"), layout(superset, "advisor", "narrow")
    assert "CHART-customer_waterfall" in leaves(wide)
    assert "CHART-customer_waterfall" not in leaves(narrow)
    assert "CHART-customer_reason" in leaves(narrow)
    client = superset.client("advisor")
    answer = client.get("/api/v1/dashboard/customer-en/charts", headers={"Cookie": cookies(client, "narrow")})
    found = {chart["id"] for chart in answer.raise_for_status().json()["result"]}
    assert found == {narrow[name]["meta"]["chartId"] for name in leaves(narrow) if name.startswith("CHART")}


def test_who_may_edit_dashboards_gets_them_as_they_are(superset: Superset) -> None:
    assert layout(superset, "operator", "narrow") == layout(superset, "operator", "wide")
