"""What the reasons for decisions rest on: catalogues of words, and whom the customers are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Engine, select
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
