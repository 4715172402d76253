"""How the night grows: beside a bare COPY, with one row a customer, per million customers, from one core to two."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from psycopg import Connection
from sqlalchemy import text

from db.engine import driver, transaction
from db.models import shap_value
from db.runs.copy import HEADER, TRAILER, encode
from flows.files import applications
from flows.services import database, prefect
from flows.steps.chunks import check_chunk
from flows.steps.rows import shap_columns
from scoring.batch import Scored, score_batch
from scoring.bundle import ModelBundle
from tests.benchmarks import bench_night
from tests.benchmarks.measure import NEW_CUSTOMERS, STATE, Measured, Result, at_least, at_most, command

LARGE_CUSTOMERS = 10 * NEW_CUSTOMERS
PAGES = 200
# Type numbers of Postgres: smallint, real, double precision.
INT2, FLOAT4, FLOAT8 = 21, 700, 701


def run() -> Iterator[Result]:
    """All figures, each as soon as it is known."""
    former, new = bench_night.prepare()
    bundle = bench_night.install_heavy_model(former)
    large = bench_night.ten_times()
    yield from layouts(scored_batches(new, bundle))
    yield from costs(new, large)
    yield from strong_scaling(new, large)


# --- how the long rows lie --------------------------------------------------------------------------------------


def scored_batches(new: Path, bundle: ModelBundle) -> list[Scored]:
    """All applications, scored and explained, in chunks as a night has them."""
    survey = applications.survey(new, chunk_rows=4_096, scratch=STATE / "scratch")
    reader = applications.Reader(survey)
    return [score_batch(bundle, check_chunk(reader, chunk).accepted, threads=2) for chunk in survey.chunks]


def layouts(batches: Sequence[Scored]) -> Iterator[Result]:
    """Long rows and one row a customer: load, size, a customer's page, an analyst's sum; and a bare COPY."""
    with (
        database.database(bench_night.settings()) as engine,
        transaction(engine) as connection,
    ):
        server = driver(connection)
        long = [bytes(encode(shap_value, shap_columns(batch)).data) for batch in batches]
        kinds = (
            "customer_id int, feature_id int2, numeric_value float8, category_code int2, contribution real,"
            " rank int2"
        )
        rows = sum(batch.contributions.size for batch in batches)
        started = time.perf_counter()
        arrays = [customer_rows(batch) for batch in batches]
        yield Result("one row a customer: encoding it", time.perf_counter() - started, "s")
        array_kinds = (
            "customer_id int, numeric_value float8[], category_code int2[], contribution real[], rank int2[]"
        )
        bare, whole, of_arrays = [], [], []
        # In turns, and the fastest of three: whatever else the machine does slows all of them.
        for _ in range(3):
            server.execute("DROP TABLE IF EXISTS credit.bench_bare, credit.bench_long, credit.bench_arrays")
            bare.append(loaded(server, "UNLOGGED TABLE credit.bench_bare", kinds, long))
            whole.append(loaded(server, "TABLE credit.bench_long", kinds, long, index=True))
            of_arrays.append(loaded(server, "TABLE credit.bench_arrays", array_kinds, arrays, index=True))
        yield Result("bare COPY of the long rows into an unlogged table without index", rows / min(bare), "rows/s")
        yield at_least("long rows with their index / the bare COPY", min(bare) / min(whole), "x", 0.5)
        yield Result(
            "one row a customer: load with its index / long rows", min(whole) / min(of_arrays), "times faster"
        )
        server.execute("ANALYZE credit.bench_long")
        server.execute("ANALYZE credit.bench_arrays")
        sizes = [
            server.execute("SELECT pg_total_relation_size(%s::regclass)", [f"credit.{name}"]).fetchone()
            for name in ("bench_long", "bench_arrays")
        ]
        (long_bytes,), (array_bytes,) = (size for size in sizes if size is not None)
        customers = sum(len(batch.contributions) for batch in batches)
        yield Result("long rows: size for each customer, indexes included", long_bytes / customers / 1000, "kB")
        yield Result("one row a customer: its size", array_bytes / customers / 1000, "kB")
        ids = np.random.default_rng(5).choice(np.concatenate([b.applications.customer_id for b in batches]), PAGES)
        for what, query in PAGE.items():
            yield Result(f"{what}: a customer's explanation", median_ms(server, query, ids.tolist()), "ms")
        for what, query in SUM.items():
            yield Result(f"{what}: mean contribution of each feature", median_ms(server, query, [None] * 3), "ms")
        connection.rollback()


PAGE = {
    "long rows": "SELECT feature_id, numeric_value, category_code, contribution, rank FROM credit.bench_long"
    " WHERE customer_id = %s ORDER BY rank",
    "one row a customer": "SELECT u.* FROM credit.bench_arrays AS a, LATERAL unnest(numeric_value, category_code,"
    " contribution, rank) WITH ORDINALITY AS u (numeric_value, category_code, contribution, rank, feature_id)"
    " WHERE customer_id = %s ORDER BY u.rank",
}
SUM = {
    "long rows": "SELECT feature_id, avg(abs(contribution)) FROM credit.bench_long GROUP BY 1",
    "one row a customer": "SELECT u.feature_id, avg(abs(u.contribution)) FROM credit.bench_arrays AS a,"
    " LATERAL unnest(contribution) WITH ORDINALITY AS u (contribution, feature_id) GROUP BY 1",
}


def loaded(
    server: Connection[Any], table: str, columns: str, parts: Sequence[bytes], *, index: bool = False
) -> float:
    """Seconds of making a table, one binary COPY into it and its index, if it is to have one."""
    started = time.perf_counter()
    name = table.split()[-1]
    server.execute(f"CREATE {table} ({columns})".encode())
    with (
        server.cursor() as cursor,
        cursor.copy(f"COPY {name} FROM STDIN (FORMAT binary{', FREEZE' if index else ''})".encode()) as copy,
    ):
        copy.write(HEADER)
        for part in parts:
            copy.write(part)
        copy.write(TRAILER)
    if index:
        server.execute(f"CREATE INDEX ON {name} (customer_id)".encode())
    return time.perf_counter() - started


def customer_rows(scored: Scored) -> bytes:
    """A row for each customer in Postgres' binary format, with four arrays in the dictionary's order.

    A missing number is NaN in its array, and a missing category -1: a null would cost each row its fixed width.
    """
    values, codes = scored.values, np.broadcast_to(scored.coded, scored.values.shape)
    missing = np.isnan(values)
    columns: tuple[tuple[int, NDArray[Any]], ...] = (
        (FLOAT8, np.where(codes, np.nan, values).astype(">f8")),
        (INT2, np.where(missing | ~codes, -1, values).astype(">i2")),
        (FLOAT4, scored.contributions.astype(">f4")),
        (INT2, scored.rank.astype(">i2")),
    )
    count = values.shape[1]
    head = [
        ("length", ">i4"),
        ("dimensions", ">i4"),
        ("nulls", ">i4"),
        ("type", ">i4"),
        ("count", ">i4"),
        ("from", ">i4"),
    ]
    layout: list[Any] = [("fields", ">i2"), ("id_length", ">i4"), ("id", ">i4")]
    for number, (_, array) in enumerate(columns):
        element = [("length", ">i4"), ("value", array.dtype.str)]
        layout.append((f"array{number}", [*head, ("elements", element, (count,))]))
    rows = np.zeros(len(values), dtype=layout)
    rows["fields"], rows["id_length"], rows["id"] = 1 + len(columns), 4, scored.applications.customer_id
    for number, (kind, array) in enumerate(columns):
        field, width = rows[f"array{number}"], array.dtype.itemsize
        field["length"], field["dimensions"], field["type"] = 20 + count * (4 + width), 1, kind
        field["count"], field["from"] = count, 1
        field["elements"]["length"], field["elements"]["value"] = width, array
    return rows.tobytes()


def median_ms(server: Connection[Any], query: str, ids: Sequence[int | None]) -> float:
    """Median of the milliseconds of a query, for one customer after the other."""
    taken = []
    for customer_id in ids:
        started = time.perf_counter()
        server.execute(query.encode(), None if customer_id is None else [customer_id]).fetchall()
        taken.append(1000 * (time.perf_counter() - started))
    return float(np.median(taken))


# --- what a million customers cost ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Of one night: seconds of processors, bytes of the write-ahead log, bytes that its tables keep."""

    measured: Measured
    job_seconds: float
    server_seconds: float
    wal_bytes: int
    table_bytes: int


