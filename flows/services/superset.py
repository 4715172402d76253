"""The dashboards: Superset in an environment of its own, made to show what `superset_assets/` holds, and served.

Superset needs other versions of packages than everything else here, so this side prepares what it needs
(database, secrets, one configuration file), runs `superset_assets/server/provision.py` there, and serves it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL, Engine, text

from db.access import roles
from db.access.roles import ANALYST, DASHBOARD, DECIDER
from db.engine import connect, parse_url, psql_url
from db.server.embedded import free_port
from db.superset import access_log
from db.superset import metadata as superset_metadata
from flows import signals
from flows.installation import atomic, secret_store
from flows.services import accounts, database, http, listening, prefect, processes, shared_answers
from flows.settings import PROJECT, SUPERSET_KEYS, Settings

log = logging.getLogger("creditlens")

ASSETS = PROJECT / "superset_assets" / "assets"
SERVER = PROJECT / "superset_assets" / "server"
ENVIRONMENT = PROJECT / ".venv-superset"
START_SECONDS = 120
STEP, FAILED = "step: ", "failed: "


def existing_metadata_url(settings: Settings, engine: Engine) -> URL | None:
    """Where Superset keeps its own tables, None if it has none."""
    if settings.superset_database_url is not None:
        return parse_url(settings.superset_database_url.get_secret_value())
    name = f"{engine.url.database}{superset_metadata.SUFFIX}"
    with connect(engine) as connection:
        there = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
    return engine.url.set(username=name, password=settings.secrets()["superset"], database=name) if there else None


@dataclass(frozen=True, slots=True)
class Dashboards:
    """Where the dashboards are and who may sign in; `provisioned` is false where nothing was to be done.

    Attributes
    ----------
    users: password by user.
    rights: what each user may, in words.
    """

    url: str
    users: dict[str, str]
    rights: dict[str, str]
    provisioned: bool
    seconds: float
    warnings: tuple[str, ...] = ()


def set_up(settings: Settings, *, assets: Path = ASSETS, force: bool = False) -> Dashboards:
    """Make Superset show what `assets` holds, and serve it in the background; idempotent.

    What neither changed since the last time nor is down costs a look. Needs a migrated database.

    Raises ServiceError, in one sentence, if the packages are missing, something of the files did not arrive, or
    Superset does not come up.
    """
    started = time.monotonic()
    with _one_at_a_time(settings) as lock:
        provisioned = prepare(settings, assets=assets, force=force, lock=lock)
        if provisioned:
            server(settings).stop()
        address = url(settings) or _start(settings)
    exposed = listening.exposure(settings)
    return Dashboards(
        address,
        accounts.passwords(settings, assets),
        accounts.rights(assets),
        provisioned,
        time.monotonic() - started,
        (exposed,) if exposed else (),
    )


def serve(settings: Settings, *, assets: Path = ASSETS) -> None:
    """`set_up`, then become the server: for a container, whose process is to be the service itself."""
    with _one_at_a_time(settings) as lock:
        prepare(settings, assets=assets, force=False, lock=lock)
        server(settings).adopt()
        processes.note_port(settings.state, "superset", settings.superset_port)
    command = _server_command()
    os.execve(
        command[0], command, {**os.environ, **_environment(settings), **_bind(settings, settings.superset_port)}
    )


def prepare(settings: Settings, *, assets: Path = ASSETS, force: bool = False, lock: IO[str] | None = None) -> bool:
    """Database, configuration, charts, dashboards, roles and users; whether anything was to be done."""
    _require_packages()
    listening.require_address(settings)
    if exposed := listening.exposure(settings):
        log.warning("%s", exposed)
    metadata = metadata_url(settings)
    configuration = _write_configuration(settings, metadata, assets)
    passwords = accounts.passwords(settings, assets)
    digest = _digest(configuration, passwords, assets)
    done = provisioned_file(settings)
    needed = force or not done.exists() or done.read_text(errors="replace") != digest
    if needed:
        done.unlink(missing_ok=True)
        access_log.drop(parse_url(metadata))
        _provision(settings, passwords, lock)
        atomic.write(done, digest)
        if secret_store.ENCRYPTED in settings.secrets():
            secret_store.forget_previous(settings.state)
            _write_configuration(settings, metadata, assets)
    access_log.make(parse_url(metadata), compliance_role(settings))
    superset_metadata.prune_log(parse_url(metadata), settings.superset_log_days)
    return needed


def server(settings: Settings) -> processes.Background:
    """The process that serves the dashboards."""
    return processes.Background("superset", settings.state)


def url(settings: Settings) -> str | None:
    """The address of the dashboards if they answer: the login page too, since the health check alone lies."""
    process, port = server(settings), _port(settings)
    address = listening.url(settings.superset_host, port)
    # Another installation's Superset, on a port that was ours, answers just as well.
    if process.pid() is None or process.listens(port) is False or not http.answers(f"{address}/health"):
        return None
    return address if http.answers(f"{address}/login/", seconds=20) else None


def address(settings: Settings) -> str | None:
    """Where people open the dashboards: as the settings say, or where they are served here; None if nowhere.

    Nobody is asked whether they answer.
    """
    if settings.dashboards_url is not None:
        return settings.dashboards_url.rstrip("/")
    if server(settings).pid() is None:
        return None
    return listening.url(settings.superset_host, _port(settings))


def _port(settings: Settings) -> int:
    return processes.last_port(settings.state, "superset") or settings.superset_port


def metadata_url(settings: Settings) -> str:
    """The address of Superset's own database, as psycopg takes it; it is made if the settings name none."""
    if settings.superset_database_url is not None:
        return psql_url(parse_url(settings.superset_database_url.get_secret_value()))
    with database.database(settings) as engine:
        made = superset_metadata.ensure_metadata_database(engine, settings.secrets()["superset"])
        reader = roles.names(engine).compliance
        access_log.ensure_reader(engine, str(made.database), settings.secrets()["compliance"], reader)
        return psql_url(made)


