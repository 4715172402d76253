"""The services that run in the background, started for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from db.server.embedded import free_port
from flows.installation import identity
from flows.services import prefect, processes
from flows.services.processes import Background
from flows.settings import Settings
from tests.neighbours import says_nonsense, says_yes

Finished = Callable[[timedelta], str]


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Finished]:
    """Puts a run that ended so long ago into a Prefect server that cleans up every second; gives its address."""
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path))
    port = free_port(None)
    monkeypatch.setenv("CREDITLENS_PREFECT_PORT", str(port))
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "1")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = Settings()
    prefect.start_prefect(settings)
    try:
        # Another program takes the port before Prefect has it, so that this is also about that.
        with says_yes(port):
            url = prefect.wait_for_prefect(settings)
        assert url not in {f"http://127.0.0.1:{port}/api", None}
        flow = made(f"{url}/flows/", {"name": "nightly"})

        def put(ago: timedelta) -> str:
            key = made(f"{url}/flow_runs/", {"flow_id": flow, "state": {"type": "COMPLETED"}})
            ended = (datetime.now(UTC) - ago).replace(tzinfo=None)
            # The interface lets nobody say when a run ended.
            with closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db", timeout=30)) as database, database:
                change = "UPDATE flow_run SET end_time = ? WHERE id = ?"
                assert database.execute(change, (ended.isoformat(" "), key)).rowcount == 1
            return f"{url}/flow_runs/{key}"

        yield put
    finally:
        prefect.prefect_server(settings).stop()


def made(address: str, content: dict[str, Any]) -> str:
    """The number of what was made; while its database is locked, the server says 503."""
    deadline = time.monotonic() + 60
    while (answer := httpx.post(address, json=content, timeout=30)).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return str(answer.raise_for_status().json()["id"])


def test_prefect_forgets_runs_after_a_season_and_keeps_those_of_last_month(finished: Finished) -> None:
    recent = finished(timedelta(days=30))
    old = finished(timedelta(days=100))
    deadline = time.monotonic() + 60
    while httpx.get(old, timeout=30).status_code != 404 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert (httpx.get(old, timeout=30).status_code, httpx.get(recent, timeout=30).status_code) == (404, 200)


def test_prefects_pages_ask_the_server_that_they_come_from(prefect_api: str) -> None:
    pages = httpx.get(f"{prefect_api.removesuffix('/api')}/ui-settings", timeout=30).raise_for_status().json()
    assert pages["api_url"] == prefect_api


# --- whose process is it? -------------------------------------------------------------------------------------

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Background]:
    """A service of the state folder `original`."""
    service = Background("sleeper", tmp_path / "original")
    pid = service.start(SLEEPER, {})
    # Until then its environment cannot be read.
    while psutil.Process(pid).cmdline() != SLEEPER:
        time.sleep(0.01)
    yield service
    os.killpg(pid, signal.SIGKILL)


def test_a_copied_state_folder_has_none_of_its_originals_services(sleeper: Background, tmp_path: Path) -> None:
    shutil.copytree(sleeper.state, tmp_path / "copy")
    copy = Background("sleeper", tmp_path / "copy")
    assert (copy.pid(), copy.since(), copy.died(), copy.elsewhere()) == (None, None, False, False)
    assert copy.stop() is False
    assert sleeper.pid() is not None
    own = copy.start(SLEEPER, {})
    assert own == copy.pid() != sleeper.pid()
    assert copy.stop() is True
    assert sleeper.pid() is not None


def test_a_copy_whose_original_is_gone_does_not_take_what_still_runs_from_there(
    sleeper: Background, tmp_path: Path
) -> None:
    shutil.copytree(sleeper.state, tmp_path / "copy")
    shutil.rmtree(sleeper.state)
    copy = Background("sleeper", tmp_path / "copy")
    assert (copy.pid(), copy.stop()) == (None, False)


def test_a_moved_state_folder_keeps_its_services(sleeper: Background, tmp_path: Path) -> None:
    pid = sleeper.pid()
    sleeper.state.rename(tmp_path / "moved")
    assert Background("sleeper", tmp_path / "moved").pid() == pid is not None
    assert sleeper.pid() is None


def test_a_reused_number_is_no_service_of_ours(sleeper: Background, tmp_path: Path) -> None:
    other = Background("sleeper", tmp_path / "other")
    other.state.mkdir()
    file, known = other.state / "sleeper.pid", json.loads((sleeper.state / "sleeper.pid").read_text())
    # Of another program, of another installation's service, and of one that was noted by version 0.3.
    for wrong in (
        {**known, "pid": os.getpid(), "installation": identity.of(other.state).name},
        known,
        {"pid": known["pid"], "started": known["started"], "namespace": known["namespace"]},
    ):
        file.write_text(json.dumps(wrong))
        assert (other.pid(), other.stop()) == (None, False)
    assert sleeper.pid() is not None


def test_a_service_that_version_0_3_started_is_still_ours(sleeper: Background) -> None:
    file = sleeper.state / "sleeper.pid"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({name: known[name] for name in ("pid", "started", "namespace")}))
    assert sleeper.pid() == known["pid"]


@pytest.mark.parametrize("content", ["", "{", "[]", "1", '{"pid": "x"}', '{"pid": "x", "started": "y"}'])
def test_a_damaged_file_is_no_service(tmp_path: Path, content: str) -> None:
    (tmp_path / "sleeper.pid").write_text(content)
    service = Background("sleeper", tmp_path)
    assert (service.pid(), service.stop()) == (None, False)


def test_a_service_has_its_temporary_files_in_the_state_folder(tmp_path: Path) -> None:
    service = Background("writer", tmp_path)
    left = processes.temporary_folder(tmp_path, "writer") / "left by one that was killed"
    left.touch()
    code = "import tempfile, os; print(tempfile.gettempdir(), os.environ['CREDITLENS_STATE'], flush=True)"
    service.start([sys.executable, "-c", code], {})
    deadline = time.monotonic() + 60
    # The first line says that it starts.
    while len(service.log.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert service.log.read_text().split()[-2:] == [str(tmp_path / "tmp" / "writer"), str(tmp_path)]
    assert not left.exists()


# --- whose server is it? --------------------------------------------------------------------------------------


def alone(state: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a new installation that remembers a port for its Prefect server."""
    for name in ("PREFECT_API_URL", prefect.OWN_PREFECT):
        monkeypatch.delenv(name, raising=False)
    state.mkdir()
    (state / "prefect.port").write_text(str(port))
    return Settings(state=state, prefect_port=port)


