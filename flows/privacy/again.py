"""Erasing again, after a restore, whoever was erased since the backup was made."""

from __future__ import annotations

from sqlalchemy import URL, Engine

from db.people import rows
from flows.privacy import record
from flows.privacy.stores.registry import restored_stores
from flows.settings import Settings


def erase_again(settings: Settings, engine: Engine, superset: URL | None, hashes: set[str], *, why: str) -> int:
    """Erase those of the people who are in what was restored; how many were. The caller holds the run lock."""
    if not hashes:
        return 0
    stores = restored_stores(settings, engine, superset)
    key = settings.secrets()["privacy"]
    numbers = set[int]().union(*(store.numbers() for store in stores))
    erased = 0
    for customer_id in sorted(number for number in numbers if rows.keyed_hash(key, number) in hashes):
        # The number may be there as something else, a limit or an amount.
        if not any(store.find(customer_id).places for store in stores):
            continue
        hashed = rows.keyed_hash(key, customer_id)
        request_id = rows.record(engine, kind="erase", customer_hash=hashed, by=why)
        record.note(settings, "erasing", customer_id)
        for store in stores:
            store.erase(customer_id)
        record.note(settings, "erased", customer_id)
        rows.complete(engine, request_id)
        erased += 1
    return erased
