"""Intervals around what is measured of a model on customers that it had not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The 97.5 % quantile of the normal distribution.
Z = 1.959963984540054


def auc_interval(log_odds: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float, float]:
    """The AUC and both ends of its 95 % interval (DeLong, DeLong and Clarke-Pearson 1988), in O(n log n).

    The placements come from ranks with ties shared (Sun and Xu 2014).

    Parameters
    ----------
    log_odds: of default, shape (n,).
    target: 1 for a default, else 0, shape (n,).

    Raises
    ------
    ValueError: if one of the two outcomes has fewer than two customers.
    """
    bad, good = log_odds[target == 1], log_odds[target != 1]
    if min(len(bad), len(good)) < 2:
        raise ValueError("Each outcome needs two customers or more.")
    together = _ranks(np.concatenate([bad, good]))
    above = (together[: len(bad)] - _ranks(bad)) / len(good)
    below = 1 - (together[len(bad) :] - _ranks(good)) / len(bad)
    auc = float(above.mean())
    half = Z * float(np.sqrt(above.var(ddof=1) / len(bad) + below.var(ddof=1) / len(good)))
    return auc, max(0.0, auc - half), min(1.0, auc + half)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, those of equal values shared."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return shared
