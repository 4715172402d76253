"""`make load`: fifty advisors at full size, through the proxy, before one server of the dashboards and before two.

The proxy, Redis and a second server are started here on loopback, from the same files as in containers.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from playwright.sync_api import sync_playwright
from sqlalchemy import text

from db.server.embedded import free_port
from flows.services import prefect
from flows.services import superset as superset_service
from flows.settings import PROJECT, Settings
from tests.benchmarks.advisors import Seen, Work, at_work
from tests.benchmarks.bench_dashboards import Asked, prepare, served, settings, walk
from tests.benchmarks.measure import STATE, Result, _proportional_mb, at_most
from tests.e2e.desk import Desk, browser
from tests.nginx_server import CERTIFICATE, configure, wait_until_it_answers
from tests.superset_fixture import Superset, csrf_token, sign_in

ADVISORS = 50
SECONDS = 120
PROGRAMS = ("nginx", "redis-server", "openssl")


def missing() -> list[str]:
    """Programs that are not on this machine, in a sentence each."""
    return [
        f"{name} was not found; install it (Debian: apt-get install nginx-light redis-server openssl)."
        for name in PROGRAMS
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]


def run() -> Iterator[Result]:
    """The waiting times of fifty advisors: from the cache and without it, with one server and with two."""
    try:
        prepare()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=STATE)))
            os.environ["CREDITLENS_REDIS_URL"] = stack.enter_context(redis(folder))
            superset = stack.enter_context(served())
            work = work_of(superset)
            for servers in (1, 2):
                with ExitStack() as some:
                    ports = [int(superset.url.rsplit(":", 1)[1])]
                    ports += [some.enter_context(another_server(superset.settings)) for _ in range(servers - 1)]
                    address = some.enter_context(proxy(folder, ports))
                    trusted = ssl.create_default_context(cafile=str(folder / CERTIFICATE))
                    with client_of(superset, address, trusted) as client:
                        # Every process of the servers answers some times before anything is measured.
                        at_work(client, work, advisors=10, seconds=15, trusted=trusted, cached=False)
                        for cached, goal in ((True, 0.3), (False, 0.6)):
                            seen = at_work(
                                client, work, advisors=ADVISORS, seconds=SECONDS, trusted=trusted, cached=cached
                            )
                            yield from figures(seen, servers, cached, goal)
                    yield from memory(superset, folder, servers)
    finally:
        os.environ.pop("CREDITLENS_REDIS_URL", None)
        prefect.prefect_server(settings()).stop()
        settings().embedded().stop()


def figures(seen: Seen, servers: int, cached: bool, goal: float) -> Iterator[Result]:
    """What advisors waited for."""
    name = f"{ADVISORS} advisors, {servers} server{'s' * (servers > 1)}, {'cache' if cached else 'no cache'}"
    charts = [answer.seconds for answer in seen.answers]
    yield at_most(f"{name}: failed requests", seen.failed, "", 0)
    yield at_most(f"{name}: a chart, p95", float(np.percentile(charts, 95)), "s", goal)
    yield Result(f"{name}: a chart, median", float(np.median(charts)), "s")
    customers = float(np.percentile(seen.customers, 95))
    # The page itself, then its charts, six at a time as a browser does.
    yield (
        at_most(f"{name}: a whole customer, p95", customers, "s", 1.2)
        if cached
        else Result(f"{name}: a whole customer, p95", customers, "s")
    )
    yield Result(f"{name}: another cohort, p95", float(np.percentile(seen.cohorts, 95)), "s")
    yield Result(f"{name}: charts per second", len(charts) / SECONDS, "1/s")


def memory(superset: Superset, folder: Path, servers: int) -> Iterator[Result]:
    """What each part of the installation holds, a page that several processes share counted once."""
    state = superset.settings.state
    roots = {
        "Postgres": [int((state / "postgres" / "data" / "postmaster.pid").read_text().split()[0])],
        "Prefect": [prefect.prefect_server(superset.settings).pid()],
        "Superset": [superset_service.server(superset.settings).pid(), *(read_pids(STATE, "superset"))],
        "proxy": read_pids(folder, "nginx"),
        "Redis": read_pids(folder, "redis"),
    }
    whole = 0.0
    for name, pids in roots.items():
        found = [psutil.Process(pid) for pid in pids if pid is not None and psutil.pid_exists(pid)]
        family = {process.pid for root in found for process in (root, *root.children(recursive=True))}
        held = sum(map(_proportional_mb, family))
        whole += held
        yield Result(f"{ADVISORS} advisors, {servers} server{'s' * (servers > 1)}: memory of {name}", held, "MB")
    yield Result(f"{ADVISORS} advisors, {servers} server{'s' * (servers > 1)}: memory of all", whole, "MB")


# --- what advisors ask for ----------------------------------------------------------------------------------------


def work_of(superset: Superset) -> Work:
    """What a browser asks for when an advisor opens a file and a comparison."""
    with superset.engine.connect() as connection:
        ids = list(connection.scalars(text("SELECT customer_id FROM reporting.worklist")))
        options: dict[str, list[str]] = defaultdict(list)
        for attribute, label in connection.execute(
            text("SELECT attribute, label_en FROM reporting.cohort_option ORDER BY attribute, code")
        ):
            options[f"cohort_{attribute}_en"].append(label)
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        browser(playwright, Path(profile), 1600, 1000) as context,
    ):
        desk = Desk(context.pages[0], superset.url)
        desk.sign_in("advisor", superset.users["advisor"])
        asked: Sequence[Asked] = walk(desk, ids[0], {"customer-en": [], "compare-en": []})
    bodies = {
        slug: [json.dumps(each.body) for each in asked if each.slug == slug]
        for slug in ("customer-en", "compare-en")
    }
    return Work(bodies["customer-en"], bodies["compare-en"], options, ids)


@contextmanager
def client_of(superset: Superset, address: str, trusted: ssl.SSLContext) -> Iterator[httpx.Client]:
    """The advisor, signed in through the proxy."""
    # Over TLS, who sends a form says where it stood.
    headers = {"Referer": f"{address}/"}
    with httpx.Client(base_url=address, timeout=60, trust_env=False, verify=trusted, headers=headers) as client:
        sign_in(client, "advisor", superset.users["advisor"])
        client.headers["X-CSRFToken"] = csrf_token(client, "/dashboard/list/")
        yield client


# --- what stands around the dashboards ----------------------------------------------------------------------------


@contextmanager
def started(
    folder: Path, name: str, command: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[None]:
    """A program in the background, with its log and process number in the folder."""
    with (folder / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=log, stderr=subprocess.STDOUT, cwd=PROJECT
        )
    (folder / f"{name}-{process.pid}.pid").touch()
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        (folder / f"{name}-{process.pid}.pid").unlink()


def read_pids(folder: Path, name: str) -> list[int]:
    return [int(file.stem.split("-")[-1]) for file in folder.glob(f"{name}-*.pid")]


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis in memory; its address."""
    port = free_port(None)
    settings_file = PROJECT / "superset_assets" / "proxy" / "redis.conf"
    with started(folder, "redis", ["redis-server", str(settings_file), "--port", str(port), "--bind", "127.0.0.1"]):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def another_server(installed: Settings) -> Iterator[int]:
    """One more server of the same dashboards; its port."""
    port = free_port(None)
    environment = {**superset_service._environment(installed), **superset_service._bind(installed, port)}
    with started(STATE, "superset", superset_service._server_command(), environment):
        deadline = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/health"):
            assert time.monotonic() < deadline, (STATE / "superset.log").read_text()[-2000:]
            time.sleep(0.5)
        yield port


def answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def proxy(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """nginx with the configuration of the containers before some servers; its address."""
    port, plain = free_port(None), free_port(None)
    with started(folder, "nginx", configure(folder, port, plain, ports)):
        wait_until_it_answers(plain, folder)
        yield f"https://localhost:{port}"
