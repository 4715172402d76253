"""Intervals of shares that were counted."""

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
