"""The compiled inner loops of the explanation engine, with everything that is compiled into them.

Numba keeps the machine code beside this file and makes it anew only when this file changes. Constants and the
fields of tuples become part of that code. So all of them stand here: if one stood elsewhere and were edited there,
the engine would go on computing with the old one. A test holds that the loops take nothing from other modules.

`scoring.explanation.treeshap` says what they compute.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

# How a test of a LightGBM model tells missing values: not at all (NaN is read as 0), NaN and 0, or NaN.
MISSING_NONE, MISSING_ZERO, MISSING_NAN = 0, 1, 2
# Thresholds that one code column tells apart, and the code above all of them.
CODES = 255
# Outcomes of a block are numbered in 16 bits, of which one value means "none yet".
BLOCK_ROWS = 2**16 - 1
_NONE = np.uint16(2**16 - 1)
_TILE = 256
# Outcomes that are computed at once, a whole number of vector registers; tables are padded to VECTOR.
_LANES = 64
VECTOR = 8
_ROW = np.uint64(_LANES)
# LightGBM takes values up to this magnitude for 0 (kZeroThreshold, a float there).
_ZERO = float(np.float32(1e-35))

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Floats = NDArray[np.float64]


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(nogil=True, cache=True)(function))


class BinPlan(NamedTuple):
    """How values become codes.

    A source is a model column under one missing type. Source ``s`` has the sorted thresholds
    ``threshold[start[s]:start[s] + 2 ** depth[s] - 1]``, filled up with infinity for a search of ``depth[s]``
    steps, and the code columns ``column_start[s]:column_start[s + 1]``.

    Attributes
    ----------
    feature: int32 (sources,), model column.
    missing_type: uint8 (sources,).
    start: int64 (sources,).
    depth: int32 (sources,).
    threshold: float64.
    column_start: int64 (sources + 1,).
    first: int32 (code columns,), number of the threshold that the column's code 0 begins with.
    default_left: bool (code columns,), side of missing values.
    category_feature: int32 (category columns,), model column.
    category_limit: int32 (category columns,), one more than the largest category that any test asks for.
    """

    feature: NDArray[np.int32]
    missing_type: NDArray[np.uint8]
    start: NDArray[np.int64]
    depth: NDArray[np.int32]
    threshold: NDArray[np.float64]
    column_start: NDArray[np.int64]
    first: NDArray[np.int32]
    default_left: NDArray[np.bool_]
    category_feature: NDArray[np.int32]
    category_limit: NDArray[np.int32]


class PortionPlan(NamedTuple):
    """The portions, in the order of their trees.

    Portion ``u`` is a binary tree with the tests ``start[u]:start[u + 1]``, parents before children, and one
    leaf more than tests; its leaf ``i`` has ``leaf_value[start[u] + u + i]``. A child is numbered within its
    portion, the leaves after the tests.

    Attributes
    ----------
    start: int64 (portions + 1,).
    code_column: int32 (tests,), row of the codes, or ``~row`` of the categories.
    code: uint8 (tests,), largest code that goes left.
    category_start, category_words: int32 (tests,), the categories that go left, as in `TreeEnsemble`.
    left, right: int32 (tests,).
    leaf_value: float64 (leaves,).
    share: float64 (tests,), share of the test's training rows that went left.
    above: int32 (tests,), nearest test of the same model column on the way from the root, or -1.
    above_left: bool (tests,), the way turns left there.
    above_share: float64 (tests,), product of the shares that follow the way at all such tests; 1 if none.
    column: int32 (tests,), which column of the portion's table gets the test's contribution.
    column_start: int64 (portions + 1,), the table columns are
        ``group[column_start[u]:column_start[u + 1]]``.
    group: int32 (table columns,). The first of a portion is ``n_groups`` and stands for the score itself.
    order: int32 (portions,), number of quadrature nodes.
    uses_start, uses: int64 (n_groups + 2,) and int32, the table columns (numbers into ``group``) that are
        added to each group, in the order of the portions.
    portion: int32 (table columns,), the portion that a table column belongs to.
    category_bits: uint32.
    """

    start: NDArray[np.int64]
    code_column: NDArray[np.int32]
    code: NDArray[np.uint8]
    category_start: NDArray[np.int32]
    category_words: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf_value: NDArray[np.float64]
    share: NDArray[np.float64]
    above: NDArray[np.int32]
    above_left: NDArray[np.bool_]
    above_share: NDArray[np.float64]
    column: NDArray[np.int32]
    column_start: NDArray[np.int64]
    group: NDArray[np.int32]
    order: NDArray[np.int32]
    uses_start: NDArray[np.int64]
    uses: NDArray[np.int32]
    portion: NDArray[np.int32]
    category_bits: NDArray[np.uint32]


class Chunk(NamedTuple):
    """The portions lo to hi and their tables in a block of rows.

    Portion ``u`` has ``stride[u]`` table entries per table column, one for each distinct outcome, the first
    of them at ``tables[place[u - lo]]``. Row ``r`` has the outcome ``numbers[u - lo, r]``.
    """

    lo: int
    hi: int
    place: NDArray[np.int64]
    stride: NDArray[np.int64]
    numbers: NDArray[np.uint16]
    tables: _Floats


@_compiled
def _load(values: Any, at: int, step: int, missing_type: int, x: _Floats, missing: NDArray[np.bool_]) -> None:
    for i in range(x.size):
        v = np.float64(values[at])
        at += step
        x[i] = 0.0 if abs(v) <= _ZERO or (missing_type != MISSING_NAN and v != v) else v
    for i in range(x.size):
        missing[i] = x[i] != x[i] or (missing_type == MISSING_ZERO and x[i] == 0.0)


@_compiled
def _search(x: _Floats, threshold: _Floats, depth: int, below: NDArray[np.uint32]) -> None:
    # All values take one step of the binary search before any takes the next: no branches to mispredict, and
    # the loads of different values overlap.
    for i in range(x.size):
        below[i] = 0
    step = np.uint32(1 << depth >> 1)
    while step > 0:
        for i in range(x.size):
            at = below[i]
            below[i] = at + step if threshold[at + (step - np.uint32(1))] < x[i] else at
        step >>= np.uint32(1)


@_compiled
def _to_codes(
    below: NDArray[np.uint32],
    missing: NDArray[np.bool_],
    first: int,
    default_left: bool,
    codes: NDArray[np.uint8],
) -> None:
    absent = np.uint32(0) if default_left else np.uint32(CODES)
    for i in range(codes.size):
        code = below[i] - min(below[i], np.uint32(first))
        codes[i] = absent if missing[i] else min(code, np.uint32(CODES))


@_compiled
def encode(
    values: Any,
    row_step: int,
    column_step: int,
    r0: int,
    r1: int,
    plan: BinPlan,
    codes: NDArray[np.uint8],
    categories: NDArray[np.int32],
) -> None:
    """Replaces the values of the rows r0 to r1 by their codes and categories (-1 for none)."""
    tile_x = np.empty(_TILE)
    tile_below = np.empty(_TILE, np.uint32)
    tile_missing = np.empty(_TILE, np.bool_)
    for r in range(r0, r1, _TILE):
        n = min(_TILE, r1 - r)
        x, below, missing = tile_x[:n], tile_below[:n], tile_missing[:n]
        for s in range(plan.feature.size):
            at = r * row_step + plan.feature[s] * column_step
            _load(values, at, row_step, plan.missing_type[s], x, missing)
            _search(x, plan.threshold[plan.start[s] :], plan.depth[s], below)
            for c in range(plan.column_start[s], plan.column_start[s + 1]):
                _to_codes(below, missing, plan.first[c], plan.default_left[c], codes[c, r : r + n])
        for c in range(plan.category_feature.size):
            at = r * row_step + plan.category_feature[c] * column_step
            for i in range(n):
                v = np.float64(values[at + i * row_step])
                # Truncated as in LightGBM: what lies between -1 and 0 is category 0.
                categories[c, r + i] = np.int32(v) if v > -1.0 and v < plan.category_limit[c] else -1


@_compiled
def _set_bit(plane: NDArray[np.uint8], codes: NDArray[np.uint8], code: int, bit: int) -> None:
    one = np.uint8(1 << bit)
    for r in range(plane.size):
        plane[r] |= one if codes[r] <= code else np.uint8(0)


@_compiled
def _set_category_bit(
    plane: NDArray[np.uint8], categories: NDArray[np.int32], words: NDArray[np.uint32], bit: int
) -> None:
    one = np.uint8(1 << bit)
    for r in range(plane.size):
        category = categories[r]
        if (
            category >= 0
            and category >> 5 < words.size
            and (words[category >> 5] >> np.uint32(category & 31)) & np.uint32(1)
        ):
            plane[r] |= one


@_compiled
def _number(
    keys: NDArray[np.uint32],
    slots: NDArray[np.uint16],
    seen: NDArray[np.uint32],
    first: NDArray[np.int32],
    numbers: NDArray[np.uint16],
) -> int:
    """Numbers the distinct keys in the order of their appearance.

    Writes each row's number, and the first row of each number, and returns how many there are. ``slots`` is a
    table over all possible keys, empty before and after; ``seen`` is for scratch.
    """
    n_seen = 0
    for r in range(keys.size):
        key = keys[r]
        number = slots[key]
        if number == _NONE:
            number = np.uint16(n_seen)
            slots[key] = number
            seen[n_seen] = key
            first[n_seen] = r
            n_seen += 1
        numbers[r] = number
    for i in range(n_seen):
        slots[seen[i]] = _NONE
    return n_seen


@_compiled
def _aligned(n: int) -> _Floats:
    # Vector registers are as long as cache lines: unaligned, every access would touch two lines.
    raw = np.empty(n + 8)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + n]


@_compiled
def tabulate(
    u0: int,
    u1: int,
    chunk: Chunk,
    plan: PortionPlan,
    codes: NDArray[np.uint8],
    categories: NDArray[np.int32],
    rule_nodes: _Floats,
    rule_weights: _Floats,
) -> None:
    """Numbers the outcomes of the portions u0 to u1 and fills in their tables.

    The first column of a table is the value of the leaf that is reached, the others are contributions.
    """
    n = codes.shape[1]
    widest = 1
    for u in range(u0, u1):
        widest = max(widest, plan.start[u + 1] - plan.start[u])
    n_planes = max(2, (widest + 7) // 8)
    planes = np.empty((n_planes, n), np.uint8)
    distinct = np.empty((n_planes, n + VECTOR), np.uint8)
    slots = np.full(2**16 if widest <= 16 else 2**20, _NONE, np.uint16)
    keys, seen = np.empty(n, np.uint32), np.empty(n, np.uint32)
    first = np.empty(n, np.int32)
    size = widest * _LANES
    scratch = (_aligned(size), _aligned(size), _aligned(size), _aligned(size), _aligned(size))
    for u in range(u0, u1):
        start = plan.start[u]
        n_tests = plan.start[u + 1] - start
        planes[: max(2, (n_tests + 7) // 8)] = 0
        for i in range(n_tests):
            column = plan.code_column[start + i]
            if column >= 0:
                _set_bit(planes[i >> 3], codes[column], plan.code[start + i], i & 7)
            else:
                word = plan.category_start[start + i]
                words = plan.category_bits[word : word + plan.category_words[start + i]]
                _set_category_bit(planes[i >> 3], categories[~column], words, i & 7)

        low, high = planes[0], planes[1]
        for r in range(n):
            keys[r] = np.uint32(low[r]) | np.uint32(high[r]) << np.uint32(8)
        own = chunk.numbers[u - chunk.lo]
        n_distinct = _number(keys, slots, seen, first, own)
        # More than 16 tests: the numbers so far are told apart by four more tests at a time.
        for i in range(16, n_tests, 4):
            plane = planes[i >> 3]
            for r in range(n):
                nibble = np.uint32(plane[r]) >> np.uint32(i & 7) & np.uint32(15)
                keys[r] = np.uint32(own[r]) << np.uint32(4) | nibble
            n_distinct = _number(keys, slots, seen, first, own)

        for b in range((n_tests + 7) // 8):
            for p in range(n_distinct):
                distinct[b, p] = planes[b, first[p]]
            distinct[b, n_distinct : n_distinct + VECTOR] = 0
        table = chunk.tables[chunk.place[u - chunk.lo] :]
        n_columns = plan.column_start[u + 1] - plan.column_start[u]
        order = plan.order[u]
        nodes, weights = rule_nodes[order, :order], rule_weights[order, :order]
        for p in range(0, n_distinct, _LANES):
            width = min(_LANES, (n_distinct - p + VECTOR - 1) // VECTOR * VECTOR)
            outcomes = distinct[:, p : p + width]
            _explain(u, plan, outcomes, nodes, weights, table[p:], chunk.stride[u], n_columns, scratch)


@_compiled
def _explain(
    u: int,
    plan: PortionPlan,
    outcomes: NDArray[np.uint8],
    nodes: _Floats,
    weights: _Floats,
    table: _Floats,
    stride: int,
    n_columns: int,
    scratch: tuple[_Floats, _Floats, _Floats, _Floats, _Floats],
) -> None:
    """Computes the contributions of up to 64 outcomes, by the formulas at the top of `treeshap`.

    ``outcomes`` holds a bit per test, set if it goes left. Each scratch array has a row of 64 numbers per
    test. Indices are unsigned where loops are to become vector code: of signed ones, the compiler would have
    to expect that they count from the end.
    """
    gain, turn, passed, total, walk = scratch
    start = plan.start[u]
    n_tests = plan.start[u + 1] - start
    width = np.uint64(outcomes.shape[1])
    leaf_value = plan.leaf_value[start + u :]
    if n_tests == 0:
        table[:width] = leaf_value[0]
        return

    # turn is o_a (o - z); gain is o until the first pass overwrites it.
    for i in range(n_tests):
        row = np.uint64(i) * _ROW
        bits, mask = outcomes[i >> 3], np.uint8(1 << (i & 7))
        share, above = plan.share[start + i], plan.above[start + i]
        for p in range(width):
            gain[row + p] = 1.0 if bits[p] & mask else 0.0
            total[row + p] = 0.0
        if above < 0:
            for p in range(width):
                passed[row + p] = 1.0
                turn[row + p] = gain[row + p] - share
        else:
            earlier = np.uint64(above) * _ROW
            taken = 1.0 if plan.above_left[start + i] else 0.0
            for p in range(width):
                still = passed[earlier + p] if gain[earlier + p] == taken else 0.0
                passed[row + p] = still
                turn[row + p] = still * (gain[row + p] - share)

    # The leaf that is reached, exactly: the predicted score must not depend on the quadrature.
    for i in range(n_tests - 1, -1, -1):
        row = np.uint64(i) * _ROW
        left, right = plan.left[start + i], plan.right[start + i]
        below_left, below_right = np.uint64(left) * _ROW, np.uint64(right) * _ROW
        left_value = leaf_value[left - n_tests] if left >= n_tests else 0.0
        right_value = leaf_value[right - n_tests] if right >= n_tests else 0.0
        for p in range(width):
            a = walk[below_left + p] if left < n_tests else left_value
            b = walk[below_right + p] if right < n_tests else right_value
            walk[row + p] = a if gain[row + p] != 0.0 else b
    for p in range(width):
        table[p] = walk[p]

    for k in range(nodes.size):
        _upwards(start, n_tests, plan, nodes[k], leaf_value, width, turn, gain, walk)
        _downwards(start, n_tests, plan, nodes[k], weights[k], width, turn, gain, walk, total)

    table_columns = stride * (n_columns - 1)
    for c in range(stride, stride + table_columns, stride):
        table[c : c + width] = 0.0
    for i in range(n_tests):
        row = np.uint64(i) * _ROW
        column = table[plan.column[start + i] * stride :]
        for p in range(width):
            column[p] += turn[row + p] * total[row + p]


@_compiled
def _upwards(
    start: int,
    n_tests: int,
    plan: PortionPlan,
    t: float,
    leaf_value: _Floats,
    width: np.uint64,
    turn: _Floats,
    gain: _Floats,
    walk: _Floats,
) -> None:
    """From the leaves up: B of each test into ``walk``, and B_left - B_right into ``gain``."""
    for i in range(n_tests - 1, -1, -1):
        share, above_share = plan.share[start + i], plan.above_share[start + i]
        slope = t / (above_share + (1.0 - above_share) * t)
        row = np.uint64(i) * _ROW
        left, right = plan.left[start + i], plan.right[start + i]
        below_left, below_right = np.uint64(left) * _ROW, np.uint64(right) * _ROW
        left_value = leaf_value[left - n_tests] if left >= n_tests else 0.0
        right_value = leaf_value[right - n_tests] if right >= n_tests else 0.0
        for p in range(width):
            a = walk[below_left + p] if left < n_tests else left_value
            b = walk[below_right + p] if right < n_tests else right_value
            gain[row + p] = a - b
            walk[row + p] = b + (share + slope * turn[row + p]) * (a - b)


@_compiled
def _downwards(
    start: int,
    n_tests: int,
    plan: PortionPlan,
    t: float,
    weight: float,
    width: np.uint64,
    turn: _Floats,
    gain: _Floats,
    walk: _Floats,
    total: _Floats,
) -> None:
    """From the root down: D of each test into ``walk``, and its part of the contributions to ``total``."""
    for p in range(width):
        walk[p] = weight
    for i in range(n_tests):
        share, above_share = plan.share[start + i], plan.above_share[start + i]
        f = above_share + (1.0 - above_share) * t
        slope, factor = t / f, above_share / (f * f)
        row = np.uint64(i) * _ROW
        left, right = plan.left[start + i], plan.right[start + i]
        below_left, below_right = np.uint64(left) * _ROW, np.uint64(right) * _ROW
        for p in range(width):
            d = walk[row + p]
            total[row + p] += factor * d * gain[row + p]
            d_left = d * (share + slope * turn[row + p])
            if left < n_tests:
                walk[below_left + p] = d_left
            if right < n_tests:
                walk[below_right + p] = d - d_left


@_compiled
def _table_column(
    column: int, r0: int, r1: int, chunk: Chunk, plan: PortionPlan
) -> tuple[_Floats, NDArray[np.uint16]]:
    """A column of a portion's table, and which of its entries the rows r0 to r1 have."""
    u = plan.portion[column]
    at = chunk.place[u - chunk.lo] + (column - plan.column_start[u]) * chunk.stride[u]
    return chunk.tables[at : at + chunk.stride[u]], chunk.numbers[u - chunk.lo, r0:r1]


