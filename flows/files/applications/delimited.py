"""CSV files: which separator they use, where their records end, and the cells of some of them.

Cells stay text: the contract decides what they mean.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from flows.files.applications.base import (
    BLOCK_BYTES,
    Chunk,
    Opened,
    SourceError,
    Survey,
    changed,
    first_line,
    opened,
    place,
)
from scoring.contract import ID, Violation
from scoring.errors import ColumnsError
from scoring.features import input_features

# The longest real record has about 1,000 bytes; a longer one is an unclosed quote or not such a file.
LONGEST_RECORD_BYTES = 1 << 20
MOST_COLUMNS = 10_000
SEPARATORS: Mapping[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_BOM = codecs.BOM_UTF8
_NEWLINE, _QUOTE, _RETURN = 10, 34, 13
# What Excel writes into the first line to say how the others are separated.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """The column names, what separates them, and the offset of the first record after them."""

    names: tuple[str, ...]
    separator: str
    body: int


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a file, the digest of all of its bytes, and whether the last record has a line end.

    `empty` counts the rows without any value at the end, which are no records.
    """

    rows: int
    chunks: tuple[Chunk, ...]
    sha256: str
    is_ended: bool
    empty: int = 0


def read_header(path: Path, file: Opened) -> Header:
    """The first line, or the second one after Excel's `sep=;`. Raises SourceError if it cannot be read."""
    with open(file.path, "rb") as stream:
        first = _first_line(path, stream)
        declared = _SEPARATOR_LINE.fullmatch(_text(path, first))
        if declared is None:
            first = _whole_header(first, stream)
            start = 0
        else:
            start, first = len(first), _whole_header(_first_line(path, stream), stream)
    text = _text(path, first)
    separator = declared[1] if declared else _likeliest_separator(text)
    try:
        names = _split(text, separator)
    except csv.Error as error:
        raise SourceError(f"{path}, header: {error}.") from None
    if len(names) > MOST_COLUMNS:
        raise SourceError(f"{path} has {len(names):,} columns; at most {MOST_COLUMNS:,} are read.")
    return Header(tuple(name.strip() for name in names), separator, start + len(first))


def _first_line(path: Path, file: IO[bytes]) -> bytes:
    first = file.readline(LONGEST_RECORD_BYTES)
    if not first.strip():
        problem = "begins with an empty line; the column names come first" if file.read(1) else "is empty"
        raise SourceError(f"{path} {problem}.")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{path} is UTF-16; save it as UTF-8.")
    if first.startswith((b"PK\x03\x04", b"\x1f\x8b", b"PAR1")):
        kind = {b"PK": "a zip archive or an Excel workbook", b"PA": "a Parquet file"}.get(first[:2], "a gzip file")
        raise SourceError(f"{path} is {kind} by its content; name it after what it is.")
    if b"\x00" in first:
        raise SourceError(f"{path} holds NUL bytes in its first line; it is not a CSV file in UTF-8.")
    if len(first) == LONGEST_RECORD_BYTES:
        raise SourceError(f"{path}: its first line is longer than {LONGEST_RECORD_BYTES} bytes.")
    return first


def _whole_header(first: bytes, file: IO[bytes]) -> bytes:
    """The header with the lines that a quoted name goes on in."""
    lines, length = [first], len(first)
    is_open = first.count(b'"') % 2 == 1
    while is_open and length < LONGEST_RECORD_BYTES and (line := file.readline(LONGEST_RECORD_BYTES)):
        lines.append(line)
        length += len(line)
        is_open ^= line.count(b'"') % 2 == 1
    return first if is_open else b"".join(lines)


