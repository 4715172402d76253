"""Writing nights into an archive: each whole or not at all, none over another; what is there already is left."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from db import schema
from db.models import feature, score
from db.people import rows as people_rows
from db.runs.extract import FEATURE_COLUMNS, Kept, extract, published_runs
from flows import signals
from flows.archives import files, known, people
from flows.archives.files import FEATURES, FORMAT, ArchiveError, Manifest
from flows.installation import atomic, identity
from flows.progress import reporter
from flows.settings import Settings


@dataclass(frozen=True, slots=True)
class Archived:
    """A night in the archive, and whether it was written now or was there already."""

    manifest: Manifest
    outcome: Literal["archived", "unchanged"]


def archive(settings: Settings, engine: Engine, folder: Path, run: Kept) -> Archived:
    """Put one night into the archive, unless it is there.

    The caller holds the run lock, so that nobody is erased meanwhile.

    Raises ArchiveError if another night stands in its place, or if it is not as it was written.
    """
    known.note(settings, folder)
    with known.alone(folder):
        files.remove_leftovers(folder)
        place = folder / files.name_of(run.run.run_id)
        if place.exists():
            return Archived(_same(place, run), "unchanged")
        partial = folder / f".{place.name}.{secrets.token_hex(4)}.partial"
        partial.mkdir(mode=0o700)
        try:
            manifest = _write(settings, engine, partial, run)
            atomic.sync_folder(partial)
            partial.rename(place)
        except BaseException:
            with suppress(OSError):
                shutil.rmtree(partial)
            raise
        atomic.sync_folder(folder)
        return Archived(manifest, "archived")


def _same(place: Path, run: Kept) -> Manifest:
    """The night that is there already, if it is this one and as it was written."""
    manifest = files.require_as_written(place)
    if (manifest.published_at, manifest.source_sha256) != (_published(run), run.source_sha256):
        raise ArchiveError(f"{place} holds another night, of {manifest.as_of}; name another folder.")
    return manifest


def _write(settings: Settings, engine: Engine, folder: Path, run: Kept) -> Manifest:
    states = {}
    with extract(engine, run) as rows:
        counted = {table.name: rows.rows(table) for table in rows.tables}
        done, total = 0, sum(counted.values())
        if run.run.customers and not counted[score.name]:
            raise ArchiveError(
                f"Run {run.run.run_id} has no scores of {run.run.customers:,} customers in the database any more;"
                " nothing was archived."
            )
        for table in rows.tables:
            path, written = folder / f"{table.name}.parquet", 0
            for batch in files.write(path, rows.csv(table), files.schema_of(table)):
                signals.check()
                written += batch
                done += batch
                reporter().update("archive", done, total)
            if written != counted[table.name]:
                raise ArchiveError(f"{path} has {written:,} rows of {counted[table.name]:,}; nothing was archived.")
            states[path.name] = files.state_of(path, written)
        path = folder / FEATURES
        written = sum(files.write(path, rows.features(), files.schema_of(feature, FEATURE_COLUMNS)))
        states[path.name] = files.state_of(path, written)
    manifest = Manifest(
        format=FORMAT,
        installation=identity.of(settings.state).name,
        revision=schema.head(),
        run_id=run.run.run_id,
        as_of=run.run.as_of.isoformat(),
        published_at=_published(run),
        model_id=run.run.model_id,
        policy_id=run.run.policy_id,
        source_sha256=run.source_sha256,
        details=run.details,
        files=states,
    )
    manifest.write(folder)
    return manifest


def _published(run: Kept) -> str:
    assert run.run.published_at is not None
    return run.run.published_at.isoformat()


def before_they_are_dropped(settings: Settings, engine: Engine, run_ids: Sequence[int]) -> dict[int, str]:
    """Archive nights where the settings ask for it; those that could not be, and why.

    First whoever was erased while the archive was away is taken out of it, as far as the database knows of it; what
    only the state folder knows after a restore, `creditlens archive` does. The caller holds the run lock.
    """
    if settings.archive is None:
        return {}
    wanted = [run for run in published_runs(engine) if run.run.run_id in run_ids]
    failed = {}
    put_right = False
    for run in wanted:
        try:
            if not put_right:
                known.note(settings, settings.archive)
                key = settings.secrets()["privacy"]
                people.erase_since(settings.archive, key, people_rows.erasures(engine))
                put_right = True
            archive(settings, engine, settings.archive, run)
        except Exception as error:
            # The night is published, and the run stays where it is until another night.
            failed[run.run.run_id] = (str(error).strip() or type(error).__name__).splitlines()[0]
    return failed
