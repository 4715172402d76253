"""The whole night at full size, beside the plain way, in one run on one machine.

Both use the same heavy model (1,000 trees of 31 leaves), so that the comparison is of ways, not of models. The
plain way is what a user would write: pandas, shap.TreeExplainer, DataFrame.to_sql. Its last two steps are linear
in rows and are measured on a stated sample and scaled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from db import registry
from db.engine import driver, psql_url, transaction
from db.models import shap_value
from db.runs import ledger
from db.runs.copy import encode
from db.runs.partitions import attach, staging
from flows.files import applications
from flows.files.samples import write_applications, write_sample
from flows.services import database, prefect
from flows.settings import Settings
from flows.steps.chunks import check_chunk
from flows.steps.rows import cohort_rows, former_distributions, load_former, shap_columns
from flows.steps.stages import Pipeline
from scoring.baseline import Baseline
from scoring.batch import score_batch
from scoring.bundle import ModelBundle, digest
from scoring.cohort import cohorts
from scoring.contract import Applications, check_rows
from scoring.fitting import Fitter, Limits
from scoring.policy import default_policy
from scoring.preprocess import Preprocessing, explained_features
from scoring.scorecard import quantiles
from tests.benchmarks.measure import (
    FORMER_CUSTOMERS,
    NEW_CUSTOMERS,
    STATE,
    Measured,
    Result,
    at_least,
    at_most,
    command,
)

SHAP_SAMPLE = 1_000
TO_SQL_SAMPLE = 300_000
HEAVY = {"max_depth": -1, "num_leaves": 31, "trees": 1000, "learning_rate": 0.02, "feature_fraction": 0.3}


def settings() -> Settings:
    """The benchmark's own installation."""
    return Settings(state=STATE, database_url=None)


def prepare(installed: Settings | None = None) -> tuple[Path, Path]:
    """Full-size files (made once), a database of its own, a Prefect server; in our own installation or another."""
    installed = installed or settings()
    former, new = STATE / "data" / "application_train.csv", STATE / "data" / "application_test.csv"
    if not new.exists():
        print(f"Making {FORMER_CUSTOMERS:,} former and {NEW_CUSTOMERS:,} new customers ...", flush=True)
        write_sample(STATE / "data", former=FORMER_CUSTOMERS, new=NEW_CUSTOMERS)
    command("migrate", CREDITLENS_STATE=str(installed.state))
    prefect.start_prefect(installed)
    prefect.wait_for_prefect(installed)
    return former, new


def ten_times() -> Path:
    """A file of ten times the customers, made once."""
    file = STATE / "data10" / "application_test.csv"
    if not file.exists():
        print(f"Making {10 * NEW_CUSTOMERS:,} new customers ...", flush=True)
        write_applications(file, rows=10 * NEW_CUSTOMERS, first_id=1_000_001, labelled=False, seed=7)
    return file


def install_heavy_model(former: Path, installed: Settings | None = None) -> ModelBundle:
    """Train the heavy model on a part of the former customers, and make it the current one."""
    everybody = read(former)
    assert everybody.target is not None
    preprocessing, policy = Preprocessing.fit(everybody.values), default_policy()
    matrix, limits = preprocessing.transform(everybody.values), Limits.of(policy, preprocessing)
    limits.blank(matrix)
    fitter, some = Fitter(threads=2, seed=0, directions=limits.directions), np.arange(0, len(everybody), 10)
    booster = fitter.fit(matrix[some], everybody.target[some], HEAVY)
    log_odds = fitter.log_odds(booster, matrix)
    bundle = ModelBundle(
        booster_text=booster.model_to_string(num_iteration=-1),
        preprocessing=preprocessing,
        base_value=float(booster.predict(matrix[:1], pred_contrib=True)[0, -1]),
        parameters=HEAVY,
        metrics={"auc": 0.0, "gini": 0.0, "ks": 0.0, "brier": 0.0},
        reference_log_odds=tuple(quantiles(log_odds)),
        baseline=Baseline.fit(everybody.values, log_odds),
        policy={
            "sha256": policy.sha256,
            "barred": list(policy.barred),
            "directions": dict(policy.directions),
        },
    )
    install(bundle, everybody, log_odds, installed or settings())
    return bundle


def read(former: Path) -> Applications:
    """All former customers of a file."""
    survey = applications.survey(former, chunk_rows=50_000, scratch=STATE / "scratch", labelled=True)
    parts = [
        check_rows(frame, first_row=chunk.first_row, labelled=True).accepted
        for chunk, frame, _ in applications.batches(survey)
    ]
    return Applications.concatenate(parts)