def cost_of(file: Path) -> Cost:
    """One night, with the processors' seconds of its process and of its Postgres server.

    A server's process counts its children's seconds once they have ended, as the night's connections have.
    """
    server = bench_night.settings().embedded()
    with database.database(bench_night.settings()) as engine:
        before, log = postgres_seconds(server.data), wal_bytes(engine)
        children = os.times()
        measured = command("nightly", "--force", "--applications", str(file), CREDITLENS_RETAINED_RUNS="2")
        after = os.times()
        job = after.children_user + after.children_system - children.children_user - children.children_system
        with engine.connect() as connection:
            size = connection.scalar(
                text(
                    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c WHERE c.relkind = 'r'"
                    " AND c.relname LIKE '%\\_r' || lpad(:run, 8, '0')"
                ),
                {"run": str(measured.answer["run_id"])},
            )
        return Cost(measured, job, postgres_seconds(server.data) - before, wal_bytes(engine) - log, int(size or 0))


def postgres_seconds(data: Path) -> float:
    """Seconds of processors that a server and all its processes have used so far."""
    postmaster = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
    own = postmaster.cpu_times()
    living = [child.cpu_times() for child in postmaster.children()]
    ended = own.children_user + own.children_system
    return own.user + own.system + ended + sum(times.user + times.system for times in living)


