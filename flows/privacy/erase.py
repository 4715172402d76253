"""The erasure of one person from every store, with the proof: what was searched, and what could not be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from db import schema
from db.people import rows
from db.runs import ledger
from flows.privacy import record
from flows.privacy.stores.base import Erased, NotErasedError, NotSearched, NotSearchedError, Store
from flows.privacy.stores.registry import every_store, reachable
from flows.services import database
from flows.settings import Settings


@dataclass(frozen=True, slots=True)
class Searched:
    """A store that was looked into, and into what of it."""

    store: str
    looked_at: str


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a person was found: counts by place, files that are not ours to change; and where was looked."""

    found: dict[str, int] = field(default_factory=dict)
    foreign_files: list[str] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)
    not_searched: list[NotSearched] = field(default_factory=list)


def search(settings: Settings, customer_id: int, *, given_up: Mapping[str, NotSearched] | None = None) -> Traces:
    """Look for the person in every store that can be reached, and name the others.

    Parameters
    ----------
    given_up: stores that the person could not be taken out of, by name; they are named and not looked into.
    """
    traces = Traces()
    with database.database(settings) as engine:
        schema.require_current(engine)
        for store in every_store(settings, engine):
            if not store.there():
                continue
            if (why_not := (given_up or {}).get(store.name) or store.why_not()) is not None:
                traces.not_searched.append(why_not)
                continue
            try:
                found = store.find(customer_id)
            except NotSearchedError as error:
                traces.not_searched.append(error.store)
                continue
            traces.found.update(found.places)
            traces.foreign_files.extend(found.foreign_files)
            traces.searched.append(Searched(store.name, store.looked_at()))
    return traces


def erase(settings: Settings, customer_id: int, *, by: str) -> dict[str, Any]:
    """Remove one person from every store that can be reached, and search these for what is left.

    It is recorded by a keyed hash, in the database and outside of it. Returns what was removed where, what was
    searched and what could not be, as other programs rely on it. Raises NotErasedError if anything is left,
    BusyError while a run is under way.
    """
    with database.database(settings) as engine, ledger.exclusive(engine):
        schema.require_current(engine)
        hashed = record.customer_hash(settings, customer_id)
        request_id = rows.record(engine, kind="erase", customer_hash=hashed, by=by)
        record.note(settings, "erasing", customer_id)
        done, given_up = _from_every(every_store(settings, engine), customer_id)
        left = search(settings, customer_id, given_up=given_up)
        if left.found:
            places = "; ".join(f"{place} ({count})" for place, count in left.found.items())
            raise NotErasedError(f"Traces of customer {customer_id} are left: {places}.")
        # Not before: a backup that is made meanwhile may hold the person, and has to be older than this.
        record.note(settings, "erased", customer_id)
        rows.complete(engine, request_id)
    return {
        "outcome": "erased",
        "request_id": request_id,
        "removed": done.removed,
        "vacuumed": done.vacuumed,
        "cached_results_dropped": done.dropped,
        "files_not_ours": left.foreign_files,
        "searched": [asdict(store) for store in left.searched],
        "not_searched": [asdict(store) for store in left.not_searched],
    }


def _from_every(stores: Sequence[Store], customer_id: int) -> tuple[Erased, dict[str, NotSearched]]:
    """Take the person out of every store, then do what had to wait for the last of them; and stores that failed."""
    given_up: dict[str, NotSearched] = {}
    removed: dict[str, int] = {}
    vacuumed: list[str] = []
    dropped = 0
    for store in reachable(stores):
        try:
            done = store.erase(customer_id)
        except NotSearchedError as error:
            given_up[store.name] = error.store
            continue
        removed |= done.removed
        vacuumed += done.vacuumed
        dropped += done.dropped
    dropped += sum(store.finish(customer_id).dropped for store in reachable(stores))
    return Erased(removed, vacuumed, dropped), given_up