def compliance_url(settings: Settings) -> str:
    """The same for who may read who looked at whom, and nothing else; the owner's where we may make no role."""
    own = parse_url(metadata_url(settings))
    if settings.superset_database_url is not None:
        return psql_url(own)
    return psql_url(own.set(username=compliance_role(settings), password=settings.secrets()["compliance"]))


def compliance_role(settings: Settings) -> str:
    """The role that reads who looked at whom."""
    with database.database(settings) as engine:
        return roles.names(engine).compliance


def answers(settings: Settings) -> Path:
    """The folder where Superset keeps answers for some minutes, as superset_config.py names it."""
    return settings.state / "superset" / "cache"


def provisioned_file(settings: Settings) -> Path:
    """The file that says what Superset's own database was last made to show."""
    return settings.state / "superset" / "provisioned"


def drop_answers(settings: Settings) -> int:
    """Remove the answers that Superset keeps; it asks again for what it needs. How many went."""
    files = [path for path in answers(settings).rglob("*") if path.is_file()]
    for path in files:
        path.unlink(missing_ok=True)
    return len(files) + shared_answers.drop(settings)


# --- provisioning -------------------------------------------------------------------------------------------------


def _require_packages() -> None:
    if not (ENVIRONMENT / "bin" / "gunicorn").exists():
        raise processes.ServiceError("Superset is not installed; run `make superset` (or `make up`) first.")


def _write_configuration(settings: Settings, metadata: str, assets: Path) -> dict[str, Any]:
    """What superset_config.py reads: secrets and addresses, for the owner's eyes only.

    The answer is without the key of before, which provisioning needs once.
    """
    secrets = settings.secrets()
    home = settings.state / "superset"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    configuration = {
        **{key: secrets[f"superset_{key}"] for key in SUPERSET_KEYS},
        "metadata_url": metadata,
        # By the names that stand in the committed addresses.
        "reporting_urls": {role: database.reader_url(settings, role) for role in (DASHBOARD, ANALYST)},
        "dashboard_role": DASHBOARD,
        "recorder_url": database.reader_url(settings, DECIDER),
        "time_zone": settings.time_zone,
        # By which the dashboards have letters written.
        "program": [sys.executable, "-m", "flows.cli"],
        "redis_url": settings.redis_url.get_secret_value() if settings.redis_url else "",
        "viewer_key": secrets["viewer"],
        "state": str(home),
        "assets": str(assets),
        "tls": settings.superset_tls,
        "locale": settings.superset_locale,
        "sign_on": str(settings.superset_sign_on) if settings.superset_sign_on else None,
    }
    previous = {"previous_secret_key": secrets[secret_store.ENCRYPTED]} if secret_store.ENCRYPTED in secrets else {}
    path = _configuration_file(settings)
    atomic.write(path, json.dumps(configuration | previous, indent=1), mode=0o600)
    return configuration


