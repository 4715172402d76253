"""Which way a missing value goes in a tree, where training could not say.

LightGBM reads NaN as the number 0 in every column of which it saw no missing value in training. Where it saw only a
few, the way at most splits is the one that it tries first. Neither was learned from anybody. So the ways at splits
that fewer than 20 former customers came to without the value are learned here, from customers who have it: tree by
tree those are taken with which the customers' log-odds without the value come closest to their log-odds with it. A
missing value then counts as much as it does on average for customers who are alike otherwise.

Nothing changes for a value that is there, nor for a way that was learned from enough customers. (scikit-learn
and H2O send such values to the side of most customers. Tried here, that adds up over the trees: a missing annuity
scored as the best annuities do.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.explanation.kernels import MISSING_NAN
from scoring.explanation.lightgbm_text import DEFAULT_LEFT, TreeEnsemble, parse_model
from scoring.explanation.rewriting import rewritten

# Fewer former customers than this say nothing about the better way; LightGBM's own default for a leaf is 20 too.
LEARNED_FROM = 20
# Customers that ways are learned from: enough to tell an average, few enough for a second.
SAMPLED = 2_000
_NAN = MISSING_NAN << 2
_Rows = NDArray[np.intp]


def with_missing_ways(
    booster_text: str, matrix: NDArray[np.float32], groups: Sequence[NDArray[np.intp]], *, seed: int = 0
) -> str:
    """The model with a learned way for every value that may be missing.

    Parameters
    ----------
    booster_text: LightGBM's text format.
    matrix: what it was trained on, shape (n, columns).
    groups: columns that may be missing, those together that are missing together.
    """
    trees = parse_model(booster_text)
    group_of = np.full(trees.n_features, -1)
    for number, columns in enumerate(groups):
        group_of[columns] = number
    group = np.where(trees.is_categorical, -1, group_of[trees.feature])
    group[_missing_rows(trees, matrix) >= LEARNED_FROM] = -1
    rows = np.random.default_rng(seed).permutation(len(matrix))[:SAMPLED]
    sample = np.asfortranarray(matrix[np.sort(rows)])
    goes_left = trees.default_left.copy()
    # Per group how far the log-odds without the value are below those with it, over the trees so far.
    behind = np.zeros((len(groups), len(sample)))
    for start, stop in zip(trees.node_start[:-1].tolist(), trees.node_start[1:].tolist(), strict=True):
        for number in np.unique(group[start:stop][group[start:stop] >= 0]).tolist():
            undecided = start + np.flatnonzero(group[start:stop] == number)
            goes_left[undecided], behind[number] = _closest(trees, start, stop, undecided, sample, behind[number])
    decided = trees.decision_type.astype(np.int64)
    changes = group >= 0
    decided[changes] = _NAN | np.where(goes_left, DEFAULT_LEFT, 0)[changes]
    return _with_decisions(booster_text, trees, decided)


def _missing_rows(trees: TreeEnsemble, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
    """Per node the training rows that came to it and lack the value that it asks for."""
    counts = np.zeros(len(trees.feature), dtype=np.int64)
    has_missing = np.logical_or.reduce(np.isnan(matrix), axis=0)
    everybody = np.arange(len(matrix))
    for start, stop in zip(trees.node_start[:-1].tolist(), trees.node_start[1:].tolist(), strict=True):
        if not has_missing[trees.feature[start:stop]].any():
            continue
        # Children have larger numbers than their parent.
        reached: dict[int, _Rows] = {0: everybody}
        for node in range(stop - start):
            at, rows = start + node, reached.pop(node)
            values = matrix[rows, trees.feature[at]]
            missing = np.isnan(values)
            counts[at] = np.count_nonzero(missing)
            left = _left(trees, at, values)
            for child, side in ((int(trees.left_child[at]), left), (int(trees.right_child[at]), ~left)):
                if child >= 0:
                    reached[child] = rows[side]
    return counts


def _left(trees: TreeEnsemble, node: int, values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of some values of a numerical node's column go left, as the model is now."""
    if trees.missing_type[node] != MISSING_NAN:
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    missing = np.isnan(values)
    left: NDArray[np.bool_] = np.where(missing, trees.default_left[node], values <= trees.threshold[node])
    return left


def _closest(
    trees: TreeEnsemble,
    start: int,
    stop: int,
    undecided: NDArray[np.intp],
    sample: NDArray[np.float32],
    behind: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The ways at some nodes of one tree that bring the sample closest to where it should be; how far it is then.

    The nodes are tried one after the other, twice, from the way of most customers; a tree has one or two of them.
    """
    left = np.array([_left(trees, node, sample[:, trees.feature[node]]) for node in range(start, stop)])
    should = behind + _leaf_values(trees, start, left)
    places = undecided - start
    left[places] = (left[places].mean(axis=1) >= 0.5)[:, None]
    best = should - _leaf_values(trees, start, left)
    for place in np.concatenate([places, places]) if len(places) > 1 else places:
        left[place] = ~left[place]
        other = should - _leaf_values(trees, start, left)
        if np.dot(other, other) < np.dot(best, best):
            best = other
        else:
            left[place] = ~left[place]
    return left[places, 0], best


def _leaf_values(trees: TreeEnsemble, start: int, left: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What one tree gives to rows, shape (n,), by the way that they go at each of its nodes, shape (nodes, n)."""
    at = np.zeros(left.shape[1], dtype=np.int64)
    rows = np.arange(left.shape[1])
    tree = int(np.searchsorted(trees.node_start, start, side="right")) - 1
    for _ in range(len(left)):
        inner = at >= 0
        if not inner.any():
            break
        node = at[inner]
        goes_left = left[node, rows[inner]]
        at[inner] = np.where(goes_left, trees.left_child[start + node], trees.right_child[start + node])
    values: NDArray[np.float64] = trees.leaf_value[trees.leaf_start[tree] + ~at]
    return values


def _with_decisions(text: str, trees: TreeEnsemble, decided: NDArray[np.int64]) -> str:
    """The text with other decision types."""

    def change(tree: int, key: str, value: str) -> str:
        start, stop = trees.node_start[tree : tree + 2]
        if key != "decision_type" or start == stop:
            return value
        return " ".join(map(str, decided[start:stop].tolist()))

    return rewritten(text, change)
