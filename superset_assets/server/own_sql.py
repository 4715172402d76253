"""Expressions in SQL in a chart's request: for those who may ask in SQL anyway, and for charts that somebody saved.

Superset lets whoever may see a chart ask for its dataset with columns, metrics, filters and orders written in SQL,
and forbids sub-queries in them only: in effect SQL Lab for everybody. A dashboard needs none of that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from superset_assets.server import changes, viewer
from superset_assets.server.request_records import chart_asked

# What Superset puts before an expression to have it parsed.
PREFIXES = ("SELECT 1 ORDER BY ", "SELECT ")


@changes.replaces(
    "superset.models.helpers.ExploreMixin._process_sql_expression",
    "(self, expression, database_id, engine, schema, template_processor)",
    why="A chart's data is asked for in SQL of one's own by those who have SQL Lab only.",
    upstream="apache/superset#22960",
)
def refuse_own_sql(process: changes.Original) -> changes.Original:
    """Have an expression refused that is neither a column nor part of the saved chart that is asked for."""
    from superset.exceptions import QueryObjectValidationError

    def checked(self: Any, expression: str | None, *args: Any, **kwargs: Any) -> Any:
        if expression and not _may_ask(self, expression):
            raise QueryObjectValidationError("A chart's data can be asked for as the chart was saved only.")
        return process(self, expression, *args, **kwargs)

    return checked


def _may_ask(datasource: Any, expression: str) -> bool:
    if viewer.sees_everybody(viewer.current_user()):
        return True
    said = _bare(expression)
    quote = datasource.database.quote_identifier
    return any(said in (column.column_name, quote(column.column_name)) for column in datasource.columns) or (
        said in _of_the_saved_chart(datasource)
    )


def _bare(expression: str) -> str:
    prefix = next((prefix for prefix in PREFIXES if expression.startswith(prefix)), "")
    return expression.removeprefix(prefix).strip()


def _of_the_saved_chart(datasource: Any) -> set[str]:
    """The expressions of the chart that the request is for; whether it may be seen was asked before."""
    number = chart_asked()
    if number is None:
        return set()
    from superset import db
    from superset.models.slice import Slice

    chart = db.session.get(Slice, number)
    if chart is None or (chart.datasource_id, chart.datasource_type) != (datasource.id, datasource.type):
        return set()
    saved = [json.loads(text) for text in (chart.params, chart.query_context) if text]
    return {said.strip() for said in _expressions(saved)}


def _expressions(node: Any) -> Iterator[str]:
    """Everything in a saved chart that is SQL."""
    if isinstance(node, list):
        for one in node:
            yield from _expressions(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("sqlExpression", "where", "having") and isinstance(value, str):
                yield value
                # As Superset joins several conditions.
                yield f"({value})"
            yield from _expressions(value)
