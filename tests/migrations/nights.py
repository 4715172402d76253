"""Real nights for tests of views: a trained model, its former customers, and runs that it scored and explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Engine, text

from db import registry
from db.decisions import policies
from db.models import RUN_PARTITIONED
from db.runs import ledger, statistics
from db.runs.partitions import staging
from flows.steps.rows import (
    bin_rows,
    cohort_rows,
    encode_scored,
    former_distributions,
    load_former,
    policy_rows,
    run_statistics,
)
from flows.steps.run_policy import RunPolicy, run_policy
from flows.steps.run_reasons import run_reasons
from flows.steps.run_similar import run_similar
from flows.steps.what_if_rows import encode_what_if, prepare_search
from scoring.batch import Scored, score_batch
from scoring.bundle import digest
from scoring.cohort import cohorts
from scoring.contract import Applications, check_rows
from scoring.monitoring import Sums, summarise
from scoring.policy import default_policy, parse_policy
from scoring.simulation import risk_counts
from scoring.training import Trained


@dataclass(frozen=True)
class Query:
    """Runs a query; rows as dictionaries."""

    engine: Engine

    def __call__(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(statement), parameters)]

    def one(self, statement: str, **parameters: object) -> dict[str, Any]:
        (row,) = self(statement, **parameters)
        return row


def load_model(engine: Engine, trained: Trained, former: Applications) -> int:
    """Register the model, load its former customers, make it the current one; its id."""
    artefact = trained.bundle.to_bytes()
    model_id = registry.register(
        engine,
        training_rows=len(former),
        training_sha256="0" * 64,
        base_value=trained.bundle.base_value,
        parameters=trained.bundle.parameters,
        metrics=trained.bundle.metrics,
        feature_set=trained.bundle.feature_set,
        artefact=artefact,
        artefact_sha256=digest(artefact),
        bins=bin_rows(trained.bundle.baseline),
    )
    with registry.former_customers(engine, model_id) as tables:
        load_former(tables, former, trained.out_of_fold_log_odds, trained.folds)
        tables.index()
    distributions, categories = former_distributions(former)
    registry.promote(
        engine,
        model_id,
        distributions=distributions,
        categories=categories,
        cohorts=cohort_rows(cohorts(former, trained.out_of_fold_log_odds)),
        risks=risk_counts(former, trained.out_of_fold_log_odds),
    )
    return model_id


def checked(frame: pl.DataFrame) -> Applications:
    return check_rows(frame, first_row=1, labelled=False).accepted


def put_strict_policy_in_force(engine: Engine) -> RunPolicy:
    """Of synthetic customers the program's policy declines hardly anybody."""
    strict = default_policy().text.replace("to: 74", "to: 90").replace("from: 75, to: 84", "from: 91, to: 92")
    strict = strict.replace("from: 85, to: 89", "from: 93, to: 93").replace("from: 90, to: 94", "from: 94, to: 94")
    policies.put_in_force(engine, policy_rows(parse_policy(strict, "strict.yaml")), by="a test", reason="A test.")
    return run_policy(engine)


def publish_night(
    engine: Engine,
    model_id: int,
    trained: Trained,
    applications: Applications,
    as_of: date,
    decide: RunPolicy | None = None,
) -> tuple[int, Sequence[Scored]]:
    """Score, explain, load and publish in two chunks; the run and what was computed.

    With reasons where `decide` says by which policy; else by the program's own, and without.
    """
    policy = decide.policy if decide else default_policy()
    reasons = run_reasons(engine, model_id, trained.bundle, decide) if decide else None
    similar = run_similar(engine, model_id, trained.bundle)
    run_id = ledger.open_run(
        engine, as_of=as_of, model_id=model_id, source_name="new.csv", source_sha256=str(as_of).ljust(64, "0"),
        policy_id=decide.policy_id if decide else None,
    )  # fmt: skip
    half = len(applications) // 2
    positions = range(half), range(half, len(applications))
    chunks = [
        score_batch(trained.bundle, applications.take(list(rows)), threads=2, policy=policy) for rows in positions
    ]
    with staging(engine, RUN_PARTITIONED, run_id) as tables:
        for chunk in chunks:
            for rows in encode_scored(chunk, policy, reasons, similar.neighbourhoods(chunk) if similar else None):
                tables.write(rows)
            if reasons:
                offers = prepare_search(trained.bundle, policy).run(chunk, threads=2)
                tables.write_all(encode_what_if(chunk, offers))
        tables.index()
    first, second = (Sums.of(chunk, trained.bundle.baseline, trained.bundle.base_value) for chunk in chunks)
    summary = summarise(first + second, trained.bundle.baseline)
    assert summary is not None
    statistics.record(engine, run_id, run_statistics(summary))
    ledger.publish(
        engine,
        run_id,
        customers=len(applications),
        rejected=0,
        unknown_categories=0,
        stage_seconds={"load": 0.1},
    )
    return run_id, chunks
