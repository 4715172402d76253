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
(see `scoring.explanation.treeplan`) has few distinct outcomes. So, for each portion:

1. the outcomes of all rows are collected, one comparison of bytes per test and row;
2. equal outcomes are numbered alike, by direct lookup of the outcome's bits;
3. the contributions are computed once per distinct outcome, for 64 of them at a time;
4. each row adds up its outcomes' contributions, portion by portion in the order of the trees.

Every number of a row comes from operations on that row's values alone, in an order that the model fixes. So
it is the same to the last bit whatever else is in the batch, and whatever the number of threads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scoring.explanation.kernels import BLOCK_ROWS, VECTOR, Chunk, add_up, encode, tabulate
from scoring.explanation.lightgbm_text import TreeEnsemble
from scoring.explanation.treeplan import plan_codes, plan_portions

# Working memory of a block: of the outcome numbers (kept small enough for the cache that the cores share) and
# of the tables of contributions.
_NUMBER_BYTES = 16 * 2**20
_TABLE_BYTES = 128 * 2**20
# Fewer rows are not worth the start of threads.
_THREADED_ROWS = 256
# Portions of work: large enough that starting them costs little, small enough for threads to end together.
_CODING_ROWS, _ADDING_ROWS = 2**12, 2**15
_TASKS_PER_THREAD = 4

_Floats = NDArray[np.float64]


class TreeShap:
    """Computes log-odds and Shapley values of batches of rows for one model.

    Parameters
    ----------
    ensemble: the model.
    groups: int (n_columns,), for each model column the feature that its contribution is counted to, as
        when several columns encode one feature. The contribution of a group is the sum of those of its
        columns. By default every column is a group of its own.
    n_groups: number of groups; by default one more than the largest of ``groups``.

    Raises
    ------
    ValueError: ``groups`` does not fit the model or ``n_groups``.
    scoring.explanation.lightgbm_text.ModelFormatError: a tree is more than 500 splits deep.

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

        Parameters
        ----------
        x: float32 or float64 (n, n_columns), missing values being NaN, in any memory layout. Native
            categories are the codes that LightGBM was trained on.
        threads: number of threads to use, the calling one included.

        Returns
        -------
        ``log_odds`` (n,), equal to ``Booster.predict(raw_score=True)`` to the last bit, and
        ``contributions`` (n, n_groups), in log-odds; `base_value` and a row's contributions add up to its
        log-odds. The contributions are in column-major order: reading them column by column is fast.

        Raises
        ------
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
        too_large = self._most_outcomes(BLOCK_ROWS) > room
        if not too_large.any():
            return BLOCK_ROWS
        return max(VECTOR, int(room[too_large].min()) // VECTOR * VECTOR)

    def _most_outcomes(self, n: int) -> NDArray[np.int64]:
        """How many distinct outcomes each portion may have among ``n`` rows, in whole vectors."""
        most = np.where(self._tests < 16, np.left_shift(1, np.minimum(self._tests, 16)), n)
        return (np.minimum(most, n) + VECTOR - 1) // VECTOR * VECTOR

    def _explain_block(self, x: NDArray[Any], first_row: int, sums: _Floats, run: "_Runner") -> None:
        n = x.shape[0]
        bins, portions = self._bins, self._portions
        codes = np.empty((bins.first.size, n), np.uint8)
        categories = np.empty((bins.category_feature.size, n), np.int32)
        values, row_step, column_step = _flat(x)
        rows = _ranges(0, n, _CODING_ROWS)
        run(encode, [(values, row_step, column_step, r0, r1, bins, codes, categories) for r0, r1 in rows])

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
            chunk = Chunk(lo, hi, place, stride, numbers, tables)
            parts = _ranges(lo, hi, -(-(hi - lo) // n_tasks))
            run(tabulate, [(u0, u1, chunk, portions, codes, categories, *self._rule) for u0, u1 in parts])
            run(add_up, [(g, r0, r1, chunk, portions, first_row, sums) for g in groups for r0, r1 in rows])


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
