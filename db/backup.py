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
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, UndefinedFunction
from sqlalchemy import URL

from db import clients
from db.engine import open_session, program_target, unavailable
from db.errors import DatabaseError, RefusedError
from db.models import PRIVATE, REPORTING, SCHEMA, VERSION_TABLE
from db.names import USUAL_PREFIX, RoleNames, current
from db.restoring import Unfinished, marking
from db.schema import MAKE_VERSION_TABLE

FORMAT = 1
MANIFEST = "manifest.json"
SCHEMAS = (SCHEMA, REPORTING)


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
    role_prefix: str = USUAL_PREFIX

    def for_names(self, names: RoleNames) -> Manifest:
        """The same with the names that our roles have in another database; of other roles it says nothing."""
        new = RoleNames(self.role_prefix).renamed(names)
        roles = {
            new[role]: {
                **said,
                "settings": sorted(said["settings"]),
                "member_of": sorted(new[group] for group in said["member_of"] if group in new),
            }
            for role, said in self.roles.items()
            if role in new
        }
        grants = ((a, b, new.get(role, role), d) for a, b, role, d in self.grants if role in {*new, "PUBLIC"})
        return replace(self, roles=roles, grants=tuple(grants), role_prefix=names.prefix)

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
        "       WHERE m.member = r.oid AND g.rolname = ANY(%(ours)s) ORDER BY 1)"
        " FROM pg_roles r WHERE rolname = ANY(%(ours)s) ORDER BY rolname",
        {"ours": current(connection).all()},
    )
    names = ("login", "inherit", "create_role", "create_database", "connection_limit", "settings", "member_of")
    # In an order that does not depend on the database's collation.
    return {
        role: dict(zip(names, (sorted(v) if isinstance(v, list) else v for v in values), strict=True))
        for role, *values in rows
    }


def grants(connection: psycopg.Connection[Any]) -> tuple[tuple[str, str, str, str], ...]:
    """Who but the owners may do what with our schemas and what is in them: (kind, object, role, privilege)."""
    names = current(connection)
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
        WHERE grantee <> owner AND (grantee = 0 OR r.rolname = ANY(%(ours)s) AND r.rolname <> %(owner)s)
        ORDER BY 1, 2, 3, 4
        """,
        {"schemas": list(SCHEMAS), "ours": names.all(), "owner": names.owner},
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


def make_roles(url: URL, roles: Mapping[str, Mapping[str, Any]]) -> bool:
    """Make those of the roles that are missing, without passwords; False, having made none, where we may not."""
    try:
        _make_roles(url, roles)
    except InsufficientPrivilege:
        return False
    return True


def _make_roles(url: URL, roles: Mapping[str, Mapping[str, Any]]) -> None:
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


def names_of(url: URL) -> RoleNames:
    """The names of our roles in a database."""
    with _connection(url) as connection:
        return current(connection)


def restore_data(url: URL, file: Path, manifest: Manifest, names: RoleNames) -> list[str]:
    """Put schemas `credit` and `reporting` of the backup into the database, in place of any there, or nothing.

    Readers are kept out, and the restore is marked as unfinished (db.restoring), until the caller has done the
    rest. Raises BackupError if anything fails; the database is as before.

    Parameters
    ----------
    names: the names of our roles in this database, which the grants get.

    Returns roles that the grants name and that are not on this server; what was granted to them is left out.
    """
    restore = Unfinished(str(file), manifest.created_at, manifest.data.sha256, manifest.superset is not None)
    before = marking(restore) + "".join(
        f"DROP SCHEMA IF EXISTS {schema} CASCADE;\n" for schema in reversed(SCHEMAS)
    )
    version = f"{PRIVATE}.{VERSION_TABLE}"
    after = f"{MAKE_VERSION_TABLE}\nDELETE FROM {version};\n"
    if manifest.revision is not None:
        if not re.fullmatch(r"\w+", manifest.revision):
            raise RefusedError(f"The backup's schema revision {manifest.revision!r} is none.")
        after += f"INSERT INTO {version} VALUES ('{manifest.revision}');\n"
    with _connection(url) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
    new = RoleNames(manifest.role_prefix).renamed(names)
    statements, left_out = _renamed_grants(_grant_script(file, manifest.data), new, there)
    _restore(url, file, manifest.data, before, statements + after + _closing(names.reader))
    return left_out


_GRANT = re.compile(r"(?P<start>(?:GRANT|REVOKE) .* (?:TO|FROM) )(?P<role>\w+|\"(?:[^\"]|\"\")+\")(?P<end>[^;]*;)")


def _renamed_grants(script: str, new: Mapping[str, str], there: set[str]) -> tuple[str, list[str]]:
    """A script of grants, one a line, with our roles' new names, and the roles left out as they are not there."""
    lines, left_out = [], set()
    for line in script.splitlines():
        found = _GRANT.fullmatch(line)
        if found is None:
            continue
        role = found["role"]
        if role != "PUBLIC":
            name = role[1:-1].replace('""', '"') if role.startswith('"') else role
            name = new.get(name, name)
            if name not in there:
                left_out.add(name)
                continue
            role = '"{}"'.format(name.replace('"', '""'))
        lines.append(f"{found['start']}{role}{found['end']}\n")
    return "".join(lines), sorted(left_out)


