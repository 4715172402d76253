"""Backup and restore of an installation: its database, and Superset's own beside it."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine

from db import schema, unfinished_restore
from db.access import portfolios, roles
from db.engine import parse_url
from db.errors import DatabaseUnavailableError, RefusedError
from db.people import rows
from db.runs import ledger
from db.server import backup, programs
from db.server import manifest as manifests
from db.server import restore as restores
from db.superset import access_log
from db.superset.metadata import ensure_metadata_database
from flows import signals
from flows.operations.roles import ensure_roles
from flows.privacy import again
from flows.privacy import record as erasure_record
from flows.services import database
from flows.services import superset as superset_service
from flows.settings import Settings

log = logging.getLogger("creditlens")


def save(settings: Settings, file: Path) -> dict[str, Any]:
    """Back everything up into a new file; what is in it, as other programs rely on it."""
    started = time.monotonic()
    with database.database(settings) as engine:
        schema.require_current(engine)
        programs.require_programs(engine.url)
        erasure_record.begin(settings)
        manifest = backup.backup(
            engine.url,
            file,
            revision=schema.current(engine),
            superset_url=superset_service.existing_metadata_url(settings, engine),
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

    Readers are kept out until it is whole. One that is cut short is finished by `resume`, or by another restore.

    Raises RefusedError if the database holds something and `force` is not given, or if the file is damaged or of a
    newer program; db.server.manifest.BackupError if what came back is not what was saved.
    """
    started = time.monotonic()
    manifest = restores.read_manifest(file)
    if manifest.revision not in schema.revisions():
        raise RefusedError(
            f"The backup is at schema revision {manifest.revision}, which this program does not know;"
            " restore it with the version that wrote it, or a newer one."
        )
    database.start_database(settings)
    with database.database(settings) as engine, ledger.exclusive(engine):
        cut_short = unfinished_restore.unfinished(engine)
        ours = settings.database_url is None
        another = not ours and portfolios.key_of_another(engine, settings.secrets()["viewer"])
        if cut_short is None and (restores.occupied(engine.url) or another) and not force:
            whose = "is not empty" if not another else "belongs to another installation"
            raise RefusedError(f"The database {whose}; --force replaces everything in it.")
        programs.require_programs(engine.url, restore=True)
        url, unmade = _place_for_superset(settings, engine, manifest)
        names = roles.choose_names(engine)
        saved = manifest.for_names(names)
        with signals.leaving("the database is as it was"):
            erasure_record.learn(settings, rows.erasures(engine))
            made = restores.make_roles(engine.url, saved.roles)
            # Until the restored tables are handed over, only this says whose the names are.
            roles.claim_names(engine, names)
            left_out = restores.restore_data(engine.url, file, manifest, names)
        with signals.leaving("readers are kept out until `creditlens up` finishes the restore"):
            restores.require_same(restores.differences(engine.url, manifest.data, manifests.SCHEMAS))
            schema.upgrade(engine)
            if manifest.superset is not None and url is not None:
                _bring_superset_back(settings, url, file, manifest.superset)
            unfinished_restore.note_compared(engine)
            restore = unfinished_restore.unfinished(engine)
            assert restore is not None
            erased_again, given = _finish(settings, engine, restore)
        made = made and given
        if made and manifest.revision == schema.head():
            restores.require_same(restores.access_differences(engine.url, manifest))
        restores.refresh_statistics(engine.url)
        revision = schema.current(engine)
    saved_at = datetime.fromisoformat(manifest.created_at)
    return {
        "outcome": "restored",
        "file": str(file),
        **_contents(manifest),
        "superset": url is not None,
        "revision": revision,
        "roles": len(saved.roles) if made else 0,
        "grants": len(saved.grants) if made else 0,
        "warnings": _warnings(left_out if made else None, unmade),
        **erasure_record.outcome(erasure_record.read(settings), saved_at, erased_again),
        "seconds": round(time.monotonic() - started, 1),
    }


def resume(settings: Settings) -> dict[str, Any] | None:
    """Finish a restore that was cut short: what `bring_back` says of erasures; None if there was none.

    Raises UnfinishedRestoreError if that takes the backup, and it is not where it was.
    """
    with database.database(settings) as engine:
        restore = unfinished_restore.unfinished(engine)
        if restore is None:
            return None
        log.info("Finishing the restore of the backup of %s ...", restore.created_at)
        if restore.compared:
            with ledger.exclusive(engine):
                schema.upgrade(engine)
                erased_again, _ = _finish(settings, engine, restore)
            saved_at = datetime.fromisoformat(restore.created_at)
            return erasure_record.outcome(erasure_record.read(settings), saved_at, erased_again)
    if not _is_still_there(restore):
        raise unfinished_restore.UnfinishedRestoreError(
            f"The restore of the backup of {restore.created_at} was cut short, and {restore.file} is not there any"
            " more; run `creditlens restore` with that backup, or another one."
        )
    return bring_back(settings, Path(restore.file), force=True)


def _is_still_there(restore: unfinished_restore.Unfinished) -> bool:
    try:
        return restores.read_manifest(Path(restore.file)).data.sha256 == restore.sha256
    except (OSError, RefusedError):
        return False


def _bring_superset_back(settings: Settings, url: URL, file: Path, archive: manifests.Archive) -> None:
    # What was set up there is no more what is there.
    superset_service.provisioned_file(settings).unlink(missing_ok=True)
    restores.restore_superset(url, file, archive)
    restores.require_same(restores.differences(url, archive, ("public",)))


def _finish(settings: Settings, engine: Engine, restore: unfinished_restore.Unfinished) -> tuple[int, bool]:
    """Do what is left once all rows are back, and let readers in.

    It may be cut short and done again at any point. Returns how many people were erased again, and whether roles
    and grants could be given.
    """
    superset = superset_service.existing_metadata_url(settings, engine) if restore.superset else None
    saved_at, record = datetime.fromisoformat(restore.created_at), erasure_record.read(settings)
    why = f"restore of the backup of {restore.created_at}"
    erased_again = again.erase_again(settings, engine, superset, record.later_than(saved_at), why=why)
    # They are filed under numbers of runs and assignments, which now may mean others.
    superset_service.drop_answers(settings)
    if not portfolios.state(engine).limited:
        # Also where we may not make roles.
        roles.let_readers_in(engine)
    given = ensure_roles(settings, engine)
    if superset is not None and access_log.has_tables(superset):
        # It went with the tables that it is made from; the reader's role may be new here.
        access_log.make(parse_url(superset_service.metadata_url(settings)), roles.names(engine).compliance)
    unfinished_restore.finish(engine)
    return erased_again, given


def _place_for_superset(
    settings: Settings, engine: Engine, manifest: manifests.Manifest
) -> tuple[URL | None, bool]:
    """Where Superset's own database of the backup goes, and whether there is no place for it."""
    if manifest.superset is None:
        return None, False
    if settings.superset_database_url is not None:
        url = superset_service.existing_metadata_url(settings, engine)
    else:
        try:
            url = ensure_metadata_database(engine, settings.secrets()["superset"])
        except DatabaseUnavailableError:
            return None, True
    assert url is not None
    programs.require_programs(url, restore=True)
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


def _contents(manifest: manifests.Manifest) -> dict[str, Any]:
    return {
        "created_at": manifest.created_at,
        "revision": manifest.revision,
        "tables": len(manifest.data.tables),
        "rows": sum(state.rows for state in manifest.data.tables.values()),
        "superset": manifest.superset is not None,
    }
