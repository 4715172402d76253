"""Who looked at whom, for the log of requests: what Superset's own log leaves out or scatters.

Superset logs a request for a chart's data, answered from the cache or not. It loses which dashboard and chart it
was for where the request does not repeat them in its address, and rows of a dataset that somebody samples are not
logged at all. The view `compliance.access_log` reads what is written here.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, has_request_context, request

CHART_DATA = "ChartDataRestApi.data"
SAMPLES = "/datasource/samples"


def look() -> dict[str, Any]:
    """What the current request asks of a chart: place, format, and its queries' filters and own expressions."""
    if not has_request_context():
        return {}
    body = _body()
    form = body.get("form_data") if isinstance(body.get("form_data"), dict) else {}
    source = body.get("datasource") if isinstance(body.get("datasource"), dict) else {}
    queries = body.get("queries") if isinstance(body.get("queries"), list) else []
    return {
        "dashboard": _number(form.get("dashboardId") or request.args.get("dashboard_id")),
        "chart": _number(form.get("slice_id")),
        "dataset": _number(source.get("id")),
        "format": str(body.get("result_format") or "json"),
        "queries": [_asked(query) for query in queries if isinstance(query, dict)],
    }


def _asked(query: dict[str, Any]) -> dict[str, Any]:
    expressions = [
        column["sqlExpression"]
        for column in [*_list(query.get("columns")), *_list(query.get("metrics"))]
        if isinstance(column, dict) and isinstance(column.get("sqlExpression"), str)
    ]
    extras = query.get("extras") if isinstance(query.get("extras"), dict) else {}
    return {
        "filters": [one for one in _list(query.get("filters")) if isinstance(one, dict)],
        "expressions": [*expressions, *(str(extras[key]) for key in ("where", "having") if extras.get(key))],
    }


def _body() -> dict[str, Any]:
    """What was sent, as JSON or, for a download, as a form with JSON in it."""
    found = request.get_json(silent=True) if request.is_json else None
    if found is None:
        try:
            found = json.loads(request.form.get("form_data") or "{}")
        except ValueError:
            found = {}
    return found if isinstance(found, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def log_samples(app: Flask) -> None:
    """Have rows of a dataset that somebody samples logged too."""

    @app.after_request
    def log_them(response: Response) -> Response:
        if request.path == SAMPLES and response.status_code == 200:
            from superset import event_logger

            event_logger.log_with_context("Datasource.samples")
        return response
