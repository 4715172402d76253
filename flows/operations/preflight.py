"""What has to be right before anything is installed or started: `make up` asks first, and `creditlens up` again.

Only the standard library is imported, because the first time nothing else is there. Each problem is one sentence
with the way out. What cannot be told for sure is no problem here: the command itself looks closer later.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import pwd
import re
import shutil
import socket
import sys
import urllib.request
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path

from flows.installation.machine import PROJECT, memory_bytes, state_folder

REFUSED = 2
GIGABYTE = 10**9
# Measured, with room for the downloads of pip and the temporary files of Postgres.
ENVIRONMENTS = {".venv": 1.8, ".venv-superset": 1.2}
STATE_GIGABYTES, STATE_AGAIN_GIGABYTES, STATE_WITHOUT_POSTGRES_GIGABYTES = 1.0, 0.3, 0.2
# A night takes so many times its file in the database, its indexes and its log of changes.
DATABASE_PER_INPUT = 20
MEMORY_GIGABYTES, MEMORY_OF_DASHBOARDS_GIGABYTES = 1.0, 1.0
PORTS = {"prefect": 4200, "superset": 8088}
CRON_FIELDS = (
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("days of the month", 1, 31),
    ("months", 1, 12),
    ("days of the week", 0, 7),
)

Environment = Mapping[str, str]


def problems(environment: Environment, *, dashboards: bool | None = None, installing: bool = False) -> list[str]:
    """Everything that stands in the way of `up`, each in one sentence with the way out.

    Parameters
    ----------
    dashboards: whether they are to be set up too; the setting by default.
    installing: whether packages are still to be installed, which takes more room.
    """
    if dashboards is None:
        dashboards = environment.get("CREDITLENS_DASHBOARDS", "").lower() not in {
            "0",
            "f",
            "false",
            "n",
            "no",
            "off",
        }
    found = [
        *(_python() if installing else ()),
        *_libraries(),
        *_data(environment),
        *_time_zone(environment),
        *_cron(environment),
        *_state(environment),
        *_ports(environment, dashboards),
        *_memory(dashboards),
    ]
    # Without a place to write, there is nothing to measure.
    return found or list(_disk(environment, installing))


# --- what is installed --------------------------------------------------------------------------------------------


def _python() -> Iterator[str]:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        yield f"creditlens needs Python 3.11 to 3.14, this is {version}; name one: `make up PYTHON=python3.12`."
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        yield f"Python {version} cannot make environments: install its package venv (Debian: python3-venv)."
    if not os.access(PROJECT, os.W_OK):
        yield f"You may not write in {PROJECT}, where packages are to be installed; use a copy of your own."


def _libraries() -> Iterator[str]:
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libgomp.so.1")
        except OSError:
            yield (
                "LightGBM needs the library libgomp.so.1, which is not installed; install it (Debian:"
                " apt-get install libgomp1, Fedora: dnf install libgomp)."
            )


# --- settings -----------------------------------------------------------------------------------------------------


def _data(environment: Environment) -> Iterator[str]:
    if not environment.get("CREDITLENS_DATA"):
        return
    folder = Path(environment["CREDITLENS_DATA"]).expanduser().absolute()
    way_out = "name another folder in CREDITLENS_DATA, or leave it out for synthetic applications"
    if not folder.is_dir():
        yield f"There is no folder {folder}; {way_out}."
        return
    try:
        names = [entry.name.lower() for entry in folder.iterdir()]
    except OSError as error:
        yield f"The folder {folder} cannot be read: {error.strerror}; {way_out}."
        return
    wanted = ("application_train", "application_test")
    missing = [f"{name}.csv" for name in wanted if not any(each.startswith(name) for each in names)]
    if missing:
        yield f"There is no {' and no '.join(missing)} (or in another format) in {folder}; {way_out}."


def _time_zone(environment: Environment) -> Iterator[str]:
    name = environment.get("CREDITLENS_TIME_ZONE")
    # A machine without time zones gets them with the packages.
    if name and zoneinfo.available_timezones():
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            yield f"CREDITLENS_TIME_ZONE: {name!r} is not a time zone; use a name such as Europe/Paris."


def _cron(environment: Environment) -> Iterator[str]:
    """What is certainly wrong; the settings themselves know more."""
    text = environment.get("CREDITLENS_CRON", "").strip()
    if not text or text.startswith("@"):
        return
    wrong = None
    fields = text.split()
    if len(fields) not in {5, 6}:
        wrong = f"it has {len(fields)} fields instead of 5"
    for field, (name, least, most) in zip(fields, CRON_FIELDS, strict=False):
        numbers = [int(number) for part in field.split(",") for number in re.findall(r"\d+", part.split("/")[0])]
        if any(not least <= number <= most for number in numbers):
            wrong = wrong or f"{field!r} is not within the {name} from {least} to {most}"
    if wrong:
        yield f"CREDITLENS_CRON: {text!r} is not a schedule: {wrong}; write one such as '30 2 * * *' (each 02:30)."


# --- the machine --------------------------------------------------------------------------------------------------


def _state(environment: Environment) -> Iterator[str]:
    state = state_folder()
    there = _existing(state)
    if not there.is_dir():
        yield f"{there} is no folder, so that nothing can be kept in {state}; name another one in CREDITLENS_STATE."
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"You may not write in {there}; name a folder of your own in CREDITLENS_STATE."
    if _embedded(environment):
        yield from _postgres_user()


def _postgres_user() -> Iterator[str]:
    """Whether the embedded Postgres finds a user that it may run as."""
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    if os.geteuid() not in names.values():
        yield (
            f"Postgres does not run as a user without a name, and user {os.geteuid()} has none on this machine; run"
            " creditlens as another user, or name a database in CREDITLENS_DATABASE_URL."
        )
    elif (
        os.geteuid() == 0
        and not shutil.which("useradd", path=_PROGRAMS)
        and not {"creditlens", "postgres"} & {*names}
    ):
        yield (
            "Postgres does not run as root, and no user can be made for it here; run creditlens as an ordinary"
            " user, or name a database in CREDITLENS_DATABASE_URL."
        )


_PROGRAMS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def _embedded(environment: Environment) -> bool:
    names = ("CREDITLENS_DATABASE_URL", "DATABASE_URL", "CREDITLENS_DATABASE_URL_FILE", "DATABASE_URL_FILE")
    return not any(environment.get(name) for name in names)


def _existing(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    return next(place for place in (folder, *folder.parents) if os.path.lexists(place))


def _ports(environment: Environment, dashboards: bool) -> Iterator[str]:
    """A port that somebody chose and that cannot be had; where nobody chose, any free one will do."""
    hosts = {"prefect": "127.0.0.1", "superset": environment.get("CREDITLENS_SUPERSET_HOST") or "127.0.0.1"}
    for name, host in hosts.items():
        setting = f"CREDITLENS_{name.upper()}_PORT"
        chosen = environment.get(setting, "")
        if (name == "superset" and not dashboards) or (name == "prefect" and environment.get("PREFECT_API_URL")):
            continue
        port = int(chosen) if chosen.isdecimal() else PORTS[name]
        problem = _cannot_listen(host, port)
        if problem is None or _is_ours(name, port):
            continue
        if problem == "taken" and chosen and not (name == "prefect" and _answers_as_prefect(port)):
            yield f"Port {port} is in use by another program; choose another one in {setting}, or 0 for any."
        elif problem == "address":
            yield f"This machine has no address {host}; choose one of its own in CREDITLENS_SUPERSET_HOST."
        elif problem == "refused":
            yield f"You may not listen on port {port}; choose one above 1023 in {setting}."


def _cannot_listen(host: str, port: int) -> str | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except PermissionError:
        return "refused"
    except OSError as error:
        return "taken" if error.errno == errno.EADDRINUSE else "address"
    except OverflowError:
        # The settings say what a port may be.
        return None
    return None


def _is_ours(name: str, port: int) -> bool:
    """Whether a process that we started has the port."""
    service = {"prefect": "prefect-server", "superset": "superset"}[name]
    try:
        known = json.loads((state_folder() / f"{service}.pid").read_text())
        ours = int((state_folder() / f"{name}.port").read_text()) == port
        os.kill(int(known["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return ours


def _answers_as_prefect(port: int) -> bool:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/api/health", timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def _memory(dashboards: bool) -> Iterator[str]:
    needed = MEMORY_GIGABYTES + (MEMORY_OF_DASHBOARDS_GIGABYTES if dashboards else 0)
    there = memory_bytes()
    if there is not None and there < needed * GIGABYTE:
        less = "; without dashboards, 1 GB would do (CREDITLENS_DASHBOARDS=false)" if dashboards else ""
        yield f"creditlens needs {needed:.0f} GB of memory and may use {there / GIGABYTE:.1f} GB here{less}."


def _disk(environment: Environment, installing: bool) -> Iterator[str]:
    """Room on each disk for what is still to be put there."""
    needed: dict[int, float] = {}
    places: dict[int, Path] = {}
    wanted = [(state_folder(), _state_gigabytes(environment))]
    if installing:
        wanted += [
            (PROJECT / name, size)
            for name, size in ENVIRONMENTS.items()
            if not (PROJECT / name / "installed").exists()
        ]
    for place, gigabytes in wanted:
        device = _existing(place).stat().st_dev
        needed[device] = needed.get(device, 0) + gigabytes
        places.setdefault(device, place)
    for device, gigabytes in needed.items():
        free = shutil.disk_usage(_existing(places[device])).free / GIGABYTE
        if free < gigabytes:
            yield (
                f"The disk of {places[device]} has {free:.1f} GB left, and {gigabytes:.1f} GB are needed; make"
                " room, or name a folder on another disk in CREDITLENS_STATE."
            )


def _state_gigabytes(environment: Environment) -> float:
    if not _embedded(environment):
        return STATE_WITHOUT_POSTGRES_GIGABYTES
    if (state_folder() / "postgres" / "data" / "PG_VERSION").exists():
        return STATE_AGAIN_GIGABYTES
    size = 0
    if environment.get("CREDITLENS_DATA"):
        for path in Path(environment["CREDITLENS_DATA"]).expanduser().glob("application_t*"):
            # The former customers once, and fewer columns of them than of a night.
            size += path.stat().st_size // (4 if "train" in path.name.lower() else 1)
    return STATE_GIGABYTES + DATABASE_PER_INPUT * size / GIGABYTE


def main() -> None:
    """Say what is wrong, each in a line, and end with 2 if anything is (`--installing`: without packages yet)."""
    found = problems(os.environ, installing="--installing" in sys.argv[1:])
    for problem in found:
        print(f"creditlens: {problem}", file=sys.stderr)
    sys.exit(REFUSED if found else 0)


if __name__ == "__main__":
    main()
