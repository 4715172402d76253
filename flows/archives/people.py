"""People in archived nights: looked for, told, and taken out, which writes the files that hold them anew."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from db.people.rows import keyed_hash
from flows.archives import files, known
from flows.archives.files import FEATURES, ArchiveError
from flows.installation import atomic

ID = "customer_id"
SCORES = "score.parquet"


def places(archive: Path) -> list[str]:
    """Every file of the archive that holds people."""
    return [str(path) for folder in files.nights(archive) for path in _tables(folder)]


def damage(archive: Path) -> str | None:
    """Why the archive cannot be searched as a whole, None if it can."""
    from pyarrow import parquet

    try:
        for folder in files.nights(archive):
            files.read(folder)
            for path in _tables(folder):
                with _named(path):
                    parquet.read_schema(path)
    except ArchiveError as error:
        return str(error).rstrip(".")
    except OSError as error:
        return f"{archive} cannot be read ({error.strerror or type(error).__name__})"
    return None


def find(archive: Path, customer_id: int) -> dict[str, int]:
    """The files that hold the person, with how many rows; and what was left half-written, which may.

    Raises ArchiveError if the archive cannot be searched as a whole, as `told` and `erase` do.
    """
    with _named(archive):
        found = {str(path): files.files_in(path) for path in files.leftovers(archive)}
        for folder in files.nights(archive):
            for path in _tables(folder):
                if rows := _rows(path, customer_id):
                    found[str(path)] = rows
    return found


def told(archive: Path, customer_id: int) -> list[dict[str, Any]]:
    """Every row about the person, by night and table: one line for each, contributions with the feature's name."""
    lines: list[dict[str, Any]] = []
    with _named(archive):
        # Nobody can say what of whom is in there.
        lines += [{"archive": str(path), "reached": False} for path in files.leftovers(archive)]
        for folder in files.nights(archive):
            manifest = files.read(folder)
            night = {"archive": str(archive), "reached": True, "run_id": manifest.run_id, "as_of": manifest.as_of}
            names = {row["feature_id"]: row for row in _features(folder)}
            for path in _tables(folder):
                for row in _read(path, customer_id):
                    row.pop("run_id", None)
                    lines.append({**night, "table": path.stem, **row, **names.get(row.get("feature_id"), {})})
    return lines


def erase(archive: Path, customer_id: int) -> dict[str, int]:
    """Take the person out of every file; rows removed by file. It may be cut short, and is then done again."""
    with _named(archive), known.alone(archive):
        removed = files.remove_leftovers(archive)
        for folder in files.nights(archive):
            removed |= {str(path): rows for path, rows in _erase(folder, {customer_id}).items()}
    return removed


def erase_since(archive: Path, key: str, erased: Mapping[str, datetime | None]) -> int:
    """Take out who was erased after a night was published, while the archive could not be reached; rows removed.

    Parameters
    ----------
    key: by which people's numbers are hashed.
    erased: by keyed hash, when each erasure ended; None for one that did not.
    """
    removed = 0
    # Most people are in every night.
    hashed = cache(partial(keyed_hash, key))
    with _named(archive), known.alone(archive):
        files.remove_leftovers(archive)
        for folder in files.nights(archive):
            published = datetime.fromisoformat(files.read(folder).published_at)
            gone = {person for person, ended in erased.items() if ended is None or ended > published}
            if gone:
                here = {number for number in _numbers(folder) if hashed(number) in gone}
                removed += sum(_erase(folder, here).values()) if here else 0
    return removed


@contextmanager
def _named(place: Path) -> Iterator[None]:
    """Say in one sentence what keeps an archive from being read or changed, as ArchiveError; BusyError is none."""
    from polars.exceptions import PanicException, PolarsError
    from pyarrow import ArrowException

    try:
        yield
    except OSError as error:
        what = error.filename or place
        why = (error.strerror or str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArchiveError(f"{what} cannot be read or changed ({why}).") from error
    # A Rust library that finds what it did not expect panics, which is no Exception.
    except (PolarsError, PanicException, ArrowException) as error:
        raise ArchiveError(f"{place} cannot be read ({type(error).__name__}).") from error


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.parquet") if path.name != FEATURES)


def _rows(path: Path, customer_id: int) -> int:
    import polars as pl

    found = pl.scan_parquet(path, glob=False).filter(pl.col(ID) == customer_id).select(pl.len())
    with _named(path):
        return int(found.collect(engine="streaming").item())


def _read(path: Path, customer_id: int) -> list[dict[str, Any]]:
    import polars as pl

    found = pl.scan_parquet(path, glob=False).filter(pl.col(ID) == customer_id)
    with _named(path):
        return found.collect(engine="streaming").to_dicts()


def _features(folder: Path) -> list[dict[str, Any]]:
    import polars as pl

    with _named(folder / FEATURES):
        return pl.read_parquet(folder / FEATURES, glob=False).rename({"name": "feature"}).to_dicts()


def _numbers(folder: Path) -> set[int]:
    import polars as pl

    # Everybody in the other files has a score too.
    path = folder / SCORES
    with _named(path):
        return set(pl.read_parquet(path, columns=[ID], glob=False)[ID])


def _erase(folder: Path, people: Collection[int]) -> dict[Path, int]:
    """Write the files of one night anew that hold any of them.

    The manifest comes before the file: cut short between the two, the file still holds the person, and the erasure,
    which did not end, is asked for again. Scores come last: by them `erase_since` finds who is left in a night.
    """
    removed = {}
    for path in sorted(_tables(folder), key=lambda path: path.name == SCORES):
        if not any(_rows(path, customer_id) for customer_id in people):
            continue
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            with _named(path):
                before, kept = _without(path, new, people)
            manifest = files.read(folder)
            states = {**manifest.files, path.name: files.state_of(new, kept)}
            replace(manifest, files=states).write(folder)
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
        atomic.sync_folder(folder)
        removed[path] = before - kept
    return removed


def _without(path: Path, new: Path, people: Collection[int]) -> tuple[int, int]:
    """Write the file anew without these people, in bounded memory; rows before and after."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    gone = pa.array(sorted(people), pa.int32())
    before = after = 0
    with parquet.ParquetFile(path) as old, files.parquet(new, old.schema_arrow) as writer:
        for batch in old.iter_batches():
            kept = batch.filter(compute.invert(compute.is_in(batch[ID], value_set=gone)))
            before, after = before + batch.num_rows, after + kept.num_rows
            if kept.num_rows:
                writer.write_batch(kept)
    return before, after
