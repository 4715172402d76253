"""Dashboards on a phone: one chart below the other, as wide as the screen, filters above them.

Superset divides a page into twelve columns, however narrow it is: on a phone a third of it is a hundred pixels. The
bar above each page tells the width in a cookie; whoever reads on a narrow screen is given the same dashboard in
another arrangement. Whoever may edit dashboards gets them as they are, so that nobody saves the other one.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, request

from superset_assets.server import narrow_layout

COOKIE = "creditlens_screen"
NARROW = "narrow"
LAYOUT, CHARTS = "DashboardRestApi.get", "DashboardRestApi.get_charts"
# The filter that hands the number of the page's address to the charts; where it is the only one, none is shown.
THE_CUSTOMER = "NATIVE_FILTER-customer"


def add_to(app: Flask) -> None:
    """Give whoever reads on a narrow screen the dashboards' narrow arrangement."""
    app.after_request(_arrange)


def _arrange(answer: Response) -> Response:
    if request.endpoint not in {LAYOUT, CHARTS} or answer.status_code != 200:
        return answer
    answer.vary.add("Cookie")
    if request.cookies.get(COOKIE) != NARROW or _may_edit():
        return answer
    content = json.loads(answer.get_data())
    if request.endpoint == CHARTS:
        # Superset would show a chart that has no place at the end.
        left_out = _left_out((request.view_args or {})["id_or_slug"])
        content["result"] = [chart for chart in content["result"] if chart["id"] not in left_out]
    else:
        _arrange_layout(content["result"])
    answer.set_data(json.dumps(content))
    return answer


def _arrange_layout(result: dict[str, Any]) -> None:
    if result.get("position_json"):
        result["position_json"] = json.dumps(narrow_layout.stacked(json.loads(result["position_json"])))
    if result.get("json_metadata"):
        metadata = json.loads(result["json_metadata"])
        if [one["id"] for one in metadata.get("native_filter_configuration", [])] != [THE_CUSTOMER]:
            result["json_metadata"] = json.dumps({**metadata, "filter_bar_orientation": "HORIZONTAL"})


def _left_out(id_or_slug: str) -> set[int]:
    """The charts of a dashboard that need width."""
    from superset.models.dashboard import Dashboard

    return narrow_layout.left_out(json.loads(Dashboard.get(id_or_slug).position_json or "{}"))


def _may_edit() -> bool:
    from superset import security_manager

    return bool(security_manager.can_access("can_write", "Dashboard"))
