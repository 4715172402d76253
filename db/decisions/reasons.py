"""What the reasons for decisions rest on: catalogues of words, and whom the customers are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from db.application import APPLICATION_COLUMNS
from db.engine import connect, driver, transaction
from db.models import SCHEMA, former_customer, reason_catalogue, reason_reference, reason_text


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """Whom those who are not accepted are compared with: one row of `reason_reference`."""

    rule: str
    customers: int
    mean_contributions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FormerRisks:
    """The former customers of a model by number, with what a policy decides by; shape (n,) each."""

    customer_id: NDArray[np.int64]
    log_odds: NDArray[np.float64]
    default_probability: NDArray[np.float64]
    score: NDArray[np.int16]
    contract_type: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explained:
    """One applicant of the published run, with what reasons are worked out from.

    Attributes
    ----------
    catalogue_id: that of the run's reasons, or the newest where it has none.
    contributions: log-odds by feature's name.
    """

    run_id: int
    model_id: int
    policy_id: int
    catalogue_id: int
    decision: str
    log_odds: float
    base_value: float
    contributions: Mapping[str, float]


_EXPLAINED = """
SELECT s.run_id, run.model_id, run.policy_id,
       COALESCE(
           (SELECT max(r.catalogue_id) FROM credit.reason AS r WHERE r.run_id = s.run_id),
           (SELECT max(c.catalogue_id) FROM credit.reason_catalogue AS c)
       ) AS catalogue_id,
       s.decision, s.log_odds, m.base_value,
       (SELECT json_object_agg(f.name, v.contribution) FROM credit.shap_value AS v
        JOIN credit.feature AS f ON f.feature_id = v.feature_id
        WHERE v.run_id = s.run_id AND v.customer_id = s.customer_id) AS contributions
FROM credit.score AS s
JOIN credit.scoring_run AS run ON run.run_id = s.run_id
JOIN credit.model_version AS m ON m.model_id = run.model_id
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p) AND s.customer_id = %s
"""


def explained(engine: Engine, customer_id: int) -> Explained | None:
    """An applicant of the published run, None for an unknown number."""
    with connect(engine) as connection:
        row = driver(connection).execute(_EXPLAINED, [customer_id]).fetchone()
    return Explained(*row) if row else None


def recorded(engine: Engine, customer_id: int) -> list[dict[str, Any]]:
    """The reasons that the published run kept of an applicant, the strongest first; none of one who is accepted."""
    query = text(
        "SELECT place, reason_code, advisor_en, advisor_fr, action_en, action_fr, feature, score_points"
        " FROM reporting.decision_reason"
        " WHERE run_id = (SELECT p.run_id FROM credit.published_run AS p) AND customer_id = :customer_id"
        " ORDER BY place"
    )
    with connect(engine) as connection:
        return [dict(row._mapping) for row in connection.execute(query, {"customer_id": customer_id})]


def catalogue_text(engine: Engine, catalogue_id: int) -> str:
    """The content of a catalogue, as it was kept."""
    query = select(reason_catalogue.c.text).where(reason_catalogue.c.catalogue_id == catalogue_id)
    with connect(engine) as connection:
        return str(connection.execute(query).scalar_one())


def keep_catalogue(engine: Engine, *, sha256: str, text: str, reasons: Sequence[Mapping[str, Any]]) -> int:
    """The number of the catalogue of this digest, written down if it is new; what is there is never changed.

    Parameters
    ----------
    reasons: rows of `reason_text` without the catalogue's number.
    """
    known = select(reason_catalogue.c.catalogue_id).where(reason_catalogue.c.sha256 == sha256)
    with transaction(engine) as connection:
        found: int | None = connection.scalar(known)
        if found is not None:
            return found
        added: int | None = connection.scalar(
            insert(reason_catalogue)
            .values(sha256=sha256, text=text)
            .on_conflict_do_nothing()
            .returning(reason_catalogue.c.catalogue_id)
        )
        if added is None:
            # Somebody else was quicker.
            return int(connection.execute(known).scalar_one())
        connection.execute(insert(reason_text), [{"catalogue_id": added, **row} for row in reasons])
        return added


def reference(engine: Engine, *, model_id: int, policy_id: int) -> ReferenceRow | None:
    """The reference of a model and a policy, None before it was made."""
    columns = [reason_reference.c[name] for name in ReferenceRow.__dataclass_fields__]
    query = select(*columns).where(
        reason_reference.c.model_id == model_id, reason_reference.c.policy_id == policy_id
    )
    with connect(engine) as connection:
        row = connection.execute(query).one_or_none()
    return ReferenceRow(**row._mapping) if row else None


def keep_reference(engine: Engine, row: ReferenceRow, *, model_id: int, policy_id: int) -> None:
    """Write down the reference of a model and a policy, unless there is one: what was used once stays."""
    values = {name: getattr(row, name) for name in ReferenceRow.__dataclass_fields__}
    with transaction(engine) as connection:
        statement = insert(reason_reference).values(model_id=model_id, policy_id=policy_id, **values)
        connection.execute(statement.on_conflict_do_nothing())


def former_risks(engine: Engine, model_id: int) -> FormerRisks:
    """All former customers of a model, by number."""
    query = sql.SQL(
        "SELECT customer_id, log_odds, default_probability, score, name_contract_type FROM {}"
        " WHERE model_id = %s ORDER BY customer_id"
    ).format(sql.Identifier(SCHEMA, former_customer.name))
    with connect(engine) as connection:
        rows = driver(connection).execute(query, [model_id]).fetchall()
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 5).T
    return FormerRisks(columns[0].astype(np.int64), columns[1], columns[2], columns[3].astype(np.int16), columns[4])


def former_values(engine: Engine, model_id: int, customer_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """The applications of some former customers as received, by number, shape (n, 120), NaN where missing."""
    names = [name for name, _ in APPLICATION_COLUMNS]
    query = sql.SQL("SELECT {} FROM {} WHERE model_id = %s AND customer_id = ANY(%s) ORDER BY customer_id").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(SCHEMA, former_customer.name)
    )
    with connect(engine) as connection:
        rows = driver(connection).execute(query, [model_id, customer_ids.tolist()]).fetchall()
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
