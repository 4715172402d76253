"""Parquet: one file, or a folder of parts as Spark and others write it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as parquet

from flows.files.applications.base import (
    Chunk,
    Identity,
    Opened,
    SourceError,
    SourceFile,
    Survey,
    changed,
    first_line,
    open_file,
    opened,
    place,
)
from flows.files.applications.containers import CSV_SUFFIXES, PARQUET_SUFFIXES
from scoring.contract import ID, as_numbers, match_columns
from scoring.errors import ColumnsError

_DAMAGED = (pa.ArrowException, ValueError, OSError)


def part_files(folder: Path) -> list[Path]:
    """The Parquet files in a folder and the folders below it, in order of their names.

    Raises SourceError if there is none, or if Spark is still writing.
    """
    try:
        found = sorted(path for path in folder.rglob("*") if path.is_file())
    except PermissionError:
        raise SourceError(f"{folder} may not be read by this user.") from None
    shown = [
        path for path in found if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    ]
    parts = [path for path in shown if path.name.lower().endswith(PARQUET_SUFFIXES)]
    if (folder / "_temporary").exists():
        raise SourceError(f"{folder} is not whole: it holds _temporary, so it is still being written.")
    texts = [path.name for path in shown if path.name.lower().endswith((*CSV_SUFFIXES, ".gz", ".zip"))]
    if texts and not parts:
        raise SourceError(
            f"{folder} is a folder of CSV files ({texts[0]}{', ...' if len(texts) > 1 else ''}); only folders of"
            " Parquet files are read: join them into one, with the column names once at its top, and give that."
        )
    if not parts:
        raise SourceError(f"There is no Parquet file in the folder {folder}.")
    return parts


def survey_files(path: Path, files: Sequence[SourceFile], chunk_rows: int, *, labelled: bool) -> Survey:
    """Read all of it once: chunks, and ids that stand there several times come with `ids_of`."""
    header: tuple[str, ...] = ()
    chunks: list[Chunk] = []
    rows = 0
    for number, file in enumerate(files):
        names, found = _look_at(file)
        if number and set(names) != set(header):
            raise SourceError(f"{file.path} has other columns than {files[0].path}; they are of different files.")
        header = header or names
        chunks += [
            Chunk(rows + start + 1, min(chunk_rows, found - start), start, min(start + chunk_rows, found), number)
            for start in range(0, found, chunk_rows)
        ]
        rows += found
    if not rows:
        raise SourceError(f"{path} has no applications.")
    try:
        columns = match_columns(header, labelled=labelled)
    except ColumnsError as error:
        raise ColumnsError(f"{path}: {error}") from None
    digests = [file.sha256 for file in files]
    combined = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Survey(
        path, "parquet", tuple(files), combined, header, columns, rows, tuple(chunks), np.empty(0, np.int64)
    )


def _look_at(file: SourceFile) -> tuple[tuple[str, ...], int]:
    """A file's columns and rows."""
    try:
        found = _parquet(file)
        return tuple(found.schema_arrow.names), found.metadata.num_rows
    except _DAMAGED as error:
        raise SourceError(f"{file.path} is not a Parquet file: {first_line(error)}") from None


def ids_of(survey: Survey) -> pl.Series:
    """The id of every row, null where it is no number; every wanted cell is decoded once on the way.

    Raises SourceError for a column of dates or lists, for damage, and for fewer rows than the file says it has.
    """
    ids = []
    for number, file in enumerate(survey.files):
        rows = sum(chunk.rows for chunk in survey.chunks if chunk.file == number)
        _require_types(file, survey)
        found = 0
        for table in _tables(file, survey, 0):
            ids.append(as_numbers(_frame(table, [ID]), ID))
            found += len(table)
        if found != rows:
            raise SourceError(f"{file.path} is not whole: it holds {found:,} of {rows:,} rows.")
    return pl.concat(ids)


def _parquet(file: SourceFile) -> parquet.ParquetFile:
    # Arrow opens it for itself, so that ours may be closed then.
    source = opened(file)
    return parquet.ParquetFile(source.path)


