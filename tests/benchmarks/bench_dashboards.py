"""The dashboards at full size: a real Superset over 30 nights, in a real browser, by SQL, for many at once.

Queries are the very ones that the browser asked for, as Superset writes them, timed as the role that it asks with.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
from playwright.sync_api import Request, sync_playwright
from sqlalchemy import Connection, Table, func, insert, literal, select, text

from db import models, registry
from db.access.roles import DASHBOARD
from db.engine import transaction
from db.models import past_score, score, scoring_run
from flows.services import database, prefect
from flows.services import superset as superset_service
from flows.settings import Settings
from tests.benchmarks import bench_night, stock_page
from tests.benchmarks.many_users import many_users
from tests.benchmarks.measure import STATE, Result, at_most, command
from tests.e2e.desk import Desk, browser
from tests.superset_fixture import Superset

NIGHTS = 30
CHANGES = 10
OPENS = 5
TABS = {
    "worklist-en": [],
    "customer-en": ["All features", "What if", "History"],
    "compare-en": [],
    "portfolio-en": ["Drift", "Features", "Data quality", "Model", "Policy", "Runs", "Decisions"],
}
PREDECESSOR = ("credit", "age", "annuity_income")
STATISTICS = (
    models.run_check,
    models.run_summary,
    models.run_score,
    models.run_feature,
    models.run_feature_bin,
)


# --- thirty nights ------------------------------------------------------------------------------------------------


def settings() -> Settings:
    """An installation of its own: thirty nights that end today would stand in the way of those of other parts."""
    return Settings(state=STATE / "dashboards", database_url=None)


def prepare() -> None:
    """Full size: all former customers, and thirty nights of which three really ran; made once."""
    former, new = bench_night.prepare(settings())
    first = settings().today() - timedelta(days=NIGHTS - 1)
    with database.database(settings()) as engine:
        if registry.current_model(engine) is None:
            bench_night.install_heavy_model(former, settings())
        with engine.connect() as connection:
            ready = connection.scalar(
                select(func.count()).select_from(scoring_run).where(scoring_run.c.status == "published")
            )
        if ready and ready >= NIGHTS:
            return
        night(new, first)
        with transaction(engine) as connection:
            repeat_first_night(connection, first)
    changed = new.with_name("application_test_before.csv")
    pl.read_csv(new).with_columns((pl.col("AMT_CREDIT") * 1.05).round(1)).write_csv(changed)
    night(changed, first + timedelta(days=NIGHTS - 2))
    night(new, first + timedelta(days=NIGHTS - 1))
    with database.database(settings()) as engine, engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def night(file: Path, as_of: date) -> None:
    """One night by the real command."""
    environment = {"CREDITLENS_STATE": str(settings().state), "CREDITLENS_RETAINED_RUNS": "2"}
    command("nightly", "--force", "--applications", str(file), "--as-of", str(as_of), **environment)


def repeat_first_night(connection: Connection, first: date) -> None:
    """The nights between the first and the last two, as nights whose details were retired leave them."""
    run_id = connection.scalar(select(scoring_run.c.run_id).where(scoring_run.c.as_of == first))
    assert run_id is not None
    for days in range(1, NIGHTS - 2):
        copy_of = {"as_of": literal(first + timedelta(days=days)), "retired_at": func.clock_timestamp()}
        (other,) = copied(connection, scoring_run, run_id, copy_of, leave_out=("run_id",))
        for table in STATISTICS:
            copied(connection, table, run_id, {"run_id": literal(other)})
        names = [column.name for column in past_score.columns]
        shifted: dict[str, Any] = {
            "run_id": literal(other),
            "score": func.greatest(0, func.least(100, score.c.score + days % 3 - 1)),
        }
        rows = select(*[shifted.get(name, score.c[name]) for name in names]).where(score.c.run_id == run_id)
        connection.execute(insert(past_score).from_select(names, rows))


def copied(
    connection: Connection, table: Table, run_id: int, other: Mapping[str, Any], leave_out: Sequence[str] = ()
) -> list[int]:
    """Copy a run's rows of a table with other values in some columns; the run of each copy."""
    names = [column.name for column in table.columns if column.name not in leave_out]
    rows = select(*[other.get(name, table.c[name]) for name in names]).where(table.c.run_id == run_id)
    return list(connection.scalars(insert(table).from_select(names, rows).returning(table.c.run_id)))


# --- in the browser -----------------------------------------------------------------------------------------------


@contextmanager
def served() -> Iterator[Superset]:
    """The dashboards over the benchmark's database."""
    installed = settings()
    found = superset_service.set_up(installed)
    with database.database(installed) as engine:
        made = Superset(found.url, found.users, engine, installed)
        try:
            yield made
        finally:
            made.close()
            superset_service.server(installed).stop()


