"""Intervals: of a share Wilson's, of one as of many; of an AUC DeLong's, and how often it covers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from scoring.intervals import Z, auc_interval, wilson


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


@settings(max_examples=100, deadline=None)
@given(
    good=st.lists(st.integers(-5, 5), min_size=2, max_size=30),
    bad=st.lists(st.integers(-5, 5), min_size=2, max_size=30),
)
def test_it_is_the_pairwise_definition_with_ties_as_halves(good: list[int], bad: list[int]) -> None:
    log_odds = np.array(bad + good, dtype=np.float64)
    target = np.array([1.0] * len(bad) + [0.0] * len(good))
    wins = np.array([[(x > y) + 0.5 * (x == y) for y in good] for x in bad])
    error = (wins.mean(axis=1).var(ddof=1) / len(bad) + wins.mean(axis=0).var(ddof=1) / len(good)) ** 0.5
    auc, low, high = auc_interval(log_odds, target)
    assert auc == pytest.approx(roc_auc_score(target, log_odds))
    assert (low, high) == pytest.approx((max(0, auc - Z * error), min(1, auc + Z * error)), abs=1e-12)


def test_it_covers_the_true_auc_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    truth = 0.76025  # of two normals one standard deviation apart
    covered = 0
    for _ in range(400):
        log_odds = np.concatenate([random.normal(1, 1, 60), random.normal(0, 1, 400)])
        _, low, high = auc_interval(log_odds, np.repeat([1.0, 0.0], [60, 400]))
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_one_outcome_alone_has_no_auc() -> None:
    with pytest.raises(ValueError, match="two customers"):
        auc_interval(np.arange(5.0), np.array([1.0, 0, 0, 0, 0]))
