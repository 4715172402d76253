"""Datasets: one physical dataset a view, with the view's columns, named metrics and links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from superset_assets.generator.catalogue import SCHEMA, View
from superset_assets.generator.identity import uuid_of
from superset_assets.generator.source import LANGUAGES, spoken

_TEMPORAL = ("date", "timestamp")


def dataset(name: str, said: Mapping[str, Any], view: View) -> dict[str, Any]:
    """The asset of the dataset on view `name`.

    `said` may hold `metrics` (by key: expression, label, format; those without a label only sort), `labels` of
    columns, and `links` (calculated columns). Whatever is said in two languages comes twice, with the language at
    the end of its name.
    """
    labels = {column: spoken(label, column[-2:]) for column, label in _labels(said).items()}
    columns = [
        _column(column.name, labels.get(column.name), column.comment, column.type) for column in view.columns
    ]
    metrics: list[dict[str, Any]] = []
    for language in LANGUAGES:
        for key, link in said.get("links", {}).items():
            in_one = spoken(link, language)
            expression = in_one["expression"].replace("{label}", in_one["label"])
            columns.append(_column(f"{key}_{language}", None, in_one["description"], "text", expression))
        for key, metric in said.get("metrics", {}).items():
            in_one = spoken(metric, language)
            metrics.append(
                {
                    "metric_name": f"{key}_{language}",
                    "verbose_name": in_one.get("label"),
                    "expression": in_one["expression"],
                    "d3format": in_one.get("format"),
                }
            )
    return {
        "table_name": name,
        "schema": SCHEMA,
        "description": view.comment,
        "main_dttm_col": None,
        "filter_select_enabled": True,
        "uuid": uuid_of("dataset", name),
        "database_uuid": uuid_of("database", "creditlens"),
        "version": "1.0.0",
        "columns": columns,
        "metrics": metrics,
    }


def _labels(said: Mapping[str, Any]) -> dict[str, Any]:
    """Labels by full column name; `band_label_{lang}` stands for both of the pair."""
    return {
        column.replace("{lang}", language): label
        for column, label in said.get("labels", {}).items()
        for language in LANGUAGES
    }


def _column(
    name: str, label: str | None, comment: str, type_: str, expression: str | None = None
) -> dict[str, Any]:
    return {
        "column_name": name,
        "verbose_name": label,
        "description": comment,
        "type": type_.upper(),
        "is_dttm": type_.startswith(_TEMPORAL),
        "is_active": True,
        "groupby": True,
        "filterable": True,
        "expression": expression,
    }
