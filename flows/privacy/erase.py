"""The erasure of one person from every store, with the proof: what was searched, and what could not be."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Engine

from db import schema
from db.access import roles
from db.engine import open_session
from db.people import rows
from db.runs import ledger
from db.superset import people
from flows.privacy import record, traces
from flows.privacy.traces import NotErasedError
from flows.services import database
from flows.services import prefect as prefect_service
from flows.services import superset as superset_service
from flows.settings import Settings

# A worker of the dashboards files an answer this long after its query has ended, at the most.
FILING_SECONDS = 2.0
# Longer than readers' statements may take (30 s).
PATIENCE_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Searched:
    """A store that was looked into, and into what of it."""

    store: str
    looked_at: str


@dataclass(frozen=True, slots=True)
class NotSearched:
    """A store that was not looked into: why, and what to do."""

    store: str
    why: str
    to_do: str


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a person was found: counts by place, files that are not ours to change; and where was looked."""

    found: dict[str, int]
    foreign_files: list[str] = field(default_factory=list)
    searched: list[Searched] = field(default_factory=list)
    not_searched: list[NotSearched] = field(default_factory=list)


# --- stores ---------------------------------------------------------------------------------------------------


def search(settings: Settings, customer_id: int) -> Traces:
    """Look for the person in every store that can be reached, and name the others.

    Stores are the database, Superset's own, Prefect's own, cached answers, the files of the state folder, and the
    input files.
    """
    with database.database(settings) as engine:
        schema.require_current(engine)
        found = rows.find(engine, customer_id)
        searched = [Searched(f"database {_name(engine.url)}", rows.LOOKED_AT)]
        superset, not_searched = reachable_superset(settings, engine)
    if superset is not None:
        found |= people.find(superset, customer_id)
        searched.append(Searched(f"Superset's database {_name(superset)}", people.looked_at()))
    prefect = traces.prefect_database(settings)
    if prefect.exists():
        found |= traces.find_in_prefect(prefect, customer_id)
        places = "; ".join(f"{table} ({', '.join(columns)})" for table, columns in traces.PREFECT.items())
        searched.append(Searched(f"Prefect's database {prefect}", places))
    if superset_service.answers(settings).exists():
        answers = traces.answers_about(settings, customer_id)
        found |= {str(path): 1 for path in answers}
        searched.append(Searched(f"cached answers in {superset_service.answers(settings)}", "every file"))
    foreign = []
    for path in traces.state_files(settings):
        hits = traces.hits(path, customer_id)
        if hits and traces.ours(settings, path):
            found[str(path)] = hits
        elif hits:
            foreign.append(str(path))
    searched.append(
        Searched(
            f"state folder {settings.state}",
            "every file but the database server's, ports, keys, settings and scripts",
        )
    )
    foreign += [str(path) for path in traces.input_files(settings) if traces.hits(path, customer_id)]
    if settings.data is not None:
        searched.append(Searched(f"input folder {settings.data}", "application_*"))
    return Traces(found, foreign, searched, [*not_searched, *_elsewhere(settings, superset)])


def reachable_superset(settings: Settings, engine: Engine) -> tuple[URL | None, list[NotSearched]]:
    """Superset's own database if there is one that lets us in; else why not."""
    url = superset_service.existing_metadata_url(settings, engine)
    if url is None:
        return None, []
    try:
        with open_session(url):
            return url, []
    except psycopg.OperationalError as error:
        said = NotSearched(
            f"Superset's database {_name(url)}",
            str(error).strip().splitlines()[0],
            "make it reachable, then erase again; its log and its saved filters may name the person",
        )
        return None, [said]


