"""Backup and restore: what the database holds as one file, and the proof that it came back as it was.

The file is a plain tar: `manifest.json`, then one pg_dump archive per database. The manifest holds rows and
checksum of every table as of the snapshot that was dumped, the roles and the grants. Passwords are in neither: an
installation keeps its own in its secrets, and gives them to the restored roles.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sqlalchemy import URL

from db.access.names import current
from db.errors import RefusedError
from db.server import clients
from db.server.manifest import (
    FORMAT,
    MANIFEST,
    SCHEMAS,
    Archive,
    BackupError,
    Manifest,
    grants,
    role_settings,
    sequences,
    survey,
)
from db.server.programs import last_line, open_connection, start_program


def backup(url: URL, file: Path, *, revision: str | None, superset_url: URL | None) -> Manifest:
    """Write everything to `file`, readable by its owner only, whole or not at all; what the file says of itself.

    Parameters
    ----------
    url: the database, as a user who may read all of schema `credit`.
    revision: the schema's revision.
    superset_url: Superset's own database, None if there is none.

    A night may run meanwhile: the file holds one moment. Raises RefusedError if `file` exists, BackupError if
    pg_dump fails, OSError if the disk does.
    """
    if file.exists():
        raise RefusedError(f"{file} exists; name a new file, a backup replaces none.")
    # Before anything is read: whatever happens after it is not in the file, or is done again after restoring it.
    created_at = datetime.now(UTC).isoformat(timespec="seconds")
    with _scratch(file) as folder:
        with open_connection(url) as connection:
            owner = connection.info.user
            # Whoever restores is there already, by whatever name.
            roles = {role: said for role, said in role_settings(connection).items() if role != owner}
            given, prefix = grants(connection), current(connection).prefix
            server_version = connection.info.server_version
        data = _dump(url, folder / _DATA, SCHEMAS, all_schemas=False)
        superset = None
        if superset_url is not None:
            superset = _dump(superset_url, folder / _SUPERSET, ("public",), all_schemas=True)
        manifest = Manifest(
            format=FORMAT,
            created_at=created_at,
            server_version=server_version,
            revision=revision,
            owner=owner,
            data=data,
            superset=superset,
            roles=roles,
            grants=given,
            role_prefix=prefix,
        )
        (folder / MANIFEST).write_bytes(manifest.to_json())
        partial = folder / _PARTIAL
        with open(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as output:
            with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name in (MANIFEST, *(archive.member for archive in (data, superset) if archive)):
                    tar.add(folder / name, arcname=name, filter=_anonymous)
            output.flush()
            os.fsync(output.fileno())
        # A link is never made over a file that has come meanwhile.
        os.link(partial, file)
    return manifest


# What a backup is made of until it is whole.
_LOCK, _DATA, _SUPERSET, _PARTIAL = "lock", "creditlens.dump", "superset.dump", "backup.partial"
# Until a backup has locked its folder; and for those of versions before 0.4, which locked none.
_YOUNG_SECONDS, _OLD_SECONDS = 60.0, 24 * 3600.0


@contextmanager
def _scratch(file: Path) -> Iterator[Path]:
    """A hidden folder beside the file, for its parts; what killed backups left there is removed first."""
    _remove_leftovers(file.parent)
    with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as name:
        folder = Path(name)
        # Held as long as this process lives, by which others know that the folder is in use.
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder


def _remove_leftovers(folder: Path) -> None:
    """Remove the parts of backups that were killed, each of which may be as large as a backup.

    Only a folder that holds nothing but such parts, and that no backup uses which runs now.
    """
    for candidate in folder.glob(".*.*"):
        with suppress(OSError):
            parts = list(candidate.iterdir()) if candidate.is_dir() and not candidate.is_symlink() else []
            if parts and {part.name for part in parts} <= {MANIFEST, _LOCK, _DATA, _SUPERSET, _PARTIAL}:
                age = time.time() - max(part.stat().st_mtime for part in parts)
                if _is_abandoned(candidate / _LOCK, age):
                    shutil.rmtree(candidate)


def _is_abandoned(lock: Path, age: float) -> bool:
    if not lock.exists():
        return age > _OLD_SECONDS
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return age > _YOUNG_SECONDS


def sha256(content: IO[bytes]) -> str:
    """Digest of what is left to read, as hexadecimal digits."""
    digest = hashlib.sha256()
    while part := content.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _dump(url: URL, file: Path, schemas: tuple[str, ...], *, all_schemas: bool) -> Archive:
    with open_connection(url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        # Sequences have no snapshot: what pg_dump reads later is never less.
        counters = sequences(connection, schemas)
        # The view of who looked at whom is made anew with the dashboards; what is closed in the catalogue, every
        # server closes for itself.
        apart = ["--exclude-schema=compliance", "--exclude-schema=pg_catalog"]
        chosen = apart if all_schemas else [f"--schema={schema}" for schema in schemas]
        process = start_program(
            clients.pg_dump(url), url, "--format=custom", "--compress=1", "--no-owner", f"--snapshot={row[0]}",
            "--lock-wait-timeout=60s", f"--file={file}", *chosen, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            # The checksums are worked out while pg_dump writes.
            tables = survey(connection, schemas)
        except BaseException:
            process.kill()
            raise
        finally:
            said = process.communicate()[1]
        if process.returncode != 0:
            raise BackupError(f"pg_dump failed: {last_line(said, first=True)}")
    with file.open("rb") as content:
        digest = sha256(content)
    return Archive(file.name, url.database or "", file.stat().st_size, digest, tables, counters)
