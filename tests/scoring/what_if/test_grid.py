"""The grid of a heat map lies within the limits, and holds what was asked for where they allow it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.policy import WhatIfLimits
from scoring.what_if.grid import Grid, grid_amounts, grid_months

LIMITS = st.builds(
    lambda percent, months: WhatIfLimits(*sorted(percent), *sorted(months)),
    st.tuples(st.integers(1, 1000), st.integers(1, 1000)),
    st.tuples(st.integers(1, 600), st.integers(1, 600)),
)


@given(asked=st.floats(1, 1e9), limits=LIMITS, step=st.sampled_from([1, 7, 1000]), count=st.integers(1, 15))
def test_amounts_are_whole_steps_within_the_limits_or_the_one_asked_for(
    asked: float, limits: WhatIfLimits, step: int, count: int
) -> None:
    amounts = grid_amounts(np.array([asked]), limits, step, count)
    assert amounts.shape == (1, count)
    there = amounts[0][np.isfinite(amounts[0])]
    assert len(np.unique(there)) == len(there)
    allowed = limits.least_percent <= 100 <= limits.most_percent
    assert (asked in there) == allowed or (not allowed and asked % step == 0)
    others = there[there != asked]
    assert np.all(others % step == 0)
    assert np.all(others >= asked * limits.least_percent / 100) and np.all(
        others <= asked * limits.most_percent / 100
    )


@given(asked=st.integers(1, 600), limits=LIMITS, count=st.integers(1, 15))
def test_durations_are_within_the_limits_and_hold_the_one_asked_for(
    asked: int, limits: WhatIfLimits, count: int
) -> None:
    months = np.arange(limits.least_months, limits.most_months + 1)
    grid = months[grid_months(np.array([asked]), months, count)[0]]
    assert len(grid) == min(count, len(months)) and np.all(np.diff(grid) > 0)
    assert (asked in grid) == (limits.least_months <= asked <= limits.most_months)


def test_the_usual_grid_spans_the_limits() -> None:
    limits = WhatIfLimits(30, 100, 6, 60)
    assert grid_amounts(np.array([1000.0]), limits, 1, 8).tolist() == [[300, 400, 500, 600, 700, 800, 900, 1000]]
    months = np.arange(6, 61)
    assert months[grid_months(np.array([24]), months, 10)[0]].tolist() == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60]
    assert months[grid_months(np.array([23]), months, 10)[0]].tolist() == [6, 12, 18, 23, 30, 36, 42, 48, 54, 60]


def test_a_grid_without_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="has no cells"):
        Grid(0, 5)
