"""The same night on more processes or machines: Dask workers score chunks and load the rows themselves.

Chunks are independent. A worker takes some that follow each other and copies their rows into the run's tables in
one transaction, together with a note that they are loaded: a worker that is killed has loaded all of them or none,
and a retry adds nothing twice. Publishing stays one transaction of the flow. Workers need the same package, the
same path to the file, and CREDITLENS_DATABASE_URL (or, on this machine, the same state folder).
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Engine

from db import registry
from db.models import RUN_PARTITIONED
from db.runs import ledger
from db.runs.partitions import joining, staging
from flows.files import applications
from flows.progress import reporter
from flows.services.database import database
from flows.settings import Settings, load_settings
from flows.steps.chunks import Tally, record_input, require_few_rejected, scoring_pipeline
from flows.steps.retries import is_connection_trouble
from flows.steps.run_policy import RunPolicy
from flows.steps.run_reasons import RunReasons
from flows.steps.run_similar import RunSimilar, run_similar
from flows.steps.second_opinion import sample_of, start_second_opinion
from scoring.bundle import ModelBundle

# Tasks cost the flow some CPU each, so a task takes several chunks of a large file and streams them as one
# process would; of a small file it takes fewer, so that every worker has something to do.
CHUNKS_PER_TASK = 8
TASKS_AT_LEAST = 8


# A worker that is lost takes no part in this: Dask gives its tasks to another one.
@task(retries=3, retry_delay_seconds=1, retry_condition_fn=is_connection_trouble, cache_policy=NO_CACHE)
def score_and_load(
    run_id: int,
    model_id: int,
    decide: RunPolicy,
    part: applications.Survey,
    chunks: int,
    threads: int,
    reasons: RunReasons | None = None,
) -> Tally:
    """Check, score, explain and load the chunks of `part`; what was counted, and a sample for the audit.

    Parameters
    ----------
    decide: the policy of the run, and the one before.
    chunks: how many the whole file has.
    threads: for explaining; 0 = the worker's own setting.
    reasons: what reasons are given by; None gives none.
    """
    settings = load_settings()
    bundle = _bundle(settings, model_id)
    tally = Tally()
    first_row, rows = part.chunks[0].first_row, sum(chunk.rows for chunk in part.chunks)
    with (
        applications.readable_here(part, settings.state / "scratch") as part_here,
        database(settings, writer=True) as engine,
        joining(engine, RUN_PARTITIONED, run_id) as tables,
    ):
        claimed = ledger.claim_chunk(tables, run_id, first_row, rows)
        pipeline = scoring_pipeline(
            part_here,
            bundle,
            decide,
            tally,
            tables if claimed else None,
            threads=threads or settings.threads,
            take_sample=partial(sample_of, run_id=run_id, chunks=chunks),
            reasons=reasons,
            similar=_similar(settings, model_id, run_id, threads or settings.threads),
        )
        for _ in pipeline:
            pass
    return tally


def score_on_dask(
    engine: Engine,
    run_id: int,
    survey: applications.Survey,
    model_id: int,
    bundle: ModelBundle,
    decide: RunPolicy,
    reasons: RunReasons,
    settings: Settings,
) -> tuple[Tally, dict[str, float]]:
    """Score the run's chunks on the Dask that the settings name; counts and seconds per stage."""
    seconds: dict[str, float] = {}
    tally = Tally()
    runner, threads = task_runner(settings)

    # A flow of its own, because a flow has one task runner; what it counts stays here, whatever becomes of it.
    @flow(name="chunks", task_runner=runner)
    def score_chunks() -> None:
        chunks = len(survey.chunks)
        futures = [
            score_and_load.submit(run_id, model_id, decide, part, chunks, threads, reasons)
            for part in parts(survey)
        ]
        try:
            for future in futures:
                tally.merge(future.result())
                reporter().update("score", tally.customers + tally.rejected, survey.rows)
                require_few_rejected(tally, survey, settings)
        except BaseException:
            for future in futures:
                future.wrapped_future.cancel()  # type: ignore[attr-defined]
            raise

    with staging(engine, RUN_PARTITIONED, run_id):
        pass
    started = time.perf_counter()
    try:
        score_chunks()
    finally:
        record_input(engine, run_id, tally)
    seconds["score and load"] = round(time.perf_counter() - started, 3)
    start_second_opinion(tally, bundle, settings)
    started = time.perf_counter()
    with joining(engine, RUN_PARTITIONED, run_id) as tables:
        tables.index()
    seconds["index"] = round(time.perf_counter() - started, 3)
    return tally, seconds


def task_runner(settings: Settings) -> tuple[Any, int]:
    """Prefect's Dask task runner for the settings, and the threads of a chunk (0 = the worker's own setting)."""
    from prefect_dask import DaskTaskRunner

    assert settings.dask is not None
    if not settings.dask.startswith("local:"):
        return DaskTaskRunner(address=settings.dask), 0
    workers = int(settings.dask.removeprefix("local:"))
    cluster = {
        "n_workers": workers,
        # A task computes while it waits for Postgres, so one at a time fills a worker.
        "threads_per_worker": 1,
        "processes": True,
        "host": "127.0.0.1",
        # A free port: with none given, each Dask of this machine asks for the same one.
        "dashboard_address": "127.0.0.1:0",
    }
    return DaskTaskRunner(cluster_kwargs=cluster), max(1, settings.threads // workers)


@lru_cache(maxsize=1)
def _bundle(settings: Settings, model_id: int) -> ModelBundle:
    """The model, fetched, compared with its digest and prepared once per worker process."""
    with database(settings, writer=True) as engine:
        return ModelBundle.from_bytes(*registry.artefact(engine, model_id))


@lru_cache(maxsize=1)
def _similar(settings: Settings, model_id: int, run_id: int, threads: int) -> RunSimilar | None:  # noqa: ARG001
    """Who applicants are compared with, laid out once per process and run: before the next, one may be erased."""
    with database(settings, writer=True) as engine:
        return run_similar(engine, model_id, _bundle(settings, model_id), threads=threads)


def parts(survey: applications.Survey) -> list[applications.Survey]:
    """The survey in parts of consecutive chunks, one a task, with all that a worker needs to know of the file."""
    chunks = len(survey.chunks)
    tasks = min(chunks, max(TASKS_AT_LEAST, -(-chunks // CHUNKS_PER_TASK)))
    bounds = [chunks * task // tasks for task in range(tasks + 1)]
    return [_only(survey, survey.chunks[start:stop]) for start, stop in pairwise(bounds)]


def _only(survey: applications.Survey, chunks: tuple[applications.Chunk, ...]) -> applications.Survey:
    first, last = chunks[0].first_row, chunks[-1].first_row + chunks[-1].rows
    mine = (survey.duplicates >= first) & (survey.duplicates < last)
    return replace(survey, chunks=chunks, duplicates=survey.duplicates[mine])