def _digest(configuration: Mapping[str, Any], passwords: Mapping[str, str], assets: Path) -> str:
    """One number for everything that provisioning depends on."""
    digest = hashlib.sha256(json.dumps([configuration, passwords], sort_keys=True).encode())
    for folder in (assets, SERVER):
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _provision(settings: Settings, passwords: Mapping[str, str], lock: IO[str] | None) -> None:
    """Run provision.py in Superset's environment and pass on what it says of its progress.

    It holds the lock too: if this process is killed, the next one waits until what it began has ended.
    """
    report = settings.state / "superset-provision.log"
    with report.open("w") as errors:
        process = subprocess.Popen(
            [str(ENVIRONMENT / "bin" / "python"), str(SERVER / "provision.py")],
            env={**os.environ, **_environment(settings)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            pass_fds=() if lock is None else (lock.fileno(),),
        )
        assert process.stdin is not None and process.stdout is not None
        with process, signals.stopping(process):
            json.dump(passwords, process.stdin)
            process.stdin.close()
            problem = None
            for line in process.stdout:
                if line.startswith(STEP):
                    log.info("Dashboards: %s", line.removeprefix(STEP).strip())
                elif line.startswith(FAILED):
                    problem = line.removeprefix(FAILED).strip()
    if process.returncode != 0:
        lines = report.read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise processes.ServiceError(
            f"The dashboards were not set up: {problem or lines[-1]}{'' if problem else f' (see {report})'}"
        )


# --- serving ------------------------------------------------------------------------------------------------------


def _start(settings: Settings) -> str:
    """Start the server; its address, once it answers."""
    process = server(settings)
    log.info("Dashboards: waiting for Superset to answer")
    deadline = time.monotonic() + START_SECONDS
    for _ in range(prefect.PORTS_TRIED):
        process.stop()
        port = free_port(settings.superset_port)
        processes.note_port(settings.state, "superset", port)
        process.start(_server_command(), {**_environment(settings), **_bind(settings, port)})
        while time.monotonic() < deadline and process.pid() is not None:
            if address := url(settings):
                return address
            if process.lost(port):
                break
            time.sleep(0.25)
        else:
            break
    raise processes.ServiceError(f"Superset did not come up; see {process.log}.")


def _server_command() -> list[str]:
    return [str(ENVIRONMENT / "bin" / "gunicorn"), "--config", str(SERVER / "gunicorn_settings.py")]


def _bind(settings: Settings, port: int) -> dict[str, str]:
    return {"CREDITLENS_SUPERSET_BIND": listening.bind(settings.superset_host, port)}


def _environment(settings: Settings) -> dict[str, str]:
    """What Superset's processes find in their environment: paths, no secret."""
    return {
        "CREDITLENS_SUPERSET_CONFIGURATION": str(_configuration_file(settings)),
        "SUPERSET_CONFIG_PATH": str(SERVER / "superset_config.py"),
        "SUPERSET_HOME": str(settings.state / "superset"),
        "TMPDIR": str(processes.temporary_folder(settings.state, "superset")),
        "PYTHONPATH": str(PROJECT),
        "FLASK_APP": "superset",
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
    }


def _configuration_file(settings: Settings) -> Path:
    return settings.state / "superset" / "configuration.json"


@contextmanager
def _one_at_a_time(settings: Settings) -> Iterator[IO[str]]:
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "superset.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
