"""Backup and restore: what the database holds as one file, and the proof that it came back as it was.

The file is a plain tar: `manifest.json`, then one pg_dump archive per database. The manifest holds rows and
checksum of every table as of the snapshot that was dumped, the roles and the grants. Passwords are in neither: an
installation keeps its own in its secrets, and gives them to the restored roles.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.errors import UndefinedFunction
from sqlalchemy import URL

from db.embedded import OWNER, packaged_binaries
from db.engine import program_target, psql_url, unavailable
from db.errors import DatabaseError, RefusedError
from db.models import REPORTING, SCHEMA
from db.restoring import Unfinished, marking
from db.roles import READER

FORMAT = 1
MANIFEST = "manifest.json"
SCHEMAS = (SCHEMA, REPORTING)
_ROLES = r"creditlens\_%"


class BackupError(DatabaseError):
    """A backup could not be written, or what came back is not what was saved."""


@dataclass(frozen=True, slots=True)
class TableState:
    """What a table holds: its rows, and a checksum that does not depend on their order."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Archive:
    """One pg_dump archive inside the file."""

    member: str
    database: str
    bytes: int
    sha256: str
    tables: Mapping[str, TableState]
    sequences: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup file says of itself."""

    format: int
    created_at: str
    server_version: int
    revision: str | None
    owner: str
    data: Archive
    superset: Archive | None
    roles: Mapping[str, Mapping[str, Any]]
    grants: tuple[tuple[str, str, str, str], ...] = field(default=())

    def to_json(self) -> bytes:
        """The manifest as it stands in the file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Raises RefusedError if it is not one that this program reads."""
        try:
            found = json.loads(content)
            if found["format"] != FORMAT:
                raise RefusedError(f"The backup has format {found['format']}, this program reads format {FORMAT}.")
            superset = found["superset"]
            return cls(
                **{
                    **found,
                    "data": _archive(found["data"]),
                    "superset": _archive(superset) if superset else None,
                    "grants": tuple((a, b, c, d) for a, b, c, d in found["grants"]),
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{MANIFEST} of the backup cannot be read: {error!r}.") from error


def _archive(found: Mapping[str, Any]) -> Archive:
    return Archive(**{**found, "tables": {name: TableState(**state) for name, state in found["tables"].items()}})


# --- looking --------------------------------------------------------------------------------------------------


def survey(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> dict[str, TableState]:
    """Rows and checksum of every table of the schemas, by qualified name; partitions one by one."""
    names = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname = ANY(%s) ORDER BY 1, 2",
        [list(schemas)],
    ).fetchall()
    return {f"{schema}.{name}": _state(connection, schema, name) for schema, name in names}


def _state(connection: psycopg.Connection[Any], schema: str, name: str) -> TableState:
    # Hashes of values as they are are three times faster than of their text; a type without one takes the text.
    for digest in ("hash_record_extended(t, 0)", "hashtextextended(t::text, 0)"):
        query = sql.SQL("SELECT count(*), coalesce(sum({digest}), 0)::text FROM {table} AS t").format(
            digest=sql.SQL(digest), table=sql.Identifier(schema, name)
        )
        with suppress(UndefinedFunction), connection.transaction():
            row = connection.execute(query).fetchone()
            assert row is not None
            return TableState(*row)
    raise BackupError(f"The rows of {schema}.{name} cannot be compared.")


def survey_of(url: URL, schemas: Iterable[str]) -> dict[str, TableState]:
    """`survey` over a connection of its own."""
    with _connection(url) as connection:
        return survey(connection, schemas)


def sequences(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> dict[str, int | None]:
    """The last value of every sequence of the schemas, None for one that was never used."""
    rows = connection.execute(
        "SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences"
        " WHERE schemaname = ANY(%s) ORDER BY 1",
        [list(schemas)],
    )
    return dict(rows.fetchall())


def role_settings(connection: psycopg.Connection[Any]) -> dict[str, dict[str, Any]]:
    """Our roles with attributes, settings and memberships, without passwords."""
    rows = connection.execute(
        "SELECT rolname, rolcanlogin, rolinherit, rolcreaterole, rolcreatedb, rolconnlimit,"
        " ARRAY(SELECT unnest(setconfig) FROM pg_db_role_setting"
        "       WHERE setrole = r.oid AND setdatabase = 0 ORDER BY 1),"
        " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        "       WHERE m.member = r.oid AND g.rolname LIKE %(ours)s ORDER BY 1)"
        " FROM pg_roles r WHERE rolname LIKE %(ours)s ORDER BY rolname",
        {"ours": _ROLES},
    )
    names = ("login", "inherit", "create_role", "create_database", "connection_limit", "settings", "member_of")
    return {role: dict(zip(names, values, strict=True)) for role, *values in rows}


def grants(connection: psycopg.Connection[Any]) -> tuple[tuple[str, str, str, str], ...]:
    """Who but the owners may do what with our schemas and what is in them: (kind, object, role, privilege)."""
    rows = connection.execute(
        """
        WITH ours AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = ANY(%(schemas)s)),
        given AS (
            SELECT 'schema' AS kind, nspname::text AS object, nspowner AS owner, a.grantee, a.privilege_type
            FROM ours, aclexplode(nspacl) a
            UNION ALL
            SELECT 'relation', nspname || '.' || relname, relowner, a.grantee, a.privilege_type
            FROM pg_class c JOIN ours n ON n.oid = c.relnamespace, aclexplode(relacl) a
            UNION ALL
            SELECT 'function', nspname || '.' || proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
                   proowner, a.grantee, a.privilege_type
            FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace,
                 aclexplode(coalesce(proacl, acldefault('f', proowner))) a
            UNION ALL
            SELECT 'database', 'this', datdba, a.grantee, a.privilege_type
            FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
            WHERE datname = current_database()
        )
        SELECT kind, object, coalesce(r.rolname, 'PUBLIC')::text, privilege_type
        FROM given LEFT JOIN pg_roles r ON r.oid = grantee
        WHERE grantee <> owner AND (grantee = 0 OR r.rolname LIKE %(ours)s AND r.rolname <> %(owner)s)
        ORDER BY 1, 2, 3, 4
        """,
        {"schemas": list(SCHEMAS), "ours": _ROLES, "owner": OWNER},
    )
    return tuple((kind, name, role, privilege) for kind, name, role, privilege in rows)


# --- backup ---------------------------------------------------------------------------------------------------


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
        with _connection(url) as connection:
            owner = connection.info.user
            # Whoever restores is there already, by whatever name.
            roles = {role: said for role, said in role_settings(connection).items() if role != owner}
            given = grants(connection)
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


def _sha256(content: IO[bytes]) -> str:
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
    with _connection(url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        # Sequences have no snapshot: what pg_dump reads later is never less.
        counters = sequences(connection, schemas)
        # The view of who looked at whom is made anew with the dashboards; what is closed in the catalogue, every
        # server closes for itself.
        apart = ["--exclude-schema=compliance", "--exclude-schema=pg_catalog"]
        chosen = apart if all_schemas else [f"--schema={schema}" for schema in schemas]
        process = _start(
            "pg_dump", url, "--format=custom", "--compress=gzip:1", "--no-owner", f"--snapshot={row[0]}",
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
            raise BackupError(f"pg_dump failed: {_last_line(said, first=True)}")
    with file.open("rb") as content:
        digest = _sha256(content)
    return Archive(file.name, url.database or "", file.stat().st_size, digest, tables, counters)


# --- restore --------------------------------------------------------------------------------------------------


def read_manifest(file: Path) -> Manifest:
    """What a backup file says of itself, once its archives are known to be whole.

    Raises RefusedError for a file that is no backup, or one that was cut or changed.
    """
    try:
        with tarfile.open(file, mode="r:") as tar:
            manifest = Manifest.from_json(_member(tar, MANIFEST).read())
            for archive in (manifest.data, manifest.superset):
                if archive is None:
                    continue
                digest = _sha256(_member(tar, archive.member))
                if digest != archive.sha256:
                    raise RefusedError(f"{file} is damaged: {archive.member} has not the SHA-256 of the manifest.")
    except (tarfile.TarError, EOFError) as error:
        raise RefusedError(f"{file} is no backup of creditlens, or was cut: {error}.") from error
    return manifest


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        content = tar.extractfile(name)
    except KeyError:
        content = None
    if content is None:
        raise RefusedError(f"The file is no backup of creditlens: it holds no {name}.")
    return content


def occupied(url: URL) -> bool:
    """Whether the database holds a model or a run."""
    with _connection(url) as connection:
        for table in ("model_version", "scoring_run"):
            there = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.{table}"]).fetchone()
            if there == (None,):
                continue
            if connection.execute(
                sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(SCHEMA, table))
            ).fetchone():
                return True
    return False


def make_roles(url: URL, roles: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Make those of the roles that are missing, without passwords; the names of those made."""
    made = []
    with _connection(url) as connection:
        known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role, attributes in roles.items():
            if role in known:
                continue
            words = [
                "LOGIN" if attributes["login"] else "NOLOGIN",
                "INHERIT" if attributes["inherit"] else "NOINHERIT",
                *(["CREATEROLE"] if attributes["create_role"] else []),
                *(["CREATEDB"] if attributes["create_database"] else []),
                f"CONNECTION LIMIT {int(attributes['connection_limit'])}",
            ]
            connection.execute(sql.SQL(f"CREATE ROLE {{}} {' '.join(words)}").format(sql.Identifier(role)))
            for setting in attributes["settings"]:
                name, _, value = setting.partition("=")
                values = (
                    [part.strip().strip('"') for part in value.split(",")] if name == "search_path" else [value]
                )
                connection.execute(
                    sql.SQL("ALTER ROLE {} SET {} = {}").format(
                        sql.Identifier(role),
                        sql.SQL(".").join(map(sql.Identifier, name.split("."))),
                        sql.SQL(", ").join(map(sql.Literal, values)),
                    )
                )
            made.append(role)
        for role in made:
            for group in roles[role]["member_of"]:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role)))
    return made


