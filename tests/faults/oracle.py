"""What a file of applications says, read the slow way: Python's csv and float, and the dictionary's limits."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from scoring.contract import ID, MAXIMUM_ID
from scoring.features import Feature, by_name, input_features

NAMES = (ID, *(feature.name for feature in input_features()))
SHARES = {feature.name for feature in input_features() if feature.dtype == "float" and feature.maximum == 1}
MISSING = {"", "nan", "-nan", "na", "<na>", "n/a", "#n/a", "null", "(null)", "none", "nil", "nat", "\\n"}
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass
class Expected:
    """Rows as (id, values in the contract's order); None where no reader may take the row."""

    header: list[str]
    rows: list[tuple[float, list[float]] | None] = field(default_factory=list)
    # Rows of which every cell is written plainly and keeps every rule: no reader may refuse them.
    sound: set[int] = field(default_factory=set)


def read_csv(content: bytes, first_chunk: int) -> Expected:
    """The rows of a CSV file. Raises UnicodeDecodeError or csv.Error for what is no CSV file in UTF-8.

    Whether it is written with decimal commas shows in its first chunk.
    """
    limit = csv.field_size_limit(1 << 30)
    try:
        text = content.decode("utf-8-sig")
        first, _, rest = text.partition("\n")
        declared = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)
        separator = declared[1] if declared else max(",;\t|", key=lambda mark: known_names(first, mark))
        lines = csv.reader(io.StringIO(rest if declared else text, newline=""), delimiter=separator)
        header = [name.strip() for name in next(lines)]
        rows = [row for row in lines if row]
        return expected(header, rows, decimal_comma=separator != "," and has_commas(header, rows[:first_chunk]))
    finally:
        csv.field_size_limit(limit)


def known_names(line: str, separator: str) -> int:
    return len({name.strip(' \r"').upper() for name in line.split(separator)} & set(NAMES))


def has_commas(header: list[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether shares have commas and none has a point."""
    places = [place for name, place in found_in(header).items() if name in SHARES]
    cells = [row[place] for row in rows if len(row) == len(header) for place in places]
    return any("," in cell for cell in cells) and not any("." in cell for cell in cells)


def found_in(header: list[str]) -> dict[str, int]:
    """Where the contract's columns are; a column that is not there, or twice, is left out."""
    folded = [name.strip().upper() for name in header]
    places = {}
    for name in NAMES:
        names = header if name in header else folded
        if names.count(name) == 1:
            places[name] = names.index(name)
    return places


def expected(header: list[str], rows: Sequence[Sequence[object]], *, decimal_comma: bool = False) -> Expected:
    """Hold rows of cells (text, numbers or None) against the dictionary."""
    found = Expected(header)
    places = found_in(header)
    if len(places) < len(NAMES):
        return found
    people: dict[float, list[int]] = {}
    tidy_rows: set[int] = set()
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            found.rows.append(None)
            continue
        cells = [row[places[name]] for name in NAMES]
        cells = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
        known = number_in(cells[0], decimal_comma)
        values: list[float] | None = []
        tidy = not isinstance(cells[0], str) or bool(PLAIN.fullmatch(cells[0]))
        for feature, cell in zip(input_features(), cells[1:], strict=True):
            value = value_of(feature.name, cell, decimal_comma)
            if value is None:
                values = None
                break
            is_plain = not isinstance(cell, str) or bool(PLAIN.fullmatch(cell))
            tidy &= is_plain or feature.dtype == "category" or cell == ""
            values.append(value)  # type: ignore[union-attr]
        if known is None or not 1 <= known <= MAXIMUM_ID or known != int(known):
            values = None
        if known is not None:
            people.setdefault(known, []).append(number)
        found.rows.append(None if values is None or known is None else (known, values))
        if values is not None and tidy and not decimal_comma:
            tidy_rows.add(number)
    # Of the rows of one person the first that keeps the rules counts.
    for mine in people.values():
        first = next((number for number in mine if found.rows[number - 1] is not None), None)
        for number in mine:
            if number != first:
                found.rows[number - 1] = None
    found.sound = {number for number in tidy_rows if found.rows[number - 1] is not None}
    return found


def number_in(cell: object, decimal_comma: bool = False) -> float | None:
    """A finite number, or None."""
    if decimal_comma and isinstance(cell, str):
        cell = "no number" if "." in cell else cell.replace(",", ".", 1)
    if isinstance(cell, str) and "_" in cell:
        # Python alone reads 1_000 as a number.
        return None
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def is_missing(cell: object) -> bool:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return isinstance(cell, str) and (cell.casefold() in MISSING or cell.casefold() in {"+nan"})


def value_of(name: str, cell: object, decimal_comma: bool = False) -> float | None:
    """What the contract makes of a cell: a number or a code, NaN for missing; None if it breaks a rule."""
    feature = by_name()[name]
    if feature.dtype == "category":
        return category_of(feature, cell)
    if is_missing(cell):
        return math.nan if feature.nullable else None
    value = number_in(cell, decimal_comma)
    if value is None:
        flags = {"y": 1.0, "yes": 1.0, "true": 1.0, "t": 1.0, "n": 0.0, "no": 0.0, "false": 0.0, "f": 0.0}
        return flags.get(str(cell).casefold()) if feature.kind == "flag" else None
    if value == feature.missing_code:
        return value
    low, high = feature.minimum, feature.maximum
    inside = (low is None or value >= low) and (high is None or value <= high)
    whole = feature.dtype != "int" or value == math.floor(value)
    return value if inside and whole else None


def category_of(feature: Feature, cell: object) -> float | None:
    """The code of a value, in whatever case; 0 if nobody knows it."""
    if cell is None or cell == "":
        return math.nan if feature.nullable else None
    codes = {" ".join(category.value.casefold().split()): float(category.code) for category in feature.categories}
    word = " ".join(str(cell).casefold().split())
    if word in codes:
        return codes[word]
    if set(codes) <= {"y", "n", "yes", "no"}:
        no, yes = sorted(codes.values())
        if word in {"y", "yes", "true", "t", "1", "1.0"}:
            return yes
        if word in {"n", "no", "false", "f", "0", "0.0"}:
            return no
    if word in MISSING:
        return math.nan if feature.nullable else None
    return 0.0
