"""Contributions as whole numbers, so that a distance is the same in whatever order it is added up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int16]

UNITS = 2048
"""Units in one of log-odds: a contribution is rounded by 0.00025 at most, a hundredth of a point of the score."""

LIMIT = 16_383
"""The largest code: who is 8 log-odds up by one feature alone has odds 2,981 times those of others."""


def to_codes(contributions: NDArray[np.float64] | NDArray[np.float32]) -> Codes:
    """Contributions, log-odds of shape (n, features), in units of 1 / 2048, row by row; not beyond 8 log-odds.

    Raises ValueError for one that is not a number.
    """
    codes = np.empty(contributions.shape, np.int16)
    # A column at a time, as the engine lays them out: no second copy of everything.
    for feature in range(contributions.shape[1]):
        column = np.rint(contributions[:, feature].astype(np.float64) * UNITS)
        if np.isnan(column).any():
            raise ValueError(f"The contribution of feature {feature} is not a number.")
        codes[:, feature] = np.clip(column, -LIMIT, LIMIT)
    return codes


def to_log_odds(distance: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distances in units as log-odds; shape kept."""
    return distance / UNITS