def _elsewhere(settings: Settings, superset: URL | None) -> list[NotSearched]:
    """Stores that people's numbers can be in and that no file or database of ours is."""
    found = []
    if settings.database_url is not None:
        found.append(
            NotSearched(
                "the log of the Postgres server",
                "the server is not ours, and neither are its files",
                "search its log for the number: a statement that fails stands in it",
            )
        )
    prefect = _other_prefect(settings)
    if prefect is not None:
        found.append(
            NotSearched(
                prefect,
                f"it is not {traces.prefect_database(settings)}",
                "search the messages of its logs and states; ours forgets runs after 90 days",
            )
        )
    if superset is not None and not superset_service.answers(settings).parent.exists():
        found.append(
            NotSearched(
                "cached answers and logs of the dashboards",
                f"they are served with another state folder than {settings.state}",
                "empty superset/cache of that folder; answers are kept for five minutes",
            )
        )
    if any(Path(file).exists() for file in ("/.dockerenv", "/run/.containerenv")):
        found.append(
            NotSearched(
                "what the services print",
                "containers keep it where no container sees it",
                "search `docker-compose logs`, or make the containers anew",
            )
        )
    found.append(
        NotSearched(
            "backups made before",
            "they are files elsewhere",
            "nothing: a restore erases again whoever was erased since",
        )
    )
    return found


def _other_prefect(settings: Settings) -> str | None:
    """A Prefect of which the settings speak and whose database is not in our state folder."""
    for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        if os.environ.get(name):
            return f"the database of Prefect that {name} names"
    ours = traces.prefect_database(settings)
    url, home = os.environ.get("PREFECT_API_URL"), os.environ.get("PREFECT_HOME")
    if url and (url != prefect_service.local_prefect_url(settings) or not ours.exists()):
        return f"the database of the Prefect server at {url}"
    if home and Path(home).resolve() != ours.parent.resolve() and (Path(home) / ours.name).exists():
        return f"Prefect's database {Path(home) / ours.name}"
    return None


def _name(url: URL) -> str:
    return f"{url.database} on {url.host or 'this computer'}"


# --- erasure --------------------------------------------------------------------------------------------------


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
        removed, vacuumed = record.in_database(engine, customer_id)
        late, gone_at = rows.readers(engine, roles.names(engine).dashboard), time.monotonic()
        cached = superset_service.drop_answers(settings)
        superset, _ = reachable_superset(settings, engine)
        if superset is not None:
            removed |= people.erase(superset, customer_id)
        removed |= _from_files(settings, customer_id)
        cached += _drop_late_answers(settings, engine, customer_id, late, gone_at)
        left = search(settings, customer_id)
        if left.found:
            places = "; ".join(f"{place} ({count})" for place, count in left.found.items())
            raise NotErasedError(f"Traces of customer {customer_id} are left: {places}.")
        # Not before: a backup that is made meanwhile may hold the person, and has to be older than this.
        record.note(settings, "erased", customer_id)
        rows.complete(engine, request_id)
    return {
        "outcome": "erased",
        "request_id": request_id,
        "removed": removed,
        "vacuumed": vacuumed,
        "cached_results_dropped": cached,
        "files_not_ours": left.foreign_files,
        "searched": [asdict(store) for store in left.searched],
        "not_searched": [asdict(store) for store in left.not_searched],
    }


def _from_files(settings: Settings, customer_id: int) -> dict[str, int]:
    removed = {}
    for path in traces.state_files(settings):
        hits = traces.hits(path, customer_id) if traces.ours(settings, path) else 0
        if hits:
            traces.clean(settings, path, customer_id)
            removed[str(path)] = hits
    prefect = traces.prefect_database(settings)
    texts = traces.clean_prefect(prefect, customer_id) if prefect.exists() else 0
    return removed | ({str(prefect): texts} if texts else {})


def _drop_late_answers(settings: Settings, engine: Engine, customer_id: int, late: set[str], gone_at: float) -> int:
    """Drop the answers of queries that had begun before the person was gone, once they have ended and are filed.

    Parameters
    ----------
    late: the readers' transactions that were under way then.
    gone_at: when that was, by the monotonic clock.
    """
    if not superset_service.answers(settings).exists():
        return 0
    while late & rows.readers(engine, roles.names(engine).dashboard):
        if time.monotonic() > gone_at + PATIENCE_SECONDS:
            raise NotErasedError("A query of the dashboards from before the erasure still runs; erase again later.")
        time.sleep(0.2)
    # The last of them has just ended, or ended right before the erasure: its answer may not be filed yet.
    time.sleep(FILING_SECONDS)
    dropped = superset_service.drop_answers(settings)
    # Who asks for the number now gets an answer without the person, in which the number stands as it was asked for.
    for path in traces.answers_about(settings, customer_id):
        path.unlink(missing_ok=True)
        dropped += 1
    return dropped
