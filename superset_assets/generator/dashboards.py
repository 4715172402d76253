"""Dashboards: tabs of rows of charts and texts on a grid of 12 columns, and the filters beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from superset_assets.generator.identity import chart_number, uuid_of

_GRID_COLUMNS = 12


def dashboard(key: str, language: str, said: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """The asset of one dashboard in one language.

    `said`, in that language: title, description, top (rows above the tabs), tabs (key, title, rows), filters, css,
    colours. A row is a list of items: `chart` or `text` with width (columns) and height (units of 8 px), or `stack`
    with width: a list of items, or rows, one below the other. `narrow: no` leaves an item out on a narrow screen,
    see `superset_assets.server.narrow_screens`. `titles` are those of the charts by name.
    """
    layout = _Layout(language, titles)
    layout.page(said)
    return {
        "dashboard_title": said["title"],
        "description": said["description"],
        "slug": f"{key}-{language}",
        "published": True,
        "css": said.get("css", ""),
        "uuid": uuid_of("dashboard", f"{key}_{language}"),
        "version": "1.0.0",
        "position": layout.position,
        "metadata": {
            # A scheme here would take the place of the charts' own.
            "color_scheme": "",
            "label_colors": {colour["name"]: colour["colour"] for colour in said.get("colours", [])},
            "cross_filters_enabled": False,
            "refresh_frequency": 0,
            "timed_refresh_immune_slices": [],
            "expanded_slices": {},
            "default_filters": "{}",
            "filter_bar_orientation": said.get("filter_bar", "VERTICAL"),
            "chart_configuration": {},
            "global_chart_configuration": {"scope": {"rootPath": ["ROOT_ID"], "excluded": []}},
            "native_filter_configuration": [
                _filter(one, language, layout.charts) for one in said.get("filters", [])
            ],
        },
    }


def charts_of(said: Mapping[str, Any]) -> Iterator[str]:
    """Names of the charts that a dashboard shows, in reading order."""
    for row in [*said.get("top", []), *(row for tab in said["tabs"] for row in tab["rows"])]:
        yield from _charts(row)


def _charts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _charts(item)
    elif "chart" in node:
        yield node["chart"]
    elif "stack" in node:
        yield from _charts(node["stack"])


class _Layout:
    """Superset's `position`: components by id, each knowing its children and its parents."""

    def __init__(self, language: str, titles: Mapping[str, str]) -> None:
        self.language = language
        self.titles = titles
        self.charts: dict[str, list[str]] = {}
        self.position: dict[str, Any] = {"DASHBOARD_VERSION_KEY": "v2"}
        self._tab = ""

    def page(self, said: Mapping[str, Any]) -> None:
        self._put("ROOT", "ROOT_ID", [], {})
        self._put("GRID", "GRID_ID", ["ROOT_ID"], {})
        self._put("HEADER", "HEADER_ID", [], {"text": said["title"]})
        self._rows(said.get("top", []), "top", ["ROOT_ID", "GRID_ID"])
        if said["tabs"]:
            self._put("TABS", "TABS-main", ["ROOT_ID", "GRID_ID"], {})
        for tab in said["tabs"]:
            self._tab = tab["key"]
            self._put("TAB", f"TAB-{tab['key']}", ["ROOT_ID", "GRID_ID", "TABS-main"], {"text": tab["title"]})
            self._rows(tab["rows"], tab["key"], ["ROOT_ID", "GRID_ID", "TABS-main", f"TAB-{tab['key']}"])

    def _rows(self, rows: list[Any], place: str, parents: list[str], width: int = _GRID_COLUMNS) -> None:
        for number, row in enumerate(rows, 1):
            if (taken := sum(item["width"] for item in row)) > width:
                raise ValueError(f"Row {number} of {place} is {taken} columns wide, more than {width}.")
            name = f"ROW-{place}-{number}"
            self._put("ROW", name, parents, {"background": "BACKGROUND_TRANSPARENT"})
            for column, item in enumerate(row, 1):
                self._item(item, f"{place}-{number}-{column}", [*parents, name])

    def _item(self, item: Mapping[str, Any], place: str, parents: list[str]) -> None:
        size = {"width": item["width"], **({"narrow": False} if item.get("narrow") is False else {})}
        if "stack" in item:
            name = f"COLUMN-{place}"
            self._put("COLUMN", name, parents, {"background": "BACKGROUND_TRANSPARENT", **size})
            for number, part in enumerate(item["stack"], 1):
                if isinstance(part, list):
                    self._rows([part], f"{place}-{number}", [*parents, name], item["width"])
                else:
                    self._item({**part, **size}, f"{place}-{number}", [*parents, name])
        elif "chart" in item:
            key = f"{item['chart']}_{self.language}"
            self.charts.setdefault(self._tab, []).append(key)
            meta = {
                "chartId": chart_number(key),
                "uuid": uuid_of("chart", key),
                "sliceName": self.titles[item["chart"]],
                **size,
                "height": item["height"],
            }
            self._put("CHART", f"CHART-{item['chart']}", parents, meta)
        else:
            meta = {"code": item["text"], **size, "height": item["height"]}
            self._put("MARKDOWN", f"MARKDOWN-{place}", parents, meta)

    def _put(self, kind: str, name: str, parents: list[str], meta: dict[str, Any]) -> None:
        if name in self.position:
            raise ValueError(f"{name} is there twice.")
        self.position[name] = {"type": kind, "id": name, "children": [], "parents": parents, "meta": meta}
        if parents:
            self.position[parents[-1]]["children"].append(name)


def _filter(said: Mapping[str, Any], language: str, charts: Mapping[str, list[str]]) -> dict[str, Any]:
    """A native filter that acts on the charts of its `tabs` (all without), less those under `but`."""
    tabs = said.get("tabs", list(charts))
    but = {f"{name}_{language}" for name in said.get("but", [])}
    outside = [key for tab, keys in charts.items() for key in keys if tab not in tabs or key in but]
    made = {
        "id": f"NATIVE_FILTER-{said['key']}",
        "type": "NATIVE_FILTER",
        "filterType": said["type"],
        "name": said["name"],
        "description": said.get("description", ""),
        "targets": [{"datasetUuid": uuid_of("dataset", said["dataset"]), "column": {"name": said["column"]}}],
        "cascadeParentIds": [],
        "scope": {"rootPath": ["ROOT_ID"], "excluded": sorted(chart_number(key) for key in outside)},
        "controlValues": said["settings"],
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
    }
    if sort := said["settings"].get("sortMetric"):
        made["sortMetric"] = sort
    if default := said.get("default"):
        condition = {"col": said["column"], "op": "IN", "val": default}
        made["defaultDataMask"] = {
            "extraFormData": {"filters": [condition]},
            "filterState": {"value": default, "label": ", ".join(default)},
            "ownState": {},
        }
    return made
