"""Backup and restore of an installation: its database, and Superset's own beside it."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, text

from db import access_log, backup, portfolios, roles, runs, schema
from db.engine import connect, parse_url
from db.errors import DatabaseUnavailableError, RefusedError
from db.superset import SUFFIX, ensure_metadata_database
from flows import dashboards, erasures, services
from flows.preparing import ensure_roles
from flows.settings import Settings


def superset_url(settings: Settings, engine: Engine) -> URL | None:
    """Where Superset keeps its own tables, None if it has none."""
    if settings.superset_database_url is not None:
        return parse_url(settings.superset_database_url.get_secret_value())
    name = f"{engine.url.database}{SUFFIX}"
    with connect(engine) as connection:
        there = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
    return engine.url.set(username=name, password=settings.secrets()["superset"], database=name) if there else None


def save(settings: Settings, file: Path) -> dict[str, Any]:
    """Back everything up into a new file; what is in it, as other programs rely on it."""
    started = time.monotonic()
    with services.database(settings) as engine:
        schema.require_current(engine)
        backup.require_programs(engine.url)
        erasures.begin(settings)
        manifest = backup.backup(
            engine.url, file, revision=schema.current(engine), superset_url=superset_url(settings, engine)
        )
    return {
        "outcome": "saved",
        "file": str(file),
        "bytes": file.stat().st_size,
        **_contents(manifest),
        "seconds": round(time.monotonic() - started, 1),
    }


def bring_back(settings: Settings, file: Path, *, force: bool) -> dict[str, Any]:
    """Restore a backup and prove that it came back; what is there now, as other programs rely on it.

    Raises RefusedError if the database holds something and `force` is not given, or if the file is damaged or of a
    newer program; db.backup.BackupError if what came back is not what was saved.
    """
    started = time.monotonic()
    manifest = backup.read_manifest(file)
    if manifest.revision not in schema.revisions():
        raise RefusedError(
            f"The backup is at schema revision {manifest.revision}, which this program does not know;"
            " restore it with the version that wrote it, or a newer one."
        )
    saved_at, record = datetime.fromisoformat(manifest.created_at), erasures.read(settings)
    to_erase = record.later_than(saved_at)
    services.start_database(settings)
    with services.database(settings) as engine, runs.exclusive(engine):
        another = portfolios.key_of_another(engine, settings.secrets()["viewer"])
        if (backup.occupied(engine.url) or another) and not force:
            whose = "is not empty" if not another else "belongs to another installation"
            raise RefusedError(f"The database {whose}; --force replaces everything in it.")
        backup.require_programs(engine.url, restore=True)
        url, unmade = _place_for_superset(settings, engine, manifest)
        names = roles.choose_names(engine)
        saved = manifest.for_names(names)
        made = backup.make_roles(engine.url, saved.roles)
        # Until the restored tables are handed over, only this says whose the names are.
        roles.claim_names(engine, names)
        left_out = backup.restore_data(engine.url, file, manifest, names, closed=bool(to_erase))
        backup.require_same(backup.differences(engine.url, manifest.data, backup.SCHEMAS))
        schema.upgrade(engine)
        if manifest.superset is not None and url is not None:
            backup.restore_superset(url, file, manifest.superset)
            backup.require_same(backup.differences(url, manifest.superset, ("public",)))
        # Before the roles are made, which lets readers in.
        why = f"restore of the backup of {manifest.created_at}"
        erased_again = erasures.again(settings, engine, url, to_erase, why=why)
        if to_erase and not portfolios.state(engine).limited:
            # Also where we may not make roles.
            roles.let_readers_in(engine)
        made = ensure_roles(settings, engine) and made
        if (
            manifest.superset is not None
            and url is not None
            and manifest.superset.tables.keys() >= access_log.TABLES
        ):
            # It went with the tables that it is made from; the reader's role may be new here.
            access_log.make(parse_url(dashboards.metadata_url(settings)), roles.names(engine).compliance)
        if made and manifest.revision == schema.head():
            backup.require_same(backup.access_differences(engine.url, manifest))
        # They are filed under numbers of runs and assignments, which now may mean others.
        dashboards.drop_answers(settings)
        backup.refresh_statistics(engine.url)
        revision = schema.current(engine)
    return {
        "outcome": "restored",
        "file": str(file),
        **_contents(manifest),
        "superset": url is not None,
        "revision": revision,
        "roles": len(saved.roles) if made else 0,
        "grants": len(saved.grants) if made else 0,
        "warnings": _warnings(left_out if made else None, unmade),
        **erasures.outcome(record, saved_at, erased_again),
        "seconds": round(time.monotonic() - started, 1),
    }


def _place_for_superset(settings: Settings, engine: Engine, manifest: backup.Manifest) -> tuple[URL | None, bool]:
    """Where Superset's own database of the backup goes, and whether there is no place for it."""
    if manifest.superset is None:
        return None, False
    if settings.superset_database_url is not None:
        url = superset_url(settings, engine)
    else:
        try:
            url = ensure_metadata_database(engine, settings.secrets()["superset"])
        except DatabaseUnavailableError:
            return None, True
    assert url is not None
    backup.require_programs(url, restore=True)
    return url, False


def _warnings(left_out: list[str] | None, unmade: bool) -> list[str]:
    """What of a backup did not come back; `left_out` is None where no roles could be made."""
    said = []
    if left_out is None:
        said.append("This database user may not make roles: neither roles nor grants were restored.")
    elif left_out:
        said.append(
            f"What was granted to roles that this server does not know was left out: {', '.join(left_out)}."
        )
    if unmade:
        said.append(
            "Superset's own database was not restored, because this database user may not make one: name an empty"
            " one in CREDITLENS_SUPERSET_DATABASE_URL and restore again with --force."
        )
    return said


def _contents(manifest: backup.Manifest) -> dict[str, Any]:
    return {
        "created_at": manifest.created_at,
        "revision": manifest.revision,
        "tables": len(manifest.data.tables),
        "rows": sum(state.rows for state in manifest.data.tables.values()),
        "superset": manifest.superset is not None,
    }
