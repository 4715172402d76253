"""Reading the dictionary's files: every cell that breaks a rule is named by file, line and column."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn


class DictionaryError(ValueError):
    """The dictionary's data breaks one of its own rules; the message names file, line and column."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file and the typed reading of its cells; every failure names the place."""

    file: str
    number: int
    cells: Mapping[str, str]

    def fail(self, column: str, problem: str) -> NoReturn:
        """Raise DictionaryError for a cell of this line."""
        raise DictionaryError(f"{self.file} line {self.number}, column {column}: {problem}")

    def text(self, column: str) -> str:
        """A cell that may not be empty."""
        if not self.cells[column]:
            self.fail(column, "empty")
        return self.cells[column]

    def unique(self, column: str, seen: set[str]) -> None:
        """Add a cell to those seen, which must not have it."""
        value = self.text(column)
        if value in seen:
            self.fail(column, f"{value!r} was used on an earlier line")
        seen.add(value)

    def choice(self, column: str, choices: tuple[str, ...]) -> str:
        """A cell that is one of some words."""
        if self.cells[column] not in choices:
            self.fail(column, f"{self.cells[column]!r} is none of {', '.join(choices)}")
        return self.cells[column]

    def boolean(self, column: str) -> bool:
        """A cell that is 0 or 1."""
        return self.choice(column, ("0", "1")) == "1"

    def number_or_none(self, column: str) -> float | None:
        """A finite number, None for an empty cell."""
        return self.real(column) if self.cells[column] else None

    def real(self, column: str) -> float:
        """A finite number."""
        try:
            number = float(self.cells[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(column, f"{self.cells[column]!r} is not a finite number")
        return number

    def whole(self, column: str) -> int:
        """A whole number from 0."""
        if not (self.cells[column].isascii() and self.cells[column].isdigit()):
            self.fail(column, f"{self.cells[column]!r} is not a whole number from 0")
        return int(self.cells[column])


def read_lines(file: str, text: str, columns: tuple[str, ...]) -> list[Line]:
    """The lines of a comma-separated text, whose header must be `columns`.

    Raises DictionaryError, naming the place, where it is not.
    """
    reader = csv.reader(text.splitlines(), strict=True)
    lines: list[Line] = []
    try:
        header = next(reader, [])
        for position, column in enumerate(columns):
            if position >= len(header) or header[position] != column:
                raise DictionaryError(f"{file} line 1, column {column}: expected at position {position + 1}")
        if len(header) > len(columns):
            raise DictionaryError(f"{file} line 1, column {header[len(columns)]}: not a known column")
        for row in reader:
            if len(row) != len(columns):
                last = columns[min(len(row), len(columns)) - 1] if row else columns[0]
                place = f"{file} line {reader.line_num}, column {last}"
                raise DictionaryError(f"{place}: {len(row)} cells instead of {len(columns)}")
            cells = MappingProxyType(dict(zip(columns, row, strict=True)))
            line = Line(file, reader.line_num, cells)
            for column, cell in cells.items():
                if cell != cell.strip():
                    line.fail(column, f"{cell!r} has blanks around it")
            lines.append(line)
    except csv.Error as error:
        raise DictionaryError(f"{file} line {reader.line_num}, column unknown: {error}") from error
    if not lines:
        raise DictionaryError(f"{file} line 2, column {columns[0]}: the file has no lines")
    return lines
