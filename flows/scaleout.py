"""The same night on more processes or machines: Dask workers score chunks and load the rows themselves.

Chunks are independent. A worker copies a chunk's rows into the run's tables in one transaction, together with a
note that the chunk is loaded: a worker that is killed has loaded all of a chunk or none of it, and a retry adds
nothing twice. Publishing stays one transaction of the flow. Workers need the same package, the same path to the
file, and CREDITLENS_DATABASE_URL (or, on this machine, the same state folder).
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Engine

from db import registry, runs
from db.models import RUN_PARTITIONED
from db.staging import joining, staging
from flows import sources
from flows.chunks import Tally, check_chunk, require_few_rejected, sample_of, start_second_opinion
from flows.loading import encode_scored, rejection_rows
from flows.progress import reporter
from flows.services import database
from flows.settings import Settings, load_settings
from scoring.batch import Scored, score_batch
from scoring.bundle import ModelBundle
from scoring.contract import Checked


@task(retries=3, retry_delay_seconds=1, cache_policy=NO_CACHE)
def score_and_load_chunk(
    run_id: int, model_id: int, survey: sources.Survey, threads: int
) -> tuple[Checked, Scored]:
    """Check, score, explain and load the one chunk of `survey`; what was rejected, and a sample for the audit."""
    (chunk,) = survey.chunks
    settings = load_settings()
    checked = check_chunk(survey, chunk)
    bundle = _bundle(settings, model_id)
    scored = score_batch(bundle, checked.accepted, threads=threads or settings.threads)
    with database(settings) as engine, joining(engine, RUN_PARTITIONED, run_id) as tables:
        if runs.claim_chunk(tables, run_id, chunk.first_row, chunk.rows):
            for rows in encode_scored(scored):
                tables.write(rows)
    nobody = checked.accepted.take(np.array([], dtype=np.intp))
    return replace(checked, accepted=nobody), sample_of(scored, run_id, survey)


def score_on_dask(
    engine: Engine,
    run_id: int,
    survey: sources.Survey,
    model_id: int,
    bundle: ModelBundle,
    settings: Settings,
) -> tuple[Tally, dict[str, float]]:
    """Score the run's chunks on the Dask that the settings name; counts and seconds per stage."""
    seconds: dict[str, float] = {}
    tally = Tally()
    runner, threads = task_runner(settings)

    # A flow of its own, because a flow has one task runner; what it counts stays here, whatever becomes of it.
    @flow(name="chunks", task_runner=runner)
    def score_chunks() -> None:
        surveys = [_only(survey, chunk) for chunk in survey.chunks]
        futures = [score_and_load_chunk.submit(run_id, model_id, each, threads) for each in surveys]
        try:
            for chunk, future in zip(survey.chunks, futures, strict=True):
                checked, sample = future.result()
                tally.add(checked, accepted=chunk.rows - checked.rejected)
                tally.sample.append(sample)
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
        runs.record_input(engine, run_id, rejection_rows(tally.violations), tally.unknown)
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
        # While one chunk waits for Postgres, the other is computed.
        "threads_per_worker": 2,
        "processes": True,
        "host": "127.0.0.1",
        "dashboard_address": None,
    }
    return DaskTaskRunner(cluster_kwargs=cluster), max(1, settings.threads // workers)


@lru_cache(maxsize=1)
def _bundle(settings: Settings, model_id: int) -> ModelBundle:
    """The model, fetched, compared with its digest and prepared once per worker process."""
    with database(settings) as engine:
        return ModelBundle.from_bytes(*registry.artefact(engine, model_id))


def _only(survey: sources.Survey, chunk: sources.Chunk) -> sources.Survey:
    """The survey of one chunk: all that a worker needs to know of the file."""
    mine = (survey.duplicates >= chunk.first_row) & (survey.duplicates < chunk.first_row + chunk.rows)
    return replace(survey, chunks=(chunk,), duplicates=survey.duplicates[mine])
