"""What a file of applications says, read the slow way: Python's csv and float, and the dictionary's limits."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from scoring.contract import ID, MAXIMUM_ID
from scoring.features import by_name, input_features

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass
class Expected:
    """Rows as (id, values in the contract's order); None where no reader may take the row."""

    header: list[str]
    rows: list[tuple[float, list[float]] | None] = field(default_factory=list)
    # Rows of which every cell is written plainly and keeps every rule: no reader may refuse them.
    sound: set[int] = field(default_factory=set)


def read_csv(content: bytes) -> Expected:
    """The rows of a CSV file. Raises UnicodeDecodeError or csv.Error for what is no CSV file in UTF-8."""
    limit = csv.field_size_limit(1 << 30)
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        header = [name.strip() for name in next(lines)]
        return expected(header, [row for row in lines if row])
    finally:
        csv.field_size_limit(limit)


def expected(header: list[str], rows: Sequence[Sequence[object]]) -> Expected:
    """Hold rows of cells (text, numbers or None) against the dictionary."""
    found = Expected(header)
    names = [ID, *(feature.name for feature in input_features())]
    if any(header.count(name) != 1 for name in names):
        return found
    places = [header.index(name) for name in names]
    ids: set[float] = set()
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            found.rows.append(None)
            continue
        cells = [row[place].strip() if isinstance(row[place], str) else row[place] for place in places]
        known = number_in(cells[0])
        repeated = known is not None and known in ids
        if known is not None:
            ids.add(known)
        plain = [cell is None or not isinstance(cell, str) or bool(PLAIN.fullmatch(cell)) for cell in cells]
        if repeated or known is None or not 1 <= known <= MAXIMUM_ID or known != int(known):
            found.rows.append(None)
            continue
        values: list[float] | None = []
        tidy = plain[0]
        for feature, cell, is_plain in zip(input_features(), cells[1:], plain[1:], strict=True):
            value = value_of(feature.name, cell)
            if value is None:
                values = None
                break
            tidy &= is_plain or feature.dtype == "category" or cell == ""
            values.append(value)  # type: ignore[union-attr]
        found.rows.append(None if values is None else (known, values))
        if values is not None and tidy:
            found.sound.add(number)
    return found


def number_in(cell: object) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def value_of(name: str, cell: object) -> float | None:
    """What the contract makes of a cell: a number or a code, NaN for missing; None if it breaks a rule."""
    feature = by_name()[name]
    if cell is None or cell == "":
        return math.nan if feature.nullable else None
    if feature.dtype == "category":
        codes = {category.value: float(category.code) for category in feature.categories}
        return codes.get(str(cell), 0.0)
    value = number_in(cell)
    if value is None:
        return None
    if value == feature.missing_code:
        return value
    low, high = feature.minimum, feature.maximum
    inside = (low is None or value >= low) and (high is None or value <= high)
    whole = feature.dtype != "int" or value == math.floor(value)
    return value if inside and whole else None
