"""The convention for durations and rates: it gives back what was asked for, and it is monotone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.what_if.terms import Convention, are_clear, implied_terms, relative_annuities

MONTHS = np.arange(1, 121)


def one(amount: float, annuity: float, convention: Convention | None = None) -> tuple[int, float]:
    terms = implied_terms(np.array([amount]), np.array([annuity]), convention or Convention())
    return int(terms.months[0]), float(terms.monthly_rate[0])


def test_a_credit_at_the_reference_rate_implies_its_own_duration_and_rate() -> None:
    for months in (6, 12, 24, 36, 60):
        annuity = 10_000 * 0.02 / (1 - 1.02**-months)
        assert one(10_000, annuity) == (months, pytest.approx(0.02))


def test_a_cheaper_credit_runs_the_longest_usual_duration_at_its_own_rate() -> None:
    assert one(10_000, 10_000 * 0.01 / (1 - 1.01**-60)) == (60, pytest.approx(0.01))


def test_without_interest_the_duration_is_amount_by_annuity() -> None:
    assert one(12_000, 500, Convention(yearly_rate=0)) == (24, pytest.approx(0, abs=1e-12))
    assert one(42_000, 500) == (84, pytest.approx(0, abs=1e-12)), "longer than the longest usual duration"


def test_a_lenders_own_rate_moves_the_duration() -> None:
    annuity = 10_000 * 0.035 / (1 - 1.035**-24)
    assert one(10_000, annuity, Convention(yearly_rate=0.42))[0] == 24
    assert one(10_000, annuity)[0] < 24


def test_amount_and_annuity_of_no_instalment_credit_imply_nothing() -> None:
    annuity = np.array([100.0, 100.0, 101.0, 100.0, np.nan])
    assert are_clear(np.array([100.0, 60_000, 100, 60_001, 100]), annuity).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_convention_out_of_range_is_refused() -> None:
    for wrong in ({"yearly_rate": -0.1}, {"yearly_rate": 13.0}, {"longest_months": 0}, {"longest_months": 601}):
        with pytest.raises(ValueError, match="rate outside of 0 to 12, or a duration outside of 1 to 600"):
            Convention(**wrong)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    amount=st.floats(1, 1e9),
    annuities=st.floats(1, 600),
    yearly=st.floats(0, 2),
)
def test_terms_repay_the_amount_give_back_the_annuity_and_are_monotone(
    amount: float, annuities: float, yearly: float
) -> None:
    annuity = amount / annuities
    terms = implied_terms(np.array([amount]), np.array([annuity]), Convention(yearly_rate=yearly))
    months, rate = int(terms.months[0]), float(terms.monthly_rate[0])
    assert 1 <= months <= 601 and rate >= 0
    repaid = annuity * (months if rate < 1e-12 else (1 - (1 + rate) ** -months) / rate)
    assert repaid == pytest.approx(amount, rel=1e-6)
    relative = relative_annuities(terms, MONTHS)[0]
    if months <= 120:
        assert relative[months - 1] == 1.0
    # A longer duration never raises the annuity, and never lowers what is repaid in all (but for rounding).
    assert np.all(np.diff(relative) <= 1e-12 * relative[:-1])
    assert np.all(np.diff(relative * MONTHS) >= -1e-9 * (relative * MONTHS)[:-1])
