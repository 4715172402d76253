"""The source of truth: YAML in which every text that people read is said in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "fr")
FOLDER = Path(__file__).resolve().parent / "definitions"


@dataclass(frozen=True)
class Source:
    """What the YAML files say: parts by name, in the file's words."""

    databases: dict[str, Any]
    datasets: dict[str, Any]
    chart_types: dict[str, Any]
    charts: dict[str, Any]
    dashboards: dict[str, Any]


def load(folder: Path = FOLDER) -> Source:
    """Read the source. Raises ValueError if two dashboards define a chart of the same name."""
    common = _yaml(folder / "datasets.yaml")
    charts: dict[str, Any] = {}
    dashboards: dict[str, Any] = {}
    for name in ("worklist", "customer", "compare", "portfolio"):
        part = _yaml(folder / f"{name}.yaml")
        if twice := charts.keys() & part["charts"].keys():
            raise ValueError(f"{name}.yaml defines charts of another dashboard: {', '.join(sorted(twice))}")
        charts |= part["charts"]
        dashboards[name] = part["dashboard"]
    return Source(common["databases"], common["datasets"], _yaml(folder / "chart_types.yaml"), charts, dashboards)


def spoken(node: Any, language: str) -> Any:
    """The same structure in one language.

    A mapping of exactly the languages becomes its text; `{name}` in any text becomes what `facts` says.
    Raises ValueError for a mapping that lacks a language.
    """
    return _spoken(node, language, facts(language))


def facts(language: str) -> dict[str, str]:
    """What texts may refer to as `{name}`: the language, and the other one."""
    return {
        "lang": language,
        "other": next(other for other in LANGUAGES if other != language),
    }


def _yaml(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        content: dict[str, Any] = yaml.safe_load(file)
    return content


def _spoken(node: Any, language: str, known: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        if node.keys() & set(LANGUAGES):
            if node.keys() != set(LANGUAGES):
                raise ValueError(f"Said in {', '.join(map(str, node))} only: {node}")
            return _spoken(node[language], language, known)
        return {_spoken(key, language, known): _spoken(value, language, known) for key, value in node.items()}
    if isinstance(node, list):
        return [_spoken(item, language, known) for item in node]
    if isinstance(node, str):
        for name, value in known.items():
            node = node.replace(f"{{{name}}}", value)
    return node
