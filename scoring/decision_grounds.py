"""The grounds that a person may give for a decision, in words; `dictionary/decision_grounds.csv`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from scoring.dictionary_lines import read_lines

_FILE = "decision_grounds.csv"


@cache
def decision_grounds() -> list[dict[str, Any]]:
    """The grounds in the order in which they are offered: code, place, label_en, label_fr."""
    text = files("scoring").joinpath("dictionary", _FILE).read_text(encoding="utf-8")
    lines = read_lines(_FILE, text, ("code", "place", "label_en", "label_fr"))
    return [{**line.cells, "place": int(line.cells["place"])} for line in lines]