@dataclass(frozen=True)
class Asked:
    """What a chart of a dashboard asked Superset for."""

    slug: str
    title: str
    body: dict[str, Any]


DRAWN = "() => [window.__probe.drawn, window.__probe.asked]"
TITLES = """
charts => charts.map(chart => [chart.dataset.testChartId, chart.dataset.testChartName])
"""


def in_the_browser(superset: Superset, customers: Iterator[int]) -> tuple[list[Result], list[Asked]]:
    """Seconds to the last chart drawn, and what every chart of every tab asked."""
    with sync_playwright() as playwright:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            browser(playwright, Path(folder), 1600, 1000) as context,
        ):
            desk = Desk(context.pages[0], superset.url)
            desk.sign_in("advisor", superset.users["advisor"])
            cookies = context.cookies()
            # Each process of the server answers a few times before anything is measured.
            for _ in range(4):
                desk.open("customer-en", next(customers))
            opens = [seconds_to_open(desk, next(customers)) for _ in range(OPENS)]
            changes = [change(desk, next(customers)) for _ in range(CHANGES)]
            asked = walk(desk, next(customers))
        first = []
        for _ in range(3):
            with (
                tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
                browser(playwright, Path(folder), 1600, 1000) as context,
            ):
                context.add_cookies(cookies)  # type: ignore[arg-type]
                first.append(seconds_to_open(Desk(context.pages[0], superset.url), next(customers)))
    seconds = [each for each, _ in changes]
    print("opens", rounded(opens), "with an empty browser", rounded(first), "changes", rounded(seconds), flush=True)
    return [
        Result("customer file: another customer, median of ten", float(np.median(seconds)), "s"),
        Result("customer file: another customer, slowest of ten", max(seconds), "s"),
        Result("customer file: first open, warm server", float(np.median(opens)), "s"),
        Result("customer file: the same in a browser that was never there", float(np.median(first)), "s"),
        at_most("customer file: data requests for one customer", max(count for _, count in changes), "", 7),
    ], asked


def beside_a_stock_page(superset: Superset, customers: Iterator[int]) -> Iterator[Result]:
    """A customer's file and a stock page, opened in turns by one user."""
    taken: dict[str, list[float]] = {"customer-en": [], stock_page.SLUG: []}
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        browser(playwright, Path(folder), 1600, 1000) as context,
    ):
        desk = Desk(context.pages[0], superset.url)
        # Only who may see everything may see a page that is not ours.
        desk.sign_in("admin", superset.users["admin"])
        for turn in range(2 + OPENS):
            for slug, seconds in taken.items():
                desk.open(slug, next(customers) if slug == "customer-en" else None)
                if turn >= 2:
                    seconds.append(float(desk.page.evaluate(DRAWN)[0]) / 1000)
    ours, stock = (float(np.median(seconds)) for seconds in taken.values())
    yield Result(f"stock page of {stock_page.CHARTS} tables: first open", stock, "s")
    yield at_most("customer file / stock page, same user", ours / stock, "times", 1.3)


def rounded(seconds: Sequence[float]) -> list[float]:
    return [round(each, 2) for each in seconds]


def seconds_to_open(desk: Desk, customer_id: int) -> float:
    """From asking for the page to the last chart drawn."""
    desk.open("customer-en", customer_id)
    return float(desk.page.evaluate(DRAWN)[0]) / 1000


def change(desk: Desk, customer_id: int) -> tuple[float, int]:
    """Seconds from Enter to the last chart drawn, and how often data was asked for."""
    desk.page.fill("#creditlens-number", str(customer_id))
    began = time.time()
    with desk.page.expect_navigation():
        desk.page.keyboard.press("Enter")
    desk.arrive()
    drawn, asked = desk.page.evaluate(DRAWN)
    return float(desk.page.evaluate("performance.timeOrigin") + drawn) / 1000 - began, asked


def walk(desk: Desk, customer_id: int, pages: Mapping[str, Sequence[str]] = TABS) -> list[Asked]:
    """Look at every tab of some dashboards, by their slugs; what each chart asked."""
    bodies: dict[tuple[str, str], dict[str, Any]] = {}
    titles: dict[tuple[str, str], str] = {}
    slug = ""

    def keep(request: Request) -> None:
        if found := re.search(r"/chart/data\?form_data=%7B%22slice_id%22%3A(\d+)", request.url):
            bodies[slug, found[1]] = request.post_data_json

    desk.page.on("request", keep)
    for slug, tabs in pages.items():
        desk.open(slug, customer_id if slug.startswith(("customer", "compare")) else None)
        for tab in [None, *tabs]:
            if tab is not None:
                desk.tab(tab)
            desk.page.set_viewport_size({"width": 1600, "height": 2400})
            desk.settle()
            for number, title in desk.page.locator("[data-test-chart-name]").evaluate_all(TITLES):
                titles[slug, number] = title
            desk.page.set_viewport_size({"width": 1600, "height": 1000})
    return [Asked(slug, titles[slug, number], body) for (slug, number), body in bodies.items()]


