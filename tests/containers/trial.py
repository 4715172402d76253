"""The team's installation, step by step: started, read, broken, put away. Each step raises if it does not hold."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import polars as pl

from flows.installation import team_secrets
from scoring.sample import applications
from tests.containers.engine import Engine, EngineError, wait_for
from tests.containers.reader import Reader, open_customer

SERVICES = ("postgres", "redis", "prefect", "schedule", "watch", "superset", "proxy")
CHECKED = tuple(name for name in SERVICES if name != "watch")
KILLED = ("postgres", "prefect", "schedule", "superset", "redis", "proxy")
NIGHTS_NEED = ("postgres", "prefect", "schedule")
STOPPED_IN_ORDER = ("proxy", "superset", "watch", "schedule", "prefect", "redis", "postgres")
FORMER, NEW, MANY = 3_000, 1_000, 120_000
# A night that is asked to end; as docker-compose.yml gives it to the schedule.
CLOSED_WITHIN_SECONDS, STOP_SECONDS = 10, 30
# What a container that had to be killed says.
KILLED_CODE = 137
START_SECONDS, BACK_SECONDS = 900, 300
PUBLISHED = "SELECT max(run_id) FROM reporting.run_history"
RUNNING = "SELECT count(*) FROM credit.scoring_run WHERE status = 'running'"
SECRETS = ("postgres_password", "prefect_password", "redis_password")


class Trial:
    """One installation from docker-compose.yml, with synthetic customers, on ports and in folders of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.folder = engine, engine.folder
        self.secrets, self.data = self.folder / "secrets", self.folder / "data"
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._reader: Reader | None = None
        self._files = 0

    def environment(self) -> dict[str, str]:
        """What docker-compose.yml is to know."""
        return {
            "CREDITLENS_SECRETS": str(self.secrets),
            "CREDITLENS_DATA": str(self.data),
            "CREDITLENS_PORT": str(self.port),
            # Every minute, instead of every night.
            "CREDITLENS_CRON": "* * * * *",
        }

    def prepare(self) -> None:
        """Secrets, a certificate for trying, and synthetic customers."""
        team_secrets.write_missing(self.secrets)
        team_secrets.self_signed(self.secrets, "127.0.0.1")
        self.data.mkdir()
        applications(FORMER, seed=1, labelled=True).write_csv(self.data / "application_train.csv")
        self.hand_in(NEW)

    def hand_in(self, customers: int) -> None:
        """Tonight's file, another one than before."""
        self._files += 1
        frame = applications(customers, seed=2, labelled=False)
        amount = (pl.col("AMT_CREDIT") * (1 + self._files / 100)).round(1)
        written = self.folder / "application_test.csv"
        frame.with_columns(amount).write_csv(written)
        # Whole, as somebody who delivers it should: on another disk, `mv` would not be.
        shutil.move(written, self.data / "application_test.csv.new")
        os.replace(self.data / "application_test.csv.new", self.data / "application_test.csv")

    def start(self) -> float:
        """Everything, until all health checks are green; seconds."""
        started = time.monotonic()
        self.engine.compose("up", "--detach", "--no-build", seconds=START_SECONDS)
        self.wait_until_healthy(START_SECONDS)
        return time.monotonic() - started

    def wait_until_healthy(self, seconds: float) -> float:
        """Until every service that has a check passes it, and the watch runs; the seconds that it took."""

        def all_well() -> bool:
            return all(self.engine.health(name) == "healthy" for name in CHECKED) and (
                self.engine.health("watch") == "running"
            )

        try:
            return wait_for(all_well, seconds, "all health checks", every=1)
        except EngineError as error:
            told = {name: self.engine.health(name) for name in SERVICES}
            raise EngineError(f"{error} {told}") from None

    def value(self, query: str) -> str:
        """One value of the database, as readers see it."""
        return self.engine.inside("watch", "creditlens", "sql", "-qAtc", query).strip()

    # --- what has to hold ---------------------------------------------------------------------------------------

    def only_the_proxy_is_reached_from_outside(self) -> str:
        published = {name: self.engine.podman("port", self.engine.container(name)).strip() for name in SERVICES}
        open_ports = {name: port for name, port in published.items() if port}
        assert list(open_ports) == ["proxy"] and "127.0.0.1" in open_ports["proxy"], open_ports
        return open_ports["proxy"]

    def nobody_is_root_and_nothing_is_written(self) -> str:
        users = {}
        for name in ("prefect", "schedule", "watch", "superset", "redis"):
            users[name] = self.engine.inside(name, "id", "-u").strip()
            probe = "touch /app/here 2>/dev/null || touch /here 2>/dev/null && echo written || echo refused"
            assert self.engine.inside(name, "sh", "-c", probe).strip() == "refused", name
        assert set(users.values()) == {"10001"}, users
        return "user 10001, root read-only"

    def no_secret_in_environment_or_process_list(self) -> str:
        """In no process of any container, seen from outside."""
        values = [(self.secrets / name).read_text().strip() for name in SECRETS]
        looked_at = 0
        for name in SERVICES:
            pids = self.engine.podman("top", self.engine.container(name), "hpid").split()[1:]
            for pid in pids:
                for file in ("environ", "cmdline"):
                    try:
                        content = Path(f"/proc/{pid}/{file}").read_bytes()
                    except OSError:
                        continue
                    looked_at += 1
                    assert not [value for value in values if value.encode() in content], f"{name}: {file}"
            described = self.engine.podman("inspect", self.engine.container(name))
            assert not [value for value in values if value in described], f"{name}: inspect"
        # At least the first process of each.
        assert looked_at >= 2 * len(SERVICES), looked_at
        return f"{looked_at} environments and command lines"

    def threads_follow_the_quota(self) -> str:
        """Of the schedule, whose containers may keep two processors busy whatever the machine has."""
        asked = (
            "from flows.installation.machine import processors, memory_bytes; print(processors(), memory_bytes())"
        )
        processors, memory = self.engine.inside("schedule", "python", "-c", asked).split()
        half = self.engine.podman(
            "run", "--rm", "--cpus", "0.5", "--memory", "600m", "--entrypoint", "python",
            self.engine.podman("inspect", "--format", "{{.ImageName}}", self.engine.container("schedule")).strip(),
            "-c", asked,
        ).split()  # fmt: skip
        assert half[0] == "1" and int(half[1]) == 600 * 1024**2, half
        # As docker-compose.yml bounds it, on a machine that has as many.
        assert processors == str(min(2, len(os.sched_getaffinity(0)))), processors
        assert int(memory) <= 4 * 1024**3, memory
        return f"{processors} threads and {int(memory) / 1e9:.1f} GB of a quota of 2 and 4g; 1 of a quota of 0.5"

    def the_schedule_runs_a_night(self) -> str:
        before = int(self.value(PUBLISHED))
        self.hand_in(NEW)
        took = wait_for(lambda: int(self.value(PUBLISHED)) > before, 240, "a night that the schedule started", 2)
        return f"run {before + 1} published {took:.0f} s after its file was there"

    def an_advisor_opens_a_customer(self) -> str:
        password = json.loads(self.engine.inside("watch", "cat", "/state/secrets.json"))["user_advisor"]
        customer = int(self.value("SELECT min(customer_id) FROM reporting.customer"))
        seen, question = open_customer(self.url, password, customer, self.folder)
        assert seen["protocol"] == "h2", seen
        self._reader = Reader(self.url, self.secrets / team_secrets.CERTIFICATE, password, question)
        (self.folder / "question.json").write_text(json.dumps(question))
        self._reader.sign_in()
        assert self._reader.ask() == "data"
        return ", ".join(f"{name}: {value}" for name, value in seen.items())

    def the_proxy_compresses_and_keeps(self) -> str:
        reader = self.reader
        page = reader.client.get("/dashboard/list/").text
        script = next(part for part in page.split('"') if part.startswith("/static/") and part.endswith(".js"))
        answers = [reader.client.get(script) for _ in range(2)]
        assert answers[1].headers["X-Proxy-Cache"] == "HIT", answers[1].headers
        assert answers[1].headers["Content-Encoding"] == "gzip"
        assert answers[1].http_version == "HTTP/2"
        assert "Strict-Transport-Security" in reader.client.get("/health").headers
        return f"{script.rpartition('/')[2]} from the proxy's memory, gzip, HTTP/2"

    def wrong_passwords_are_counted_together(self) -> str:
        """Ten a minute over all workers: without Redis each would let five through."""
        attempts = {"username": "nobody", "password": "wrong", "provider": "db"}
        statuses = [self.reader.client.post("/api/v1/security/login", json=attempts).status_code for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2, statuses
        time.sleep(61)
        return "ten wrong ones, then 429"

    @property
    def reader(self) -> Reader:
        """The advisor. Needs `an_advisor_opens_a_customer`."""
        assert self._reader is not None
        return self._reader

    # --- breaking it --------------------------------------------------------------------------------------------

    def kill(self, service: str) -> str:
        """SIGKILL of its first process, seen by a reader; the restart policy starts it again."""
        with self.reader.reading() as seen:
            time.sleep(2)
            before = self.engine.state(service)["Pid"]
            os.kill(before, signal.SIGKILL)
            wait_for(
                lambda: self.engine.state(service)["Pid"] not in {0, before}, 60, f"{service} to be started anew"
            )
            back = self.wait_until_healthy(BACK_SECONDS)
            wait_for(lambda: self.reader.ask() == "data", BACK_SECONDS, f"data after {service} was killed")
            time.sleep(2)
        assert seen.changes[-1][1] == "data", seen.changes
        night = f"; {self.the_schedule_runs_a_night()}" if service in NIGHTS_NEED else ""
        return f"all healthy again {back:.0f} s after the kill; a reader saw {seen}{night}"

    def a_night_that_is_asked_to_end_closes_its_ledger(self) -> str:
        self.hand_in(MANY)
        wait_for(lambda: self.ledger(RUNNING) == "1", 180, "a night under way", 0.3)
        time.sleep(2)
        started = time.monotonic()
        with ThreadPoolExecutor(1) as beside:
            stopping = beside.submit(self.engine.stop, "schedule", STOP_SECONDS)
            closed = wait_for(lambda: self.ledger(RUNNING) == "0", STOP_SECONDS, "a closed ledger", 0.1)
            stopping.result()
        took = time.monotonic() - started
        status, problem = self.ledger(
            "SELECT status, coalesce(message, '') FROM credit.scoring_run ORDER BY run_id DESC LIMIT 1"
        ).split("|", 1)
        code = self.engine.state("schedule")["ExitCode"]
        assert status == "failed", (status, problem)
        assert closed < CLOSED_WITHIN_SECONDS, f"the ledger was closed after {closed:.1f} s"
        assert code != KILLED_CODE, f"it had to be killed after {took:.1f} s"
        self.hand_in(NEW)
        self.engine.podman("start", self.engine.container("schedule"))
        self.wait_until_healthy(BACK_SECONDS)
        return (
            f"the ledger was closed after {closed:.1f} s ({status}: {problem[:80]}), the container ended after"
            f" {took:.1f} s with exit code {code}"
        )

    def ledger(self, query: str) -> str:
        """One row, as the owner sees it."""
        return self.engine.inside(
            "postgres", "psql", "-U", "creditlens", "-d", "creditlens", "-qAtc", query
        ).strip()

    # --- people, and copies of everything -----------------------------------------------------------------------

    def without_nights(self, work: Callable[[], str]) -> str:
        """Do something while the schedule stands still, as `backup` and `restore` do not need but a count does."""
        self.engine.stop("schedule", STOP_SECONDS)
        try:
            return work()
        finally:
            self.engine.podman("start", self.engine.container("schedule"))
            self.wait_until_healthy(BACK_SECONDS)

    def export_erase_backup_and_restore_work(self) -> str:
        return self.without_nights(self._people_and_copies)

    def _people_and_copies(self) -> str:
        def creditlens(*command: str) -> dict[str, object]:
            answer: dict[str, object] = json.loads(self.engine.inside("watch", "creditlens", *command, "--json"))
            return answer

        customer, other = self.value(
            "SELECT string_agg(customer_id::text, '|') FROM (SELECT customer_id FROM reporting.customer"
            " ORDER BY customer_id LIMIT 2) AS two"
        ).split("|")
        self.reader.client.get("/superset/dashboard/customer-en/", params={"customer": customer})
        creditlens("export", customer, "/state/export")
        creditlens("backup", "/state/before.backup")
        erased = creditlens("erase", customer, "--yes")
        stores = [one["store"] for one in erased["searched"]]  # type: ignore[attr-defined, index, union-attr]
        assert any("Redis" in str(store) for store in stores), stores
        assert any("Prefect" in str(store) for store in stores), stores
        # The file of tonight has all customers, this one too: the next night would bring the person back.
        assert "/data/application_test.csv" in erased["files_not_ours"], erased  # type: ignore[operator]
        gone = "SELECT count(*) FROM reporting.customer WHERE customer_id = {}"
        assert self.value(gone.format(customer)) == "0"
        restored = creditlens("restore", "/state/before.backup", "--force")
        # Whoever was erased since stays so.
        assert self.value(gone.format(customer)) == "0"
        assert self.value(gone.format(other)) == "1"
        self.engine.inside("watch", "rm", "-r", "/state/export", "/state/before.backup")
        wait_for(lambda: self.reader.ask() == "data", 60, "data after a restore")
        kept = [one["store"] for one in erased["not_searched"]]  # type: ignore[attr-defined, index, union-attr]
        return f"searched {len(stores)} stores, not {kept}; restored: {restored.get('outcome', 'yes')}"

    # --- the end ------------------------------------------------------------------------------------------------

    def stop_in_order(self) -> str:
        told = []
        for service in STOPPED_IN_ORDER:
            started = time.monotonic()
            self.engine.compose("stop", service)
            state = self.engine.state(service)
            told.append(f"{service} {time.monotonic() - started:.1f} s (exit code {state['ExitCode']})")
            assert state["ExitCode"] != KILLED_CODE, f"{service} had to be killed"
        return ", ".join(told)

    def leave_nothing(self) -> str:
        self.engine.compose("down", "--volumes", "--timeout", "10")
        self.engine.remove_everything()
        left = self.engine.left()
        assert not any(left.values()), left
        mounts = subprocess.run(["findmnt", "-rno", "TARGET"], capture_output=True, text=True, check=True).stdout
        inside = [line for line in mounts.splitlines() if line.startswith(str(self.folder))]
        return f"no container, volume or network left, {len(inside)} mounts of images"
