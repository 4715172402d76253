"""Reading application files: the only file input.

CSV (plain, gzipped or zipped, UTF-8) and Parquet (a file, or a folder of parts). The input is surveyed
once, which finds its SHA-256, its rows, the bounds of chunks at ends of records, and ids that stand there several
times; then any chunk can be read by itself, by this process or another one. A chunk that does not hold the bytes
that the survey saw is refused, and so is an input that is another one at the end than at the beginning.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.files.applications import columnar, delimited
from flows.files.applications.base import (
    Chunk,
    Identity,
    Opened,
    SourceError,
    SourceFile,
    Survey,
    changed,
    open_file,
)
from flows.files.applications.containers import SUFFIXES, format_of, unpack, unpack_to
from scoring.contract import ID, Violation, as_numbers, check_rows, match_columns
from scoring.errors import ColumnsError

__all__ = [
    "SUFFIXES", "Chunk", "Reader", "SourceError", "SourceFile", "Survey",
    "batches", "find", "read", "readable_here", "require_unchanged", "survey",
]  # fmt: skip


def find(folder: Path, name: str) -> list[Path]:
    """The file called `name` in `folder`, and those called `name_...`, in one of the formats that can be read.

    Raises SourceError, saying what was looked for, if the folder or the file is not there, or if a file is there in
    several formats, so that nobody can tell which of them counts.
    """
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}.")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        suffix = max((s for s in SUFFIXES if path.name.lower().endswith(s)), key=len, default=None)
        stem = path.name[: -len(suffix)] if suffix else path.name
        if suffix and (stem.lower() == name or (stem.lower().startswith(f"{name}_") and stem.isidentifier())):
            found.setdefault(stem.lower(), []).append(path)
    if name not in found:
        raise SourceError(f"No {name}.csv, {name}.csv.gz, {name}.csv.zip or {name}.parquet in {folder}.")
    for several in found.values():
        if len(several) > 1:
            names = " and ".join(path.name for path in several)
            raise SourceError(f"{folder} holds {names}; keep the one that counts.")
    return [found.pop(name)[0], *(found[stem][0] for stem in sorted(found))]


def survey(path: Path, *, chunk_rows: int, scratch: Path, labelled: bool = False) -> Survey:
    """Look the input over once, in bounded memory.

    Parameters
    ----------
    path: a file, or a folder of Parquet files.
    scratch: folder for an unpacked copy, which its owner removes.
    labelled: whether TARGET belongs to the contract.

    Raises SourceError for a file that is not there, not of a known kind, not whole, not UTF-8, or empty, and
    ColumnsError for one without the contract's columns.
    """
    if path.is_dir():
        files = [columnar.open_part(part) for part in columnar.part_files(path)]
        found = columnar.survey_files(path, files, chunk_rows, labelled=labelled)
    else:
        found = _survey_file(path, chunk_rows, scratch, labelled=labelled)
    ids = columnar.ids_of(found) if found.kind == "parquet" else _ids_of_csv(found)
    require_unchanged(found, again=False)
    left_out = _left_out(found, ids, labelled=labelled)
    return replace(found, duplicates=left_out, notes=(*found.notes, *_notes(found)))


def _survey_file(path: Path, chunk_rows: int, scratch: Path, *, labelled: bool) -> Survey:
    source = open_file(path)
    kind, content, digest = format_of(path), format_of(path).content, ""
    identity, readable = source.identity(), path
    if kind.packing != "none":
        readable, digest, content = unpack_to(path, source, scratch)
        source.close()
        source = open_file(readable)
    if content == "parquet":
        file = SourceFile(path, readable, identity, digest or source.digest(), source)
        return columnar.survey_files(path, [file], chunk_rows, labelled=labelled)
    header = delimited.read_header(path, source)
    try:
        columns = match_columns(header.names, labelled=labelled)
    except ColumnsError as error:
        raise delimited.describe_columns(path, header, error) from None
    records = delimited.scan_records(path, source, header, chunk_rows)
    if not records.rows:
        raise SourceError(f"{path} has a header and no applications.")
    file = SourceFile(path, readable, identity, digest or records.sha256, source)
    found = Survey(
        path, "csv", (file,), file.sha256, header.names, columns, records.rows, records.chunks,
        np.empty(0, np.int64), header.separator,
    )  # fmt: skip
    notes = []
    if records.empty:
        notes.append(f"Rows without any value at the end of {path} are ignored: {records.empty:,}.")
    if not records.is_ended:
        notes.append(f"The last line of {path} has no line end; it is read as it is.")
    if found.separator != ",":
        named = delimited.SEPARATORS.get(found.separator, repr(found.separator))
        notes.append(f"{path} is separated by {named}.")
    if delimited.writes_decimal_commas(found):
        found = replace(found, decimal_comma=True)
        notes.append(f"Numbers in {path} are written with decimal commas and are read so.")
    return replace(found, notes=tuple(notes))


def _notes(found: Survey) -> list[str]:
    """What is not as the contract has it in the columns, and does no harm."""
    notes = []
    respelt = [f"{theirs!r} as {ours}" for theirs, ours in found.columns.respelt]
    if respelt:
        notes.append(f"Column names in {found.path} are read in spite of their spelling: {_listed(respelt)}.")
    if found.columns.ignored:
        notes.append(f"Columns that the contract does not know are ignored: {_listed(found.columns.ignored)}.")
    return notes


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


class Reader:
    """Reads chunks of a survey. Those that follow each other are read fastest."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self._tables = columnar.Tables(survey)

    def read(self, chunk: Chunk) -> tuple[pl.DataFrame, list[Violation]]:
        """One chunk's columns of the contract, and its rows that are not rows of the table.

        Text cells stay text, empty ones are null. The rows of `Violation` (rule "fields") are in the frame too,
        with all cells null, so that row numbers hold. Raises SourceError if the file was changed since the survey.
        """
        if self.survey.kind == "csv":
            return delimited.read_chunk(self.survey, chunk)
        return self._tables.read(chunk), []