def install(
    bundle: ModelBundle, everybody: Applications, log_odds: NDArray[np.float64], installed: Settings
) -> None:
    """Load a model's former customers and make it the current one, without a search for similar customers."""
    artefact = bundle.to_bytes()
    with database.database(installed) as engine:
        model_id = registry.register(
            engine,
            training_rows=len(everybody),
            training_sha256=digest(everybody.customer_id.tobytes()),
            base_value=bundle.base_value,
            parameters=bundle.parameters,
            metrics=bundle.metrics,
            feature_set=bundle.feature_set,
            artefact=artefact,
            artefact_sha256=digest(artefact),
        )
        if not registry.has_former_customers(engine, model_id):
            started = time.perf_counter()
            with registry.former_customers(engine, model_id) as tables:
                load_former(tables, everybody, log_odds)
                tables.index()
            print(
                f"{len(everybody):,} former customers loaded in {time.perf_counter() - started:.1f} s", flush=True
            )
        distributions, categories = former_distributions(everybody)
        registry.promote(
            engine,
            model_id,
            distributions=distributions,
            categories=categories,
            cohorts=cohort_rows(cohorts(everybody, log_odds)),
        )


def plain_way(new: Path, bundle: ModelBundle) -> dict[str, float]:
    """Seconds per step of what a user would write, the last two scaled from a sample."""
    import shap
    import sqlalchemy

    seconds: dict[str, float] = {}
    started = time.perf_counter()
    frame = pd.read_csv(new)
    encoded = pd.get_dummies(frame)
    encoded["CREDIT_TERM"] = encoded["AMT_CREDIT"] / encoded["AMT_ANNUITY"]
    assert len(encoded) == len(frame)
    # The same matrix as ours, so that the model can be the same.
    checked = check_rows(pl.read_csv(new, infer_schema=False), first_row=1, labelled=False).accepted
    matrix = bundle.preprocessing.transform(checked.values)
    seconds["read and preprocess"] = time.perf_counter() - started

    booster = lightgbm.Booster(model_str=bundle.booster_text)
    started = time.perf_counter()
    booster.predict(matrix)
    seconds["predict"] = time.perf_counter() - started

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = shap.TreeExplainer(booster)
        started = time.perf_counter()
        values = np.asarray(explainer.shap_values(matrix[:SHAP_SAMPLE]))
    seconds["shap.TreeExplainer"] = (time.perf_counter() - started) * len(matrix) / SHAP_SAMPLE

    names = [feature.name for feature in explained_features()]
    long = pd.DataFrame(
        {
            "customer_id": np.repeat(checked.customer_id, len(names))[:TO_SQL_SAMPLE],
            "feature": np.tile(np.arange(len(names)), len(checked))[:TO_SQL_SAMPLE],
            "value": np.random.default_rng(0).random(TO_SQL_SAMPLE),
            "contribution": np.resize(values.ravel(), TO_SQL_SAMPLE),
        }
    )
    url = psql_url(settings().embedded().url()).replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    started = time.perf_counter()
    long.to_sql("plain_way", engine, schema="credit", if_exists="replace", index=False, chunksize=10_000)
    seconds["DataFrame.to_sql"] = (time.perf_counter() - started) * len(checked) * len(names) / TO_SQL_SAMPLE
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE credit.plain_way"))
    engine.dispose()
    return seconds


def empty_flow() -> float:
    """Seconds of a program that has Prefect run nothing, with the same server."""
    code = "from prefect import flow\n@flow\ndef empty() -> None: ...\nempty()"
    url = prefect.local_prefect_url(settings())
    started = time.perf_counter()
    kept = {**prefect.prefect_environment(settings()), "PREFECT_API_URL": url}
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **kept}, check=True, capture_output=True, cwd=STATE
    )
    return time.perf_counter() - started


def file_to_published(measured: Measured) -> tuple[float, dict[str, float]]:
    """Wall seconds from looking at the file to publication, and the busy seconds per stage."""
    with database.database(settings()) as engine:
        stages = dict(ledger.get(engine, measured.answer["run_id"]).stage_seconds)
    return stages["survey"] + stages["model"] + measured.answer["seconds"], stages


def load_alone(new: Path, bundle: ModelBundle) -> float:
    """Long rows per second, encoded, copied, indexed, committed and attached, with nothing else going on."""
    survey = applications.survey(new, chunk_rows=4_096, scratch=STATE / "scratch")
    reader = applications.Reader(survey)
    batches = [score_batch(bundle, check_chunk(reader, chunk).accepted, threads=2) for chunk in survey.chunks]
    rates = []
    with database.database(settings()) as engine:
        record = registry.current_model(engine)
        assert record is not None
        for _ in range(3):
            run_id = ledger.open_run(
                engine, as_of=settings().today(), model_id=record.model_id, source_name="load", source_sha256="load"
            )
            started = time.perf_counter()
            with staging(engine, (shap_value,), run_id) as tables:
                stages = {"encode": lambda batch: encode(shap_value, shap_columns(batch)), "load": tables.write}
                rows = sum(Pipeline(batches, stages))
                tables.index()
            with transaction(engine) as connection:
                attach(driver(connection), (shap_value,), run_id)
            rates.append(rows / (time.perf_counter() - started))
            ledger.close_unpublished(engine, run_id, status="failed", message="A benchmark's, not to be kept.")
    return sorted(rates)[1]


