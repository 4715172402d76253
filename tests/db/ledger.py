"""Tiny runs for tests of the ledger: three customers, three features, everything consistent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Engine

from db import registry
from db.application import APPLICATION_COLUMNS
from db.models import RUN_PARTITIONED, new_customer, score, shap_value
from db.runs import audit, ledger
from db.runs.copy import Masked, encode, text_bytes
from db.runs.partitions import staging

BASE_VALUE = -2.0
FEATURES = [1, 2, 121]
CUSTOMERS = np.array([7, 8, 9], dtype=np.int32)
DAY = date(2026, 3, 1)


def new_model(engine: Engine, name: str = "a") -> int:
    return registry.register(
        engine,
        training_rows=10,
        training_sha256=name * 64,
        base_value=BASE_VALUE,
        parameters={},
        metrics={"auc": 0.7, "gini": 0.4, "ks": 0.3, "brier": 0.06},
        feature_set=[],
        artefact=name.encode(),
        artefact_sha256=name * 64,
    )


def open_run(engine: Engine, model_id: int, *, day: date = DAY, sha256: str = "0" * 64) -> int:
    return ledger.open_run(engine, as_of=day, model_id=model_id, source_name="file.csv", source_sha256=sha256)


def tables(changes: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Columns of the three tables; `changes` replaces some ("score.log_odds", say)."""
    contributions = np.array([[0.5, -0.25, 0.0], [1.0, 0.5, -0.5], [-0.5, -0.5, -0.5]])
    log_odds = BASE_VALUE + contributions.sum(axis=1)
    probability = 1 / (1 + np.exp(-log_odds))
    columns: dict[str, dict[str, Any]] = {
        "new_customer": {"customer_id": CUSTOMERS, **{name: np.ones(3) for name, _ in APPLICATION_COLUMNS}},
        "score": {
            "customer_id": CUSTOMERS,
            "log_odds": log_odds,
            "default_probability": probability,
            "score": np.rint(100 * (1 - probability)).astype(np.int16),
            "band": text_bytes(["A", "B", "C"]),
            "decision": text_bytes(["accept"] * 3),
            "percentile": np.array([10.0, 20.0, 30.0]),
        },
        "shap_value": {
            "customer_id": np.repeat(CUSTOMERS, 3),
            "feature_id": np.tile(np.array(FEATURES, dtype=np.int16), 3),
            "numeric_value": np.full(9, 1.5),
            "category_code": Masked(np.zeros(9, dtype=np.int16), np.ones(9, dtype=bool)),
            "contribution": contributions.astype(np.float32).ravel(),
            "rank": np.tile(np.array([1, 2, 3], dtype=np.int16), 3),
        },
    }
    for name, values in (changes or {}).items():
        table, column = name.split(".")
        columns[table][column] = values
    return columns


def load(engine: Engine, run_id: int, changes: Mapping[str, Any] | None = None) -> None:
    columns = tables(changes)
    with staging(engine, RUN_PARTITIONED, run_id) as stage:
        for table in (new_customer, score, shap_value):
            stage.write(encode(table, columns[table.name]))
        stage.index()


def look(engine: Engine, run_id: int, customers: int = 3) -> list[ledger.Check]:
    return audit.audit(engine, run_id, customers=customers, feature_ids=FEATURES, base_value=BASE_VALUE)


def publish(engine: Engine, run_id: int) -> bool:
    return ledger.publish(
        engine, run_id, customers=3, rejected=0, unknown_categories=0, stage_seconds={"load": 0.1}
    )


def night(engine: Engine, model_id: int, *, day: date = DAY, sha256: str = "0" * 64) -> int:
    """A whole published run."""
    run_id = open_run(engine, model_id, day=day, sha256=sha256)
    load(engine, run_id)
    publish(engine, run_id)
    return run_id
