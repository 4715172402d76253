"""Charts: the settings of their type, their own on top, and the columns of tables in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from superset_assets.generator.identity import uuid_of


def chart(key: str, said: Mapping[str, Any], types: Mapping[str, Any]) -> dict[str, Any]:
    """The asset of one chart in one language.

    `said`, in that language: title, type (a key of `types`), dataset, and as they are needed columns (of a table,
    in order), order (column names, `-` before one for descending), only (filters: column, op, value) and params,
    which are Superset's own.
    """
    kind = dict(types[said["type"]])
    viz_type = kind.pop("viz_type")
    params = kind | _table(said.get("columns", [])) | dict(said.get("params", {}))
    if order := said.get("order"):
        params["order_by_cols"] = [json.dumps([name.removeprefix("-"), not name.startswith("-")]) for name in order]
    if only := said.get("only"):
        params["adhoc_filters"] = [_filter(condition) for condition in only]
        if "metrics_b" in params:
            params["adhoc_filters_b"] = params["adhoc_filters"]
    return {
        "slice_name": said["title"],
        "description": said.get("description"),
        "viz_type": viz_type,
        "params": {"viz_type": viz_type, **params},
        "query_context": None,
        "cache_timeout": None,
        "uuid": uuid_of("chart", key),
        "dataset_uuid": uuid_of("dataset", said["dataset"]),
        "version": "1.0.0",
    }


def _table(columns: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of a table: raw rows if every column is one of the view, grouped if one of them is a metric."""
    if not columns:
        return {}
    names = [column["column"] for column in columns if "column" in column]
    metrics = [column["metric"] for column in columns if "metric" in column]
    config = {}
    for column in columns:
        settings = {_COLUMN_SETTINGS[key]: column[key] for key in _COLUMN_SETTINGS if key in column}
        if settings:
            config[column.get("column") or column["metric"]] = settings
    shown: dict[str, Any] = {"query_mode": "aggregate", "groupby": names, "metrics": metrics}
    if not metrics:
        shown = {"query_mode": "raw", "all_columns": names}
    return {**shown, "column_config": config}


_COLUMN_SETTINGS = {
    "label": "customColumnName",
    "format": "d3NumberFormat",
    "small_format": "d3SmallNumberFormat",
    "time_format": "d3TimeFormat",
    "width": "columnWidth",
    "align": "horizontalAlign",
    "bars": "showCellBars",
    "colour_by_sign": "colorPositiveNegative",
    "visible": "visible",
}


def _filter(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clause": "WHERE",
        "expressionType": "SIMPLE",
        "subject": condition["column"],
        "operator": condition["op"],
        "comparator": condition["value"],
    }
