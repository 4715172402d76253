"""Binary COPY from arrays: one encoder, one rule for nulls.

A float NaN is NULL, and so is an integer where the caller's mask says so; nothing else is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor, sql
from sqlalchemy import ARRAY, REAL, BigInteger, Boolean, Double, Integer, LargeBinary, SmallInteger, Table, Text

if TYPE_CHECKING:
    Kernel = Any

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"

_WIRE_TYPES: tuple[tuple[type, str], ...] = (
    (SmallInteger, ">i2"),
    (BigInteger, ">i8"),
    (Integer, ">i4"),
    (REAL, ">f4"),
    (Double, ">f8"),
    (Boolean, "?"),
)


@dataclass(frozen=True, slots=True)
class Masked:
    """Integers of which some are NULL: `null` is True where they are; both of shape (n,)."""

    values: NDArray[Any]
    null: NDArray[np.bool_]


Values = NDArray[Any] | Masked | int


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows in Postgres' binary COPY format, without header and trailer, for these columns of a table."""

    table: Table
    columns: tuple[str, ...]
    data: memoryview


def copy_rows(cursor: Cursor[Any], rows: Encoded, name: str, *, freeze: bool = False) -> int:
    """COPY encoded rows into the table called `name`, which has the columns of theirs; their number.

    `freeze`: rows are visible and need no later vacuum; allowed only in the transaction that made the table.
    """
    statement = sql.SQL("COPY {}.{} ({}) FROM STDIN (FORMAT binary{})").format(
        sql.Identifier(rows.table.schema or "public"),
        sql.Identifier(name),
        sql.SQL(", ").join(map(sql.Identifier, rows.columns)),
        sql.SQL(", FREEZE") if freeze else sql.SQL(""),
    )
    with cursor.copy(statement) as copy:
        copy.write(HEADER)
        for start in range(0, len(rows.data), _WRITE_BYTES):
            copy.write(rows.data[start : start + _WRITE_BYTES])
        copy.write(TRAILER)
    return cursor.rowcount


_WRITE_BYTES = 1 << 20


def encode(table: Table, columns: Mapping[str, Values]) -> Encoded:
    """The rows of `columns` as binary COPY takes them.

    Parameters
    ----------
    columns: per column name an array of shape (n,), a `Masked` array, or one number for every row.
        Text columns take fixed-width bytes (numpy `S`), binary ones records of one width (numpy `V`), lists of
        whole numbers those of `db.lists.integer_lists`.

    Raises KeyError for a column that the table lacks, ValueError for arrays of different lengths, and
    OverflowError for a number that the column's type cannot hold: nothing wraps around silently.
    """
    arrays = [value.values if isinstance(value, Masked) else value for value in columns.values()]
    lengths = {len(array) for array in arrays if isinstance(array, np.ndarray)}
    if len(lengths) != 1:
        raise ValueError(f"Columns of {table.name} have different lengths: {sorted(lengths)}")
    rows = lengths.pop()
    wire = [_wire_type(table, name, array) for name, array in zip(columns, arrays, strict=True)]
    payload = np.empty(rows, dtype=[(name, kind) for name, kind in zip(columns, wire, strict=True)])
    null = np.zeros((len(wire), rows), dtype=np.bool_)
    for field, (name, value) in enumerate(columns.items()):
        kept, mask = _checked(table, name, value, wire[field])
        payload[name] = kept
        if mask is not None:
            null[field] = mask
    widths = np.array([np.dtype(kind).itemsize for kind in wire], dtype=np.int64)
    text = np.array([np.dtype(kind).kind == "S" for kind in wire], dtype=np.bool_)
    flat = payload.view(np.uint8).reshape(rows, payload.dtype.itemsize)
    out = np.empty(rows * int(2 + 4 * len(wire) + widths.sum()), dtype=np.uint8)
    used = _frame()(flat, widths, text, null, out)
    return Encoded(table, tuple(columns), out.data[:used])


def text_bytes(values: Sequence[str]) -> NDArray[np.bytes_]:
    """Strings as the fixed-width UTF-8 bytes that text columns take, shape (n,)."""
    encoded = [value.encode() for value in values]
    return np.array(encoded, dtype=f"S{max((len(value) for value in encoded), default=1) or 1}")


def _wire_type(table: Table, name: str, array: NDArray[Any] | int) -> str:
    kind = table.c[name].type
    if isinstance(kind, Text):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "S":
            raise TypeError(f"{table.name}.{name} takes bytes of fixed width")
        return array.dtype.str
    if isinstance(kind, LargeBinary | ARRAY):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "V":
            raise TypeError(f"{table.name}.{name} takes records of one width")
        return array.dtype.str
    for sql_type, wire in _WIRE_TYPES:
        if isinstance(kind, sql_type):
            return wire
    raise TypeError(f"{table.name}.{name}: no binary form for {kind}")


def _checked(
    table: Table, name: str, value: Values, wire: str
) -> tuple[NDArray[Any] | int, NDArray[np.bool_] | None]:
    """The values in range of the wire type, and where they are NULL."""
    dtype = np.dtype(wire)
    kept: NDArray[Any] | int
    mask: NDArray[np.bool_] | None
    if isinstance(value, Masked):
        kept, mask = np.where(value.null, 0, value.values), value.null
    elif isinstance(value, int) or value.dtype.kind in "iuSbV":
        kept, mask = value, None
    else:
        mask = np.isnan(value)
        kept = np.where(mask, 0, value) if dtype.kind == "i" else value
        mask = mask if mask.any() else None
    if dtype.kind == "i" and np.size(kept):
        limits = np.iinfo(dtype)
        low, high = np.min(kept), np.max(kept)
        if low < limits.min or high > limits.max:
            raise OverflowError(f"{table.name}.{name}: {low} to {high} does not fit {table.c[name].type}")
    return kept, mask


def _frame_rows(
    payload: NDArray[np.uint8],
    widths: NDArray[np.int64],
    text: NDArray[np.bool_],
    null: NDArray[np.bool_],
    out: NDArray[np.uint8],
) -> int:
    fields = widths.shape[0]
    at = 0
    for row in range(payload.shape[0]):
        out[at] = fields >> 8
        out[at + 1] = fields & 255
        at += 2
        source = 0
        for field in range(fields):
            width = widths[field]
            if null[field, row]:
                out[at : at + 4] = 255
                at += 4
                source += width
                continue
            length = width
            if text[field]:
                while length > 0 and payload[row, source + length - 1] == 0:
                    length -= 1
            out[at] = 0
            out[at + 1] = 0
            out[at + 2] = (length >> 8) & 255
            out[at + 3] = length & 255
            at += 4
            for byte in range(length):
                out[at + byte] = payload[row, source + byte]
            at += length
            source += width
    return at


@cache
def _frame() -> Kernel:
    """`_frame_rows` compiled: most commands copy nothing, and numba takes long to import."""
    import numba

    compiled: Kernel = numba.njit(cache=True, nogil=True)(_frame_rows)
    return compiled
