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
STAGES = 4
LEADING = STAGES * STEP
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
    leading: int16 (4, blocks, 8 x 64), the first 8 features, one after the other, the next 8, and so on to 32.
    others: uint16 (4, blocks, 64), the sum of all features after the first 8, 16, 24 and 32.
    low, high: int16 (blocks, 32), limits of the first 32 features.
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


# Arrays come whole, with positions in them: a part of an array costs as much as eight features of a block.


@_inlined
def bounds(
    leading: NDArray[np.int16],
    others: NDArray[np.uint16],
    b: int,
    q: NDArray[np.int16],
    q_others: NDArray[np.uint16],
    i: int,
    stage: int,
    sums: NDArray[np.uint16],
    found: NDArray[np.uint16],
) -> Any:
    """Lower bounds of the distances between row ``i`` of ``q`` and block ``b``, by eight more leading features.

    ``sums`` are the distances over the leading features so far. What the features after them add is at least the
    difference of their sums. Returns the least of the bounds.
    """
    f, other = stage * STEP, q_others[i, stage]
    q0, q1, q2, q3, q4, q5, q6, q7 = (
        q[i, f], q[i, f + 1], q[i, f + 2], q[i, f + 3], q[i, f + 4], q[i, f + 5], q[i, f + 6], q[i, f + 7],
    )  # fmt: skip
    least = _MOST
    for j in range(LANES):
        s = _plus(sums[j], _apart(leading[stage, b, j], q0))
        s = _plus(s, _apart(leading[stage, b, LANES + j], q1))
        s = _plus(s, _apart(leading[stage, b, 2 * LANES + j], q2))
        s = _plus(s, _apart(leading[stage, b, 3 * LANES + j], q3))
        s = _plus(s, _apart(leading[stage, b, 4 * LANES + j], q4))
        s = _plus(s, _apart(leading[stage, b, 5 * LANES + j], q5))
        s = _plus(s, _apart(leading[stage, b, 6 * LANES + j], q6))
        s = _plus(s, _apart(leading[stage, b, 7 * LANES + j], q7))
        sums[j] = s
        s = _plus(s, _apart_unsigned(others[stage, b, j], other))
        found[j] = s
        least = min(least, s)
    return least


@_inlined
def distance(rows: NDArray[np.int16], r: int, q: NDArray[np.int16], i: int) -> Any:
    """The sum of how far apart row ``r`` of ``rows`` and row ``i`` of ``q`` are."""
    total = np.int32(0)
    for f in range(rows.shape[1]):
        total += np.int32(_apart(rows[r, f], q[i, f]))
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


@_inlined
def _replace_last(keys: NDArray[np.int64], i: int, key: int) -> None:
    """Put a key in the place of the largest of row ``i``, which heads the heap."""
    at, size = 0, keys.shape[1]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and keys[i, child + 1] > keys[i, child]:
            child += 1
        if keys[i, child] <= key:
            break
        keys[i, at] = keys[i, child]
        at = child
    keys[i, at] = key


@_compiled
def search(
    blocks: Blocks,
    limits: NDArray[np.int32],
    order: NDArray[np.intp],
    q: NDArray[np.int16],
    q_others: NDArray[np.uint16],
    farther: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> None:
    """Keep in each row of ``keys``, a heap, the smallest keys, distance << 32 | place, of a row of ``q``.

    ``limits`` are `block_bounds` of them and ``order`` what sorts these. ``farther`` is added to all distances of a
    row. The rows of ``q`` should be alike: they are taken through the same blocks, the most promising first.
    """
    leading, others, rows, places = blocks.leading, blocks.others, blocks.rows, blocks.place
    sums, found = np.empty(LANES, np.uint16), np.empty(LANES, np.uint16)
    last = (keys[:, 0] >> 32) - farther
    farthest = np.int64(FARTHEST)
    for b in order:
        if limits[b] > farthest:
            break
        for i in range(q.shape[0]):
            least = np.int64(limits[b])
            for j in range(LANES):
                sums[j] = 0
            for stage in range(STAGES):
                if least > last[i]:
                    break
                least = np.int64(bounds(leading, others, b, q, q_others, i, stage, sums, found))
            if least > last[i]:
                continue
            for j in range(LANES):
                place = places[b * LANES + j]
                # What is as far as the last may still have a lower number.
                if found[j] <= last[i] and place != NOBODY:
                    apart = np.int64(distance(rows, b * LANES + j, q, i)) + farther[i]
                    key = apart << 32 | np.int64(place)
                    if key < keys[i, 0]:
                        _replace_last(keys, i, key)
                        last[i] = (keys[i, 0] >> 32) - farther[i]
        farthest = last.max()
