"""What a line would do: counted as plain counting does, monotone, and best where the lender's figures say."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.contract import Applications
from scoring.fairness import groups
from scoring.policy import default_policy
from scoring.scorecard import default_probability
from scoring.simulation import FormerRisk, current_threshold, risk_counts, simulate, uniform
from scoring.training import Trained
from tests.scoring.test_policy import REVOLVING, by_figures


@pytest.fixture(scope="module")
def risk() -> FormerRisk:
    """20,000 people who default as often as their default probability says."""
    random = np.random.default_rng(5)
    probability = random.beta(1, 9, 20_000)
    return FormerRisk(
        probability, random.random(20_000) < probability, random.choice([1.0, REVOLVING], 20_000, p=[0.9, 0.1])
    )


def test_each_line_is_counted_as_plain_counting_does(risk: FormerRisk) -> None:
    for option in simulate(risk, default_policy(), uniform(1, 10)):
        accepted = risk.probability < option.threshold
        assert option.accepted_share == pytest.approx(accepted.mean())
        brought = np.where(risk.defaulted, -10.0, 1.0)[accepted].sum() / len(accepted)
        assert option.expected_profit == pytest.approx(brought)
        if accepted.any():
            assert option.expected_default_rate == pytest.approx(risk.defaulted[accepted].mean())
            low, high = option.expected_default_rate_low, option.expected_default_rate_high
            assert low is not None
            assert high is not None
            assert low <= option.expected_default_rate <= high
        else:
            assert option.expected_default_rate is None


def test_a_higher_line_never_accepts_fewer_and_one_line_is_todays_and_one_the_best(risk: FormerRisk) -> None:
    options = simulate(risk, default_policy(), uniform(1, 10))
    shares = [option.accepted_share for option in options]
    assert shares == sorted(shares)
    assert [option.threshold for option in options if option.is_current] == [current_threshold(default_policy())]
    (best,) = [option for option in options if option.is_best]
    assert best.expected_profit == max(option.expected_profit or 0 for option in options)


def test_where_probabilities_are_right_the_best_line_is_where_a_credit_breaks_even(risk: FormerRisk) -> None:
    (best,) = [option for option in simulate(risk, default_policy(), uniform(1, 10)) if option.is_best]
    assert best.threshold == pytest.approx(1 / 11, abs=0.02)


def test_without_figures_no_line_brings_anything_or_is_the_best(risk: FormerRisk) -> None:
    options = simulate(risk, default_policy())
    assert {option.expected_profit for option in options} == {None}
    assert not any(option.is_best for option in options)


def test_each_contract_type_has_its_own_figures(risk: FormerRisk) -> None:
    policy = by_figures()
    option = next(option for option in simulate(risk, policy) if option.threshold == 0.1)
    loss = np.where(risk.contract_type == REVOLVING, 4.0, 10.0)
    brought = np.where(risk.defaulted, -loss, 1.0)[risk.probability < 0.1].sum() / len(loss)
    assert option.expected_profit == pytest.approx(brought)
    assert current_threshold(policy) == 1 / 11 - 0.02


def test_by_scores_the_line_is_where_the_lowest_accepted_score_begins() -> None:
    assert current_threshold(default_policy()) == pytest.approx(0.155)


def test_risks_are_counted_for_everybody_and_by_group(trained: Trained, former: Applications) -> None:
    log_odds = trained.out_of_fold_log_odds
    rows = risk_counts(former, log_odds)
    assert former.target is not None
    for kind in ("all", "gender", "age"):
        own = [row for row in rows if row["group_kind"] == kind]
        assert sum(row["customers"] for row in own) == len(former)
        assert sum(row["defaulted"] for row in own) == former.target.sum()
    found = np.zeros(1000, dtype=int)
    for row in rows:
        if row["group_kind"] == "all":
            found[row["risk"]] += row["customers"]
    probability = default_probability(log_odds.astype(np.float32).astype(np.float64))
    assert found.tolist() == np.bincount(np.floor(1000 * probability).astype(int), minlength=1000).tolist()
    for group in groups(former, log_odds):
        code = -1 if group["code"] is None else group["code"]
        own = [row for row in rows if (row["group_kind"], row["group_code"]) == (group["kind"], code)]
        assert sum(row["customers"] for row in own) == group["customers"]