# --- in the database ----------------------------------------------------------------------------------------------


def queries(superset: Superset, asked: Sequence[Asked]) -> list[tuple[Asked, list[str]]]:
    """The SQL that Superset makes of what each chart asked."""
    client = superset.client("admin")
    made = []
    for each in asked:
        answer = client.post("/api/v1/chart/data", json={**each.body, "result_type": "query"})
        assert answer.status_code == 200, (each.title, answer.text)
        made.append((each, [result["query"] for result in answer.json()["result"]]))
    return made


def timed(reader: psycopg.Connection[Any], statements: Sequence[str]) -> float:
    """Milliseconds of what one chart asks."""
    started = time.perf_counter()
    for statement in statements:
        reader.execute(statement.encode()).fetchall()
    return 1000 * (time.perf_counter() - started)


def in_the_database(
    superset: Superset, asked: Sequence[Asked], customers: Iterator[int], rng: np.random.Generator
) -> list[Result]:
    """Each chart's query for many customers, the comparison for many cohorts, as the role that dashboards have."""
    made = queries(superset, asked)
    options: dict[str, list[str]] = defaultdict(list)
    with psycopg.connect(database.reader_url(superset.settings, DASHBOARD), autocommit=True) as reader:
        found = reader.execute("SELECT attribute, label_en FROM reporting.cohort_option ORDER BY attribute, code")
        for attribute, label in found:
            options[attribute].append(label)
        milliseconds = {}
        for each, statements in made:
            timed(reader, statements)
            milliseconds[f"{each.slug}: {each.title}"] = [
                timed(reader, for_customer(statements, next(customers))) for _ in range(40)
            ]
        compared = [statements for each, statements in made if each.slug.startswith("compare")]
        comparison: dict[str, list[float]] = {}
        for name, attributes in (("the predecessor's", PREDECESSOR), ("any combination of", tuple(options))):
            for _ in range(60):
                customer_id = next(customers)
                chosen = {key: str(rng.choice(options[key])) for key in attributes}
                each_chart = [timed(reader, for_cohort(for_customer(one, customer_id), chosen)) for one in compared]
                comparison.setdefault(name, []).append(max(each_chart))
    slowest = {name: float(np.percentile(all_, 95)) for name, all_ in milliseconds.items()}
    for name, value in sorted(slowest.items(), key=lambda item: -item[1]):
        print(f"{value:8.1f} ms  {name}", flush=True)
    worst = max(slowest, key=lambda name: slowest[name])
    return [
        at_most(f"query of any chart, p95 of the slowest ({worst})", slowest[worst], "ms", 100),
        *(
            at_most(
                f"comparison by {name} filters, slowest chart, p95",
                float(np.percentile(comparison[name], 95)),
                "ms",
                goal,
            )
            for name, goal in (("the predecessor's", 150), ("any combination of", 500))
        ),
    ]


def for_customer(statements: Sequence[str], customer_id: int) -> list[str]:
    """The same queries about another customer."""
    return [re.sub(r"customer_id = \d+", f"customer_id = {customer_id}", statement) for statement in statements]


def for_cohort(statements: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """The same queries about other former customers."""
    for key, label in chosen.items():
        everybody = f"cohort_{key}_en IN ('All')"
        some = f"cohort_{key}_en IN ('{label.replace(chr(39), 2 * chr(39))}')"
        assert any(everybody in statement for statement in statements), statements
        statements = [statement.replace(everybody, some) for statement in statements]
    return list(statements)


def run() -> Iterator[Result]:
    """All figures of the dashboards, those of each look as soon as they are known."""
    rng = np.random.default_rng(4)
    try:
        prepare()
        with served() as superset:
            with superset.engine.connect() as connection:
                ids = list(connection.scalars(text("SELECT customer_id FROM reporting.worklist")))
            customers = iter(rng.permutation(ids).tolist())
            results, asked = in_the_browser(superset, customers)
            yield from results
            yield from in_the_database(superset, asked, customers, rng)
            bodies = [json.dumps(each.body) for each in asked if each.slug == "customer-en"]
            stock = stock_page.make_stock_page(superset)
            try:
                yield from beside_a_stock_page(superset, customers)
                yield from many_users(superset, bodies[: stock_page.CHARTS], ids, stock)
            finally:
                stock_page.remove(superset)
    finally:
        prefect.prefect_server(settings()).stop()
        settings().embedded().stop()
