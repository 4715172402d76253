"""Prepares a tree ensemble for `scoring.explanation.treeshap`: which tests a row is put to, and in which portions.

Two things are decided here, once per model and from the model alone (so that they can never make the result
of a row depend on the other rows of its batch):

*Code columns.* Every value is compared with many thresholds of its column. The thresholds of a column are
sorted once, and a value is replaced by the number of thresholds below it: one byte, against which each test
of each tree is then one comparison of bytes. A missing value becomes the code that passes or fails every
test; a column whose tests send missing values to both sides gets a code column for each side. A column with
more than 255 thresholds gets several code columns, each for a part of the thresholds.

*Portions.* The contributions of a tree are the sum of those of its leaves, so a tree may be cut into
portions: each has some of the leaves and the tests on the way to them, and all else counts as leaves of value
0. A portion with few tests has few distinct outcomes among the rows of a batch, and the work per outcome is
done once; but each portion pays again for the columns that it shares with others. `_cut` finds the cheapest
cut.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.explanation.kernels import CODES, MISSING_NONE, BinPlan, PortionPlan
from scoring.explanation.lightgbm_text import ModelFormatError, TreeEnsemble

MAX_DEPTH = 500

# Clock cycles per row, measured: of adding one column of a portion's table to the result, of a portion, of a
# test, and, per distinct outcome, of one test at one quadrature node.
_COLUMN, _PORTION, _TEST, _OUTCOME = 1.0, 2.5, 0.1, 3.0
# Distinct outcomes grow by about this factor with each test, up to the rows of a large batch.
_GROWTH, _ROWS = 1.75, 50_000


class _Tree(NamedTuple):
    """One tree in plain lists, which Python reads faster than arrays, and what `_cut` finds out about it."""

    feature: list[int]
    group: list[int]
    left: list[int]
    right: list[int]
    share: list[float]
    leaf_value: list[float]
    parent: list[int]
    depth: list[int]
    whole: list[bool]


def plan_codes(trees: TreeEnsemble) -> tuple[BinPlan, NDArray[np.int32], NDArray[np.uint8]]:
    """Sorts the thresholds of an ensemble into code columns.

    Returns
    -------
    The plan, and for each test of the ensemble its code column (``~category column`` for categories) and
    the largest code that goes left (0 for categories).
    """
    code_column = np.zeros(trees.feature.size, np.int32)
    code = np.zeros(trees.feature.size, np.uint8)
    numerical = ~trees.is_categorical
    missing_left = trees.default_left & (trees.missing_type != MISSING_NONE)
    features: list[int] = []
    types: list[int] = []
    depths: list[int] = []
    thresholds: list[NDArray[np.float64]] = []
    column_start = [0]
    columns: list[tuple[int, bool]] = []
    source_of = trees.feature.astype(np.int64) * 4 + trees.missing_type
    for source in np.unique(source_of[numerical]).tolist():
        tests = np.flatnonzero(numerical & (source_of == source))
        distinct, rank = np.unique(trees.threshold[tests], return_inverse=True)
        part = rank // CODES
        code[tests] = rank % CODES
        pairs, column = np.unique(2 * part + missing_left[tests], return_inverse=True)
        code_column[tests] = len(columns) + column
        columns += [(pair // 2 * CODES, bool(pair % 2)) for pair in pairs.tolist()]
        column_start.append(len(columns))
        depth = int(distinct.size).bit_length()
        depths.append(depth)
        thresholds.append(np.concatenate((distinct, np.full(2**depth - 1 - distinct.size, np.inf))))
        features.append(source // 4)
        types.append(source % 4)

    category_features = np.unique(trees.feature[~numerical])
    limits = np.zeros(category_features.size, np.int64)
    category_column = np.searchsorted(category_features, trees.feature[~numerical])
    np.maximum.at(limits, category_column, 32 * trees.category_words[~numerical].astype(np.int64))
    code_column[~numerical] = ~category_column
    plan = BinPlan(
        feature=np.array(features, np.int32),
        missing_type=np.array(types, np.uint8),
        start=np.cumsum([0, *(part.size for part in thresholds)])[:-1].astype(np.int64),
        depth=np.array(depths, np.int32),
        threshold=np.concatenate([np.zeros(0), *thresholds]),
        column_start=np.array(column_start, np.int64),
        first=np.array([first for first, _ in columns], np.int32),
        default_left=np.array([left for _, left in columns], np.bool_),
        category_feature=category_features,
        category_limit=np.minimum(limits, 2**31 - 1).astype(np.int32),
    )
    return plan, code_column, code


def plan_portions(
    trees: TreeEnsemble,
    groups: NDArray[np.int32],
    n_groups: int,
    code_column: NDArray[np.int32],
    code: NDArray[np.uint8],
) -> PortionPlan:
    """Cuts the trees of an ensemble into portions.

    Parameters
    ----------
    trees: the ensemble.
    groups: (n_features,) group of each model column.
    n_groups: number of groups.
    code_column, code: of `plan_codes`.

    Takes time and memory linear in the number of nodes times their depth.
    """
    test: list[int] = []  # number within the ensemble
    left: list[int] = []
    right: list[int] = []
    share: list[float] = []
    leaf_value: list[float] = []
    above: list[int] = []
    above_left: list[bool] = []
    above_share: list[float] = []
    column: list[int] = []
    start, column_start = [0], [0]
    group: list[int] = []
    order: list[int] = []

    for t in range(trees.n_trees):
        tree = _tree(trees, t, groups)
        _cut(tree)
        for part, leaves in _portions(tree):
            local = {n: i for i, n in enumerate(part)}
            columns = {n_groups: 0}
            distinct: list[int] = []  # model columns on the way to and including a test
            leaf = len(part)
            most = 1
            for i, n in enumerate(part):
                for child, side in ((tree.left[n], left), (tree.right[n], right)):
                    if child in local:
                        side.append(local[child])
                        continue
                    side.append(leaf)
                    leaf += 1
                    leaf_value.append(tree.leaf_value[~child] if child in leaves else 0.0)
                a, turns_left = _same_above(tree, n)
                above.append(-1 if a < 0 else local[a])
                above_left.append(turns_left)
                kept = tree.share[a] if turns_left else 1.0 - tree.share[a]
                above_share.append(1.0 if a < 0 else kept * above_share[start[-1] + local[a]])
                distinct.append((distinct[local[tree.parent[n]]] if i else 0) + (a < 0))
                if tree.left[n] in leaves or tree.right[n] in leaves:
                    most = max(most, distinct[i])
                column.append(columns.setdefault(tree.group[n], len(columns)))
                share.append(tree.share[n])
            if not part:
                leaf_value.append(tree.leaf_value[0])
            first = int(trees.node_start[t])
            test += [first + n for n in part]
            start.append(len(test))
            group += columns
            column_start.append(len(group))
            order.append((most + 1) // 2)

    groups_used = np.array(group, np.int32)
    tests = np.array(test, np.int64)
    n_columns = np.array([b - a for a, b in pairwise(column_start)], np.int64)
    uses = np.argsort(groups_used, kind="stable").astype(np.int32)
    return PortionPlan(
        start=np.array(start, np.int64),
        code_column=code_column[tests],
        code=code[tests],
        category_start=trees.category_start[tests],
        category_words=trees.category_words[tests],
        left=np.array(left, np.int32),
        right=np.array(right, np.int32),
        leaf_value=np.array(leaf_value, np.float64),
        share=np.array(share, np.float64),
        above=np.array(above, np.int32),
        above_left=np.array(above_left, np.bool_),
        above_share=np.array(above_share, np.float64),
        column=np.array(column, np.int32),
        column_start=np.array(column_start, np.int64),
        group=groups_used,
        order=np.array(order, np.int32),
        uses_start=np.searchsorted(groups_used[uses], np.arange(n_groups + 2)).astype(np.int64),
        uses=uses,
        portion=np.repeat(np.arange(len(order), dtype=np.int32), n_columns),
        category_bits=trees.category_bits.copy(),
    )


def _tree(trees: TreeEnsemble, t: int, groups: NDArray[np.int32]) -> _Tree:
    nodes = slice(int(trees.node_start[t]), int(trees.node_start[t + 1]))
    leaves = slice(int(trees.leaf_start[t]), int(trees.leaf_start[t + 1]))
    left, right = trees.left_child[nodes].tolist(), trees.right_child[nodes].tolist()
    size = len(left)
    counts = trees.node_count[nodes].tolist()
    leaf_counts = trees.leaf_count[leaves].tolist()
    parent, depth = [-1] * size, [0] * size
    share = [0.0] * size
    for n in range(size):
        for child in (left[n], right[n]):
            if child >= 0:
                parent[child], depth[child] = n, depth[n] + 1
        count = counts[left[n]] if left[n] >= 0 else leaf_counts[~left[n]]
        share[n] = count / counts[n]
    if size and max(depth) >= MAX_DEPTH:
        raise ModelFormatError(f"tree {t} is more than {MAX_DEPTH} splits deep, which is not supported")
    feature = trees.feature[nodes]
    return _Tree(
        feature=feature.tolist(),
        group=groups[feature].tolist(),
        left=left,
        right=right,
        share=share,
        leaf_value=trees.leaf_value[leaves].tolist(),
        parent=parent,
        depth=depth,
        whole=[False] * size,
    )


def _cut(tree: _Tree) -> None:
    """Finds at which nodes to stop cutting (``tree.whole``).

    Either all below a node is in one portion, or the two sides of the node are cut further, each on its own;
    the cheaper is taken, from the leaves up. The cost of a portion is an estimate of the work per row.
    """
    size = len(tree.left)
    over: list[set[int]] = []
    for n in range(size):
        over.append({tree.group[n]} if n == 0 else over[tree.parent[n]] | {tree.group[n]})
    below: list[set[int]] = [set()] * size
    tests, height, best = [1] * size, [1] * size, [0.0] * size
    for n in reversed(range(size)):
        children = [child for child in (tree.left[n], tree.right[n]) if child >= 0]
        below[n] = {tree.group[n]}.union(*(below[child] for child in children))
        tests[n] += sum(tests[child] for child in children)
        height[n] += max((height[child] for child in children), default=0)
        n_tests = tree.depth[n] + tests[n]
        n_columns = len(over[n] | below[n]) + 1
        n_outcomes = math.exp(min(n_tests * math.log(_GROWTH), math.log(_ROWS)))
        order = (tree.depth[n] + height[n] + 1) // 2
        once = _OUTCOME * n_tests * order * n_outcomes / _ROWS
        cost = _COLUMN * n_columns + _PORTION + _TEST * n_tests + once
        apart = sum(best[child] for child in children) if children else math.inf
        tree.whole[n] = cost <= apart
        best[n] = min(cost, apart)


def _portions(tree: _Tree) -> Iterator[tuple[list[int], set[int]]]:
    """Yields the tests (parents first) and the leaves (as children, ``~leaf``) of each portion."""
    if not tree.left:
        yield [], {-1}
        return
    stack: list[tuple[int, set[int]]] = [(0, set())]
    while stack:
        n, leaves = stack.pop()
        if not tree.whole[n]:
            # Leaves right at a cut come along with the first portion below: it asks their tests anyhow.
            inner = [child for child in (tree.right[n], tree.left[n]) if child >= 0]
            leaves |= {child for child in (tree.left[n], tree.right[n]) if child < 0}
            stack += [(child, set()) for child in inner[:-1]]
            stack.append((inner[-1], leaves))
            continue
        part = [n]
        for i in part:
            for child in (tree.left[i], tree.right[i]):
                if child >= 0:
                    part.append(child)
                else:
                    leaves.add(child)
        while (n := tree.parent[n]) >= 0:
            part.append(n)
        yield sorted(part), leaves


def _same_above(tree: _Tree, n: int) -> tuple[int, bool]:
    """The nearest test above ``n`` of the same model column (or -1), and whether the way turns left there."""
    below = n
    while (above := tree.parent[below]) >= 0:
        if tree.feature[above] == tree.feature[n]:
            return above, tree.left[above] == below
        below = above
    return -1, False
