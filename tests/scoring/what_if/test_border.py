"""The border of a decision on log-odds is where the policy decides otherwise, whatever it decides by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring import scorecard
from scoring.policy import Band, Figures, Policy, default_policy
from scoring.what_if.border import border
from tests.scoring.what_if.offers import strict_policy

Floats = NDArray[np.float64]


def accepts(policy: Policy, code: int = 1) -> Callable[[Floats], NDArray[np.bool_]]:
    def decide(log_odds: Floats) -> NDArray[np.bool_]:
        scores, probability = scorecard.score(log_odds), scorecard.default_probability(log_odds)
        return policy.decision_index(scores, probability, np.full(len(log_odds), float(code))) == 0

    return decide


def holds(policy: Policy, code: int = 1) -> float:
    decide = accepts(policy, code)
    found = border(decide)
    near = np.geomspace(found.width, 30.0, 2_000)
    assert np.all(decide(found.log_odds - near)) and not np.any(decide(found.log_odds + near))
    return found.log_odds


@settings(max_examples=100, deadline=None)
@given(gain=st.floats(1e-3, 1e3), loss=st.floats(1e-3, 1e3))
def test_of_figures(gain: float, loss: float) -> None:
    expected = np.log(gain / loss)
    assert holds(strict_policy(gain, loss)) == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_of_equal_figures_is_around_zero() -> None:
    assert abs(holds(strict_policy(1, 1))) < 1e-9


def test_of_figures_by_contract_type() -> None:
    policy = strict_policy(1, 9, by_type={2: Figures(1, 3)})
    assert holds(policy) == pytest.approx(-np.log(9)) and holds(policy, 2) == pytest.approx(-np.log(3))


@pytest.mark.parametrize("score", [1, 40, 50, 85, 94, 99, 100])
def test_of_bands_is_half_a_point_under_their_score(score: int) -> None:
    bands = tuple(Band(str(at), at, "accept" if at else "decline", "", "") for at in (0, score))
    probability = 1 - (score - 0.5) / 100
    expected = np.log(probability / (1 - probability))
    assert holds(replace(default_policy(), bands=bands)) == pytest.approx(expected)


def test_where_all_or_none_are_accepted_there_is_none() -> None:
    everybody = replace(default_policy(), bands=(Band("A", 0, "accept", "", ""),))
    nobody = replace(default_policy(), bands=(Band("E", 0, "review", "", ""),))
    assert border(accepts(everybody)).log_odds == np.inf and border(accepts(nobody)).log_odds == -np.inf
