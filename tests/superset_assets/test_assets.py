"""The dashboards' files: current, whole, in both languages, and every question of theirs has an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, make_url, text

from db.access import roles
from db.engine import make_engine
from superset_assets.generator import assets, catalogue, source
from superset_assets.generator.dashboards import charts_of
from superset_assets.generator.identity import chart_number
from superset_assets.server.customer_links import PAGES, Place
from tests.superset_fixture import Superset

FILES = {path: yaml.safe_load(content) for path, content in assets.written().items()}


def _meta(node: Any) -> dict[str, Any]:
    return node["meta"] if isinstance(node, dict) else {}


def _of(kind: str) -> dict[str, Any]:
    return {Path(path).stem: content for path, content in FILES.items() if path.startswith(f"{kind}/")}


DATABASES, DATASETS, CHARTS, DASHBOARDS = (_of(kind) for kind in ("databases", "datasets", "charts", "dashboards"))
CHARTS_OF = {
    name: [node["meta"]["uuid"] for node in dashboard["position"].values() if "uuid" in _meta(node)]
    for name, dashboard in DASHBOARDS.items()
}
DATASET_OF = {dataset["uuid"]: dataset for dataset in DATASETS.values()}
# Two nights of sound files: nothing was rejected, and no category was unknown.
EMPTY = {
    "rejected_rows", "unknown_values",
    # Nobody has decided anything in these nights.
    "decision_bands", "decision_grounds", "decision_list", "decision_people", "decision_reviews",
}  # fmt: skip
# Words that are the same in both languages.
SHARED = {"Score", "AUC", "Gini", "KS", "Brier"}


def test_the_files_are_what_the_generator_writes(engine: Engine) -> None:
    assert assets.build(source.load(), catalogue.read(engine)) == assets.written(), "run `make assets`"


def test_no_line_of_figures_has_the_colour_of_a_threshold() -> None:
    """In a chart with lines that say watch and shifted, a feature's line must not look like one of them."""
    settings = (Path(assets.__file__).parents[1] / "server" / "superset_config.py").read_text()
    named = dict(zip(("BLUE", "VERMILLION", "ORANGE"), re.findall(r"#\w{6}", settings), strict=False))
    with_thresholds = {name: chart for name, chart in CHARTS.items() if chart["params"].get("annotation_layers")}
    assert len(with_thresholds) == 4
    for name, chart in with_thresholds.items():
        scheme = re.search(rf'"id": "{chart["params"]["color_scheme"]}".*?"colors": \[(.*?)\]', settings, re.DOTALL)
        assert scheme, name
        colours = {named.get(colour, colour) for colour in re.findall(r"#\w{6}|[A-Z_]{4,}", scheme[1])}
        language = name.rpartition("_")[2]
        of_metrics = DASHBOARDS[f"portfolio_{language}"]["metadata"]["label_colors"]
        colours |= {of_metrics[metric] for metric in chart["params"]["metrics"]}
        thresholds = {layer["color"] for layer in chart["params"]["annotation_layers"]}
        assert len(thresholds) == 2 and len(colours) > 4 and not colours & thresholds, name


