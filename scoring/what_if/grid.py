"""Which amounts and durations the heat map of an application shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.policy import WhatIfLimits

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """How many amounts and durations a heat map has, evenly spaced within the policy's limits."""

    amounts: int = 13
    durations: int = 10

    def __post_init__(self) -> None:
        if self.amounts < 1 or self.durations < 1:
            raise ValueError(f"{self} has no cells")


def grid_amounts(asked: Vector, limits: WhatIfLimits, step: int, count: int) -> Vector:
    """The amounts of each application, shape (n, count), ascending, NaN where there are fewer different ones.

    They are whole multiples of the step. The one nearest to 100 % is the amount asked for itself, if the limits
    allow it.
    """
    percent = np.linspace(limits.least_percent, limits.most_percent, count)
    is_asked = np.zeros(count, np.bool_)
    if limits.least_percent <= 100 <= limits.most_percent:
        is_asked[np.argmin(np.abs(percent - 100))] = True
    least, most = (np.array([limits.least_percent, limits.most_percent]) * asked[:, None] / 100 / step).T
    steps = np.clip(
        np.floor(percent * asked[:, None] / 100 / step), np.ceil(least)[:, None], np.floor(most)[:, None]
    )
    amounts = np.where(is_asked, asked[:, None], steps * step)
    amounts[np.ceil(least) > np.floor(most)] = np.where(is_asked, 1.0, np.nan)
    amounts[:, is_asked] = asked[:, None]
    amounts = np.sort(amounts, axis=1)
    amounts[:, 1:][amounts[:, 1:] == amounts[:, :-1]] = np.nan
    return amounts


def grid_months(asked: NDArray[np.int64], months: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The durations of each application as positions in `months`, shape (n, durations), ascending.

    The one nearest to the duration asked for is that duration itself, if the limits allow it.
    """
    chosen = np.unique(np.rint(np.linspace(0, len(months) - 1, min(count, len(months)))).astype(np.int64))
    own = np.searchsorted(months, asked)
    grid = np.repeat(chosen[None, :], len(asked), axis=0)
    inside = np.flatnonzero((asked >= months[0]) & (asked <= months[-1]))
    at = np.argmin(np.abs(grid[inside] - own[inside, None]), axis=1)
    grid[inside, at] = own[inside]
    return grid