def read(survey: Survey, chunk: Chunk) -> tuple[pl.DataFrame, list[Violation]]:
    """One chunk by itself; see `Reader.read`."""
    return Reader(survey).read(chunk)


def batches(survey: Survey) -> Iterator[tuple[Chunk, pl.DataFrame, list[Violation]]]:
    """All chunks in order."""
    reader = Reader(survey)
    for chunk in survey.chunks:
        yield (chunk, *reader.read(chunk))


@contextmanager
def readable_here(survey: Survey, scratch: Path) -> Iterator[Survey]:
    """The survey as this machine can read it, which need not be the one that made it.

    An archive whose unpacked copy is not here is unpacked into a file without a name in the scratch folder, which
    is gone with the block, or with a process that is killed. Raises SourceError if the file is not here, or is not
    the one that was surveyed.
    """
    for file in survey.files:
        if not file.path.is_file():
            raise SourceError(
                f"{file.path} is not there on {socket.gethostname()};"
                " each worker needs the file under the same path."
            )
    if len(survey.files) > 1:
        for file in survey.files:
            _require_held(file, open_file(file.path))
        yield survey
        return
    (file,) = survey.files
    is_packed = file.readable != file.path
    if is_packed and not os.access(file.readable, os.R_OK):
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=scratch) as plain:
            digest, _ = unpack(file.path, open_file(file.path), plain)
            if digest != file.sha256:
                raise changed(file.path, "is not the file that the flow read")
            copy = Path(f"/dev/fd/{plain.fileno()}")
            yield replace(survey, files=(replace(file, readable=copy, opened=open_file(copy)),))
        return
    source = open_file(file.readable)
    before = source.identity()
    if not is_packed:
        if before.size != file.identity.size:
            raise changed(file.path, "is not the file that the flow read")
        if survey.kind == "parquet":
            _require_held(file, source)
    yield replace(survey, files=(replace(file, opened=source),))
    if source.identity() != before:
        raise changed(file.path)


