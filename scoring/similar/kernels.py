"""The compiled inner loops of the search, with everything that is compiled into them.

Numba keeps the machine code beside this file and makes it anew only when this file changes: so all constants stand
here, and nothing is taken from other modules. `scoring.similar.search` says what they compute.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES = 64
"""Former customers of one block, a whole number of vector registers."""
STEP = 8
"""Leading features that are looked at before a block may be given up."""
LEADING = 2 * STEP
SUM_OFFSET = 32_768
NOBODY = -1
"""The place of who fills up the last block, or is left out."""
FARTHEST = 2**31 - 1
EMPTY = (FARTHEST << 32) | FARTHEST
"""The key that a list of neighbours is filled with at first."""

_MOST = np.uint16(2**16 - 1)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Blocks(NamedTuple):
    """Former customers in blocks of 64 who are alike. Features stand in the order of their spread.

    Attributes
    ----------
    leading: int16 (blocks, 16 x 64), the first 16 features, one after the other.
    others: uint16 (blocks, 2, 64), the sum of all features after the first 8, and after the first 16.
    low, high: int16 (blocks, 16), limits of the first 16 features.
    rows: int16 (blocks x 64, features), all features.
    place: int32 (blocks x 64,), place in the order of customers' numbers, or NOBODY.
    """

    leading: NDArray[np.int16]
    others: NDArray[np.uint16]
    low: NDArray[np.int16]
    high: NDArray[np.int16]
    rows: NDArray[np.int16]
    place: NDArray[np.int32]


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(nogil=True, cache=True)(function))


def _inlined(function: _Function) -> _Function:
    return cast(_Function, njit(nogil=True, inline="always")(function))


# The forms of these three are what the compiler knows as one or two vector instructions on 16-bit numbers.


@_inlined
def _apart(a: Any, b: Any) -> Any:
    return np.uint16(abs(np.int16(a - b)))


@_inlined
def _apart_unsigned(a: Any, b: Any) -> Any:
    return np.uint16(max(a, b) - min(a, b))


@_inlined
def _plus(a: Any, b: Any) -> Any:
    """The sum, or the largest number that there is: never more than the true sum."""
    return np.uint16(a + min(b, np.uint16(_MOST - a)))


@_compiled
def bounds(
    leading: NDArray[np.int16],
    q: NDArray[np.int16],
    others: NDArray[np.uint16],
    q_others: Any,
    sums: NDArray[np.uint16],
    found: NDArray[np.uint16],
) -> Any:
    """Lower bounds of one block's distances after eight more leading features; the least of them.

    ``sums`` are the distances over the leading features so far. What the features after them add is at least the
    difference of their sums.
    """
    q0, q1, q2, q3, q4, q5, q6, q7 = q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]
    least = _MOST
    for i in range(LANES):
        s = _plus(sums[i], _apart(leading[i], q0))
        s = _plus(s, _apart(leading[LANES + i], q1))
        s = _plus(s, _apart(leading[2 * LANES + i], q2))
        s = _plus(s, _apart(leading[3 * LANES + i], q3))
        s = _plus(s, _apart(leading[4 * LANES + i], q4))
        s = _plus(s, _apart(leading[5 * LANES + i], q5))
        s = _plus(s, _apart(leading[6 * LANES + i], q6))
        s = _plus(s, _apart(leading[7 * LANES + i], q7))
        sums[i] = s
        s = _plus(s, _apart_unsigned(others[i], q_others))
        found[i] = s
        least = min(least, s)
    return least


@_compiled
def distance(a: NDArray[np.int16], b: NDArray[np.int16]) -> Any:
    """The sum of how far apart two rows are."""
    total = np.int32(0)
    for i in range(a.size):
        total += abs(np.int32(a[i]) - np.int32(b[i]))
    return total


@_compiled
def block_bounds(blocks: Blocks, q: NDArray[np.int16]) -> NDArray[np.int32]:
    """For each block a lower bound of the distance between anybody in it and any of the rows of ``q``."""
    low, high = np.empty(LEADING, np.int32), np.empty(LEADING, np.int32)
    for f in range(LEADING):
        low[f] = q[:, f].min()
        high[f] = q[:, f].max()
    found = np.empty(blocks.low.shape[0], np.int32)
    for b in range(found.size):
        total = np.int32(0)
        for f in range(LEADING):
            above, below = np.int32(blocks.low[b, f]) - high[f], low[f] - np.int32(blocks.high[b, f])
            total += max(np.int32(0), max(above, below))
        found[b] = total
    return found


@_compiled
def _replace_last(keys: NDArray[np.int64], key: int) -> None:
    """Put a key in the place of the largest, which heads the heap."""
    i = 0
    while 2 * i + 1 < keys.size:
        child = 2 * i + 1
        if child + 1 < keys.size and keys[child + 1] > keys[child]:
            child += 1
        if keys[child] <= key:
            break
        keys[i] = keys[child]
        i = child
    keys[i] = key


@_compiled
def search(
    blocks: Blocks,
    q: NDArray[np.int16],
    q_others: NDArray[np.uint16],
    farther: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> None:
    """Keep in each row of ``keys``, a heap, the smallest keys, distance << 32 | place, of a row of ``q``.

    ``farther`` is added to all distances of a row. The rows of ``q`` should be alike: they are taken through the
    same blocks, the most promising first.
    """
    limits = block_bounds(blocks, q)
    sums, found = np.empty(LANES, np.uint16), np.empty(LANES, np.uint16)
    farthest = np.int64(FARTHEST)
    for b in np.argsort(limits):
        if limits[b] > farthest:
            break
        farthest = np.int64(-1)
        first, second = blocks.leading[b, : STEP * LANES], blocks.leading[b, STEP * LANES :]
        for i in range(q.shape[0]):
            own = keys[i]
            last = (own[0] >> 32) - farther[i]
            if limits[b] <= last:
                sums[:] = 0
                if (
                    bounds(first, q[i, :STEP], blocks.others[b, 0], q_others[i, 0], sums, found) <= last
                    and bounds(second, q[i, STEP:LEADING], blocks.others[b, 1], q_others[i, 1], sums, found) <= last
                ):
                    for j in range(LANES):
                        place = blocks.place[b * LANES + j]
                        # What is as far as the last may still have a lower number.
                        if found[j] <= last and place != NOBODY:
                            apart = np.int64(distance(blocks.rows[b * LANES + j], q[i])) + farther[i]
                            key = apart << 32 | np.int64(place)
                            if key < own[0]:
                                _replace_last(own, key)
                                last = (own[0] >> 32) - farther[i]
            farthest = max(farthest, last)
