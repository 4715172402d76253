"""Cohorts of former customers: bitmaps and slices as bit strings, written by binary COPY."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection as Driver
from psycopg import sql
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format
from sqlalchemy import Connection, Table, delete, insert, select

from db.models import (
    SCHEMA,
    cohort_bin,
    cohort_feature,
    cohort_member,
    cohort_option,
    cohort_slice,
)

_VARBIT = 1562


@dataclass(frozen=True, slots=True)
class Bits:
    """`length` bits, the first of them the highest of the first byte; the last byte is filled up with zeros."""

    data: bytes
    length: int


@dataclass(frozen=True, slots=True)
class CohortRows:
    """The cohorts of one model as rows of their tables, without the model's number.

    Attributes
    ----------
    options, features: columns by name.
    places: what is known of each feature's sorted places, one feature after the other.
    """

    options: Sequence[Mapping[str, Any]]
    features: Sequence[Mapping[str, Any]]
    places: Iterable[PlaceRows]


@dataclass(frozen=True, slots=True)
class PlaceRows:
    """The sorted places of one feature.

    Attributes
    ----------
    bins: columns by name.
    members: (feature_id, target, attribute, code, members).
    slices: (feature_id, target, slice, bits).
    """

    bins: Sequence[Mapping[str, Any]]
    members: Sequence[tuple[int, int, str, int, Bits]]
    slices: Sequence[tuple[int, int, int, Bits]]


class _BitsDumper(Dumper):
    """Bit strings as binary COPY takes them: their length, then their bytes."""

    format = Format.BINARY
    oid = _VARBIT

    def dump(self, obj: Bits) -> Buffer:
        return struct.pack(">i", obj.length) + obj.data


def load(connection: Connection, driver: Driver[Any], model_id: int, rows: CohortRows) -> None:
    """Write the cohorts of a model that has none; `driver` is the connection under `connection`."""
    for table, content in ((cohort_option, rows.options), (cohort_feature, rows.features)):
        connection.execute(insert(table), [{"model_id": model_id, **row} for row in content])
    for places in rows.places:
        # A feature that nobody has a value of has no bins.
        if places.bins:
            connection.execute(insert(cohort_bin), [{"model_id": model_id, **row} for row in places.bins])
        _copy(driver, model_id, cohort_member, ("int2", "int2", "text", "int2", "varbit"), places.members)
        _copy(driver, model_id, cohort_slice, ("int2", "int2", "int2", "varbit"), places.slices)


def known(connection: Connection, model_id: int) -> bool:
    """Whether the cohorts of this model are there."""
    query = select(cohort_feature.c.model_id).where(cohort_feature.c.model_id == model_id).limit(1)
    return connection.execute(query).first() is not None


def remove(connection: Connection, model_ids: Sequence[int]) -> None:
    """Delete the cohorts of these models; everything else hangs on these two tables."""
    for table in (cohort_option, cohort_feature):
        connection.execute(delete(table).where(table.c.model_id.in_(model_ids)))


def _copy(
    driver: Driver[Any], model_id: int, table: Table, types: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> None:
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(SCHEMA, table.name))
    with driver.cursor() as cursor:
        cursor.adapters.register_dumper(Bits, _BitsDumper)
        with cursor.copy(statement) as copy:
            copy.set_types(["int4", *types])
            for row in rows:
                copy.write_row((model_id, *row))