def restore_data(url: URL, file: Path, manifest: Manifest) -> None:
    """Put schemas `credit` and `reporting` of the backup into the database, in place of any there, or nothing.

    The roles that the grants name must be there. Readers are kept out, and the restore is marked as unfinished
    (db.restoring), until the caller has done the rest. Raises BackupError if anything fails; the database is as
    before.
    """
    restore = Unfinished(str(file), manifest.created_at, manifest.data.sha256, manifest.superset is not None)
    before = marking(restore) + "".join(
        f"DROP SCHEMA IF EXISTS {schema} CASCADE;\n" for schema in reversed(SCHEMAS)
    )
    after = (
        "CREATE TABLE IF NOT EXISTS public.alembic_version"
        " (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);\n"
        "DELETE FROM public.alembic_version;\n"
    )
    if manifest.revision is not None:
        if not re.fullmatch(r"\w+", manifest.revision):
            raise RefusedError(f"The backup's schema revision {manifest.revision!r} is none.")
        after += f"INSERT INTO public.alembic_version VALUES ('{manifest.revision}');\n"
    _restore(url, file, manifest.data, before, after + _CLOSING)


# Who was erased since is back until erased again. And restored views belong to whoever restores, and row security
# holds no owner: until they are handed over again (db.roles.ensure_readers, which opens the schema too), dashboards
# that are up would show everybody to advisors.
_CLOSING = (
    f"DO $$ BEGIN IF to_regrole('{READER}') IS NOT NULL THEN"
    f" REVOKE USAGE ON SCHEMA {REPORTING} FROM {READER}; END IF; END $$;\n"
)


