"""Bringing a backup back, whole or not at all, and comparing it with what was saved."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import URL

from db.access.names import RoleNames, current
from db.errors import RefusedError
from db.models import PRIVATE, REPORTING, SCHEMA, VERSION_TABLE
from db.schema import MAKE_VERSION_TABLE
from db.server import clients
from db.server.backup import sha256
from db.server.manifest import (
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
from db.server.programs import last_line, open_connection, plain_environment, start_program
from db.unfinished_restore import Unfinished, marking


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
                digest = sha256(_member(tar, archive.member))
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
    with open_connection(url) as connection:
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
    with open_connection(url) as connection:
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


def restore_data(url: URL, file: Path, manifest: Manifest, names: RoleNames) -> list[str]:
    """Put schemas `credit` and `reporting` of the backup into the database, in place of any there, or nothing.

    Readers are kept out, and the restore is marked as unfinished (db.unfinished_restore), until the caller
    has done the rest. Raises BackupError if anything fails; the database is as before.

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
    with open_connection(url) as connection:
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
        raise BackupError(f"Nothing was restored, pg_restore said: {last_line(done.stderr, first=True)}")
    return done.stdout.decode()


def _reader_of(file: Path, archive: Archive) -> tuple[Path, str]:
    """The first pg_restore that reads the archive, and its table of contents."""
    done = None
    for program in clients.pg_restores():
        done = _run_on(file, archive, [str(program), "--list"])
        if done.returncode == 0:
            return program, done.stdout.decode()
    said = last_line(done.stderr if done else None, first=True)
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
                env=plain_environment(),
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
    holds no owner: until they are handed over again (db.access.roles.ensure_readers, which opens the schema too),
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
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain_environment(),
    )  # fmt: skip
    writer = start_program(
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
        raise BackupError(f"Nothing was restored, {name} said: {last_line(complaints[name], first=True)}")


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
    with open_connection(url) as connection:
        connection.autocommit = True
        names = connection.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(%s)",
            [SCHEMA],
        ).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(SCHEMA, name)))


def differences(url: URL, archive: Archive, schemas: tuple[str, ...]) -> list[str]:
    """What of an archive's tables and sequences is not in the database as it was saved, one sentence each."""
    with open_connection(url) as connection:
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
    with open_connection(url) as connection:
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
