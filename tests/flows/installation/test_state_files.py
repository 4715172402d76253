"""Files of the state folder: a full disk leaves the old one, and a damaged one is made good or told of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.installation import identity
from flows.services import processes
from flows.services.processes import Background

# Writes one file of the state folder anew; the kernel takes eight bytes of it, as a disk that is nearly full.
ON_A_FULL_DISK = """
import os, resource, signal, sys
from pathlib import Path
from db.server.embedded import EmbeddedPostgres
from flows.alerts import last_night
from flows.installation import identity
from flows.privacy import export
from flows.services import processes
from flows.settings import Settings
settings = Settings()
writers = {
    "sleeper.pid": lambda: processes.Background("sleeper", settings.state).adopt(),
    "prefect.port": lambda: processes.note_port(settings.state, "prefect", 1_234_567_890),
    "installation.json": lambda: identity._write(identity.of(settings.state)),
    "secrets.json": lambda: settings.secrets(),
    "night.json": lambda: last_night._note(settings, "ended", None),
    "customer-1.json": lambda: export._private(settings.state / "customer-1.json", "x" * 100),
    "postgres/port": lambda: EmbeddedPostgres(settings.state / "postgres", "p" * 20, "q" * 20)._write(
        settings.state / "postgres" / "port", "1234567890"
    ),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
identity.of(settings.state)
resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))
writers[sys.argv[1]]()
"""
NAMES = (
    *("sleeper.pid", "prefect.port", "installation.json", "secrets.json", "night.json", "customer-1.json"),
    "postgres/port",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, name: str) -> None:
    settings = {"CREDITLENS_STATE": str(tmp_path), "CREDITLENS_DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    (tmp_path / "postgres").mkdir()
    # One secret is there, the others are to be made.
    before = json.dumps({"analyst": "a password of somebody"})
    if name == "installation.json":
        identity.of(tmp_path)
        before = (tmp_path / name).read_text()
    else:
        (tmp_path / name).write_text(before)
    (tmp_path / name).chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, name],
        env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Only the note of how a night ended is a warning: no night fails for it.
    refused = (
        "SettingsError" if name == "secrets.json" else "OSError" if name != "night.json" else "could not be noted"
    )
    assert refused in done.stderr and "File too large" in done.stderr
    assert (tmp_path / name).read_text() == before
    assert not [file for file in tmp_path.rglob("*") if file.suffix in {".partial", ".tmp"}]


def test_a_service_that_cannot_be_noted_is_not_left_running(tmp_path: Path) -> None:
    service = Background("sleeper", tmp_path)
    (tmp_path / "sleeper.pid").mkdir()
    mark = f"import time; time.sleep(600)  # {tmp_path}"
    with pytest.raises(OSError, match=r"sleeper\.pid"):
        service.start([sys.executable, "-c", mark], {})
    assert not [one for one in psutil.process_iter(["cmdline"]) if mark in (one.info["cmdline"] or [])]


DAMAGED = {
    "empty": b"",
    "zeros": b"\0" * 64,
    "half": b'{"name": "bcdf", "pid": 1, "outcome": "refu',
    "wrong": b'{"ended_at": "2026-", "outcome": "refused", "message": null, "name": 1, "pid": "x", "started": []}',
    "not text": b"\xff\xfe\x00\x99",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_status_after_a_power_cut_that_damaged_every_file_says_what_is_not_known(
    tmp_path: Path, content: bytes
) -> None:
    for name in ("prefect-server", "schedule", "watch", "superset"):
        (tmp_path / f"{name}.pid").write_bytes(content)
    for name in ("prefect.port", "superset.port", "night.json", "erasures.jsonl"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "port").write_bytes(content)
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment["CREDITLENS_STATE"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "status", "--json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    found = json.loads(done.stdout)
    assert f"{tmp_path / 'night.json'} is damaged" in " ".join(found["notes"])


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_an_installation_whose_name_was_damaged_gets_a_new_one_and_says_so(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "installation.json").write_bytes(content)
    made = identity.of(tmp_path)
    assert (identity.of(tmp_path), made.folder, made.copied_from) == (made, tmp_path, None)
    assert [record.getMessage().split(" was damaged")[0] for record in caplog.records] == [
        str(tmp_path / "installation.json")
    ]


@pytest.mark.parametrize("content", ["99999999999", "0", "-1", "12a", ""])
def test_a_port_that_is_none_counts_as_not_noted(tmp_path: Path, content: str) -> None:
    (tmp_path / "prefect.port").write_text(content)
    assert processes.last_port(tmp_path, "prefect") is None
