"""Exact Shapley values of a LightGBM model for whole batches of rows.

The explained quantity is the log-odds that the model predicts. A feature's contribution is its Shapley value
in the game whose value, for a set S of columns, is the expectation of the prediction along the trees: at a
test of a column in S a row goes its own way, at any other it goes both ways, in the proportion of the
training rows ("path-dependent" SHAP: Lundberg, Erion, Lee 2018, arXiv:1802.03888). This is what
``Booster.predict(pred_contrib=True)`` computes; `TreeShap` computes the same numbers another way.

**One tree, one row.** A leaf of value v is reached through tests of the columns j = 1..m. Let z_j be the
product of the proportions that follow the way to the leaf at the tests of column j, and o_j = 1 if the row
passes all of them, else 0. The leaf's game is v * prod_j (o_j if j in S, else z_j). By Owen's multilinear
extension (Owen 1972, Management Science 18(5)) its Shapley values are

    phi_i = v (o_i - z_i) * integral over t in [0, 1] of prod_{j != i} (z_j + (o_j - z_j) t) dt.

The integrand is a polynomial of degree m - 1, which a Gauss-Legendre rule of ceil(m / 2) nodes integrates
without error. (Linear TreeSHAP, Yu et al. 2022, arXiv:2209.08192, goes through the same polynomials at nodes
of its own.) At one node t, the sum over all leaves needs two passes over the tests. For test n, of which the
share z of the training rows goes left, let o be 1 if the row goes left and 0 otherwise, and

    r_n = z + (o - z) t                    weight of the left side, and 1 - r_n of the right side,
    B_n = r_n B_left + (1 - r_n) B_right   from the leaves up, B of a leaf being its value,
    D_left = r_n D_n,  D_right = (1 - r_n) D_n   from the root down, D of the root being the node's weight.

Then the column of test n receives (o - z) D_n (B_left - B_right). If the column was already tested on the way
to n, let z_a be its product of proportions so far, o_a whether the row passed so far, and
f = z_a + (1 - z_a) t. Then r_n = z + o_a (o - z) t / f, and the column receives
o_a (o - z) D_n (B_left - B_right) z_a / f^2: what is to be added to the earlier tests' part, which took the
column's later factors for another column's. Nothing is divided by a number that can be near 0.

**Many rows.** All of this depends on a row only through the outcomes of the tests, and a portion of a tree
(see `scoring.treeplan`) has few distinct outcomes. So, for each portion:

1. the outcomes of all rows are collected, one comparison of bytes per test and row;
2. equal outcomes are numbered alike, by direct lookup of the outcome's bits;
3. the contributions are computed once per distinct outcome, for 64 of them at a time;
4. each row adds up its outcomes' contributions, portion by portion in the order of the trees.

Every number of a row comes from operations on that row's values alone, in an order that the model fixes. So
it is the same to the last bit whatever else is in the batch, and whatever the number of threads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Self, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scoring.treeplan import CODES, BinPlan, PortionPlan, plan_codes, plan_portions
from scoring.trees import MISSING_NAN, MISSING_ZERO, TreeEnsemble

# Outcomes of a block are numbered in 16 bits, of which one value means "none yet".
_BLOCK_ROWS = 2**16 - 1
_NONE = np.uint16(2**16 - 1)
# Working memory of a block: of the outcome numbers (kept small enough for the cache that the cores share) and
# of the tables of contributions.
_NUMBER_BYTES = 16 * 2**20
_TABLE_BYTES = 128 * 2**20
# Fewer rows are not worth the start of threads.
_THREADED_ROWS = 256
# Portions of work: large enough that starting them costs little, small enough for threads to end together.
_CODING_ROWS, _ADDING_ROWS = 2**12, 2**15
_TASKS_PER_THREAD = 4
_TILE = 256
# Outcomes that are computed at once, a whole number of vector registers; tables are padded to _VECTOR.
_LANES = 64
_VECTOR = 8
_ROW = np.uint64(_LANES)
# LightGBM takes values up to this magnitude for 0 (kZeroThreshold, a float there).
_ZERO = float(np.float32(1e-35))

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Floats = NDArray[np.float64]


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(nogil=True, cache=True)(function))


class TreeShap:
    """Computes log-odds and Shapley values of batches of rows for one model.

    Args:
        ensemble: the model.
        groups: int (n_columns,), for each model column the feature that its contribution is counted to, as
            when several columns encode one feature. The contribution of a group is the sum of those of its
            columns. By default every column is a group of its own.
        n_groups: number of groups; by default one more than the largest of ``groups``.

    Raises:
        ValueError: ``groups`` does not fit the model or ``n_groups``.
        scoring.trees.ModelFormatError: a tree is more than 500 splits deep.

    Construction takes about 0.2 ms per tree of 24 leaves. An object may be used by several threads at once.
    """

    base_value: float
    """Expected log-odds over the training rows: what the contributions of a row are added to."""

    additions: int
    """How many numbers are added up for each row, which is most of the work for a large batch."""

    def __init__(
        self, ensemble: TreeEnsemble, groups: NDArray[np.int16] | None = None, n_groups: int | None = None
    ) -> None:
        group_of: NDArray[np.int32]
        if groups is None:
            group_of = np.arange(ensemble.n_features, dtype=np.int32)
        else:
            if groups.shape != (ensemble.n_features,) or groups.dtype.kind not in "iu":
                raise ValueError(
                    f"groups is {groups.dtype} {groups.shape}, expected is one integer for each of the"
                    f" {ensemble.n_features} columns of the model"
                )
            group_of = groups.astype(np.int32)
        self._n_groups = int(group_of.max()) + 1 if n_groups is None else n_groups
        if group_of.min() < 0 or group_of.max() >= self._n_groups:
            held = f"{group_of.min()} to {group_of.max()}"
            raise ValueError(f"groups holds the numbers {held}, but n_groups is {self._n_groups}")
        self._n_columns = ensemble.n_features
        self._bins, code_column, code = plan_codes(ensemble)
        self._portions = plan_portions(ensemble, group_of, self._n_groups, code_column, code)
        self._rule = _quadrature(self._portions.order)
        self._tests = np.diff(self._portions.start)
        self._table_columns = np.diff(self._portions.column_start)
        self._by_use = np.argsort(-np.diff(self._portions.uses_start), kind="stable")
        self.base_value = _expectation(ensemble)
        self.additions = int(self._portions.group.size)

    def explain(self, x: NDArray[Any], *, threads: int = 2) -> tuple[_Floats, _Floats]:
        """Computes the log-odds of rows and what each group of columns contributes to them.

        Args:
            x: float32 or float64 (n, n_columns), missing values being NaN, in any memory layout. Native
                categories are the codes that LightGBM was trained on.
            threads: number of threads to use, the calling one included.

        Returns:
            ``log_odds`` (n,), equal to ``Booster.predict(raw_score=True)`` to the last bit, and
            ``contributions`` (n, n_groups), in log-odds; `base_value` and a row's contributions add up to its
            log-odds. The contributions are in column-major order: reading them column by column is fast.

        Raises:
            TypeError: ``x`` is of another type.
            ValueError: ``x`` is of another shape, or ``threads`` is less than 1.

        Time is O(n (k log b + t + c) + d t m), with k code columns of b thresholds, t tests and c table columns
        in all portions, d distinct outcomes per portion, and m columns on the longest way to a leaf. A test
        counts once for each portion that it leads to: t is at most the number of nodes times the depth, and c
        at most t and the number of portions. Apart from the result, memory is bounded whatever n: at most
        65,535 rows at a time take a byte per code column each, 16 MiB for the numbers of their outcomes, and
        tables, usually of far less than the 128 MiB that they may take. A model with a portion whose table
        would be larger gets fewer rows at a time.
        """
        if x.dtype not in (np.float32, np.float64):
            raise TypeError(f"x is {x.dtype}, expected is float32 or float64")
        if x.ndim != 2 or x.shape[1] != self._n_columns:
            raise ValueError(f"x has the shape {x.shape}, expected is (rows, {self._n_columns})")
        if threads < 1:
            raise ValueError(f"threads is {threads}, expected is at least 1")
        n = x.shape[0]
        sums = np.zeros((self._n_groups + 1, n))
        n_blocks = -(-n // self._block_rows())
        with _Runner(threads if n >= _THREADED_ROWS else 1) as run:
            for b in range(n_blocks):
                lo, hi = n * b // n_blocks, n * (b + 1) // n_blocks
                self._explain_block(x[lo:hi], lo, sums, run)
        return sums[-1], sums[:-1].T

    def _block_rows(self) -> int:
        """How many rows at a time keep the table of every portion within the memory for tables."""
        room = _TABLE_BYTES // 8 // self._table_columns
        too_large = self._most_outcomes(_BLOCK_ROWS) > room
        if not too_large.any():
            return _BLOCK_ROWS
        return max(_VECTOR, int(room[too_large].min()) // _VECTOR * _VECTOR)

    def _most_outcomes(self, n: int) -> NDArray[np.int64]:
        """How many distinct outcomes each portion may have among ``n`` rows, in whole vectors."""
        most = np.where(self._tests < 16, np.left_shift(1, np.minimum(self._tests, 16)), n)
        return (np.minimum(most, n) + _VECTOR - 1) // _VECTOR * _VECTOR

    def _explain_block(self, x: NDArray[Any], first_row: int, sums: _Floats, run: "_Runner") -> None:
        n = x.shape[0]
        bins, portions = self._bins, self._portions
        codes = np.empty((bins.first.size, n), np.uint8)
        categories = np.empty((bins.category_feature.size, n), np.int32)
        values, row_step, column_step = _flat(x)
        rows = _ranges(0, n, _CODING_ROWS)
        run(_encode, [(values, row_step, column_step, r0, r1, bins, codes, categories) for r0, r1 in rows])

        # A portion has no more distinct outcomes than its tests allow; so its place in the memory for tables
        # is known beforehand, and of that memory only what is written to is ever taken from the system.
        stride = self._most_outcomes(n)
        size = stride * self._table_columns
        chunks = list(_chunks(size, max(1, _NUMBER_BYTES // (2 * n))))
        tables = np.empty(max((int(size[lo:hi].sum()) for lo, hi in chunks), default=0))
        numbers = np.empty((max((hi - lo for lo, hi in chunks), default=0), n), np.uint16)
        n_tasks = run.threads * _TASKS_PER_THREAD if run.threads > 1 else 1
        groups = [self._by_use[i::n_tasks].copy() for i in range(min(n_tasks, self._by_use.size))]
        rows = _ranges(0, n, _ADDING_ROWS)
        for lo, hi in chunks:
            place = np.cumsum(size[lo:hi]) - size[lo:hi]
            chunk = _Chunk(lo, hi, place, stride, numbers, tables)
            parts = _ranges(lo, hi, -(-(hi - lo) // n_tasks))
            run(_tabulate, [(u0, u1, chunk, portions, codes, categories, *self._rule) for u0, u1 in parts])
            run(_add_up, [(g, r0, r1, chunk, portions, first_row, sums) for g in groups for r0, r1 in rows])


class _Chunk(NamedTuple):
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


class _Runner:
    """Runs tasks on some threads, of which the calling one is the first."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown()

    def __call__(self, task: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
        """Calls the task with each of the arguments, whichever thread is free taking the next."""
        rest = iter(arguments)  # the threads may share it: taking the next of a list is one step

        def drain() -> None:
            for argument in rest:
                task(*argument)

        helpers = min(self.threads, len(arguments)) - 1
        futures = [self._pool.submit(drain) for _ in range(helpers)] if self._pool else []
        drain()
        for future in futures:
            future.result()


def _expectation(trees: TreeEnsemble) -> float:
    # Added up in LightGBM's order, so that the result is LightGBM's to the last bit.
    total = 0.0
    for t in range(trees.n_trees):
        leaves = slice(int(trees.leaf_start[t]), int(trees.leaf_start[t + 1]))
        values, counts = trees.leaf_value[leaves].tolist(), trees.leaf_count[leaves].tolist()
        if len(values) == 1:
            total += values[0]
            continue
        rows = int(trees.node_count[trees.node_start[t]])
        expected = 0.0
        for value, count in zip(values, counts, strict=True):
            expected += count / rows * value
        total += expected
    return total


def _quadrature(orders: NDArray[np.int32]) -> tuple[_Floats, _Floats]:
    """Nodes and weights of the Gauss-Legendre rules on [0, 1]; row q is the rule of q nodes."""
    highest = int(orders.max(initial=1))
    nodes, weights = np.zeros((highest + 1, highest)), np.zeros((highest + 1, highest))
    for q in np.unique(orders).tolist():
        at, weight = np.polynomial.legendre.leggauss(q)
        nodes[q, :q], weights[q, :q] = (at + 1.0) / 2.0, weight / 2.0
    return nodes, weights


def _flat(x: NDArray[Any]) -> tuple[NDArray[Any], int, int]:
    """The values in one dimension, and how many of them apart two rows and two columns are."""
    if x.flags.c_contiguous:
        return x.reshape(-1), x.shape[1], 1
    if x.T.flags.c_contiguous:
        return x.T.reshape(-1), 1, x.shape[0]
    return np.ascontiguousarray(x).reshape(-1), x.shape[1], 1


def _ranges(lo: int, hi: int, step: int) -> list[tuple[int, int]]:
    return [(a, min(hi, a + step)) for a in range(lo, hi, step)]


def _chunks(size: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of portions, at most ``most`` each, whose tables fit into the memory for them."""
    end = np.cumsum(size)
    lo = 0
    while lo < size.size:
        room = (int(end[lo - 1]) if lo else 0) + _TABLE_BYTES // 8
        hi = min(lo + most, max(lo + 1, int(np.searchsorted(end, room, "right"))))
        hi = min(hi, size.size)
        yield lo, hi
        lo = hi


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
def _encode(
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
def _tabulate(
    u0: int,
    u1: int,
    chunk: _Chunk,
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
    distinct = np.empty((n_planes, n + _VECTOR), np.uint8)
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
            distinct[b, n_distinct : n_distinct + _VECTOR] = 0
        table = chunk.tables[chunk.place[u - chunk.lo] :]
        n_columns = plan.column_start[u + 1] - plan.column_start[u]
        order = plan.order[u]
        nodes, weights = rule_nodes[order, :order], rule_weights[order, :order]
        for p in range(0, n_distinct, _LANES):
            width = min(_LANES, (n_distinct - p + _VECTOR - 1) // _VECTOR * _VECTOR)
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
    """Computes the contributions of up to 64 outcomes, by the formulas at the top of this module.

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
    column: int, r0: int, r1: int, chunk: _Chunk, plan: PortionPlan
) -> tuple[_Floats, NDArray[np.uint16]]:
    """A column of a portion's table, and which of its entries the rows r0 to r1 have."""
    u = plan.portion[column]
    at = chunk.place[u - chunk.lo] + (column - plan.column_start[u]) * chunk.stride[u]
    return chunk.tables[at : at + chunk.stride[u]], chunk.numbers[u - chunk.lo, r0:r1]


@_compiled
def _add_up(
    groups: NDArray[np.int64],
    r0: int,
    r1: int,
    chunk: _Chunk,
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
