"""The model registry and the dictionary tables: what a model is, and what its features are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from db import cohort
from db.cohort import CohortRows
from db.engine import connect, driver, transaction
from db.models import (
    feature,
    feature_category,
    feature_group,
    former_category,
    former_code,
    former_customer,
    former_distribution,
    former_risk,
    model_version,
    policy,
    suggested_decision,
)
from db.runs.partitions import Staging, attach, detach_and_drop, partitions, staging
from db.runs.statistics import add_bins

FORMER_PARTITIONED = (former_customer, former_code)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A registered model without its artefact."""

    model_id: int
    trained_at: datetime
    stage: str
    training_rows: int
    training_sha256: str
    base_value: float
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    artefact_sha256: str
    policy_id: int


_MODEL_COLUMNS = [model_version.c[name] for name in ModelRecord.__dataclass_fields__]


def register(
    engine: Engine,
    *,
    training_rows: int,
    training_sha256: str,
    base_value: float,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    feature_set: Sequence[Mapping[str, Any]],
    artefact: bytes,
    artefact_sha256: str,
    bins: Sequence[Mapping[str, Any]] = (),
    policy_id: int | None = None,
) -> int:
    """Add a model as a candidate, with the bins that its nights are compared in; its model_id.

    The same artefact again is the same model. Without `policy_id` it was trained by the policy in force.
    """
    with transaction(engine) as connection:
        model_id: int | None = connection.scalar(
            select(model_version.c.model_id).where(model_version.c.artefact_sha256 == artefact_sha256)
        )
        if model_id is not None:
            return model_id
        created: int = connection.execute(
            insert(model_version)
            .values(
                stage="candidate",
                training_rows=training_rows,
                training_sha256=training_sha256,
                base_value=base_value,
                parameters=dict(parameters),
                metrics=dict(metrics),
                feature_set=list(feature_set),
                artefact=artefact,
                artefact_sha256=artefact_sha256,
                policy_id=select(func.max(policy.c.policy_id)).scalar_subquery()
                if policy_id is None
                else policy_id,
            )
            .returning(model_version.c.model_id)
        ).scalar_one()
        add_bins(connection, created, bins)
        return created


def current_model(engine: Engine) -> ModelRecord | None:
    """The model that tonight's run uses, None before the first training."""
    return _model(engine, model_version.c.stage == "current")


def model(engine: Engine, model_id: int) -> ModelRecord | None:
    """One model by its id."""
    return _model(engine, model_version.c.model_id == model_id)


def artefact(engine: Engine, model_id: int) -> tuple[bytes, str]:
    """A model's artefact and the SHA-256 that it was registered with."""
    query = select(model_version.c.artefact, model_version.c.artefact_sha256)
    with connect(engine) as connection:
        row = connection.execute(query.where(model_version.c.model_id == model_id)).one()
    return bytes(row[0]), str(row[1])


@contextmanager
def former_customers(engine: Engine, model_id: int) -> Iterator[Staging]:
    """A `Staging` for the former customers as scored by one model; promoted by `promote`."""
    with staging(engine, FORMER_PARTITIONED, model_id) as stage:
        yield stage


def drop_unpromoted(engine: Engine, model_id: int) -> None:
    """Drop former customers that were loaded for a model and never promoted, if there are any."""
    with transaction(engine) as connection:
        found = partitions(driver(connection))
    for table in FORMER_PARTITIONED:
        if (table.name, model_id, False) in found:
            detach_and_drop(engine, table, model_id)


def has_former_customers(engine: Engine, model_id: int) -> bool:
    """Whether the former customers of this model are loaded and attached."""
    with connect(engine) as connection:
        query = select(former_distribution.c.model_id).where(former_distribution.c.model_id == model_id)
        return connection.execute(query.limit(1)).first() is not None


def former_outcomes(engine: Engine, model_id: int) -> list[tuple[float, int, int]]:
    """Of each former customer: default probability out of fold, 1 for a default, contract code (0 unknown)."""
    columns = former_customer.c
    query = select(columns.default_probability, columns.target, func.coalesce(columns.name_contract_type, 0))
    with connect(engine) as connection:
        rows = connection.execute(query.where(columns.model_id == model_id))
        return [(float(probability), int(target), int(code)) for probability, target, code in rows]


def promote(
    engine: Engine,
    model_id: int,
    *,
    distributions: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    cohorts: CohortRows | None = None,
    risks: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Make a model the current one, in one transaction with its former customers, their distributions and cohorts.

    Those of a model that was promoted before are there already, and are left as they are; cohorts of before it was
    known where everybody stands are made anew.
    """
    with transaction(engine) as connection:
        known = connection.scalar(
            select(former_distribution.c.model_id).where(former_distribution.c.model_id == model_id).limit(1)
        )
        if known is None:
            attach(driver(connection), FORMER_PARTITIONED, model_id)
            rows = [{"model_id": model_id, **row} for row in distributions]
            connection.execute(insert(former_distribution), rows)
            rows = [{"model_id": model_id, **row} for row in categories]
            connection.execute(insert(former_category), rows)
            if risks:
                connection.execute(insert(former_risk), [{"model_id": model_id, **row} for row in risks])
        if cohorts is not None and not cohort.complete(connection, model_id):
            cohort.remove(connection, [model_id])
            cohort.load(connection, driver(connection), model_id, cohorts)
        connection.execute(update(model_version).where(model_version.c.stage == "current").values(stage="retired"))
        connection.execute(
            update(model_version).where(model_version.c.model_id == model_id).values(stage="current")
        )


def sync_dictionary(
    engine: Engine,
    features: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
) -> None:
    """Make the dictionary tables say what the given rows say; nothing is written where they already do."""
    with transaction(engine) as connection:
        for table, rows in (
            (feature_group, groups),
            (feature, features),
            (feature_category, categories),
            (suggested_decision, decisions),
        ):
            keys = [column.name for column in table.primary_key.columns]
            have = [dict(row._mapping) for row in connection.execute(select(table))]
            if _sorted(have, keys) == _sorted(rows, keys):
                continue
            gone = {tuple(row[key] for key in keys) for row in have} - {
                tuple(row[key] for key in keys) for row in rows
            }
            for values in gone:
                condition = [table.c[key] == value for key, value in zip(keys, values, strict=True)]
                connection.execute(delete(table).where(*condition))
            statement = upsert(table)
            changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=changed),
                [dict(row) for row in rows],
            )


def _sorted(rows: Sequence[Mapping[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    return sorted((dict(row) for row in rows), key=lambda row: tuple(row[key] for key in keys))


def _model(engine: Engine, condition: Any) -> ModelRecord | None:
    with connect(engine) as connection:
        row = connection.execute(select(*_MODEL_COLUMNS).where(condition)).one_or_none()
    return ModelRecord(**row._mapping) if row else None
