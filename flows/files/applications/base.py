"""What a survey of a file of applications is made of, and how the bytes behind it are held."""

from __future__ import annotations

import hashlib
import os
import stat
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scoring.contract import Columns

BLOCK_BYTES = 4 << 20


class SourceError(Exception):
    """A file that cannot be read; the message names it, the place, and the way out."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a file from another one, and from itself after it was written to."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @staticmethod
    def of(status: os.stat_result) -> Identity:
        """The identity in what `os.stat` says of a file."""
        return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Opened:
    """An open file, closed when nothing refers to it any more.

    A file that is renamed over the path leaves the open one as it was. Sent to another process, it is None there:
    that process opens the path itself.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        self._close = weakref.finalize(self, os.close, self.descriptor)

    @property
    def path(self) -> Path:
        """A path to the very file that is open, whatever its own path leads to by now."""
        return Path(f"/dev/fd/{self.descriptor}")

    def identity(self) -> Identity:
        """The open file's identity now."""
        return Identity.of(os.fstat(self.descriptor))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`; fewer if the file is shorter."""
        parts = []
        while start < stop and (part := os.pread(self.descriptor, stop - start, start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def digest(self) -> str:
        """SHA-256 of the whole file."""
        whole, start = hashlib.sha256(), 0
        while block := self.read(start, start + BLOCK_BYTES):
            whole.update(block)
            start += len(block)
        return whole.hexdigest()

    def close(self) -> None:
        """Close it now."""
        self._close()

    def __reduce__(self) -> tuple[object, ...]:
        return _nothing, ()


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the input.

    `readable` is where it is read from: `path` itself, or its unpacked copy in a scratch folder.
    """

    path: Path
    readable: Path
    identity: Identity
    sha256: str
    opened: Opened | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of rows that can be read alone: bytes of a CSV file, or rows of a Parquet file.

    `file` is the place in `Survey.files`; `digest` is that of the bytes which the survey saw, empty for Parquet.
    """

    first_row: int
    rows: int
    start: int
    stop: int
    file: int = 0
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over the input found.

    `sha256` is that of the file as it was given, packed or not; of several files, that of their digests in order.
    `duplicates` holds the row numbers that repeat another row's id and are to be left out, ascending. `separator`
    and `decimal_comma` say how a CSV file is written. `notes` are sentences that its owner should know.
    """

    path: Path
    kind: Literal["csv", "parquet"]
    files: tuple[SourceFile, ...]
    sha256: str
    header: tuple[str, ...]
    columns: Columns
    rows: int
    chunks: tuple[Chunk, ...]
    duplicates: NDArray[np.int64]
    separator: str = ","
    decimal_comma: bool = False
    notes: tuple[str, ...] = ()


def opened(file: SourceFile) -> Opened:
    """The file that the survey holds open, or the path opened anew."""
    return file.opened if file.opened is not None else open_file(file.readable)


def open_file(path: Path) -> Opened:
    """Raises SourceError if the file is not there, is no regular file, or may not be read."""
    try:
        # Asked first: to open a pipe waits for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path} is not a regular file; give a file that can be read more than once.")
        return Opened(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceError(f"There is no file {path}.") from None
    except PermissionError:
        raise SourceError(f"{path} may not be read by this user.") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be opened: {first_line(error)}") from None


def place(survey: Survey, chunk: Chunk) -> str:
    """Where a chunk is, for a message."""
    return f"{survey.path}, rows {chunk.first_row} to {chunk.first_row + chunk.rows - 1}"


def first_line(error: Exception) -> str:
    """What a library says about a file, as one sentence."""
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return text[:300].rstrip(". ") + "."


def changed(path: Path, how: str = "was changed while it was read") -> SourceError:
    """The refusal of a file that is not the one that was surveyed."""
    return SourceError(f"{path} {how}; nothing of it is published, give it again when it is complete.")