def test_every_uuid_is_there_once_and_every_reference_resolves() -> None:
    uuids = [content["uuid"] for path, content in FILES.items() if path != "metadata.yaml"]
    assert len(set(uuids)) == len(uuids)
    assert {dataset["database_uuid"] for dataset in DATASETS.values()} <= {
        database["uuid"] for database in DATABASES.values()
    }
    assert {chart["dataset_uuid"] for chart in CHARTS.values()} <= set(DATASET_OF)
    shown = [uuid for charts in CHARTS_OF.values() for uuid in charts]
    assert sorted(shown) == sorted(chart["uuid"] for chart in CHARTS.values()), (
        "a chart is on exactly one dashboard"
    )
    for dashboard in DASHBOARDS.values():
        targets = [target for one in _filters(dashboard) for target in one["targets"]]
        assert {target["datasetUuid"] for target in targets} <= set(DATASET_OF)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_layout_is_a_tree(name: str) -> None:
    nodes = {key: node for key, node in DASHBOARDS[name]["position"].items() if isinstance(node, dict)}
    children = [child for node in nodes.values() for child in node["children"]]
    assert sorted([*children, "ROOT_ID", "HEADER_ID"]) == sorted(nodes)
    for node in nodes.values():
        if node["type"] == "ROW":
            assert sum(nodes[child]["meta"]["width"] for child in node["children"]) <= 12


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_its_views_columns_and_no_sql_but_metrics_and_links(name: str, engine: Engine) -> None:
    dataset, view = DATASETS[name], catalogue.read(engine)[name]
    own = [column for column in dataset["columns"] if column["expression"] is None]
    assert [(column["column_name"], column["type"].lower(), column["description"]) for column in own] == [
        (column.name, column.type, column.comment) for column in view.columns
    ]
    assert "sql" not in dataset
    links = [column for column in dataset["columns"] if column["expression"] is not None]
    assert all("<a href=" in column["expression"] for column in links)
    assert "expressionType: SQL" not in yaml.safe_dump(list(CHARTS.values()))


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_asks_for_what_its_dataset_has(name: str) -> None:
    chart = CHARTS[name]
    dataset = DATASET_OF[chart["dataset_uuid"]]
    columns, metrics = _columns(chart), _metrics(chart)
    assert set(columns) <= {column["column_name"] for column in dataset["columns"]}
    assert set(metrics) <= {metric["metric_name"] for metric in dataset["metrics"]}
    assert columns or metrics
    assert set(chart["params"].get("column_config", {})) <= {*columns, *metrics}


def test_no_password_is_committed_and_the_charts_ask_as_the_dashboards_role() -> None:
    addresses = {name: make_url(database["sqlalchemy_uri"]) for name, database in DATABASES.items()}
    assert {address.password for address in addresses.values()} == {None}
    assert addresses["creditlens"].username == roles.DASHBOARD
    assert addresses["creditlens_SQL"].username == roles.ANALYST
    assert not any(database["allow_dml"] for database in DATABASES.values())


def test_everything_that_people_read_is_said_in_both_languages() -> None:
    said = source.load()
    found = list(_texts({"charts": said.charts, "dashboards": said.dashboards, "datasets": said.datasets}))
    assert len(found) > 200
    for place, value in found:
        if isinstance(value, str):
            assert value in SHARED or "{" in value or not re.search(r"[a-z]{2}", value), f"{place}: {value}"
        else:
            assert value.keys() == {"en", "fr"} and all(value.values()), place
            assert value["en"] != value["fr"] or len(value["en"].split()) <= 2, place


def test_a_text_in_one_language_only_is_refused() -> None:
    with pytest.raises(ValueError, match="Said in en only"):
        source.spoken({"title": {"en": "Customer"}}, "en")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_tab_is_explained(name: str) -> None:
    code = [node["meta"]["code"] for node in DASHBOARDS[name]["position"].values() if "code" in _meta(node)]
    explained = sum(text.startswith(("**How to read this.**", "**Comment lire.**")) for text in code)
    tabs = sum(node["type"] == "TAB" for node in DASHBOARDS[name]["position"].values() if isinstance(node, dict))
    assert explained >= max(tabs, 1)


def test_the_dashboards_are_the_pages_that_the_bar_above_them_leads_to() -> None:
    places = {Place(page, language) for page in PAGES for language in ("en", "fr")}
    assert {f"/superset/dashboard/{dashboard['slug']}/" for dashboard in DASHBOARDS.values()} == {
        place.path for place in places
    }


@pytest.fixture(scope="module")
def reader(superset: Superset, reader_passwords: dict[str, str]) -> Iterator[Engine]:
    """The database as the charts see it."""
    address = superset.engine.url.set(username=roles.DASHBOARD, password=reader_passwords[roles.DASHBOARD])
    made = make_engine(address)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def customer(reader: Engine) -> int:
    """Somebody whose score moved since the night before, and for whom offers were tried."""
    with reader.connect() as connection:
        query = "SELECT customer_id FROM reporting.worklist WHERE score_change <> 0"
        query += " AND customer_id IN (SELECT customer_id FROM reporting.what_if) ORDER BY customer_id LIMIT 1"
        return connection.execute(text(query)).scalar_one()


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_gets_an_answer_with_its_filters_as_they_are_at_first(
    name: str, reader: Engine, customer: int
) -> None:
    with reader.connect() as connection:
        rows = connection.execute(text(_query(name, customer).replace(":", r"\:"))).all()
    assert rows or name[:-3] in EMPTY


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_a_filter_is_set_to_at_first_is_one_of_its_choices(name: str, reader: Engine) -> None:
    for one in _filters(DASHBOARDS[name]):
        (target,) = one["targets"]
        column, view = target["column"]["name"], DATASET_OF[target["datasetUuid"]]["table_name"]
        with reader.connect() as connection:
            choices = set(connection.scalars(text(f'SELECT DISTINCT "{column}" FROM reporting.{view}')))
        assert choices
        assert set(one["defaultDataMask"]["filterState"].get("value", [])) <= choices


