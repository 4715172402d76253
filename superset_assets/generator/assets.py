"""All asset files: what they hold, and how they are written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from superset_assets.generator import charts, dashboards, datasets, queries
from superset_assets.generator.catalogue import View
from superset_assets.generator.identity import uuid_of
from superset_assets.generator.source import LANGUAGES, Source, spoken

FOLDER = Path(__file__).resolve().parents[1] / "assets"
WRITTEN = ("metadata.yaml", "databases", "datasets", "charts", "dashboards", "saved_queries")


def build(source: Source, views: Mapping[str, View]) -> dict[str, str]:
    """Text by file name relative to `superset_assets/assets/`. Raises KeyError for a dataset without a view."""
    files: dict[str, Any] = {
        "metadata.yaml": {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"},
    }
    for name, said in source.databases.items():
        files[f"databases/{name.replace(' ', '_')}.yaml"] = {
            "database_name": name,
            **said,
            "uuid": uuid_of("database", name),
            "version": "1.0.0",
        }
    for name, said in source.datasets.items():
        files[f"datasets/creditlens/{name}.yaml"] = datasets.dataset(name, said, views[name])
    for language in LANGUAGES:
        told = spoken(source.charts, language)
        for name, said in told.items():
            key = f"{name}_{language}"
            files[f"charts/{key}.yaml"] = charts.chart(key, said, spoken(source.chart_types, language))
        titles = {name: said["title"] for name, said in told.items()}
        for name, said in source.dashboards.items():
            made = dashboards.dashboard(name, language, spoken(said, language), titles)
            files[f"dashboards/{name}_{language}.yaml"] = made
    files |= {f"saved_queries/{name}.yaml": query for name, query in queries.queries().items()}
    return {path: _yaml(content) for path, content in files.items()}


def write(files: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Make the folder's generated files exactly these."""
    for name in WRITTEN[1:]:
        shutil.rmtree(folder / name, ignore_errors=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


def written(folder: Path = FOLDER) -> dict[str, str]:
    """The generated files as they are, by name relative to `folder`."""
    paths = [path for name in WRITTEN for path in [folder / name, *(folder / name).rglob("*.yaml")]]
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths if path.is_file()}


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Many lines of text as a block, lists indented, no anchors."""

    def ignore_aliases(self, _: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, *_: Any, **__: Any) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _yaml(content: Any) -> str:
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))
