"""Score and points: ordered, bounded, and adding up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scoring import scorecard

LOG_ODDS = st.floats(-30, 30)


@given(LOG_ODDS)
def test_probability_is_the_logistic_of_log_odds(log_odds: float) -> None:
    probability = scorecard.default_probability(np.array([log_odds]))[0]
    assert probability == pytest.approx(1 / (1 + np.exp(-log_odds)), rel=1e-12)


def test_extreme_log_odds_neither_overflow_nor_leave_the_scale() -> None:
    assert scorecard.score(np.array([-1e4, 1e4])).tolist() == [100, 0]


@given(st.lists(LOG_ODDS, min_size=2, max_size=20))
def test_a_higher_log_odds_of_default_never_has_a_better_score(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    assert (np.diff(scorecard.score(ordered)) <= 0).all()


@given(
    arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-2, 2)),
    st.floats(-5, 5),
)
def test_points_add_up_from_base_score_to_score_with_the_opposite_sign(
    contributions: np.ndarray, base_value: float
) -> None:
    log_odds = base_value + contributions.sum(axis=1)
    points = scorecard.points(contributions, log_odds, base_value)
    base = scorecard.exact_score(np.full(len(log_odds), base_value))
    np.testing.assert_allclose(base + points.sum(axis=1), scorecard.exact_score(log_odds), atol=1e-6)
    assert (points * contributions <= 0).all()


def test_points_at_the_base_itself_follow_the_tangent() -> None:
    points = scorecard.points(np.array([[0.5, -0.5]]), np.array([0.0]), 0.0)
    np.testing.assert_allclose(points, [[-12.5, 12.5]])


def test_percentile_is_the_share_of_former_customers_who_are_no_better() -> None:
    reference = np.arange(100.0)
    assert scorecard.percentile(np.array([-1.0, 0.0, 50.0, 99.0, 200.0]), reference).tolist() == [
        100,
        100,
        50,
        1,
        0,
    ]