def _require_held(file: SourceFile, source: Opened) -> None:
    if source.digest() != file.sha256:
        raise changed(file.path, "is not the file that the flow read")


def require_unchanged(survey: Survey, *, again: bool = True) -> None:
    """Raise SourceError if the input is not the one that was surveyed any more.

    Parameters
    ----------
    again: whether a file of which the chunks have no digest (Parquet) is also read again.
    """
    if survey.path.is_dir() and columnar.part_files(survey.path) != [file.path for file in survey.files]:
        raise changed(survey.path, "got or lost a file while it was read")
    for file in survey.files:
        try:
            now = Identity.of(file.path.stat())
        except OSError:
            raise changed(file.path, "was taken away while it was read") from None
        if (now.device, now.inode) != (file.identity.device, file.identity.inode):
            raise changed(file.path, "was replaced by another file while it was read")
        if now != file.identity:
            raise changed(file.path)
        if again and survey.kind == "parquet" and file.readable == file.path:
            columnar.require_same(file, file.opened or open_file(file.path))


# --- ids that stand there several times -----------------------------------------------------------------------


def _ids_of_csv(survey: Survey) -> pl.Series:
    """The id of every row, null where it is no number."""
    frames = (delimited.read_chunk(survey, chunk, names=[ID])[0] for chunk in survey.chunks)
    return pl.concat([as_numbers(frame, ID, decimal_comma=survey.decimal_comma) for frame in frames])


def _left_out(survey: Survey, ids: pl.Series, *, labelled: bool) -> NDArray[np.int64]:
    """The rows that repeat an id and are to be left out: of the rows with one id, the first sound one is kept.

    A broken row gives way to its correction. Of a former customer with two outcomes no row is kept, because nobody
    can say which of them is true.
    """
    repeated = (ids.is_duplicated() & ids.is_not_null()).to_numpy()
    if not repeated.any():
        return np.empty(0, np.int64)
    rows = np.flatnonzero(repeated) + 1
    outcomes = _sound_rows(survey, rows, labelled=labelled)
    left_out: list[int] = []
    order = rows[np.argsort(ids.to_numpy()[rows - 1], kind="stable")]
    values = ids.to_numpy()[order - 1]
    # Compared, not subtracted: two infinite numbers differ by none.
    for group in np.split(order, np.flatnonzero(values[1:] != values[:-1]) + 1):
        sound = [row for row in group.tolist() if row in outcomes]
        kept = sound[0] if sound else int(group[0])
        if len({outcomes[row] for row in sound}) > 1:
            kept = 0
        # A broken row is left out for what is wrong with it.
        left_out += [row for row in group.tolist() if row != kept and (row in outcomes or not sound)]
    return np.sort(np.array(left_out, dtype=np.int64))


def _sound_rows(survey: Survey, rows: NDArray[np.int64], *, labelled: bool) -> dict[int, int]:
    """Of some rows those that keep the contract, with their outcome, which is 0 where there is none."""
    outcomes: dict[int, int] = {}
    first = np.array([chunk.first_row for chunk in survey.chunks])
    wanted = set(rows.tolist())
    reader = Reader(survey)
    for number in np.unique(np.searchsorted(first, rows, side="right") - 1).tolist():
        chunk = survey.chunks[number]
        frame, malformed = reader.read(chunk)
        accepted = check_rows(
            frame, first_row=chunk.first_row, labelled=labelled, malformed=malformed,
            decimal_comma=survey.decimal_comma,
        ).accepted  # fmt: skip
        targets = accepted.target if accepted.target is not None else np.zeros(len(accepted), np.int8)
        for row, target in zip(accepted.row_number.tolist(), targets.tolist(), strict=True):
            if row in wanted:
                outcomes[row] = target
    return outcomes
