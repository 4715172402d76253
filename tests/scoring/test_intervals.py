"""The interval of a share is Wilson's, of one share as of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from scoring.intervals import wilson


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_is_wilsons_as_scipy_has_it(counted: tuple[int, int]) -> None:
    hits, of = counted
    expected = binomtest(hits, of).proportion_ci(method="wilson")
    low, high = wilson(hits, of)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= hits / of <= high <= 1


def test_of_many_shares_each_has_its_own_interval() -> None:
    hits, of = np.array([0, 3, 200]), np.array([20, 37, 200])
    low, high = wilson(hits, of)
    assert [wilson(int(a), int(b)) for a, b in zip(hits, of, strict=True)] == list(zip(low, high, strict=True))
