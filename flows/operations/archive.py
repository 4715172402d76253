"""The nights that somebody wants in an archive, one after the other, and the archive put right first."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from db import schema
from db.errors import RefusedError
from db.runs import ledger
from db.runs.extract import Kept, published_runs
from flows.archives import known, people
from flows.archives.write import archive
from flows.privacy import record
from flows.services import database
from flows.settings import Settings

# Longer than a night that waits for its turn pauses between two tries.
_LET_OTHERS = 2.0


def archive_nights(
    settings: Settings, folder: Path | None, *, before: date | None = None, run_ids: Collection[int] = ()
) -> dict[str, Any]:
    """Archive nights, those that are there already aside; what is there now, as other programs rely on it.

    It may be cut short and asked for again: each night is there whole or not at all.

    Parameters
    ----------
    folder: the archive; the setting's without.
    before: nights of earlier dates. Without it, and without `run_ids`, those beyond the retention.

    Raises RefusedError for a folder that is no archive and not empty, for a night that stands there otherwise, and
    for runs that are not published; BusyError while a run is under way.
    """
    started = time.monotonic()
    place = folder or settings.archive
    if place is None:
        raise RefusedError("Name a folder, or set CREDITLENS_ARCHIVE.")
    place = place.resolve()
    with database.database(settings) as engine:
        schema.require_current(engine)
        chosen = _chosen(published_runs(engine), settings.retained_runs, before, run_ids)
        with ledger.exclusive(engine):
            known.note(settings, place)
            erased_again = people.erase_since(place, settings.secrets()["privacy"], record.read(settings).erased)
        nights: list[dict[str, Any]] = []
        for one in chosen:
            # One by one, so that a night that is due waits for one only; while it runs, the next is refused.
            if nights:
                time.sleep(_LET_OTHERS)
            with ledger.exclusive(engine):
                run = _as_it_is_now(engine, one.run.run_id)
                done = archive(settings, engine, place, run)
            nights.append(
                {
                    "run_id": run.run.run_id,
                    "as_of": run.run.as_of.isoformat(),
                    "outcome": done.outcome,
                    "details": done.manifest.details,
                    "rows": done.manifest.rows,
                    "bytes": done.manifest.bytes,
                }
            )
    return {
        "outcome": "archived" if any(night["outcome"] == "archived" for night in nights) else "unchanged",
        "folder": str(place),
        "nights": nights,
        "erased_again": erased_again,
        "seconds": round(time.monotonic() - started, 1),
    }


def _as_it_is_now(engine: Engine, run_id: int) -> Kept:
    """The run under the lock: a night in between may have dropped its details, somebody may have withdrawn it."""
    for run in published_runs(engine):
        if run.run.run_id == run_id:
            return run
    raise RefusedError(f"Run {run_id} is not a published run any more; it was not archived. Ask again for others.")


def _chosen(
    published: Sequence[Kept], retained_runs: int, before: date | None, run_ids: Collection[int]
) -> list[Kept]:
    """The nights that are meant, the oldest first."""
    if unknown := set(run_ids) - {one.run.run_id for one in published}:
        raise RefusedError(
            f"Run {min(unknown)} is not a published run; SELECT * FROM reporting.run_history lists them."
        )
    if before is not None:
        chosen = [one for one in published if one.run.as_of < before]
    elif run_ids:
        chosen = []
    else:
        chosen = list(published[max(2, retained_runs) :])
    chosen += [one for one in published if one.run.run_id in run_ids and one not in chosen]
    return sorted(chosen, key=lambda one: (one.run.as_of, one.run.run_id))
