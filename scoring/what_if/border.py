"""The log-odds up to which an application is accepted, and how near to it one has to ask the policy itself.

A policy decides by the rounded score or by the default probability. Both follow from the log-odds, and the lower
those are, the better. So there is one border. But rounding may shift it by a few units in the last place, and two
ways to compute the same exponential may differ by as much. So the border comes with a width, far more than both,
within which the policy's own answer counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# exp(-800) is 0: beyond, nothing changes.
_FARTHEST = 800.0


@dataclass(frozen=True, slots=True)
class Border:
    """Log-odds under `log_odds` - `width` are accepted, those over `log_odds` + `width` are not; between, ask."""

    log_odds: float
    width: float


def border(is_accepted: Callable[[Vector], NDArray[np.bool_]]) -> Border:
    """The border of a decision on log-odds, shape (n,); infinite where all or none are accepted."""
    low, high = -_FARTHEST, _FARTHEST
    lowest, highest = is_accepted(np.array([low, high])).tolist()
    if highest or not lowest:
        return Border(np.inf if highest else -np.inf, 0.0)
    while low < (middle := low + (high - low) / 2) < high:
        if is_accepted(np.array([middle]))[0]:
            low = middle
        else:
            high = middle
    # The nearer the probability is to 1, the fewer of its digits tell log-odds apart.
    return Border(low, 1e-9 + min(1e-14 * float(np.exp(min(low, 100.0))), 10.0))
