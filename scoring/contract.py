"""The input contract: which columns, types, ranges and categories an application has; the door for every row.

Rows that break a rule are taken out with row number, column, rule and value; the others go on. The rules
themselves are data: the feature dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scoring.errors import ColumnsError
from scoring.features import Feature, application_columns, dictionary

ID = "SK_ID_CURR"
TARGET = "TARGET"
UNKNOWN_CATEGORY = 0
MAXIMUM_ID = 2**31 - 1
# Enough to see what is wrong with a row; every rejected row is described, however many there are.
DESCRIBED_PER_ROW = 5
SHOWN_CHARACTERS = 120
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

# How people and programs write that a cell is empty, and yes and no, in any case.
MISSING_WORDS = frozenset(
    ("", "nan", "-nan", "na", "<na>", "n/a", "#n/a", "null", "(null)", "none", "nil", "nat", "\\n")
)
_YES = ("y", "yes", "true", "t", "1", "1.0")
_NO = ("n", "no", "false", "f", "0", "0.0")

RULES = ("required", "type", "finite", "whole", "range", "unique", "fields")
_REQUIRED, _TYPE, _FINITE, _WHOLE, _RANGE, _UNIQUE = range(1, 7)


@dataclass(frozen=True, slots=True)
class Applications:
    """Applications that passed the contract.

    Attributes
    ----------
    customer_id: shape (n,).
    values: shape (n, 120), columns in the dictionary's order, raw units of the file; categories and flags are
        codes of the dictionary, 0 for a category it does not know; NaN is missing.
    target: shape (n,), 1 = payment difficulties; None for new customers.
    row_number: shape (n,), 1 for the first row after the header.
    """

    customer_id: NDArray[np.int32]
    values: NDArray[np.float64]
    target: NDArray[np.int8] | None
    row_number: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.customer_id)

    def take(self, rows: NDArray[np.intp]) -> Applications:
        """The given rows, in the given order."""
        target = None if self.target is None else self.target[rows]
        return Applications(self.customer_id[rows], self.values[rows], target, self.row_number[rows])

    @staticmethod
    def concatenate(parts: Sequence[Applications]) -> Applications:
        """All parts after each other; all labelled, or none."""
        labelled = parts[0].target is not None
        return Applications(
            np.concatenate([part.customer_id for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.target for part in parts if part.target is not None]) if labelled else None,
            np.concatenate([part.row_number for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule broken by one row; `value` and `customer_id` are as received, cut to a readable length."""

    row_number: int
    customer_id: str | None
    column_name: str
    rule: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What the contract made of some rows.

    Attributes
    ----------
    unknown: per category column and value that the dictionary does not have: how many accepted rows have it.
    respelt: the same for values that are read as one of the dictionary's, such as "1" or "y" for "Y".
    given: per category column how many accepted rows have a value, known or not.
    """

    accepted: Applications
    rejected: int
    violations: list[Violation]
    unknown: dict[tuple[str, str], int] = field(default_factory=dict)
    respelt: dict[tuple[str, str], int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the contract's columns are in a header.

    Attributes
    ----------
    positions: per column of the contract, in its order, the place in the header, from 0.
    ignored: columns that the contract does not know; one without a name is "column 7".
    respelt: names that differ in case or blanks from the contract's, each with the latter.
    """

    positions: Mapping[str, int]
    ignored: tuple[str, ...]
    respelt: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Rules:
    """The dictionary's limits as arrays over the columns that hold numbers (id and target first)."""

    names: tuple[str, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    missing_code: NDArray[np.float64]
    whole: NDArray[np.bool_]
    required: NDArray[np.bool_]
    flag: NDArray[np.bool_]


def match_columns(header: Sequence[str], *, labelled: bool) -> Columns:
    """Find the contract's columns in a header, by name, or by a name that differs in case or blanks only.

    Raises ColumnsError naming every column that is missing or stands there twice; other columns are ignored,
    whatever they are called and however often they are there.
    """
    expected = [*application_columns(), *([TARGET] if labelled else [])]
    exact, folded = _places(header), _places([name.strip().upper() for name in header])
    places = {name: exact.get(name) or folded.get(name, []) for name in expected}
    missing = [name for name in expected if not places[name]]
    if missing:
        raise ColumnsError(f"{_listed('Column', missing)} missing; an application has {len(expected)} columns.")
    twice = sorted(name for name in expected if len(places[name]) > 1)
    if twice:
        raise ColumnsError(f"{_listed('Column', twice)} there more than once; keep one of each.")
    positions = {name: places[name][0] for name in expected}
    used = set(positions.values())
    return Columns(
        positions,
        tuple(name or f"column {place + 1}" for place, name in enumerate(header) if place not in used),
        tuple((header[place], name) for name, place in positions.items() if header[place] != name),
    )


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places


def check_rows(
    frame: pl.DataFrame,
    *,
    first_row: int,
    labelled: bool,
    duplicates: NDArray[np.int64] | None = None,
    malformed: Sequence[Violation] = (),
    decimal_comma: bool = False,
) -> Checked:
    """Split rows into accepted applications and described violations.

    Parameters
    ----------
    frame: the contract's columns (others are ignored), as text or as numbers; empty cells are null.
    first_row: row number of the frame's first row.
    labelled: whether TARGET belongs to the contract.
    duplicates: row numbers whose id stands in an earlier row.
    malformed: rows that are no rows of the table (rule "fields"); they stand in the frame with all cells null.
    decimal_comma: whether numbers in text are written with a comma where others have a point.
    """
    rows = len(frame)
    rules = _rules(labelled)
    frame = _stripped(frame) if rows else frame
    numbers, broken = _numbers(frame, rules, decimal_comma=decimal_comma)
    _apply_limits(numbers, broken, rules)
    row_number = first_row + np.arange(rows, dtype=np.int64)
    if duplicates is not None and len(duplicates):
        repeated = np.isin(row_number, duplicates)
        broken[:, 0] = np.where(repeated & (broken[:, 0] == 0), _UNIQUE, broken[:, 0])

    categories, respelt_rows, missing_category = _categories(frame)
    unknown_rows = categories == UNKNOWN_CATEGORY
    category_names = _category_names()
    torn = np.isin(row_number, [violation.row_number for violation in malformed])
    broken[torn] = 0
    missing_category[torn] = False
    rejected = broken.any(axis=1) | missing_category.any(axis=1) | torn
    kept = np.flatnonzero(~rejected)
    violations = _describe(frame, row_number, rules.names, broken) + _describe(
        frame, row_number, category_names, missing_category.astype(np.uint8) * _REQUIRED
    )
    violations = sorted([*violations, *malformed], key=lambda violation: violation.row_number)
    unknown = _count_values(frame, category_names, unknown_rows & ~rejected[:, None])
    respelt = _count_values(frame, category_names, respelt_rows & ~rejected[:, None])
    given = np.count_nonzero(~np.isnan(categories[kept]), axis=0).tolist()

    # Anything outside int32 was rejected above; the cast only sees what is left.
    accepted = Applications(
        numbers[kept, 0].astype(np.int32),
        _assemble(numbers, categories, rules, kept),
        numbers[kept, 1].astype(np.int8) if labelled else None,
        row_number[kept],
    )
    return Checked(
        accepted, int(rejected.sum()), violations, unknown, respelt, dict(zip(category_names, given, strict=True))
    )


def _stripped(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts without blanks around them, empty ones null, and dictionaries of texts as texts."""
    text = frame.select(
        pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String).str.strip_chars().replace("", None)
    )
    return frame.with_columns(text) if text.width else frame


@cache
def _inputs() -> tuple[Feature, ...]:
    return tuple(feature for feature in dictionary() if feature.origin == "application" and feature.name != ID)


@cache
def _category_names() -> tuple[str, ...]:
    return tuple(feature.name for feature in _inputs() if feature.dtype == "category")


@cache
def _rules(labelled: bool) -> _Rules:
    numeric = [feature for feature in _inputs() if feature.dtype != "category"]
    names = [ID, *([TARGET] if labelled else []), *(feature.name for feature in numeric)]
    first = [(1.0, float(MAXIMUM_ID), True, True), *([(0.0, 1.0, True, True)] if labelled else [])]
    limits = first + [
        (
            -np.inf if feature.minimum is None else feature.minimum,
            np.inf if feature.maximum is None else feature.maximum,
            feature.dtype == "int",
            not feature.nullable,
        )
        for feature in numeric
    ]
    low, high, whole, required = zip(*limits, strict=True)
    codes = [np.nan] * len(first) + [
        np.nan if feature.missing_code is None else feature.missing_code for feature in numeric
    ]
    flag = [False] * len(first) + [feature.kind == "flag" for feature in numeric]
    # The outcome is one too.
    flag[len(first) - 1] = labelled
    return _Rules(
        tuple(names),
        np.array(low),
        np.array(high),
        np.array(codes),
        np.array(whole),
        np.array(required),
        np.array(flag),
    )


def as_numbers(frame: pl.DataFrame, name: str, *, decimal_comma: bool = False) -> pl.Series:
    """One column as float64, shape (n,); null where it is empty or no number."""
    column = frame.get_column(name)
    text = column.str.strip_chars() if column.dtype == pl.String else column
    return _parsed(text, decimal_comma=decimal_comma).fill_nan(None)


def _parsed(column: pl.Series, *, decimal_comma: bool) -> pl.Series:
    """A column as float64; null where it is empty or no number."""
    if decimal_comma and column.dtype == pl.String:
        # Where a comma is the decimal sign, a point may be one of thousands: such a cell is no number.
        column = column.str.replace_all(".", "?", literal=True).str.replace(",", ".", literal=True)
    return column.cast(pl.Float64, strict=False)


def _numbers(
    frame: pl.DataFrame, rules: _Rules, *, decimal_comma: bool
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The numeric columns as float64 (n, k), and per cell the rule that reading it broke (0 = none)."""
    if decimal_comma:
        parsed = pl.DataFrame({name: _parsed(frame[name], decimal_comma=True) for name in rules.names})
    else:
        parsed = frame.select(pl.col(name).cast(pl.Float64, strict=False) for name in rules.names)
    numbers = np.empty((len(frame), len(rules.names)), dtype=np.float64, order="F")
    broken = np.zeros(numbers.shape, dtype=np.uint8, order="F")
    for column, name in enumerate(rules.names):
        series = parsed[name]
        numbers[:, column] = series.to_numpy()
        if series.null_count() != frame[name].null_count():
            wrong = np.flatnonzero((series.is_null() & frame[name].is_not_null()).to_numpy())
            numbers[wrong, column], is_word = _meant(frame[name].gather(wrong), is_flag=bool(rules.flag[column]))
            broken[wrong, column] = np.where(is_word, 0, _TYPE)
        # A text that says NaN, or a number that is none, is a way to leave a cell empty.
        if rules.required[column]:
            missing = np.isnan(numbers[:, column]) & (broken[:, column] == 0)
            broken[missing, column] = _REQUIRED
    return numbers, broken


def _meant(cells: pl.Series, *, is_flag: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What texts that are no numbers stand for (NaN: an empty cell, 1 and 0: yes and no), and whether they do."""
    meant = np.full(len(cells), np.nan)
    is_word = np.zeros(len(cells), dtype=np.bool_)
    for place, cell in enumerate(cells.to_list()):
        word = str(cell).casefold()
        if is_flag and word in _YES + _NO:
            meant[place] = word in _YES
            is_word[place] = True
        else:
            is_word[place] = word in MISSING_WORDS
    return meant, is_word


def _apply_limits(numbers: NDArray[np.float64], broken: NDArray[np.uint8], rules: _Rules) -> None:
    outside = (numbers < rules.low) | (numbers > rules.high)
    outside &= numbers != rules.missing_code
    infinite = np.isinf(numbers)
    fractional = rules.whole & (numbers != np.floor(numbers)) & ~np.isnan(numbers) & ~infinite
    for mask, rule in ((outside, _RANGE), (fractional, _WHOLE), (infinite, _FINITE)):
        broken[mask & (broken == 0 if rule == _RANGE else broken != _TYPE)] = rule


def _categories(
    frame: pl.DataFrame,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Category columns as codes (n, k) with NaN for missing; where spelt otherwise; where missing but required."""
    features = [feature for feature in _inputs() if feature.dtype == "category"]
    codes = np.empty((len(frame), len(features)), dtype=np.float64, order="F")
    respelt, forbidden = np.zeros((2, *codes.shape), dtype=np.bool_)
    for column, feature in enumerate(features):
        series = frame[feature.name].cast(pl.String)
        coded = series.replace_strict(_codes(feature.name), default=UNKNOWN_CATEGORY, return_dtype=pl.Float64).set(
            series.is_null(), None
        )
        codes[:, column] = coded.to_numpy()
        unknown = np.flatnonzero(codes[:, column] == UNKNOWN_CATEGORY)
        if len(unknown):
            values = series.gather(unknown)
            found = {value: _likely_code(feature.name, value) for value in values.unique().to_list()}
            codes[unknown, column] = [found[value] for value in values.to_list()]
            respelt[unknown, column] = codes[unknown, column] > UNKNOWN_CATEGORY
        if not feature.nullable:
            forbidden[:, column] = np.isnan(codes[:, column])
    return codes, respelt, forbidden


@cache
def _codes(name: str) -> Mapping[str, float]:
    feature = next(feature for feature in _inputs() if feature.name == name)
    return {category.value: float(category.code) for category in feature.categories}


def _likely_code(name: str, value: str) -> float:
    """The code of a value that is not written as in the dictionary; NaN for a word for an empty cell."""
    folded = _folded(value)
    code = _folded_codes(name).get(folded, float(UNKNOWN_CATEGORY))
    return float("nan") if not code and folded in MISSING_WORDS else code


@cache
def _folded_codes(name: str) -> Mapping[str, float]:
    """Codes by value in lower case, and by the usual words for yes and no where those are the values."""
    codes = {_folded(value): code for value, code in _codes(name).items()}
    if set(codes) not in ({"y", "n"}, {"yes", "no"}):
        return codes
    own = {words: next(codes[word] for word in words if word in codes) for words in (_YES, _NO)}
    return {word: code for words, code in own.items() for word in words}


def _folded(value: str) -> str:
    return " ".join(value.casefold().split())


def _assemble(
    numbers: NDArray[np.float64], categories: NDArray[np.float64], rules: _Rules, kept: NDArray[np.intp]
) -> NDArray[np.float64]:
    where = {name: numbers[:, column] for column, name in enumerate(rules.names)}
    where |= {name: categories[:, column] for column, name in enumerate(_category_names())}
    values = np.empty((len(kept), len(_inputs())), dtype=np.float64, order="F")
    for column, feature in enumerate(_inputs()):
        values[:, column] = where[feature.name][kept]
    return values


def _describe(
    frame: pl.DataFrame, row_number: NDArray[np.int64], names: Sequence[str], broken: NDArray[np.uint8]
) -> list[Violation]:
    rows, columns = np.nonzero(broken)
    shown = np.arange(len(rows)) - np.searchsorted(rows, rows) < DESCRIBED_PER_ROW
    described = []
    for row, column in zip(rows[shown].tolist(), columns[shown].tolist(), strict=True):
        name = names[column]
        described.append(
            Violation(
                int(row_number[row]),
                _shown(frame[ID][row]),
                name,
                RULES[int(broken[row, column]) - 1],
                _shown(frame[name][row]),
            )
        )
    return described


def _count_values(
    frame: pl.DataFrame, names: Sequence[str], chosen: NDArray[np.bool_]
) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for column in np.flatnonzero(chosen.any(axis=0)).tolist():
        values = frame[names[column]].cast(pl.String).filter(pl.Series(chosen[:, column]))
        for value, count in values.value_counts().rows():
            key = (names[column], _shown(value) or "")
            counted[key] = counted.get(key, 0) + int(count)
    return counted


def _shown(value: object) -> str | None:
    if value is None:
        return None
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    # Postgres takes no NUL and no half of a character; other control characters change what a terminal shows.
    text = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _listed(noun: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{noun} {shown} is" if len(names) == 1 else f"{noun}s {shown} are"