def restore_superset(url: URL, file: Path, archive: Archive) -> None:
    """Put Superset's own database of the backup into the database at `url`, in place of what is there."""
    before = "DROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"
    _restore(url, file, archive, before, "")


def _restore(url: URL, file: Path, archive: Archive, before: str, after: str) -> None:
    reader = subprocess.Popen(
        [str(packaged_binaries() / "pg_restore"), "--no-owner", "--file=-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(url),
    )  # fmt: skip
    writer = _start(
        "psql", url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-",
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    complaints: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=_feed, args=(file, archive.member, reader.stdin)),
        *(
            threading.Thread(target=lambda n=name, p=process: complaints.update({n: p.stderr.read()}))
            for name, process in (("pg_restore", reader), ("psql", writer))
        ),
    ]
    for thread in threads:
        thread.start()
    assert reader.stdout is not None and writer.stdin is not None
    whole = False
    try:
        with suppress(BrokenPipeError):
            # Its own BEGIN and COMMIT: a script that is cut short, whyever, must not be committed.
            writer.stdin.write(b"BEGIN;\n" + before.encode())
            for line in _preamble(reader.stdout):
                writer.stdin.write(line)
            shutil.copyfileobj(reader.stdout, writer.stdin, 1 << 20)
            if reader.wait() == 0:
                writer.stdin.write(after.encode() + b"COMMIT;\n")
                whole = True
    except KeyboardInterrupt:
        # It cancels its statement, and with it the transaction.
        writer.send_signal(signal.SIGINT)
        raise
    finally:
        reader.stdout.close()
        with suppress(BrokenPipeError):
            writer.stdin.close()
        for thread in threads:
            thread.join()
        for process in (reader, writer):
            process.wait()
            if process.stderr:
                process.stderr.close()
    if not whole or reader.returncode != 0 or writer.returncode != 0:
        name = "psql" if writer.returncode != 0 and complaints["psql"] else "pg_restore"
        raise BackupError(f"Nothing was restored, {name} said: {_last_line(complaints[name], first=True)}")