def test_one_customers_file_takes_seven_data_requests_at_most() -> None:
    said = source.load().dashboards["customer"]
    (file,) = [tab for tab in said["tabs"] if tab["key"] == "file"]
    assert len(list(charts_of({"tabs": [file]}))) <= 7


# What Superset sends


def _query(name: str, customer: int) -> str:
    """The chart's query as Superset composes it, with the filters of its dashboard that reach it."""
    chart = CHARTS[name]
    dataset, params = DATASET_OF[chart["dataset_uuid"]], chart["params"]
    expressions = {column["column_name"]: column["expression"] for column in dataset["columns"]}
    metrics = {metric["metric_name"]: metric["expression"] for metric in dataset["metrics"]}
    columns, wanted = _columns(chart), _metrics(chart)
    selected = [f'{expressions[column] or _quoted(column)} AS "{column}"' for column in columns]
    selected += [f'{metrics[metric]} AS "{metric}"' for metric in wanted]
    conditions = [_condition(one["subject"], one["operator"], one["comparator"]) for one in _own_filters(chart)]
    (dashboard,) = [DASHBOARDS[key] for key, charts in CHARTS_OF.items() if chart["uuid"] in charts]
    for one in _filters(dashboard):
        column = one["targets"][0]["column"]["name"]
        if column not in expressions or chart_number(name) in one["scope"]["excluded"]:
            continue
        value = one["defaultDataMask"]["filterState"].get("value")
        if value:
            conditions.append(_condition(column, "IN", value))
        elif column == "customer_id":
            conditions.append(_condition(column, "==", customer))
    query = f"SELECT {', '.join(selected)} FROM reporting.{dataset['table_name']}"
    if conditions:
        query += f" WHERE {' AND '.join(conditions)}"
    if wanted and columns:
        query += f" GROUP BY {', '.join(_quoted(column) for column in columns)}"
    if params.get("order_by_cols"):
        order = [json.loads(column) for column in params["order_by_cols"]]
        query += " ORDER BY " + ", ".join(f"{_quoted(column)} {'ASC' if up else 'DESC'}" for column, up in order)
    return f"{query} LIMIT {params.get('server_page_length') or params['row_limit']}"


def _columns(chart: dict[str, Any]) -> list[str]:
    params = chart["params"]
    if params.get("query_mode") == "raw":
        return list(params["all_columns"])
    return [*([params["x_axis"]] if params.get("x_axis") else []), *params.get("groupby", [])]


def _metrics(chart: dict[str, Any]) -> list[str]:
    params = chart["params"]
    found = [*params.get("metrics", []), params.get("metric"), params.get("timeseries_limit_metric")]
    return list(dict.fromkeys(metric for metric in found if metric))


def _own_filters(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return list(chart["params"].get("adhoc_filters", []))


def _filters(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return list(dashboard["metadata"]["native_filter_configuration"])


def _condition(column: str, operator: str, value: Any) -> str:
    if operator == "IN":
        return f"{_quoted(column)} IN ({', '.join(map(_literal, value))})"
    return f"{_quoted(column)} {'=' if operator == '==' else operator} {_literal(value)}"


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _texts(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Everything under the keys that hold what people read."""
    if isinstance(node, dict):
        for key, value in node.items():
            where = f"{place}.{key}"
            in_words = key in {
                "title",
                "text",
                "label",
                "description",
                "x_axis_title",
                "y_axis_title",
                "y_axis_label",
            }
            if (in_words or (key == "name" and ".filters" in place)) and not isinstance(value, list):
                yield where, value
            else:
                yield from _texts(value, where)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _texts(value, f"{place}.{number}")
