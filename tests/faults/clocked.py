"""An installation as `creditlens up` makes it, whose nights the clock starts: nothing asks Prefect for a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psutil
from sqlalchemy import text

from db.server.embedded import free_port
from flows.operations import schedule
from flows.services import database, prefect, processes
from flows.settings import Settings
from scoring.sample import applications

EVERY_MINUTE = "* * * * *"
# A cron's minute, the ten seconds between two of the schedule's looks, the start of a process, and a slow machine.
A_NIGHT_SECONDS = 240.0


@dataclass
class Clocked:
    """An installation of its own: embedded Postgres, Prefect server, schedule, all started by commands."""

    folder: Path
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return Settings(state=self.folder / "state", data=self.folder / "data")

    @property
    def file(self) -> Path:
        return self.folder / "data" / "application_test.csv"

    def command(
        self, *arguments: str, code: int | None = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """A `creditlens` command in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stderr + done.stdout
        return done

    def up(self, **environment: str) -> dict[str, Any]:
        """What `creditlens up` answers."""
        answer: dict[str, Any] = json.loads(self.command("up", "--no-dashboards", "--json", **environment).stdout)
        return answer

    def status(self, **environment: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.command("status", "--json", code=None, **environment).stdout)
        return answer

    def write(self, seed: int) -> None:
        """Put another night's applications in the place of the last night's, whole at once."""
        partial = self.file.with_suffix(".partial")
        applications(300, seed=seed, first_id=700_001).write_csv(partial)
        partial.replace(self.file)

    def runs(self) -> list[tuple[Any, ...]]:
        """The ledger: number, state, date and digest of each run."""
        with database.database(self.settings) as engine, engine.connect() as connection:
            query = "SELECT run_id, status, as_of, source_sha256 FROM credit.scoring_run ORDER BY run_id"
            return [tuple(row) for row in connection.execute(text(query))]

    def published(self, seed: int) -> tuple[Any, ...]:
        """Put new applications there, and wait for the clock; the run that publishes them."""
        before = len(self.runs())
        self.write(seed)
        self.wait(lambda: len(self.runs()) > before and self.runs()[-1][1] == "published")
        assert len(self.runs()) == before + 1
        return self.runs()[-1]

    def wait(self, happened: Callable[[], object], seconds: float = A_NIGHT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.5)

    def logs(self) -> str:
        return (
            "\n".join(
                f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
                for path in sorted((self.folder / "state").glob("*.log"))
            )
            + f"\n--- {prefect.prefect_server(self.settings).pid()} at {prefect.local_prefect_url(self.settings)}"
        )

    def kill(self, service: processes.Background) -> None:
        """SIGKILL to a service and its children."""
        pid = service.pid()
        assert pid is not None
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        os.kill(pid, signal.SIGKILL)
        for process in family[1:]:
            if process.is_running():
                process.kill()
        psutil.wait_procs(family, timeout=10)

    def prefect_runs(self) -> list[dict[str, Any]]:
        """What Prefect's server knows of nights that were due, oldest first; none while it does not answer."""
        address = f"{prefect.local_prefect_url(self.settings)}/flow_runs/filter"
        try:
            found = schedule._ask(
                address, {"sort": "EXPECTED_START_TIME_ASC", "flow_runs": {"tags": {"all_": ["auto-scheduled"]}}}
            )
        except OSError as error:
            print(f"Prefect's server did not say which nights were due: {error!r}", flush=True)
            return []
        now = time.time()
        return [
            run for run in found if schedule.datetime.fromisoformat(run["expected_start_time"]).timestamp() < now
        ]


def make(folder: Path) -> Clocked:
    """An installation with a model's data, whose cron is every minute; nothing is started."""
    (folder / "data").mkdir(parents=True)
    former: pl.DataFrame = applications(2_000, seed=1, labelled=True)
    former.write_csv(folder / "data" / "application_train.csv")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CREDITLENS_", "PREFECT_"))}
    kept.pop("DATABASE_URL", None)
    made = Clocked(
        folder,
        {
            **kept,
            "CREDITLENS_STATE": str(folder / "state"),
            "CREDITLENS_DATA": str(folder / "data"),
            "CREDITLENS_CRON": EVERY_MINUTE,
            "CREDITLENS_TIME_ZONE": "Europe/Paris",
            "CREDITLENS_TRIALS": "0",
            "CREDITLENS_THREADS": "2",
            "CREDITLENS_PREFECT_PORT": str(free_port(None)),
        },
    )
    made.write(seed=100)
    return made