def _preamble(script: IO[bytes]) -> Iterator[bytes]:
    """The script's settings, without the one that servers before 17 do not know."""
    for line in script:
        if not line.startswith(b"SET transaction_timeout"):
            yield line
        if line.startswith((b"CREATE ", b"ALTER ")):
            return


def _feed(file: Path, member: str, pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError), tarfile.open(file, mode="r:") as tar:
        shutil.copyfileobj(_member(tar, member), pipe, 1 << 20)
    with suppress(BrokenPipeError):
        pipe.close()


def refresh_statistics(url: URL) -> None:
    """Statistics and visibility of the restored tables, which an archive does not hold."""
    with _connection(url) as connection:
        connection.autocommit = True
        names = connection.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(%s)",
            [SCHEMA],
        ).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(SCHEMA, name)))


def differences(url: URL, archive: Archive, schemas: tuple[str, ...]) -> list[str]:
    """What of an archive's tables and sequences is not in the database as it was saved, one sentence each."""
    with _connection(url) as connection:
        found, counters = survey(connection, schemas), sequences(connection, schemas)
    said = []
    for name in sorted({*archive.tables, *found}):
        due, seen = archive.tables.get(name), found.get(name)
        if due is None or seen is None:
            said.append(f"table {name} {'was not saved' if due is None else 'is missing'}")
        elif due.rows != seen.rows:
            said.append(f"table {name} has {seen.rows:,} rows, saved were {due.rows:,}")
        elif due.checksum != seen.checksum:
            said.append(f"table {name} has other values than those saved")
    said += [
        f"sequence {name} stands at {counters.get(name)}, saved was {value}"
        for name, value in archive.sequences.items()
        if (counters.get(name) or 0) < (value or 0)
    ]
    return said


def access_differences(url: URL, manifest: Manifest) -> list[str]:
    """What of the saved roles and grants is not as it was, one sentence each."""
    with _connection(url) as connection:
        have, given = role_settings(connection), set(grants(connection))
    said = [
        f"role {role} is {'missing' if role not in have else 'not as it was saved'}"
        for role, attributes in manifest.roles.items()
        if have.get(role) != attributes
    ]
    due = set(manifest.grants)
    said += [f"{role} may not {privilege} on {kind} {name}" for kind, name, role, privilege in sorted(due - given)]
    said += [
        f"{role} may {privilege} on {kind} {name}, which was not saved"
        for kind, name, role, privilege in sorted(given - due)
        # A role that was not there when it was saved is one of this program's own.
        if role in manifest.roles or role == "PUBLIC"
    ]
    return said


def require_same(differences: list[str]) -> None:
    """Raise BackupError that names the first of the differences, if there are any."""
    if differences:
        more = f", and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise BackupError(f"What came back is not what was saved: {'; '.join(differences[:5])}{more}.")


# --- programs -------------------------------------------------------------------------------------------------


@contextmanager
def _connection(url: URL) -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(psql_url(url), connect_timeout=10)
    except psycopg.OperationalError as error:
        raise unavailable(url, error) from error
    with connection:
        yield connection


def require_supported_programs(url: URL) -> None:
    """Raise BackupError if the server is newer than the pg_dump that we have, which then cannot read it."""
    done = subprocess.run(
        [str(packaged_binaries() / "pg_dump"), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"(\d+)\.", done.stdout)
    if done.returncode != 0 or found is None:
        raise BackupError(f"pg_dump of the package does not run: {_last_line(done.stderr.encode())}")
    with _connection(url) as connection:
        server = connection.info.server_version // 10_000
    if server > int(found[1]):
        raise BackupError(
            f"The server is Postgres {server}, the packaged pg_dump is {found[1]} and must not be older than it;"
            f" back it up with the pg_dump of Postgres {server}."
        )


def _start(program: str, url: URL, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(packaged_binaries() / program), f"--dbname={program_target(url)}", *arguments],
        env=_environment(url),
        **options,
    )


def _environment(url: URL) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "PGPASSWORD": str(url.password or ""), "PGCONNECT_TIMEOUT": "10"}


def _last_line(said: bytes | None, *, first: bool = False) -> str:
    """The last line that a program said, or the first of its errors, notices left aside."""
    lines = (said or b"").decode(errors="replace").strip().splitlines() or ["nothing"]
    errors = [line for line in lines if "ERROR" in line or "error:" in line] or lines
    return errors[0] if first else lines[-1]