def on_workers(workers: int, new: Path, large: Path) -> Measured:
    """The large night on a standing Dask cluster of some worker processes, warmed up by a small one."""
    from distributed import LocalCluster

    # The workers take these from their parent; what is measured later must not.
    with (
        environment(CREDITLENS_STATE=str(STATE), CREDITLENS_THREADS="1"),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
    ):
        dask = {"CREDITLENS_DASK": cluster.scheduler_address}
        for file in (new, large):
            measured = command(
                "nightly", "--force", "--applications", str(file), CREDITLENS_RETAINED_RUNS="2", **dask
            )
    return measured


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These environment variables for the block, and those from before it afterwards: Dask sets some too."""
    before = dict(os.environ)
    os.environ |= variables
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def with_a_trained_model(former: Path, new: Path, night_of: Callable[..., Measured]) -> Iterator[Result]:
    """The night as a lender has it: a model of `creditlens train`, similar former customers and offers included."""
    training = command("train", "--former", str(former), "--trials", "0")
    yield Result("training on 307,511 former customers, without a search, whole command", training.seconds, "s")
    seconds, stages = median_night(new, night_of)
    yield Result("a trained model's night: file to published", seconds, "s")
    yield from (Result(f"a trained model's night: {name}, busy", value, "s") for name, value in stages.items())
    yield at_most("a trained model's night: search of offers, busy", 100 * stages["what if"] / seconds, "%", 15)
    with database.database(settings()) as engine:
        record = registry.current_model(engine)
        assert record is not None
        bundle = ModelBundle.from_bytes(*registry.artefact(engine, record.model_id))
    everybody = read(former)
    log_odds = score_batch(bundle, everybody, threads=2).log_odds
    install(replace(bundle, fold_boosters=()), everybody, log_odds, settings())
    without, _ = median_night(new, night_of)
    yield Result("the same night without similar former customers", without, "s")
    yield at_most("a trained model's night is longer by, for similar former customers", seconds - without, "s", 20)


def median_night(new: Path, night_of: Callable[..., Measured]) -> tuple[float, dict[str, float]]:
    """The median of three nights, after one that compiles what is not compiled yet."""
    night_of("--applications", str(new))
    nights = [file_to_published(night_of("--applications", str(new))) for _ in range(3)]
    return sorted(nights, key=lambda each: each[0])[1]


def run() -> Iterator[Result]:
    """All figures of the night, each as soon as it is known."""
    former, new = prepare()
    bundle = install_heavy_model(former)
    night_of = partial(command, "nightly", "--force", CREDITLENS_RETAINED_RUNS="2")
    night_of("--applications", str(new))
    nights = sorted(
        (night_of("--applications", str(new)) for _ in range(5)), key=lambda each: each.answer["seconds"]
    )
    night = nights[2]
    seconds, stages = file_to_published(night)
    rows = NEW_CUSTOMERS * len(explained_features())
    peak = max(each.peak_mb for each in nights)
    yield from (Result(f"night: {name}, busy", value, "s") for name, value in stages.items())
    yield Result("search of offers, busy, of the whole night", 100 * stages["what if"] / seconds, "%")
    yield Result("night: long rows", rows, "rows")
    yield Result("the same within the night, beside scoring", rows / (stages["load"] + stages["index"]), "rows/s")
    yield Result("whole night, file to published", seconds, "s")
    yield Result("whole night, whole command", night.seconds, "s")
    yield at_most("peak memory of the night's process, 48,744 customers", peak, "MB", 1_500)
    unchanged = command("nightly", "--applications", str(new))
    assert unchanged.answer["outcome"] == "unchanged"
    empty = sorted(empty_flow() for _ in range(3))[1]
    yield Result("unchanged night, whole command", unchanged.seconds, "s")
    yield Result("a program with an empty Prefect flow, same server", empty, "s")
    yield at_most("unchanged night / empty flow", unchanged.seconds / empty, "times", 1.5)

    plain = plain_way(new, bundle)
    plain_seconds = sum(plain.values())
    yield from (Result(f"plain way: {name}", value, "s") for name, value in plain.items())
    yield Result("plain way, sum", plain_seconds, "s")
    yield at_least("whole night against the plain way", plain_seconds / seconds, "times faster", 25)
    yield Result("whole command against the plain way", plain_seconds / night.seconds, "times faster")
    alone = load_alone(new, bundle)
    yield Result("long rows encoded, copied, indexed, attached", alone, "rows/s")

    ten = ten_times()
    large = night_of("--applications", str(ten))
    large_seconds, _ = file_to_published(large)
    yield at_most("peak memory of the night's process, 487,440 customers", large.peak_mb, "MB", 1_500)
    yield at_most("peak memory of the night's process, 487,440 / 48,744", large.peak_mb / peak, "times", 1.2)
    yield Result("487,440 customers, file to published", large_seconds, "s")
    yield at_most("time, 487,440 / 48,744 customers", large_seconds / seconds, "times", 10)
    # Nights of their own: adding memory up disturbs what is timed.
    for file, customers in ((new, "48,744"), (ten, "487,440")):
        whole = night_of("--applications", str(file), server=settings().embedded()).whole_mb
        yield Result(f"peak memory, its Postgres server included, {customers} customers", whole, "MB")
    # Last, because it leaves another model behind.
    yield from with_a_trained_model(former, new, night_of)