def _text(path: Path, line: bytes) -> str:
    try:
        text = line.removeprefix(_BOM).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}, header: byte {error.object[error.start]:#04x} is not UTF-8.") from None
    if "\r" in text.replace("\r\n", ""):
        raise SourceError(f"{path}, header: lines end with carriage returns alone; save it with line feeds.")
    return text


def _likeliest_separator(text: str) -> str:
    """The separator that gives the most columns of an application; a comma if none gives any."""
    expected = {ID, *(feature.name for feature in input_features())}

    def known(separator: str) -> int:
        try:
            return len(expected & {name.strip().upper() for name in _split(text, separator)})
        except csv.Error:
            return 0

    return max(SEPARATORS, key=known)


def _split(text: str, separator: str) -> list[str]:
    return next(csv.reader([text], delimiter=separator, strict=True))


def describe_columns(path: Path, header: Header, error: ColumnsError) -> ColumnsError:
    """The error with the file's name, and with what was found if that is a single column."""
    found = ""
    if len(header.names) == 1:
        name = header.names[0]
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        known = ", ".join(SEPARATORS.values())
        found = f" One column was found, {shown!r}; the separators known are {known}."
    return ColumnsError(f"{path}: {error}{found}")


def scan_records(path: Path, file: Opened, header: Header, chunk_rows: int) -> Records:
    """Look all bytes over once: records, digests, and whether it is whole text in UTF-8."""
    whole = hashlib.sha256(file.read(0, header.body))
    scan = _RecordScan(path, chunk_rows, header.body)
    decoder = codecs.getincrementaldecoder("utf-8")()
    at, stop, tail = header.body, _end_of_values(file, header), _EmptyRows(header.separator)
    while block := file.read(at, at + BLOCK_BYTES if at >= stop else min(stop, at + BLOCK_BYTES)):
        whole.update(block)
        _require_text(path, block, decoder, scan.rows + 1)
        if at < stop:
            scan.feed(block)
        else:
            tail.feed(block)
        at += len(block)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise SourceError(f"{path} is not whole: it ends in the middle of a character.") from None
    chunks = scan.finish()
    if scan.last_record_start is not None:
        _require_whole_record(path, file.read(scan.last_record_start, at), header, scan.rows)
    return Records(scan.rows, chunks, whole.hexdigest(), scan.last_record_start is None, tail.finish())


def _end_of_values(file: Opened, header: Header) -> int:
    """The end of the last record with a value: after it, spreadsheets write rows of separators only."""
    nothing = header.separator.encode() + b" \t\r\n"
    end = size = file.identity().size
    while end > header.body:
        start = max(header.body, end - BLOCK_BYTES)
        kept = len(file.read(start, end).rstrip(nothing))
        if kept:
            end = start + kept
            break
        end = start
    if end <= header.body:
        return header.body
    # The record may end with empty fields itself.
    while block := file.read(end, end + BLOCK_BYTES):
        if (newline := block.find(b"\n")) >= 0:
            return end + newline + 1
        end += len(block)
    return size


class _EmptyRows:
    """Counts the lines with a separator in what holds no values."""

    def __init__(self, separator: str) -> None:
        self._separator = separator.encode()
        self._rows = 0
        self._is_row = False

    def feed(self, block: bytes) -> None:
        first, *others = block.split(b"\n")
        self._is_row |= self._separator in first
        for line in others:
            self._rows += self._is_row
            self._is_row = self._separator in line

    def finish(self) -> int:
        return self._rows + self._is_row


def _require_whole_record(path: Path, record: bytes, header: Header, row: int) -> None:
    """Raise SourceError if the last record, which has no line end, has too few fields: the file is not whole."""
    if not record.strip():
        return
    try:
        fields = len(_split(record.decode().rstrip("\r"), header.separator))
    except csv.Error:
        # A break within quotes, or a quote in a wrong place: the parser counts its fields as of any other record.
        return
    if fields < len(header.names):
        raise SourceError(
            f"{path} is not whole: its last line, row {row:,}, ends after {fields} of {len(header.names)} fields"
            " and has no line end; give the file again when it is complete."
        )


class _RecordScan:
    """Finds the ends of records (newlines outside quotes) block by block, and cuts chunks there."""

    def __init__(self, path: Path, chunk_rows: int, offset: int) -> None:
        self.rows = 0
        self._path = path
        self._chunk_rows = chunk_rows
        self._offset = offset
        self._quoted = False
        self._record_start = offset
        self._chunk_start = offset
        self._chunk_first_row = 1
        self._chunks: list[Chunk] = []
        self._digest = hashlib.blake2b(digest_size=16)
        self.last_record_start: int | None = None

    def feed(self, block: bytes) -> None:
        data = np.frombuffer(block, dtype=np.uint8)
        newlines = np.flatnonzero(data == _NEWLINE)
        quotes = np.flatnonzero(data == _QUOTE)
        inside = (np.searchsorted(quotes, newlines) + self._quoted) % 2 == 1
        ends = newlines[~inside] + self._offset + 1
        self._quoted = (len(quotes) + self._quoted) % 2 == 1
        starts = np.concatenate([[self._record_start], ends[:-1]]) if len(ends) else ends
        lengths = ends - starts
        blank = (lengths == 1) | ((lengths == 2) & (data[np.maximum(newlines[~inside] - 1, 0)] == _RETURN))
        block_start = self._offset
        self._offset += len(block)
        open_start = int(ends[-1]) if len(ends) else self._record_start
        longest = int(lengths.max(initial=0))
        if max(longest, self._offset - open_start) > LONGEST_RECORD_BYTES:
            position = (
                int(np.argmax(lengths > LONGEST_RECORD_BYTES)) if longest > LONGEST_RECORD_BYTES else len(ends)
            )
            row = self.rows + position + 1 - int(blank[:position].sum())
            raise SourceError(
                f"{self._path}, row {row}: the record is longer than {LONGEST_RECORD_BYTES} bytes;"
                " a quote is not closed, or a field is damaged."
            )
        digested = self._cut(ends[~blank], memoryview(block), block_start)
        self._digest.update(block[digested:])
        self._record_start = open_start

    def finish(self) -> tuple[Chunk, ...]:
        if self._quoted:
            raise SourceError(
                f"{self._path}, row {self.rows + 1}: a quote is opened and never closed; the file is damaged, or it"
                " is not whole."
            )
        if self._record_start < self._offset:
            self.last_record_start = self._record_start
            self.rows += 1
        rows = self.rows - self._chunk_first_row + 1
        if rows:
            self._close_chunk(rows, self._offset)
        return tuple(self._chunks)

    def _cut(self, ends: NDArray[np.int64], block: memoryview, block_start: int) -> int:
        """Count records by their ends, and close a chunk after each `chunk_rows` of them; bytes digested so far."""
        digested = 0
        first = self._chunk_first_row + self._chunk_rows - 1 - self.rows
        for position in range(first - 1, len(ends), self._chunk_rows):
            end = int(ends[position])
            self._digest.update(block[digested : end - block_start])
            digested = end - block_start
            self._close_chunk(self._chunk_rows, end)
        self.rows += len(ends)
        return digested

    def _close_chunk(self, rows: int, end: int) -> None:
        self._chunks.append(
            Chunk(self._chunk_first_row, rows, self._chunk_start, end, digest=self._digest.digest())
        )
        self._digest = hashlib.blake2b(digest_size=16)
        self._chunk_start = end
        self._chunk_first_row += rows


def _require_text(path: Path, block: bytes, decoder: codecs.IncrementalDecoder, row: int) -> None:
    if b"\x00" in block:
        raise SourceError(f"{path}: NUL bytes near row {row}; it is not a CSV file in UTF-8.")
    try:
        decoder.decode(block)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path}: byte {error.object[error.start]:#04x} near row {row} is not UTF-8;"
            " save the file as UTF-8 (it may be Latin-1)."
        ) from None