def wal_bytes(engine: Any) -> int:
    """Where the write-ahead log ends."""
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")))


def costs(new: Path, large: Path) -> Iterator[Result]:
    """What a night takes for each million customers, of two sizes."""
    command("nightly", "--force", "--applications", str(new), CREDITLENS_RETAINED_RUNS="2")
    for file, customers in ((new, NEW_CUSTOMERS), (large, LARGE_CUSTOMERS)):
        cost, millions = cost_of(file), customers / 1e6
        name = f"a million customers, from {customers:,}"
        seconds, _ = bench_night.file_to_published(cost.measured)
        yield Result(f"{name}: file to published", seconds / millions, "s")
        yield Result(f"{name}: processor seconds of the night", cost.job_seconds / millions, "s")
        yield Result(f"{name}: processor seconds of Postgres", cost.server_seconds / millions, "s")
        yield Result(f"{name}: tables and indexes", cost.table_bytes / millions / 1e9, "GB")
        yield Result(f"{name}: write-ahead log", cost.wal_bytes / millions / 1e9, "GB")
        yield Result(f"{customers:,} customers: peak memory of the night's process", cost.measured.peak_mb, "MB")


# --- from one core to two ---------------------------------------------------------------------------------------


def strong_scaling(new: Path, large: Path) -> Iterator[Result]:
    """The same large night with everything on one core, then with everything on two.

    Everything: the night, Dask's scheduler and workers, Postgres and Prefect. With one worker a core.
    """
    seconds: dict[int, float] = {}
    for cores in (1, 2):
        with on_cores(cores):
            measured = bench_night.on_workers(cores, new, large)
            seconds[cores], stages = bench_night.file_to_published(measured)
        yield Result(
            f"{cores} core(s) for everything, a Dask worker each, {LARGE_CUSTOMERS:,} customers",
            seconds[cores],
            "s",
        )
        yield from (
            Result(f"{cores} core(s), a Dask worker each: {name}, busy", value, "s")
            for name, value in sorted(stages.items(), key=lambda item: -item[1])[:5]
        )
    yield at_least("two cores / one, Dask workers", seconds[1] / seconds[2], "times faster", 1.6)
    spread = seconds[2]
    for cores in (1, 2):
        with on_cores(cores):
            measured = command(
                "nightly", "--force", "--applications", str(large),
                CREDITLENS_RETAINED_RUNS="2", CREDITLENS_THREADS=str(cores),
            )  # fmt: skip
            seconds[cores], _ = bench_night.file_to_published(measured)
    yield at_least("two cores / one, one process", seconds[1] / seconds[2], "times faster", 1.6)
    yield at_most("two Dask workers / one process, on two cores", spread / seconds[2], "times", 1.2)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """This process, what it starts, and the benchmark's servers on the first `count` cores, for the block."""
    allowed = sorted(os.sched_getaffinity(0))
    installed = bench_night.settings()
    postmaster = int((installed.embedded().data / "postmaster.pid").read_text().split()[0])
    servers = [psutil.Process(pid) for pid in (postmaster, prefect.prefect_server(installed).pid()) if pid]
    family = [*servers, *(child for server in servers for child in server.children(recursive=True))]

    def pin(cores: list[int]) -> None:
        os.sched_setaffinity(0, cores)
        for process in family:
            if process.is_running():
                process.cpu_affinity(cores)

    pin(allowed[:count])
    try:
        yield
    finally:
        pin(allowed)