@_compiled
def add_up(
    groups: NDArray[np.int64],
    r0: int,
    r1: int,
    chunk: Chunk,
    portions: PortionPlan,
    first_row: int,
    sums: _Floats,
) -> None:
    """Adds the tables of a chunk to the sums of some groups in the block's rows r0 to r1."""
    for g in groups:
        columns = portions.uses[portions.uses_start[g] : portions.uses_start[g + 1]]
        i = np.searchsorted(columns, portions.column_start[chunk.lo])
        end = np.searchsorted(columns, portions.column_start[chunk.hi])
        total = sums[g, first_row + r0 : first_row + r1]
        # Four at a time, to spare reading and writing the sums; yet each is added to the sum of those before.
        while i + 4 <= end:
            a, at_a = _table_column(columns[i], r0, r1, chunk, portions)
            b, at_b = _table_column(columns[i + 1], r0, r1, chunk, portions)
            c, at_c = _table_column(columns[i + 2], r0, r1, chunk, portions)
            d, at_d = _table_column(columns[i + 3], r0, r1, chunk, portions)
            for r in range(total.size):
                total[r] = total[r] + a[at_a[r]] + b[at_b[r]] + c[at_c[r]] + d[at_d[r]]
            i += 4
        while i < end:
            a, at_a = _table_column(columns[i], r0, r1, chunk, portions)
            for r in range(total.size):
                total[r] += a[at_a[r]]
            i += 1
