"""The words of artifacts in the language of the dashboards, and Markdown that shows any text as it stands."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "fr"]
_TEXTS = Path(__file__).parent / "texts" / "artifacts.csv"
_MEANT = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|#~$"})


@cache
def words(language: Language) -> Mapping[str, str]:
    """Every text by key."""
    content = _TEXTS.read_text(encoding="utf-8")
    return {row["key"]: row[language] for row in csv.DictReader(content.splitlines())}


def plain(text: object) -> str:
    """A text as Markdown that shows it as it stands, on one line: file names and messages come from outside."""
    return " ".join(str(text).translate(_MEANT).replace("://", "&#58;//").split())


def number(value: float | None, decimals: int = 0, *, language: Language = "en") -> str:
    """A number with thousands, as the language writes it; a dash for none."""
    if value is None:
        return "–"
    text = f"{value:,.{decimals}f}"
    return text.translate({ord(","): "\u202f", ord("."): ","}) if language == "fr" else text


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