def writes_decimal_commas(survey: Survey) -> bool:
    """Whether numbers have a comma where others have a point: in shares, where it cannot be one of thousands."""
    if survey.separator == "," or not survey.chunks:
        return False
    shares = [
        feature.name for feature in input_features() if feature.dtype == "float" and (feature.maximum or 2) <= 1
    ]
    frame, _ = read_chunk(survey, survey.chunks[0], names=shares)
    has_point, has_comma = (
        any(bool(column.str.contains(mark, literal=True).any()) for column in frame) for mark in (".", ",")
    )
    return has_comma and not has_point


def read_chunk(
    survey: Survey, chunk: Chunk, names: Sequence[str] | None = None
) -> tuple[pl.DataFrame, list[Violation]]:
    """The contract's columns, or some of them, of one chunk; and its rows that are no rows of the table."""
    data = opened(survey.files[0]).read(chunk.start, chunk.stop)
    if hashlib.blake2b(data, digest_size=16).digest() != chunk.digest:
        raise changed(survey.path)
    wanted = {name: survey.columns.positions[name] for name in names or survey.columns.positions}
    skipped: list[arrow_csv.InvalidRow] = []
    try:
        table = _parse(data, survey, wanted, skipped, threads=True)
        if not skipped and len(table) == chunk.rows:
            return pl.DataFrame(pl.from_arrow(table)), []
        # Rows with too few or too many fields are rare enough to read the chunk again, one thread, and number them.
        skipped.clear()
        table = _parse(data, survey, wanted, skipped, threads=False)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{place(survey, chunk)}: {first_line(error)}") from None
    frame = pl.DataFrame(pl.from_arrow(table))
    if len(frame) + len(skipped) != chunk.rows:
        raise SourceError(
            f"{place(survey, chunk)}: quotes or carriage returns stand where none may be, so that it is not"
            " certain where a row ends."
        )
    # Arrow numbers records from 1, if it reads with one thread.
    numbers = [row.number - 1 for row in skipped]
    violations = [
        Violation(
            chunk.first_row + number,
            row.text.split(survey.separator, 1)[0][:20],
            ID,
            "fields",
            f"{row.actual_columns} fields instead of {row.expected_columns}: {row.text[:60]}",
        )
        for number, row in zip(numbers, skipped, strict=True)
    ]
    return _with_blank_rows(frame, numbers, chunk.rows), violations