def test_a_program_that_says_yes_to_everything_is_no_prefect_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect, "PREFECT_ELSEWHERE_SECONDS", 1)
    with says_yes() as yes, says_nonsense() as nonsense:
        for port in (yes, nonsense):
            settings = alone(tmp_path / str(port), port, monkeypatch)
            assert prefect.prefect_url(settings) is None
            monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
            assert prefect.prefect_url(settings) is None
            prefect.start_prefect(settings)
            with pytest.raises(processes.ServiceError, match="which PREFECT_API_URL names; start it, or unset"):
                prefect.wait_for_prefect(settings)


def test_status_beside_such_a_program_ends_in_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with says_yes() as port:
        settings = alone(tmp_path / "state", port, monkeypatch)
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "status", "--json"],
            env={**os.environ, "CREDITLENS_STATE": str(settings.state), "CREDITLENS_SUPERSET_PORT": str(port)},
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    assert (found["prefect_url"], found["dashboards_url"]) == (None, None)


def test_another_installations_prefect_server_is_used_only_where_it_is_named(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(prefect_api.rsplit(":", 1)[1].removesuffix("/api"))
    settings = alone(tmp_path / "state", port, monkeypatch)
    assert prefect.is_prefect(prefect_api)
    assert prefect.prefect_url(settings) is None
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    assert prefect.prefect_url(settings) == prefect_api
    # What a process of ours says of our own local server, whose port is another's by now, does not name it.
    monkeypatch.setenv(prefect.OWN_PREFECT, identity.of(settings.state).name)
    assert prefect.prefect_url(settings) is None


def test_a_service_whose_starter_is_killed_before_it_is_noted_does_not_run(tmp_path: Path) -> None:
    starter = (
        "import os, signal, sys; from pathlib import Path; from flows.services.processes import Background;"
        "Background._know = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "Background('sleeper', Path(sys.argv[1])).start([sys.executable, '-c', 'import time; time.sleep(600)'], {})"
    )
    done = subprocess.run([sys.executable, "-c", starter, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [process for process in psutil.process_iter() if _state_of(process) == str(tmp_path)]
    _, alive = psutil.wait_procs(left, timeout=5)
    for process in alive:
        process.kill()
    assert not alive
    assert Background("sleeper", tmp_path).died() is False


def test_a_service_is_still_known_when_whoever_stops_it_is_killed_meanwhile(tmp_path: Path) -> None:
    service, deaf = Background("deaf", tmp_path), "import signal, time; signal.signal(15, signal.SIG_IGN);"
    pid = service.start([sys.executable, "-c", f"{deaf} print('deaf', flush=True); time.sleep(600)"], {})
    deadline = time.monotonic() + 30
    while "deaf\n" not in service.log.read_text().splitlines(keepends=True)[-1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopper = (
        "import os, signal, sys, psutil; from pathlib import Path; from flows.services.processes import Background;"
        "psutil.wait_procs = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL);"
        "Background('deaf', Path(sys.argv[1])).stop()"
    )
    try:
        done = subprocess.run([sys.executable, "-c", stopper, str(tmp_path)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert service.pid() == pid
        assert service.stop(patience=0.2) is True
        assert (service.pid(), service.died()) == (None, False)
    finally:
        if psutil.pid_exists(pid):
            os.killpg(pid, signal.SIGKILL)


def _state_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("CREDITLENS_STATE")
    except psutil.Error:
        return None


def test_a_server_that_is_too_late_for_its_port_has_lost_it(sleeper: Background) -> None:
    port = free_port(None)
    assert sleeper.lost(port) is False
    with says_yes(port):
        assert sleeper.lost(port) is True
        assert sleeper.listens(port) is False


def test_a_service_that_another_one_started_is_no_part_of_it_and_outlives_it(tmp_path: Path) -> None:
    """As the schedule, which starts a Prefect server anew that has ended."""
    outer, inner = Background("outer", tmp_path), Background("inner", tmp_path)
    script = (
        "import sys, time; from pathlib import Path; from flows.services.processes import Background;"
        f" Background('inner', Path({str(tmp_path)!r})).start(['sleep', '600'], {{}}); time.sleep(600)"
    )
    try:
        outer.start([sys.executable, "-c", script], {})
        deadline = time.monotonic() + 60
        while inner.pid() is None:
            assert time.monotonic() < deadline, outer.log.read_text()
            time.sleep(0.05)
        pid = outer.pid()
        assert pid is not None
        assert psutil.Process(pid).children(recursive=True) == []
        assert outer.stop()
        assert inner.pid() is not None
    finally:
        outer.stop()
        inner.stop()