def _require_types(file: SourceFile, survey: Survey) -> None:
    schema = _parquet(file).schema_arrow
    for name, column in _names(survey).items():
        kind = schema.field(column).type
        if not _is_number_or_text(kind):
            raise SourceError(f"{file.path}: column {name} is of type {kind}; give numbers or text.")


def _is_number_or_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_number_or_text(kind.value_type)
    known = ("integer", "floating", "decimal", "boolean", "string", "large_string", "string_view", "null")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in known)


def _names(survey: Survey) -> dict[str, str]:
    """The name in the file of each of the contract's columns."""
    return {name: survey.header[position] for name, position in survey.columns.positions.items()}


def _tables(file: SourceFile, survey: Survey, start: int) -> Iterator[pa.Table]:
    """The wanted columns from row `start` on, some rows at a time."""
    found = _parquet(file)
    columns = _names(survey)
    sizes = [found.metadata.row_group(group).num_rows for group in range(found.metadata.num_row_groups)]
    bounds = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    first = int(np.searchsorted(bounds, start, side="right")) - 1
    skip = start - int(bounds[first])
    rows = max(chunk.rows for chunk in survey.chunks)
    groups = list(range(first, len(sizes)))
    try:
        for batch in found.iter_batches(batch_size=rows, row_groups=groups, columns=list(columns.values())):
            table = pa.Table.from_batches([batch]).select(list(columns.values())).rename_columns(list(columns))
            if skip < len(table):
                yield table.slice(skip)
            skip = max(0, skip - len(table))
    except _DAMAGED as error:
        raise SourceError(f"{file.path} is not a sound Parquet file: {first_line(error)}") from None


class Tables:
    """Reads chunks; those that follow each other are decoded once, however large the row groups are."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._file = -1
        self._row = 0
        self._tables: Iterator[pa.Table] = iter(())
        self._rest: pa.Table | None = None

    def read(self, chunk: Chunk) -> pl.DataFrame:
        """One chunk's rows."""
        if (chunk.file, chunk.start) != (self._file, self._row):
            self._tables, self._rest = _tables(self._survey.files[chunk.file], self._survey, chunk.start), None
        parts, missing = [], chunk.rows
        while missing:
            table = self._rest if self._rest is not None else next(self._tables, None)
            if table is None:
                raise SourceError(f"{place(self._survey, chunk)}: the file holds fewer rows than it says.")
            parts.append(table.slice(0, missing))
            self._rest = table.slice(missing) if len(table) > missing else None
            missing -= len(parts[-1])
        self._file, self._row = chunk.file, chunk.stop
        return _frame(pa.concat_tables(parts), list(self._survey.columns.positions))


def _frame(table: pa.Table, names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.from_arrow(_plain(table[name])) for name in names})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers, booleans or text that is sound: what dictionaries stand for, and decimals as they are written."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = compute.cast(column, kind)
    if pa.types.is_decimal(kind):
        return compute.cast(column, pa.string())
    if pa.types.is_float16(kind):
        return compute.cast(column, pa.float32())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = compute.cast(column, pa.large_string())
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            return _repaired(column)
    return column


def _repaired(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes that are not UTF-8 as escapes, so that the contract meets a text that it does not know."""
    cells = column.cast(pa.large_binary()).to_pylist()
    return pa.chunked_array(
        [[None if cell is None else cell.decode("utf-8", "backslashreplace") for cell in cells]], pa.large_string()
    )


def require_same(file: SourceFile, source: Opened) -> None:
    """Raise SourceError if the open file does not hold the bytes that were surveyed."""
    if source.digest() != file.sha256:
        raise changed(file.path)


def open_part(path: Path) -> SourceFile:
    """One part of a folder, which is opened anew whenever it is read."""
    source = open_file(path)
    try:
        identity = source.identity()
        digest = source.digest()
        if Identity.of(path.stat()) != identity:
            raise changed(path)
        return SourceFile(path, path, identity, digest)
    finally:
        source.close()
