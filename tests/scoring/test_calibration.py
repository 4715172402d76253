"""Probabilities are what they say: measured honestly, and mended in the model itself only where it surely helps."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from scoring.calibration import (
    Map,
    brier_parts,
    calibration,
    expected_calibration_error,
    log_losses,
    recalibrated,
    recalibration,
)
from scoring.contract import Applications
from scoring.explanation.engine import engine
from scoring.explanation.reference import lightgbm_engine
from scoring.preprocess import explained_features
from scoring.scorecard import default_probability
from scoring.training import Trained


def drawn(rows: int, seed: int, *, slope: float = 1.0, intercept: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that a model says, and outcomes of people whose true log-odds are a map of them."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-2.6, 0.9, rows)
    happens = rng.random(rows) < default_probability(intercept + slope * log_odds)
    return log_odds, happens.astype(np.int8)


def parts(rows: int, number: int = 5) -> list[np.ndarray]:
    return np.array_split(np.random.default_rng(99).permutation(rows), number)


def test_slope_and_intercept_are_those_of_logistic_regression() -> None:
    log_odds, outcomes = drawn(5_000, 0, slope=0.7, intercept=-0.4)
    found = recalibration(log_odds, outcomes)
    assert found is not None
    other = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1_000).fit(log_odds[:, None], outcomes)
    assert found.slope == pytest.approx(other.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(other.intercept_[0], abs=1e-5)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    inside = {"slope": 0, "intercept": 0}
    for seed in range(300):
        log_odds, outcomes = drawn(2_000, seed, slope=0.8, intercept=-0.3)
        told = calibration(log_odds, outcomes, parts(2_000)).to_json(outcomes)
        for name, truth in (("slope", 0.8), ("intercept", -0.3)):
            inside[name] += told[f"{name}_low"] <= truth <= told[f"{name}_high"]
    # 285 expected of 300, with a standard deviation of 4.
    assert all(272 <= count <= 296 for count in inside.values()), inside


def test_a_calibrated_model_is_left_as_it_is() -> None:
    applied = [calibration(*drawn(3_000, seed), parts(3_000)).applied for seed in range(100)]
    # The interval of the gain on other rows leaves hardly any of the 5 % that the first test would let through.
    assert sum(map(bool, applied)) <= 2


@pytest.mark.parametrize(("slope", "intercept"), [(0.6, -1.0), (1.0, 0.6), (1.6, 1.6)])
def test_a_model_that_is_surely_off_is_recalibrated_and_better_for_people_it_was_not_fitted_on(
    slope: float, intercept: float
) -> None:
    log_odds, outcomes = drawn(8_000, 1, slope=slope, intercept=intercept)
    judged = calibration(log_odds, outcomes, parts(8_000))
    assert judged.applied is not None
    others, what_became = drawn(8_000, 2, slope=slope, intercept=intercept)
    after = judged.applied.of(others)
    assert log_losses(after, what_became).mean() < log_losses(others, what_became).mean()
    assert expected_calibration_error(default_probability(after), what_became) < expected_calibration_error(
        default_probability(others), what_became
    )
    told = judged.to_json(outcomes)
    assert told["recalibrated"] and told["log_loss_gain_low"] > 0 and told["ece"] < 0.01


def test_no_row_is_mapped_by_a_recalibration_that_has_seen_it() -> None:
    log_odds, outcomes = drawn(8_000, 3, slope=0.6, intercept=-1.0)
    rows = parts(8_000)
    judged = calibration(log_odds, outcomes, rows)
    changed = outcomes.copy()
    some = rows[0][:20]
    changed[some] = 1 - changed[some]
    again = calibration(log_odds, changed, rows)
    assert judged.applied is not None and again.applied is not None
    np.testing.assert_array_equal(judged.log_odds[rows[0]], again.log_odds[rows[0]])
    assert not np.array_equal(judged.log_odds[rows[1]], again.log_odds[rows[1]])


@pytest.mark.parametrize(
    ("log_odds", "outcomes"),
    [
        (np.full(400, -2.0), np.arange(400) % 2),
        (np.linspace(-3, 3, 400), np.zeros(400)),
        (np.linspace(-3, 3, 400), np.arange(400) >= 200),
    ],
    ids=["the same log-odds for all", "one outcome", "told apart without an error"],
)
def test_where_nothing_can_be_told_nothing_is_changed(log_odds: np.ndarray, outcomes: np.ndarray) -> None:
    outcomes = outcomes.astype(np.int8)
    judged = calibration(log_odds, outcomes, parts(400))
    assert judged.applied is None
    told = judged.to_json(outcomes)
    assert (told["slope"], told["intercept_high"], told["recalibrated"]) == (None, None, False)
    np.testing.assert_array_equal(judged.log_odds, log_odds)


def test_a_model_that_sorts_people_the_wrong_way_round_is_not_turned_round() -> None:
    log_odds, outcomes = drawn(4_000, 4, slope=-1.0, intercept=-5.0)
    judged = calibration(log_odds, outcomes, parts(4_000))
    assert judged.fitted is not None and judged.fitted.slope < 0
    assert judged.applied is None


def test_the_parts_of_the_brier_score_add_up_where_a_bin_has_one_probability() -> None:
    rng = np.random.default_rng(5)
    probability = np.repeat(rng.uniform(0.01, 0.4, 10), 300)
    outcomes = (rng.random(3_000) < probability).astype(np.int8)
    found = brier_parts(probability, outcomes)
    together = found["reliability"] - found["resolution"] + found["uncertainty"]
    assert together == pytest.approx(brier_score_loss(outcomes, probability), abs=1e-12)


def test_the_error_is_the_mean_distance_of_probability_and_rate() -> None:
    outcomes = np.tile(np.array([0, 0, 0, 1], dtype=np.int8), 500)
    assert expected_calibration_error(np.full(2_000, 0.25), outcomes) == pytest.approx(0)
    assert expected_calibration_error(np.full(2_000, 0.35), outcomes) == pytest.approx(0.1)


def test_log_losses_are_those_of_scikit_learn_and_finite_at_the_ends() -> None:
    log_odds, outcomes = drawn(1_000, 6)
    expected = log_loss(outcomes, default_probability(log_odds))
    assert log_losses(log_odds, outcomes).mean() == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(log_losses(np.array([800.0, -800.0]), np.array([0, 1], np.int8)), 800)


@pytest.mark.parametrize("by", [Map(0.8, -0.25), Map(1.3, 0.4), Map(1.0, 1e-3)], ids=str)
def test_a_recalibrated_model_is_mapped_with_its_contributions_and_base_value(
    trained: Trained, new: Applications, by: Map
) -> None:
    bundle = trained.bundle
    matrix = bundle.preprocessing.transform(new.values)
    text = recalibrated(bundle.booster_text, by)
    mapped = engine(text, bundle.preprocessing.groups, len(explained_features()))
    log_odds, contributions = bundle.engine.explain(matrix, threads=1)
    after, contributions_after = mapped.explain(matrix, threads=1)
    np.testing.assert_allclose(after, by.of(log_odds), atol=1e-12)
    np.testing.assert_allclose(contributions_after, by.slope * contributions, atol=1e-12)
    assert mapped.base_value == pytest.approx(by.slope * bundle.base_value + by.intercept, abs=1e-12)
    np.testing.assert_allclose(mapped.base_value + contributions_after.sum(axis=1), after, atol=1e-12)


def test_lightgbm_itself_says_what_the_engine_says_of_a_recalibrated_model(
    trained: Trained, new: Applications
) -> None:
    bundle = trained.bundle
    matrix = bundle.preprocessing.transform(new.values)
    groups, features = bundle.preprocessing.groups, len(explained_features())

    def apart(text: str) -> float:
        ours, theirs = engine(text, groups, features), lightgbm_engine(text, groups, features)
        np.testing.assert_allclose(ours.explain(matrix, threads=1)[1], theirs.explain(matrix)[1], atol=1e-9)
        raw = np.asarray(lightgbm.Booster(model_str=text).predict(matrix, raw_score=True))
        return float(np.abs(ours.explain(matrix, threads=1)[0] - raw).max())

    text = recalibrated(bundle.booster_text, Map(0.85, -0.2))
    assert apart(text) <= max(apart(bundle.booster_text), 1e-14)