def _grant_script(file: Path, archive: Archive) -> str:
    """The grants of an archive as SQL; tables and rows are in none of it."""
    program, contents = _reader_of(file, archive)
    chosen = [line for line in contents.splitlines() if re.match(r"\d+; \d+ \d+ ACL ", line)]
    with tempfile.NamedTemporaryFile("w", prefix="creditlens-") as listed:
        listed.write("\n".join(chosen) + "\n")
        listed.flush()
        done = _run_on(file, archive, [str(program), "--no-owner", f"--use-list={listed.name}", "--file=-"])
    if done.returncode != 0:
        raise BackupError(f"Nothing was restored, pg_restore said: {_last_line(done.stderr, first=True)}")
    return done.stdout.decode()


def _reader_of(file: Path, archive: Archive) -> tuple[Path, str]:
    """The first pg_restore that reads the archive, and its table of contents."""
    done = None
    for program in clients.pg_restores():
        done = _run_on(file, archive, [str(program), "--list"])
        if done.returncode == 0:
            return program, done.stdout.decode()
    said = _last_line(done.stderr if done else None, first=True)
    raise BackupError(f"Nothing was restored, no pg_restore that is here reads the backup: {said}")


def _run_on(file: Path, archive: Archive, command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program that reads an archive of the backup from its standard input."""
    with tarfile.open(file, mode="r:") as tar:
        content = tar.getmember(archive.member)
        with (
            file.open("rb") as source,
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_plain_environment(),
            ) as process,
        ):
            source.seek(content.offset_data)
            # A table of contents stands at the beginning: nobody waits for the rest.
            feeder = threading.Thread(target=_feed_part, args=(source, content.size, process.stdin))
            feeder.start()
            assert process.stdout is not None and process.stderr is not None
            errors: list[bytes] = []
            drain = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,))
            drain.start()
            output = process.stdout.read()
            process.wait()
            for thread in (drain, feeder):
                thread.join()
    return subprocess.CompletedProcess(command, process.returncode, output, b"".join(errors))


def _feed_part(source: IO[bytes], size: int, pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        while size and (part := source.read(min(size, 1 << 20))):
            pipe.write(part)
            size -= len(part)
    with suppress(BrokenPipeError):
        pipe.close()


def _closing(reader: str) -> str:
    """SQL that keeps readers out.

    Who was erased since is back until erased again. And restored views belong to whoever restores, and row security
    holds no owner: until they are handed over again (db.roles.ensure_readers, which opens the schema too),
    dashboards that are up would show everybody to advisors.
    """
    quoted = '"{}"'.format(reader.replace('"', '""'))
    literal = "'{}'".format(reader.replace("'", "''"))
    known = f"EXISTS (SELECT FROM pg_roles WHERE rolname = {literal})"
    revoke = f"REVOKE USAGE ON SCHEMA {REPORTING} FROM {quoted};"
    return f"DO $closing$ BEGIN IF {known} THEN {revoke} END IF; END $closing$;\n"


def restore_superset(url: URL, file: Path, archive: Archive) -> None:
    """Put Superset's own database of the backup into the database at `url`, in place of what is there."""
    before = "DROP SCHEMA public CASCADE;\nCREATE SCHEMA public;\n"
    _restore(url, file, archive, before, "")


def _restore(url: URL, file: Path, archive: Archive, before: str, after: str) -> None:
    """Everything but the grants, between SQL that comes before and after, in one transaction."""
    psql, pg_restore = clients.psql_for_scripts(url), _reader_of(file, archive)[0]
    reader = subprocess.Popen(
        [str(pg_restore), "--no-owner", "--no-privileges", "--file=-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_plain_environment(),
    )  # fmt: skip
    writer = _start(
        psql, url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-",
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
            writer.stdin.write(_SCRIPT_SETTINGS + b"BEGIN;\n" + before.encode())
            for line in _preamble(reader.stdout):
                writer.stdin.write(line)
            shutil.copyfileobj(reader.stdout, writer.stdin, 1 << 20)
            if reader.wait() == 0:
                # A script leaves a search_path behind: a pooler may give the session to somebody else.
                writer.stdin.write(after.encode() + b"COMMIT;\nRESET ALL;\n")
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


_SCRIPT_SETTINGS = (
    b"SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed';"
    b" SET default_transaction_deferrable = off; SET DateStyle = ISO, MDY; SET IntervalStyle = postgres;\n"
)


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
    """What of the saved roles and grants is not as it was, one sentence each; by the names that roles have here."""
    with _connection(url) as connection:
        saved = manifest.for_names(current(connection))
        have, given = role_settings(connection), set(grants(connection))
    said = [
        f"role {role} is {'missing' if role not in have else 'not as it was saved'}"
        for role, attributes in saved.roles.items()
        if have.get(role) != attributes
    ]
    due = set(saved.grants)
    said += [f"{role} may not {privilege} on {kind} {name}" for kind, name, role, privilege in sorted(due - given)]
    said += [
        f"{role} may {privilege} on {kind} {name}, which was not saved"
        for kind, name, role, privilege in sorted(given - due)
        # A role that was not there when it was saved is one of this program's own.
        if role in saved.roles or role == "PUBLIC"
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
        connection = open_session(url)
    except psycopg.OperationalError as error:
        raise unavailable(url, error) from error
    with connection:
        yield connection


def require_programs(url: URL, *, restore: bool = False) -> None:
    """Raise ProgramMissingError if no pg_dump, or for a `restore` psql, that is here suits the server."""
    if restore:
        clients.psql_for_scripts(url)
    else:
        clients.pg_dump(url)


def _start(program: Path, url: URL, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(program), f"--dbname={program_target(url)}", *arguments],
        env=_environment(url),
        **options,
    )


def _environment(url: URL) -> dict[str, str]:
    password = {"PGPASSWORD": str(url.password)} if url.password is not None else {}
    return {**_plain_environment(), **password, "PGCONNECT_TIMEOUT": "10"}


def _plain_environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


def _last_line(said: bytes | None, *, first: bool = False) -> str:
    """The last line that a program said, or the first of its errors, notices left aside."""
    lines = (said or b"").decode(errors="replace").strip().splitlines() or ["nothing"]
    errors = [line for line in lines if "ERROR" in line or "error:" in line] or lines
    return errors[0] if first else lines[-1]
