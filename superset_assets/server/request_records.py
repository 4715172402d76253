"""Who looked at whom, for the log of requests: what Superset's own log leaves out or scatters.

Superset logs a request for a chart's data, answered from the cache or not, as it came in. Which dashboard, chart
and customers it was for depends on what it then makes of it: of a number written as text, of a chart's saved query.
So what is logged here is what Superset is about to ask, by whichever address somebody came. Rows of a dataset that
somebody samples are not logged by Superset at all. The view `compliance.access_log` reads what is written here.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, has_request_context, request

CHART_DATA = "ChartDataRestApi.data"
SAMPLES = "Datasource.samples"
CUSTOMER = "customer_id"


def remember(query_context: Any) -> None:
    """Keep what the current request asks, as Superset has understood it."""
    if has_request_context():
        g.creditlens_asked = query_context


def chart_asked() -> int | None:
    """The saved chart whose data the current request asks for, if it is one's."""
    return _chart(g.get("creditlens_asked")) if has_request_context() else None


def look() -> dict[str, Any] | None:
    """What the current request asks of a chart: place, format, and its queries' filters and own expressions.

    Once per request; None if it asks for no data, or was told before.
    """
    asked = g.pop("creditlens_asked", None) if has_request_context() else None
    if asked is None:
        return None
    form = asked.form_data or {}
    return {
        "dashboard": _number(form.get("dashboardId") or request.args.get("dashboard_id")),
        "chart": _chart(asked),
        "dataset": _number(getattr(asked.datasource, "id", None)),
        "format": str(getattr(asked.result_format, "value", asked.result_format)),
        "queries": [_asked(query) for query in asked.queries],
    }


def _chart(asked: Any) -> int | None:
    form = (asked.form_data if asked is not None else None) or {}
    return _number(form.get("slice_id")) or _number((request.view_args or {}).get("pk"))


def _asked(query: Any) -> dict[str, Any]:
    said = [*(query.columns or []), *(query.metrics or []), *(order[0] for order in query.orderby or [] if order)]
    expressions = [
        one["sqlExpression"] for one in said if isinstance(one, dict) and isinstance(one.get("sqlExpression"), str)
    ]
    extras = query.extras or {}
    return {
        "filters": [_as_asked(one) for one in query.filter or [] if isinstance(one, dict)],
        "expressions": [*expressions, *(str(extras[key]) for key in ("where", "having") if extras.get(key))],
    }


def _as_asked(one: dict[str, Any]) -> dict[str, Any]:
    """A filter with customers' numbers as the numbers that they are: Superset reads `"100005.0 "` as one."""
    value = one.get("val")
    if one.get("col") != CUSTOMER or value is None:
        return one
    return {**one, "val": [_whole(each) for each in value] if isinstance(value, list | tuple) else _whole(value)}


def _whole(value: Any) -> Any:
    try:
        number = float(value)
        return int(number) if number.is_integer() else value
    except (TypeError, ValueError, OverflowError):
        return value


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def log_samples(app: Flask) -> None:
    """Have rows of a dataset that somebody samples logged too."""

    @app.after_request
    def log_them(response: Response) -> Response:
        if request.path == "/datasource/samples" and response.status_code == 200:
            from superset import event_logger

            event_logger.log_with_context(SAMPLES)
        return response
