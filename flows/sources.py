"""Reading application files: the only file input.

CSV (plain or gzipped, UTF-8) and Parquet. A file is surveyed once, which finds its SHA-256, its rows, the
bounds of chunks at ends of records, and ids that stand there twice; then any chunk can be read by itself, by
this process or another one. Cells of a CSV file stay text: the contract decides what they mean.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import itertools
import os
import socket
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from scoring.contract import ID, Violation, as_numbers
from scoring.features import application_columns

BLOCK_BYTES = 4 << 20
# The longest real record has about 1,000 bytes; a longer one is an unclosed quote or not such a file.
LONGEST_RECORD_BYTES = 1 << 20
SUFFIXES = (".csv", ".csv.gz", ".parquet")
_BOM = codecs.BOM_UTF8
_NEWLINE, _QUOTE, _RETURN = 10, 34, 13


class SourceError(Exception):
    """A file that cannot be read; the message names it, the place, and the way out."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of rows that can be read alone: bytes of a CSV file, or rows of a Parquet file."""

    first_row: int
    rows: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a file found.

    `readable` is where the chunks are read from: the file itself, or its unpacked copy in a scratch folder.
    `duplicates` holds the row numbers whose id stands in an earlier row, ascending.
    """

    path: Path
    readable: Path
    kind: Literal["csv", "parquet"]
    sha256: str
    header: tuple[str, ...]
    rows: int
    chunks: tuple[Chunk, ...]
    duplicates: NDArray[np.int64]


def find(folder: Path, name: str) -> list[Path]:
    """The files called `name` in `folder`, and `name_...` beside it, in one of the formats that can be read.

    Raises SourceError, saying what was looked for, if the folder or the file is not there.
    """
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}.")
    first = [folder / f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").exists()]
    if not first:
        raise SourceError(f"No {name}.csv, {name}.csv.gz or {name}.parquet in {folder}.")
    more = sorted(
        path
        for suffix in SUFFIXES
        for path in folder.glob(f"{name}_*{suffix}")
        if path.name.removesuffix(suffix).isidentifier()
    )
    return [first[0], *more]


def survey(path: Path, *, chunk_rows: int, scratch: Path) -> Survey:
    """Look a file over once, in bounded memory.

    Raises SourceError for a file that is not there, not of a known kind, not UTF-8, empty, or cut off.
    """
    if not path.is_file():
        raise SourceError(f"There is no file {path}.")
    try:
        if path.name.endswith(".parquet"):
            return _survey_parquet(path, chunk_rows)
        if path.name.endswith((".csv", ".csv.gz")):
            return _survey_csv(path, chunk_rows, scratch)
    except PermissionError:
        raise SourceError(f"{path} may not be read by this user.") from None
    raise SourceError(f"{path} is of an unknown kind; give a {', '.join(SUFFIXES)} file.")


def read(survey: Survey, chunk: Chunk) -> tuple[pl.DataFrame, list[Violation]]:
    """One chunk's rows, text cells as text and empty ones null, and its rows that are not rows of the table.

    The rows of `Violation` (rule "fields") are in the frame too, with all cells null, so that row numbers hold.
    """
    if survey.kind == "parquet":
        return _read_parquet(survey, chunk), []
    return _read_csv(survey, chunk)


@contextmanager
def readable_here(survey: Survey, scratch: Path) -> Iterator[Survey]:
    """The survey as this machine can read it, which need not be the one that made it.

    A gzipped file whose unpacked copy is not here is unpacked into a file without a name in the scratch folder,
    which is gone with the block, or with a process that is killed. Raises SourceError if the file is not here.
    """
    if not survey.path.is_file():
        raise SourceError(
            f"{survey.path} is not there on {socket.gethostname()}; each worker needs the file under the same path."
        )
    if survey.readable == survey.path or os.access(survey.readable, os.R_OK):
        yield survey
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as plain:
        _unpack(survey.path, plain)
        yield replace(survey, readable=Path(f"/dev/fd/{plain.fileno()}"))


def batches(survey: Survey) -> Iterator[tuple[Chunk, pl.DataFrame, list[Violation]]]:
    """All chunks in order."""
    for chunk in survey.chunks:
        yield (chunk, *read(survey, chunk))


# --- CSV ------------------------------------------------------------------------------------------------------


def _survey_csv(path: Path, chunk_rows: int, scratch: Path) -> Survey:
    readable = _unpacked(path, scratch) if path.name.endswith(".gz") else path
    digest = _file_digest(path)
    with readable.open("rb") as file:
        header, body = _header(path, file)
    scan = _RecordScan(path, chunk_rows, body)
    decoder = codecs.getincrementaldecoder("utf-8")()
    with readable.open("rb") as file:
        file.seek(body)
        while block := file.read(BLOCK_BYTES):
            _require_text(path, block, decoder, scan.rows + 1)
            scan.feed(block)
    chunks = scan.finish()
    survey = Survey(path, readable, "csv", digest, header, scan.rows, chunks, np.empty(0, np.int64))
    if not scan.rows:
        raise SourceError(f"{path} has a header and no applications.")
    return _with_duplicates(survey)


def _header(path: Path, file: IO[bytes]) -> tuple[tuple[str, ...], int]:
    """The column names, and the offset of the first record after them."""
    first = file.readline(LONGEST_RECORD_BYTES)
    if not first.strip():
        problem = "begins with an empty line; the column names come first" if file.read(1) else "is empty"
        raise SourceError(f"{path} {problem}.")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{path} is UTF-16; save it as UTF-8.")
    if b"\x00" in first:
        raise SourceError(f"{path} holds NUL bytes in its first line; it is not a CSV file in UTF-8.")
    if len(first) == LONGEST_RECORD_BYTES:
        raise SourceError(f"{path}: its first line is longer than {LONGEST_RECORD_BYTES} bytes.")
    try:
        text = first.removeprefix(_BOM).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}, header: byte {error.object[error.start]:#04x} is not UTF-8.") from None
    if "\r" in text:
        raise SourceError(f"{path}, header: lines end with carriage returns alone; save it with line feeds.")
    try:
        names = next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise SourceError(f"{path}, header: {error}.") from None
    return tuple(name.strip() for name in names), len(first)


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
        self._last = b"\n"

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
        self._offset += len(block)
        self._last = block[-1:]
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
        self._cut(ends[~blank])
        self._record_start = open_start

    def finish(self) -> tuple[Chunk, ...]:
        if self._quoted:
            raise SourceError(f"{self._path}, row {self.rows + 1}: a quote is opened and never closed.")
        if self._record_start < self._offset:
            self._cut(np.array([self._offset]))
        rows = self.rows - self._chunk_first_row + 1
        if rows:
            self._chunks.append(Chunk(self._chunk_first_row, rows, self._chunk_start, self._offset))
        return tuple(self._chunks)

    def _cut(self, ends: NDArray[np.int64]) -> None:
        """Count records by their ends, and close a chunk after each `chunk_rows` of them."""
        first = self._chunk_first_row + self._chunk_rows - 1 - self.rows
        for position in range(first - 1, len(ends), self._chunk_rows):
            end = int(ends[position])
            self._chunks.append(Chunk(self._chunk_first_row, self._chunk_rows, self._chunk_start, end))
            self._chunk_start = end
            self._chunk_first_row += self._chunk_rows
        self.rows += len(ends)


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


def _read_csv(survey: Survey, chunk: Chunk) -> tuple[pl.DataFrame, list[Violation]]:
    with survey.readable.open("rb") as file:
        file.seek(chunk.start)
        data = file.read(chunk.stop - chunk.start)
    skipped: list[arrow_csv.InvalidRow] = []
    try:
        table = _parse(data, survey.header, skipped, threads=True)
        if not skipped and len(table) == chunk.rows:
            return pl.DataFrame(pl.from_arrow(table)), []
        # Rows with too few or too many fields are rare enough to read the chunk again, one thread, and number them.
        skipped.clear()
        table = _parse(data, survey.header, skipped, threads=False)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{_place(survey, chunk)}: {_first_line(error)}") from None
    frame = pl.DataFrame(pl.from_arrow(table))
    if len(frame) + len(skipped) != chunk.rows:
        raise SourceError(
            f"{_place(survey, chunk)}: quotes or carriage returns stand where none may be, so that it is not"
            " certain where a row ends."
        )
    # Arrow numbers records from 1, if it reads with one thread.
    numbers = [row.number - 1 for row in skipped]
    violations = [
        Violation(
            chunk.first_row + number,
            row.text.split(",", 1)[0][:20],
            ID,
            "fields",
            f"{row.actual_columns} fields instead of {row.expected_columns}: {row.text[:60]}",
        )
        for number, row in zip(numbers, skipped, strict=True)
    ]
    return _with_blank_rows(frame, numbers, chunk.rows), violations


def _parse(data: bytes, header: Sequence[str], skipped: list[arrow_csv.InvalidRow], *, threads: bool) -> pa.Table:
    def skip(row: arrow_csv.InvalidRow) -> str:
        skipped.append(row)
        return "skip"

    names = _distinct(header)
    return arrow_csv.read_csv(
        pa.BufferReader(data),
        read_options=arrow_csv.ReadOptions(
            column_names=names,
            use_threads=threads,
            block_size=LONGEST_RECORD_BYTES if threads else max(len(data) + 1, 1 << 16),
        ),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=_quotes_newlines(data), invalid_row_handler=skip),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _quotes_newlines(data: bytes) -> bool:
    """Whether some quoted value spans lines (which costs the parser its threads)."""
    array = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(array == _QUOTE)
    if not len(quotes):
        return False
    newlines = np.flatnonzero(array == _NEWLINE)
    return bool((np.searchsorted(quotes, newlines) % 2 == 1).any())


def _distinct(header: Sequence[str]) -> list[str]:
    """Column names made unique; the contract has refused duplicates of its own columns by then."""
    names: list[str] = []
    for name in header:
        copies = itertools.count(2)
        unused = name
        # A file may have a column of the very name that a copy would get.
        while unused in names:
            unused = f"{name}#{next(copies)}"
        names.append(unused)
    return names


def _with_blank_rows(frame: pl.DataFrame, blank: list[int], rows: int) -> pl.DataFrame:
    index = np.full(rows, -1)
    present = np.ones(rows, dtype=bool)
    present[blank] = False
    index[present] = np.arange(len(frame))
    positions = pl.DataFrame({"position": index}).with_columns(pl.col("position").replace(-1, None))
    return positions.join(frame.with_row_index("position").cast({"position": pl.Int64}), on="position",
                          how="left", maintain_order="left").drop("position")  # fmt: skip


def _with_duplicates(survey: Survey) -> Survey:
    """The survey with the rows whose id, however it is spelt, stands in an earlier row."""
    ids = []
    for chunk in survey.chunks:
        frame, _ = read(survey, chunk)
        ids.append(as_numbers(frame, ID) if ID in frame.columns else pl.Series(ID, [None] * chunk.rows, pl.Float64))
    column = pl.concat(ids) if ids else pl.Series(ID, [], dtype=pl.Float64)
    repeated = (~column.is_first_distinct()) & column.is_not_null()
    rows = np.flatnonzero(repeated.to_numpy()) + 1
    return replace(survey, duplicates=rows)


def _place(survey: Survey, chunk: Chunk) -> str:
    return f"{survey.path}, rows {chunk.first_row} to {chunk.first_row + chunk.rows - 1}"


def _first_line(error: Exception) -> str:
    """What a library says about a file, as one sentence."""
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text[:300].rstrip(". ") + "."


def _unpacked(path: Path, scratch: Path) -> Path:
    """The gzipped file, unpacked into the scratch folder (removed by its owner)."""
    scratch.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".csv", dir=scratch)
    try:
        with open(handle, "wb") as plain:
            _unpack(path, plain)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _unpack(path: Path, plain: IO[bytes]) -> None:
    try:
        with gzip.open(path, "rb") as packed:
            while block := packed.read(BLOCK_BYTES):
                plain.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is not a whole gzip file: {error}.") from None
    plain.flush()


# --- Parquet --------------------------------------------------------------------------------------------------


def _survey_parquet(path: Path, chunk_rows: int) -> Survey:
    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, ValueError, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file: {_first_line(error)}") from None
    rows = file.metadata.num_rows
    if not rows:
        raise SourceError(f"{path} has no applications.")
    for column in schema:
        if column.name in application_columns() and not _is_number_or_text(column.type):
            raise SourceError(f"{path}: column {column.name} is of type {column.type}; give numbers or text.")
    _require_readable(path, file, chunk_rows)
    chunks = tuple(
        Chunk(start + 1, min(chunk_rows, rows - start), start, min(start + chunk_rows, rows))
        for start in range(0, rows, chunk_rows)
    )
    header = tuple(schema.names)
    survey = Survey(path, path, "parquet", _file_digest(path), header, rows, chunks, np.empty(0, np.int64))
    return _with_duplicates(survey)


def _require_readable(path: Path, file: parquet.ParquetFile, rows: int) -> None:
    """Decode the whole file once, `rows` at a time: Arrow says what is wrong where Polars would panic."""
    try:
        for _ in file.iter_batches(batch_size=rows):
            pass
    except (pa.ArrowException, ValueError, OSError) as error:
        raise SourceError(f"{path} is not a sound Parquet file: {_first_line(error)}") from None


def _is_number_or_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_number_or_text(kind.value_type)
    known = ("integer", "floating", "decimal", "boolean", "string", "large_string", "string_view", "null")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in known)


def _read_parquet(survey: Survey, chunk: Chunk) -> pl.DataFrame:
    try:
        return pl.scan_parquet(survey.readable).slice(chunk.start, chunk.rows).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OSError) as error:
        raise SourceError(
            f"{_place(survey, chunk)}: it is not a sound Parquet file: {_first_line(error)}"
        ) from None


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
