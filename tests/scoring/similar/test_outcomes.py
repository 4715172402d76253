"""What is told of neighbours: shares with intervals, and the middle half, of groups only."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.contract import Applications
from scoring.scorecard import quantiles
from scoring.similar.outcomes import described, middle_half, outcomes


def test_the_middle_half_has_the_quartiles_of_the_scorecard() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 30, (300, 41)) / 7
    values[rng.random(values.shape) < rng.random(300)[:, None]] = np.nan
    lower, upper = middle_half(values)
    few = np.isfinite(values).sum(axis=1) < 20
    assert few.any() and not few.all()
    for at in range(300):
        quartiles = [np.nan] * 5 if few[at] else quantiles(values[at], 5)
        assert np.array_equal([lower[at], upper[at]], [quartiles[1], quartiles[3]], equal_nan=True)


def test_what_became_of_neighbours_is_counted_over_them(former: Applications) -> None:
    assert former.target is not None
    rows = np.random.default_rng(1).integers(0, len(former), (6, 50)).astype(np.int32)
    distance = np.sort(np.random.default_rng(2).integers(0, 5_000, (6, 50)), axis=1)
    about = described(former)
    told = outcomes(rows, distance, np.full(6, 0.1), former.target, about)
    for at in range(6):
        own = former.take(rows[at].astype(np.intp))
        assert own.target is not None
        assert (told.neighbours[at], told.defaulted[at]) == (50, own.target.sum())
        assert told.default_rate[at] == own.target.mean()
        assert told.lowest[at] < told.default_rate[at] < told.highest[at]
        assert told.distance[at] == distance[at].max()
        ages = described(own)[:, 0]
        assert told.quarter[at, 0] == quantiles(ages, 5)[1]
        assert 18 < told.quarter[at, 0] <= told.three_quarters[at, 0] < 75


def test_of_fewer_than_twenty_nothing_is_told(former: Applications) -> None:
    assert former.target is not None
    rows = np.zeros((1, 19), np.int32)
    with pytest.raises(ValueError, match="Of 19 people nothing is told"):
        outcomes(rows, rows.astype(np.int64), np.full(1, 0.1), former.target, described(former))
