"""A dashboard's layout for a narrow screen: one chart or text below the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = 12
# Text that filled so many pixels a column takes more lines on a screen of about as many in all.
COLUMN_PIXELS, SCREEN_PIXELS = 80, 350

Position = dict[str, Any]


def stacked(position: Mapping[str, Any]) -> Position:
    """The layout with every chart and text in a row of its own, in the order in which one reads.

    Texts become higher by as much as they become narrower. What says `narrow: false` needs width and is left out.
    """
    made: Position = {
        name: part for name, part in position.items() if kind(part) not in {"ROW", "COLUMN", "CHART", "MARKDOWN"}
    }
    for name, part in position.items():
        if kind(part) not in {"GRID", "TAB"}:
            continue
        inside = [*part.get("parents", []), name]
        children = []
        for child in part["children"]:
            if kind(position[child]) != "ROW":
                children.append(child)
                made.setdefault(child, position[child])
                continue
            for leaf in _leaves(position, child):
                row = f"ROW-narrow-{leaf}"
                children.append(row)
                made[row] = {"id": row, "type": "ROW", "children": [leaf], "parents": inside,
                             "meta": {"background": "BACKGROUND_TRANSPARENT"}}  # fmt: skip
                made[leaf] = {**position[leaf], "parents": [*inside, row], "meta": _wide(position[leaf])}
        made[name] = {**part, "children": children}
    return made


def kind(part: Any) -> str | None:
    """What a part of a layout is; None for what is no part, such as the version."""
    return part.get("type") if isinstance(part, dict) else None


def _leaves(position: Mapping[str, Any], name: str) -> Iterator[str]:
    """What a row shows, from left to right, each column from top to bottom."""
    if kind(position[name]) not in {"ROW", "COLUMN"}:
        if position[name].get("meta", {}).get("narrow") is not False:
            yield name
        return
    for child in position[name]["children"]:
        yield from _leaves(position, child)


def _wide(part: Mapping[str, Any]) -> dict[str, Any]:
    meta = {**part["meta"], "width": COLUMNS}
    if part["type"] == "MARKDOWN":
        narrower = part["meta"]["width"] * COLUMN_PIXELS / SCREEN_PIXELS
        meta["height"] = math.ceil(part["meta"]["height"] * max(1.0, narrower))
    return meta


def left_out(position: Mapping[str, Any]) -> set[int]:
    """The charts that need more width than there is."""
    return {
        part["meta"]["chartId"]
        for part in position.values()
        if kind(part) == "CHART" and part["meta"].get("narrow") is False
    }
