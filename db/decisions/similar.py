"""The former customers whom applicants are compared with, as the search takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Engine

from db.application import APPLICATION_COLUMNS
from db.engine import connect, driver
from db.models import SCHEMA, former_code, former_customer

_ROWS = 50_000
# What is read of an application: the columns that the figures told of neighbours come from.
_READ = ("days_birth", "amt_income_total", "amt_credit", "amt_annuity")


@dataclass(frozen=True, slots=True)
class FormerRows:
    """Some former customers of a model, by number.

    Attributes
    ----------
    customer_id, fold, target: shape (n,).
    codes: shape (n, features), int16.
    values: shape (n, 120), their applications; NaN but for age, income, amount and annuity.
    """

    customer_id: NDArray[np.int32]
    fold: NDArray[np.int8]
    target: NDArray[np.int8]
    codes: NDArray[np.int16]
    values: NDArray[np.float64]


def former_rows(engine: Engine, model_id: int) -> Iterator[FormerRows]:
    """All former customers of a model with their codes, in parts; none for a model of before there were codes.

    All columns of everybody at once would take 300 MB.
    """
    query = sql.SQL(
        "SELECT c.customer_id, c.fold, f.target, c.codes, {} FROM {} AS c"
        " JOIN {} AS f ON f.model_id = c.model_id AND f.customer_id = c.customer_id"
        " WHERE c.model_id = %s AND f.model_id = %s ORDER BY c.customer_id"
    ).format(
        sql.SQL(", ").join(sql.SQL("f.{}::float8").format(sql.Identifier(name)) for name in _READ),
        sql.Identifier(SCHEMA, former_code.name),
        sql.Identifier(SCHEMA, former_customer.name),
    )
    names = [name for name, _ in APPLICATION_COLUMNS]
    places = [names.index(name) for name in _READ]
    with connect(engine) as connection, driver(connection).cursor(binary=True) as cursor:
        cursor.execute(query, [model_id, model_id])
        while rows := cursor.fetchmany(_ROWS):
            number, fold, target, codes, *read = zip(*rows, strict=True)
            values = np.full((len(rows), len(names)), np.nan)
            values[:, places] = np.array(read, dtype=np.float64).T
            yield FormerRows(
                np.array(number, np.int32),
                np.array(fold, np.int8),
                np.array(target, np.int8),
                np.frombuffer(b"".join(codes), "<i2").reshape(len(rows), -1).astype(np.int16),
                values,
            )
