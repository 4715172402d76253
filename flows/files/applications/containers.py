"""What a file is packed in: nothing, gzip, or a zip archive of one file."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from flows.files.applications.base import BLOCK_BYTES, Opened, SourceError, first_line

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
# In the order in which they are looked for.
SUFFIXES = (
    ".csv", ".csv.gz", ".parquet", ".csv.zip", ".zip", ".pq", ".parquet.zip",
    *(f"{suffix}{packed}" for suffix in (".tsv", ".txt") for packed in ("", ".gz", ".zip")),
)  # fmt: skip
_READABLE = ".csv, .tsv, .txt (also with .gz or .zip) or .parquet file, or a folder of Parquet files"
Packing = Literal["none", "gzip", "zip"]
Content = Literal["csv", "parquet"]


@dataclass(frozen=True, slots=True)
class Format:
    """What a file's name says about it; `content` is None where only the archive's member tells."""

    packing: Packing
    content: Content | None


def format_of(path: Path) -> Format:
    """By the suffix, in any case. Raises SourceError for an unknown one."""
    name = path.name.lower()
    if name.endswith(".gz"):
        content = _content(name.removesuffix(".gz"))
        if content == "csv":
            return Format("gzip", "csv")
    elif name.endswith(".zip"):
        return Format("zip", None)
    elif content := _content(name):
        return Format("none", content)
    raise SourceError(f"{path} is of an unknown kind; give a {_READABLE}.")


def _content(name: str) -> Content | None:
    if name.endswith(CSV_SUFFIXES):
        return "csv"
    return "parquet" if name.endswith(PARQUET_SUFFIXES) else None


def unpack_to(path: Path, file: Opened, scratch: Path) -> tuple[Path, str, Content]:
    """Unpack into a new file of the scratch folder: that file, SHA-256 of the packed one, and what it holds.

    The scratch folder's owner removes the file. Raises SourceError if the archive is damaged or not of one file.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".unpacked", dir=scratch)
    try:
        with open(handle, "wb") as plain:
            digest, content = unpack(path, file, plain)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name), digest, content


def unpack(path: Path, file: Opened, plain: IO[bytes]) -> tuple[str, Content]:
    """Write what the archive holds to `plain`; SHA-256 of the archive, and the kind of what it holds."""
    kind = format_of(path)
    if kind.packing == "gzip":
        digest = _gunzip(path, file, plain)
        content: Content = "csv"
    else:
        content = _unzip(path, file, plain)
        digest = file.digest()
    plain.flush()
    return digest, content


class _Hashed:
    """A file read from start to end, and the SHA-256 of what was read."""

    def __init__(self, file: Opened) -> None:
        self._file = file
        self._at = 0
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(self._at, self._at + (size if size >= 0 else BLOCK_BYTES))
        self._at += len(block)
        self.sha256.update(block)
        return block


def _gunzip(path: Path, file: Opened, plain: IO[bytes]) -> str:
    packed = _Hashed(file)
    try:
        with gzip.GzipFile(fileobj=packed, mode="rb") as stream:  # type: ignore[call-overload]
            while block := stream.read(BLOCK_BYTES):
                plain.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is not a whole gzip file: {first_line(error)}") from None
    while packed.read(BLOCK_BYTES):
        pass
    return packed.sha256.hexdigest()


def _unzip(path: Path, file: Opened, plain: IO[bytes]) -> Content:
    try:
        with open(file.path, "rb") as packed, zipfile.ZipFile(packed) as archive:
            members = [member for member in archive.infolist() if not member.is_dir() and not _is_clutter(member)]
            if len(members) != 1:
                named = ", ".join(repr(member.filename) for member in members[:5]) or "nothing"
                raise SourceError(f"{path} should hold one file and holds {len(members)} ({named}); give that one.")
            content = _content(members[0].filename.lower())
            if content is None:
                raise SourceError(f"{path} holds {members[0].filename!r}, neither a CSV nor a Parquet file.")
            # The end of the archive's member is where its checksum is compared.
            with archive.open(members[0]) as stream:
                while block := stream.read(BLOCK_BYTES):
                    plain.write(block)
            return content
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{path} is not a whole zip file: {first_line(error)}") from None
    except (NotImplementedError, RuntimeError) as error:
        # An encrypted member, or a way of packing that Python does not know.
        raise SourceError(f"{path} cannot be unpacked: {first_line(error)}") from None


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    """What macOS puts beside the file that was packed."""
    parts = PurePosixPath(member.filename).parts
    return "__MACOSX" in parts or parts[-1:] == (".DS_Store",)
