"""Drawing by weights and chances, and what the themes read of each other's columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from scoring.sample.vocabulary import LEVELS

Array = NDArray[Any]
Columns = dict[str, Array]

YEAR = 365.25

# Points of the normal distribution, and its shares below them.
NORMAL_POINTS = (
    -4.5, -2.326, -1.645, -1.282, -0.842, -0.524, -0.253, 0.0, 0.253, 0.524, 0.842, 1.282, 1.645, 2.326, 4.5,
)  # fmt: skip
NORMAL_SHARES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def pick(rng: Generator, rows: int, weights: ArrayLike, group: int | Array = 0) -> Array:
    """Draw a position for each row, by the weights (levels,) or by those of its group (groups, levels)."""
    table = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    groups, levels = table.shape
    bounds = np.cumsum(table, axis=1) / table.sum(axis=1, keepdims=True)
    # Every group has its own unit interval on one line, so a single search serves all rows.
    line = (bounds + np.arange(groups)[:, None]).ravel()
    where = np.searchsorted(line, rng.random(rows) + group, side="right") - np.multiply(group, levels)
    return np.clip(where, 0, levels - 1)


def chance(rng: Generator, probability: float | Array, rows: int) -> Array:
    """Whether it happens, for each of `rows` rows."""
    return rng.random(rows) < probability


def is_any(known: Columns, name: str, *values: str) -> Array:
    """Whether the category is one of `values`."""
    return np.isin(known[name], [LEVELS[name].index(value) for value in values])


def to_grid(values: Array, unit: float | Array) -> Array:
    """Rounded to multiples of `unit`, at least one."""
    return np.maximum(np.rint(values / unit), 1) * unit


def sigmoid(log_odds: Array) -> Array:
    """The probability of log-odds."""
    return 1 / (1 + np.exp(-log_odds))


def years(known: Columns, name: str) -> Array:
    """Days before the application as years."""
    return known[name] / -YEAR
