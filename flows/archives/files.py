"""One night in an archive: a folder of Parquet files and a manifest, which is there whole or not at all.

Files are named as the tables of schema `credit` whose rows they hold, with the same columns. They are ours to
change: an erasure writes them anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import REAL, Boolean, Double, Integer, SmallInteger, Table, Text

from db.errors import RefusedError
from flows.installation import atomic

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
MANIFEST = "manifest.json"
# Says that a folder is an archive, and of which installation: one that is not there is not mounted, say.
MARKER = "creditlens-archive.json"
FEATURES = "feature.parquet"
_BATCH_BYTES = 1 << 22


class ArchiveError(RefusedError):
    """An archive holds something else than it should, and is left as it is."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What the manifest says of a file."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archived night says of itself.

    Attributes
    ----------
    revision: the schema's, which says what the columns mean.
    details: whether it has more than scores, which are all there is where the details had been dropped before.
    published_at: with the run's number what tells a night from that of another installation.
    """

    format: int
    installation: str
    revision: str
    run_id: int
    as_of: str
    published_at: str
    model_id: int
    policy_id: int
    source_sha256: str
    details: bool
    files: dict[str, FileState]

    @property
    def rows(self) -> int:
        return sum(state.rows for state in self.files.values())

    @property
    def bytes(self) -> int:
        return sum(state.bytes for state in self.files.values())

    def write(self, folder: Path) -> None:
        """Put it into the folder, in the place of an earlier one."""
        atomic.write(folder / MANIFEST, json.dumps(asdict(self), indent=1), mode=0o600)


def read(folder: Path) -> Manifest:
    """The manifest of an archived night. Raises ArchiveError for a folder that is none that we can read."""
    try:
        found = json.loads((folder / MANIFEST).read_text())
        if found["format"] != FORMAT:
            raise ArchiveError(f"{folder} has format {found['format']}, this program reads format {FORMAT}.")
        return Manifest(**{**found, "files": {name: FileState(**state) for name, state in found["files"].items()}})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{folder} is no night of an archive, or is damaged ({error!r}).") from error


def name_of(run_id: int) -> str:
    """The folder of a night in its archive."""
    return f"run-{run_id:08d}"


def nights(archive: Path) -> list[Path]:
    """The folders of the nights in an archive, the first run first."""
    return sorted(folder for folder in archive.glob("run-*") if folder.is_dir())


def leftovers(archive: Path) -> list[Path]:
    """What killed archivers and erasures left: files with people that nobody can count on to read."""
    return sorted([*archive.glob(".run-*.partial"), *archive.glob("run-*/.*.partial")])


def remove_leftovers(archive: Path) -> dict[str, int]:
    """Take it away; how many files by place. The caller is alone in the archive, so that it is nobody's."""
    removed = {}
    for path in leftovers(archive):
        removed[str(path)] = files_in(path)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return removed


def files_in(leftover: Path) -> int:
    """How many files it is: 1 unless it is a folder."""
    return sum(1 for _ in leftover.iterdir()) if leftover.is_dir() else 1


def state_of(path: Path, rows: int) -> FileState:
    """What a manifest says of a file that holds so many rows."""
    with path.open("rb") as file:
        return FileState(rows, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def require_as_written(folder: Path) -> Manifest:
    """The manifest, once every file was compared with it. Raises ArchiveError if one is not as it says."""
    manifest = read(folder)
    for name, said in manifest.files.items():
        path = folder / name
        if not path.is_file() or state_of(path, said.rows) != said:
            raise ArchiveError(f"{path} is not as {MANIFEST} says; it was changed or is damaged.")
    return manifest


# --- Parquet --------------------------------------------------------------------------------------------------


def schema_of(table: Table, columns: Iterable[str] | None = None) -> pa.Schema:
    """A table's columns as Parquet holds them."""
    import pyarrow as pa

    def kind(column: Any) -> pa.DataType:
        # REAL and Double are Float's, SmallInteger Integer's: the narrow ones first.
        for known, arrow in (
            (SmallInteger, pa.int16()), (Integer, pa.int32()), (REAL, pa.float32()), (Double, pa.float64()),
            (Boolean, pa.bool_()), (Text, pa.string()),
        ):  # fmt: skip
            if isinstance(column.type, known):
                return arrow
        raise TypeError(f"{table.name}.{column.name}: {column.type!r}")

    names = table.columns.keys() if columns is None else columns
    return pa.schema([pa.field(name, kind(table.c[name]), nullable=table.c[name].nullable) for name in names])


def write(path: Path, content: Iterator[bytes], schema: pa.Schema) -> Iterator[int]:
    """Write CSV of Postgres as Parquet, in bounded memory; yields how many rows each batch had."""
    import pyarrow as pa
    from pyarrow import csv

    stream = BufferedReader(_Stream(content), _BATCH_BYTES)
    reading = csv.ReadOptions(column_names=schema.names, block_size=_BATCH_BYTES)
    converting = csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
        true_values=["t"], false_values=["f"],
    )  # fmt: skip
    first = stream.peek(1)
    with parquet(path, schema) as writer:
        if not first:
            return
        parsing = csv.ParseOptions(newlines_in_values=True)
        with closing(csv.open_csv(stream, reading, parsing, converting)) as batches:
            for batch in batches:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                yield batch.num_rows


@contextmanager
def parquet(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """A writer of a new file that only its owner may read, on the disk at the end of the block."""
    from pyarrow import parquet as pq

    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd", version="2.6") as writer:
            yield writer
        file.flush()
        os.fsync(file.fileno())


class _Stream(RawIOBase):
    """Blocks of bytes as a file to read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._left = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        taken = min(len(buffer), len(self._left))
        buffer[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken
