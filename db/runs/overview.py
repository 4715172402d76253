"""One run as operators look at it: ledger, checks, what was refused by rule, what has drifted."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select, text

from db.engine import connect
from db.models import feature, rejected_application, run_check, run_feature, run_summary
from db.runs.ledger import Check, Run, get

# What is told of drift: the features that have moved most.
DRIFTING = 5
PATIENCE_MILLISECONDS = 3_000


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that broke a rule in a column; no value of them."""

    column: str
    rule: str
    rows: int


@dataclass(frozen=True, slots=True)
class Drift:
    """A feature and its population stability index against the former customers of the model."""

    name: str
    label_en: str
    label_fr: str
    psi: float


@dataclass(frozen=True, slots=True)
class Overview:
    """A run with everything that is kept of it as a whole; what there is not yet is None or empty.

    Attributes
    ----------
    score_psi: population stability index of the scores.
    drifting: the features that have drifted most, the strongest first.
    """

    run: Run
    checks: tuple[Check, ...]
    refused: tuple[Refused, ...]
    mean_score: float | None
    approval_rate: float | None
    score_psi: float | None
    drifting: tuple[Drift, ...]


def overview(engine: Engine, run_id: int) -> Overview:
    """What is kept of the run as a whole.

    Raises sqlalchemy.exc.NoResultFound for an unknown one, and OperationalError if Postgres takes seconds for it.
    """
    run = get(engine, run_id)
    with connect(engine) as connection:
        # A night that is ending has half a minute for all that it must still do, and this is for show.
        connection.execute(text(f"SET LOCAL statement_timeout = {PATIENCE_MILLISECONDS}"))
        row = connection.execute(
            select(run_summary.c.mean_score, run_summary.c.approval_rate, run_summary.c.score_psi).where(
                run_summary.c.run_id == run_id
            )
        ).one_or_none()
        mean_score, approval_rate, score_psi = row if row else (None, None, None)
        return Overview(
            run,
            _checks(connection, run_id),
            _refused(connection, run_id),
            mean_score,
            approval_rate,
            score_psi,
            _drifting(connection, run_id),
        )


def _checks(connection: Connection, run_id: int) -> tuple[Check, ...]:
    """Those that did not pass first."""
    query = select(*[run_check.c[name] for name in Check.__dataclass_fields__]).where(run_check.c.run_id == run_id)
    rows = connection.execute(query.order_by(run_check.c.passed, run_check.c.severity, run_check.c.name))
    return tuple(Check(**row._mapping) for row in rows)


def _refused(connection: Connection, run_id: int) -> tuple[Refused, ...]:
    rows = func.count().label("rows")
    query = (
        select(rejected_application.c.column_name, rejected_application.c.rule, rows)
        .where(rejected_application.c.run_id == run_id)
        .group_by(rejected_application.c.column_name, rejected_application.c.rule)
        .order_by(rows.desc(), rejected_application.c.column_name, rejected_application.c.rule)
    )
    return tuple(Refused(*row) for row in connection.execute(query))


def _drifting(connection: Connection, run_id: int) -> tuple[Drift, ...]:
    query = (
        select(feature.c.name, feature.c.label_en, feature.c.label_fr, run_feature.c.psi)
        .join(feature, feature.c.feature_id == run_feature.c.feature_id)
        .where(run_feature.c.run_id == run_id, run_feature.c.psi.is_not(None))
        .order_by(run_feature.c.psi.desc(), feature.c.feature_id)
        .limit(DRIFTING)
    )
    return tuple(Drift(*row) for row in connection.execute(query))
