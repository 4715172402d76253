"""The words of the documents, by key and language, and numbers and dates as each language writes them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "fr"]
Kind = Literal["sheet", "decision"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
_TEXTS = Path(__file__).parent / "texts"
_MONTHS: Mapping[Language, tuple[str, ...]] = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
    "fr": ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
           "novembre", "décembre"),
}  # fmt: skip


@cache
def words(document: str, language: Language) -> Mapping[str, str]:
    """The words of a document, `letters` or `report`."""
    content = (_TEXTS / f"{document}.csv").read_text(encoding="utf-8")
    return {row["key"]: row[language] for row in csv.DictReader(content.splitlines())}


@cache
def facts() -> tuple[str, ...]:
    """The features that the customer sheet tells as facts, in its order."""
    content = (_TEXTS / "facts.csv").read_text(encoding="utf-8")
    return tuple(row["feature"] for row in csv.DictReader(content.splitlines()))


def day(value: date, language: Language) -> str:
    """A date in words: 28 November 2026, 1er décembre 2026."""
    number = "1er" if language == "fr" and value.day == 1 else str(value.day)
    return f"{number} {_MONTHS[language][value.month - 1]} {value.year}"


def number(value: float | None, decimals: int, language: Language, *, sign: bool = False) -> str:
    """A number with thousands and decimals as the language has them; a dash for none."""
    if value is None:
        return "–"
    rounded = round(float(value), decimals)
    plain = f"{abs(rounded):,.{decimals}f}"
    if language == "fr":
        # U+202F, the narrow no-break space, between thousands.
        plain = plain.translate({ord(","): "\u202f", ord("."): ","})
    minus = "\u2212" if rounded < 0 else "+" if sign and rounded > 0 else ""
    return minus + plain


def percent(value: float | None, decimals: int, language: Language) -> str:
    """A percentage, set off in French; a dash for none."""
    if value is None:
        return "–"
    return number(value, decimals, language) + ("\u202f%" if language == "fr" else "%")
