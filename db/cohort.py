"""Cohorts of former customers: bitmaps, slices, and where each of them stands in these, written by binary COPY."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection as Driver
from psycopg import sql
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format
from sqlalchemy import Connection, Table, delete, insert, select

from db.lists import LIST_OID, integer_lists
from db.models import (
    SCHEMA,
    cohort_bin,
    cohort_feature,
    cohort_member,
    cohort_option,
    cohort_place,
    cohort_slice,
)

_VARBIT = 1562
# Encoded at a time; all former customers at once would take 200 MB.
_PEOPLE = 20_000


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
    customer_id, target: shape (n,), the former customers and their outcomes.
    options, features: columns by name.
    places: what is known of each feature's sorted places, one feature after the other, in the features' order.
    """

    customer_id: NDArray[np.int32]
    target: NDArray[np.int8]
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
    standing: shape (n,), the place of each former customer, from 1; 0 for who has no value.
    """

    bins: Sequence[Mapping[str, Any]]
    members: Sequence[tuple[int, int, str, int, Bits]]
    slices: Sequence[tuple[int, int, int, Bits]]
    standing: NDArray[np.int32]


class _BitsDumper(Dumper):
    """Bit strings as binary COPY takes them: their length, then their bytes."""

    format = Format.BINARY
    oid = _VARBIT

    def dump(self, obj: Bits) -> Buffer:
        return struct.pack(">i", obj.length) + obj.data


@dataclass(frozen=True, slots=True)
class _List:
    """A list of whole numbers as binary COPY takes it."""

    data: bytes


class _ListDumper(Dumper):
    format = Format.BINARY
    oid = LIST_OID

    def dump(self, obj: _List) -> Buffer:
        return obj.data


def load(connection: Connection, driver: Driver[Any], model_id: int, rows: CohortRows) -> None:
    """Write the cohorts of a model that has none; `driver` is the connection under `connection`."""
    for table, content in ((cohort_option, rows.options), (cohort_feature, rows.features)):
        connection.execute(insert(table), [{"model_id": model_id, **row} for row in content])
    standing = np.zeros((len(rows.customer_id), len(rows.features)), np.int32)
    for position, places in enumerate(rows.places):
        standing[:, position] = places.standing
        # A feature that nobody has a value of has no bins.
        if places.bins:
            connection.execute(insert(cohort_bin), [{"model_id": model_id, **row} for row in places.bins])
        _copy(driver, model_id, cohort_member, ("int2", "int2", "text", "int2", "varbit"), places.members)
        _copy(driver, model_id, cohort_slice, ("int2", "int2", "int2", "varbit"), places.slices)
    _copy(driver, model_id, cohort_place, ("int4", "int2", "int4[]"), _standing_rows(rows, standing))


def _standing_rows(rows: CohortRows, standing: NDArray[np.int32]) -> Iterator[tuple[int, int, _List]]:
    """(customer_id, target, places) of each former customer."""
    for start in range(0, len(standing), _PEOPLE):
        some = slice(start, start + _PEOPLE)
        lists = [_List(record.tobytes()) for record in integer_lists(standing[some])]
        yield from zip(rows.customer_id[some].tolist(), rows.target[some].tolist(), lists, strict=True)


def known(connection: Connection, model_id: int) -> bool:
    """Whether the cohorts of this model are there."""
    return _has_rows(connection, cohort_feature, model_id)


def complete(connection: Connection, model_id: int) -> bool:
    """Whether they are there with where everybody stands, which those of before 0.4.0 lack."""
    return known(connection, model_id) and _has_rows(connection, cohort_place, model_id)


def remove(connection: Connection, model_ids: Sequence[int]) -> None:
    """Delete the cohorts of these models; everything else hangs on these tables."""
    for table in (cohort_option, cohort_feature, cohort_place):
        connection.execute(delete(table).where(table.c.model_id.in_(model_ids)))


def _has_rows(connection: Connection, table: Table, model_id: int) -> bool:
    query = select(table.c.model_id).where(table.c.model_id == model_id).limit(1)
    return connection.execute(query).first() is not None


def _copy(
    driver: Driver[Any], model_id: int, table: Table, types: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> None:
    statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(SCHEMA, table.name))
    with driver.cursor() as cursor:
        cursor.adapters.register_dumper(Bits, _BitsDumper)
        cursor.adapters.register_dumper(_List, _ListDumper)
        with cursor.copy(statement) as copy:
            copy.set_types(["int4", *types])
            for row in rows:
                copy.write_row((model_id, *row))
