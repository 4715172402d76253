"""95 % intervals: of shares that were counted, and of an AUC."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = NormalDist().inv_cdf(0.975)
"""How many standard deviations the 95 % interval of a normal distribution has to either side."""


def wilson(hits: ArrayLike, of: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends of the 95 % interval of shares, 0 to 1, as reporting.wilson has them in per cent.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    Parameters
    ----------
    hits, of: how many of how many, of one shape or single numbers; `of` is above 0.
    """
    people = np.asarray(of, np.float64)
    share, spread = np.asarray(hits, np.float64) / people, Z * Z / people
    middle = (share + spread / 2) / (1 + spread)
    half = Z * np.sqrt(share * (1 - share) / people + spread / (4 * people)) / (1 + spread)
    # A share of 0 or 1 is in its own interval, whatever the last bit says.
    return np.minimum(share, np.maximum(0.0, middle - half)), np.maximum(share, np.minimum(1.0, middle + half))


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
