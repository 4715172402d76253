"""A person's number in files: counted, taken out of tables of applications, blackened in anything else."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from pathlib import Path

import polars as pl

from db.people import mentions
from flows.installation import atomic

ID = "SK_ID_CURR"
_NEAR = 512


def hits(path: Path, customer_id: int) -> int:
    """How often the file speaks of the person: rows of a table of applications, mentions in any other file."""
    try:
        if path.name.endswith((".csv", ".csv.gz", ".parquet")):
            rows = _table_rows(path, customer_id)
            if rows is not None:
                return rows
        return _mentions(path, customer_id)
    except FileNotFoundError:
        return 0


def _table_rows(path: Path, customer_id: int) -> int | None:
    """Rows of this id in a table of applications; None if it is none that can be read as such."""
    try:
        scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
        ids = scan.select(pl.col(ID).cast(pl.String).str.strip_chars()).filter(
            pl.col(ID).str.contains(rf"^0*{customer_id}(\.0*)?$")
        )
        return int(ids.select(pl.len()).collect(engine="streaming").item())
    except (pl.exceptions.PolarsError, OSError):
        return None


def _mentions(path: Path, customer_id: int) -> int:
    count, kept, counted = 0, b"", 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            while block := file.read(1 << 22):
                text = kept + block
                # What is near the end is judged with what follows it; what is near the beginning was judged before.
                until = len(text) - _NEAR
                count += _found(text, customer_id, counted, until)
                kept = text[max(0, until - _NEAR) :]
                counted = until - max(0, until - _NEAR)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return count
    return count + _found(kept, customer_id, counted, len(kept) + 1)


def times_in(content: bytes, customer_id: int) -> int:
    """How often bytes that are wholly there speak of the person."""
    return _found(content, customer_id, 0, len(content))


def _found(text: bytes, customer_id: int, begin: int, end: int) -> int:
    if str(customer_id).encode() not in text:
        return 0
    # As Latin-1, each byte is one character.
    places = mentions.spans(text.decode("latin-1"), customer_id)
    return sum(begin <= start < end for start, _ in places)


def without_rows(path: Path, customer_id: int) -> None:
    """Write the file anew without the person's rows; it is replaced when it is whole."""
    his = re.compile(rf"\s*0*{customer_id}(\.0*)?\s*")
    mode = path.stat().st_mode & 0o777
    with path.open(encoding="utf-8", newline="") as old, atomic.writing(path, mode=mode) as new:
        header = old.readline()
        column = next(csv.reader([header])).index(ID)
        new.write(header.encode())
        for line in old:
            if str(customer_id) in line and his.fullmatch(next(csv.reader([line]))[column]):
                continue
            new.write(line.encode())


def blacken(path: Path, customer_id: int) -> None:
    """Write x over the number where it stands: a log that is being written to may not change its length."""
    with path.open("r+b") as file:
        content = file.read().decode("latin-1")
        for start, end in mentions.spans(content, customer_id):
            file.seek(start)
            file.write(b"x" * (end - start))