def _parse(
    data: bytes, survey: Survey, wanted: Mapping[str, int], skipped: list[arrow_csv.InvalidRow], *, threads: bool
) -> pa.Table:
    def skip(row: arrow_csv.InvalidRow) -> str:
        skipped.append(row)
        return "skip"

    # By place: the names in the file may be there twice, or be nothing.
    names = [str(position) for position in range(len(survey.header))]
    columns = [str(position) for position in wanted.values()]
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        read_options=arrow_csv.ReadOptions(
            column_names=names,
            use_threads=threads,
            block_size=LONGEST_RECORD_BYTES if threads else max(len(data) + 1, 1 << 16),
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=survey.separator, newlines_in_values=_quotes_newlines(data), invalid_row_handler=skip
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=columns,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    return table.rename_columns(list(wanted))


def _quotes_newlines(data: bytes) -> bool:
    """Whether some quoted value spans lines (which costs the parser its threads)."""
    array = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(array == _QUOTE)
    if not len(quotes):
        return False
    newlines = np.flatnonzero(array == _NEWLINE)
    return bool((np.searchsorted(quotes, newlines) % 2 == 1).any())


def _with_blank_rows(frame: pl.DataFrame, blank: list[int], rows: int) -> pl.DataFrame:
    index = np.full(rows, -1)
    present = np.ones(rows, dtype=bool)
    present[blank] = False
    index[present] = np.arange(len(frame))
    positions = pl.DataFrame({"position": index}).with_columns(pl.col("position").replace(-1, None))
    return positions.join(frame.with_row_index("position").cast({"position": pl.Int64}), on="position",
                          how="left", maintain_order="left").drop("position")  # fmt: skip
