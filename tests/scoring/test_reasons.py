"""What holds for the reasons of any contributions, reference and policy."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.contract import Applications
from scoring.errors import ArtefactError
from scoring.policy import DECISIONS, default_policy, parse_policy
from scoring.preprocess import explained_features
from scoring.reason_catalogue import reason_catalogue
from scoring.reasons import (
    FEWEST,
    MOST,
    NEAR,
    SMALLEST,
    ReasonRules,
    Reasons,
    Reference,
    acceptance_line,
    choose,
    reasons,
)
from scoring.scorecard import default_probability, points, score
from scoring.training import Trained

FEATURES = len(explained_features())
CATALOGUE = reason_catalogue()
NAMES = [feature.name for feature in explained_features()]


@dataclass(frozen=True, repr=False)
class Case:
    rules: ReasonRules
    contributions: NDArray[np.float64]
    base_value: float
    decisions: NDArray[np.intp]

    def __repr__(self) -> str:
        return f"{len(self.decisions)} rows, decisions {self.decisions}, at most {self.rules.most} reasons"

    @property
    def log_odds(self) -> NDArray[np.float64]:
        return self.base_value + self.contributions.sum(axis=1)

    def reasons(self) -> Reasons:
        return reasons(self.rules, self.contributions, self.log_odds, self.base_value, self.decisions)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Contributions of any size, of which many are the same, so that reasons are equally strong."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(0, 9))
    size = draw(st.sampled_from([0.0, 0.002, 0.1, 1.0, 3.0]))
    digits = draw(st.sampled_from([1, 3, 17]))
    contributions = np.round(random.normal(0, size, (rows, FEATURES)), digits)
    means = np.round(random.normal(0, draw(st.sampled_from([0.0, 0.05, 1.0])), FEATURES), digits)
    share = draw(st.sampled_from([0.0, 0.05, 0.5, 0.9, 1.0]))
    return Case(
        ReasonRules(
            CATALOGUE,
            Reference(tuple(means.tolist()), FEWEST, "near_the_line"),
            random.random(FEATURES) < share,
            draw(st.integers(1, 4)),
        ),
        contributions,
        draw(st.floats(-4, 1)),
        random.integers(0, 3, rows),
    )


def same(one: Reasons, other: Reasons) -> None:
    for field in fields(Reasons):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def strengths(case: Case, row: int) -> dict[int, float]:
    """The slow way: each reason's relative contribution by what may be told."""
    found: dict[int, float] = {}
    for feature in np.flatnonzero(case.rules.may_be_told):
        reason = int(CATALOGUE.reason_index[feature])
        if CATALOGUE.reasons[reason].refusal_en:
            kept = float(np.float32(case.contributions[row, feature]))
            found[reason] = found.get(reason, 0.0) + kept - case.rules.reference.mean_contributions[feature]
    return found


@settings(deadline=None)
@given(cases())
def test_each_application_that_is_not_accepted_has_one_to_the_most_reasons_and_no_other_has_any(case: Case) -> None:
    found = case.reasons()
    rows, counts = np.unique(found.row, return_counts=True)
    np.testing.assert_array_equal(rows, np.flatnonzero(case.decisions))
    assert (counts <= case.rules.most).all()
    for row in rows:
        np.testing.assert_array_equal(found.place[found.row == row], np.arange(1, (found.row == row).sum() + 1))


@settings(deadline=None)
@given(cases())
def test_reasons_are_the_strongest_that_raise_the_risk_by_what_may_be_told(case: Case) -> None:
    found = case.reasons()
    factor = points(np.ones((len(case.log_odds), 1)), case.log_odds, case.base_value)[:, 0]
    for row in np.flatnonzero(case.decisions):
        mine = found.row == row
        due = {reason: total for reason, total in strengths(case, row).items() if total >= SMALLEST - 1e-12}
        if found.reason[mine][0] == CATALOGUE.none:
            assert mine.sum() == 1 and all(total < SMALLEST + 1e-12 for total in due.values())
            continue
        told = dict(zip(found.reason[mine].tolist(), found.log_odds[mine].tolist(), strict=True))
        assert len(told) == mine.sum(), "a reason twice"
        assert all(total >= SMALLEST for total in told.values())
        assert list(told.values()) == sorted(told.values(), reverse=True)
        assert told == pytest.approx({reason: due[reason] for reason in told}, abs=1e-12)
        left = [total for reason, total in due.items() if reason not in told]
        assert len(told) == case.rules.most or all(total < SMALLEST + 1e-12 for total in left)
        assert max(left, default=0) <= min(told.values()) + 1e-12
        np.testing.assert_allclose(found.points[mine], found.log_odds[mine] * factor[row], rtol=1e-12)
        assert (found.points[mine] < 0).all()


@settings(deadline=None)
@given(cases())
def test_no_reason_to_tell_is_said_exactly_where_nothing_qualifies(case: Case) -> None:
    found = case.reasons()
    silent = found.reason == CATALOGUE.none
    for row in np.flatnonzero(case.decisions):
        qualifies = max(strengths(case, row).values(), default=0.0)
        if abs(qualifies - SMALLEST) > 1e-9:
            assert silent[found.row == row].any() == (qualifies < SMALLEST)
    assert (found.place[silent] == 1).all() and (found.feature[silent] == -1).all()
    for numbers in (found.log_odds, found.points):
        np.testing.assert_array_equal(np.isnan(numbers), silent)


@settings(deadline=None)
@given(cases(), st.integers(0, 2**32))
def test_what_may_not_be_told_has_no_influence(case: Case, seed: int) -> None:
    """With the score as it is: what may not be told may change it, and with it what a reason is worth in points."""
    before = case.reasons()
    random = np.random.default_rng(seed)
    untold = ~case.rules.tellable
    contributions, means = case.contributions.copy(), np.array(case.rules.reference.mean_contributions)
    contributions[:, untold] += random.normal(0, 5, (len(contributions), untold.sum()))
    means[untold] += random.normal(0, 5, untold.sum())
    reference = Reference(tuple(means.tolist()), FEWEST, "near_the_line")
    rules = replace(case.rules, reference=reference)
    after = reasons(rules, contributions, case.log_odds, case.base_value, case.decisions)
    same(before, after)
    assert case.rules.may_be_told[before.feature[before.feature >= 0]].all()


@settings(deadline=None)
@given(cases())
def test_the_feature_that_leads_a_reason_is_the_strongest_of_it_that_may_be_told(case: Case) -> None:
    found = case.reasons()
    means = np.array(case.rules.reference.mean_contributions)
    for row, reason, feature in zip(found.row, found.reason, found.feature, strict=True):
        if reason == CATALOGUE.none:
            continue
        relative = case.contributions[row].astype(np.float32).astype(np.float64) - means
        candidates = case.rules.tellable & (CATALOGUE.reason_index == reason)
        assert candidates[feature]
        assert relative[feature] == relative[candidates].max() > 0


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_a_rows_reasons_do_not_depend_on_the_other_rows(case: Case, random: object) -> None:
    whole = case.reasons()
    order = np.random.default_rng(int(random.random() * 2**32)).permutation(len(case.decisions))  # type: ignore[attr-defined]
    for rows in (order, order[: len(order) // 2], *order[:, None]):
        part = replace(case, contributions=case.contributions[rows], decisions=case.decisions[rows])
        found = reasons(case.rules, part.contributions, case.log_odds[rows], case.base_value, part.decisions)
        for position, row in enumerate(rows):
            for field in fields(Reasons)[1:]:
                np.testing.assert_array_equal(
                    getattr(found, field.name)[found.row == position], getattr(whole, field.name)[whole.row == row]
                )


def test_thousands_of_rows_are_each_what_they_are_alone() -> None:
    random = np.random.default_rng(3)
    contributions = random.normal(0, 0.2, (4096, FEATURES))
    rules = ReasonRules(CATALOGUE, Reference.of(contributions[:500], "near_the_line"), default_policy().tellable, 4)
    log_odds, decisions = contributions.sum(axis=1), np.ones(4096, dtype=np.intp)
    whole = reasons(rules, contributions, log_odds, 0.0, decisions)
    for row in range(0, 4096, 97):
        alone = reasons(rules, contributions[[row]], log_odds[[row]], 0.0, decisions[[row]])
        for field in fields(Reasons)[1:]:
            np.testing.assert_array_equal(getattr(alone, field.name), getattr(whole, field.name)[whole.row == row])


def test_a_reason_of_which_a_part_may_not_be_told_counts_the_rest() -> None:
    policy = default_policy()
    job = [NAMES.index(name) for name in ("DAYS_EMPLOYED", "DAYS_EMPLOYED_PERCENT")]
    contributions = np.zeros((1, FEATURES))
    contributions[0, job] = 0.25, 0.5
    rules = ReasonRules(CATALOGUE, Reference((0.0,) * FEATURES, FEWEST, "near_the_line"), policy.tellable, 4)
    found = reasons(rules, contributions, np.array([0.75]), 0.0, np.array([2]))
    assert [CATALOGUE.reasons[reason].code for reason in found.reason] == ["R06"]
    assert found.log_odds == pytest.approx([0.25]) and NAMES[found.feature[0]] == "DAYS_EMPLOYED"


def test_what_there_are_no_words_for_is_never_told_whatever_a_policy_says() -> None:
    contributions = np.zeros((1, FEATURES))
    contributions[0, NAMES.index("CODE_GENDER")] = 2.0
    everything = np.ones(FEATURES, dtype=np.bool_)
    rules = ReasonRules(CATALOGUE, Reference((0.0,) * FEATURES, FEWEST, "near_the_line"), everything, 4)
    found = reasons(rules, contributions, np.array([2.0]), 0.0, np.array([1]))
    assert [CATALOGUE.reasons[reason].code for reason in found.reason] == ["R00"]


def test_real_reasons_add_up_to_the_distance_from_the_reference(trained: Trained, former: Applications) -> None:
    bundle = trained.bundle
    log_odds, contributions = bundle.engine.explain(bundle.preprocessing.transform(former.values[:300]))
    reference = Reference.of(contributions[:200], "near_the_line")
    rules = ReasonRules(CATALOGUE, reference, default_policy().tellable, 4)
    found = reasons(rules, contributions, log_odds, bundle.base_value, np.full(300, 2))
    assert len(np.unique(found.row)) == 300
    distance = log_odds - bundle.base_value - sum(reference.mean_contributions)
    relative = contributions.astype(np.float32).astype(np.float64) - np.array(reference.mean_contributions)
    np.testing.assert_allclose(relative.sum(axis=1), distance, atol=1e-5)
    assert set(found.reason.tolist()) - {CATALOGUE.none}


# --- the reference ---------------------------------------------------------------------------------------------


def test_the_reference_are_the_accepted_near_the_line() -> None:
    log_odds = np.linspace(-6, 2, 4001)
    policy = default_policy()
    line = acceptance_line(policy, np.full(4001, 1.0))
    accepted = policy.decision_index(score(log_odds), default_probability(log_odds), np.full(4001, 1.0)) == 0
    assert (accepted == (log_odds <= line)).all()
    rows, rule = choose(log_odds, accepted, line)
    np.testing.assert_array_equal(rows, np.flatnonzero(accepted & (line - log_odds <= NEAR)))
    assert rule == "near_the_line" and FEWEST <= len(rows) <= MOST


def test_too_few_near_the_line_are_filled_up_by_the_nearest_and_too_many_cut_to_them() -> None:
    log_odds = np.linspace(-6, 2, 401)
    line = np.zeros(401)
    rows, rule = choose(log_odds, log_odds <= line, line)
    assert rule == "nearest_to_the_line"
    np.testing.assert_array_equal(rows, np.flatnonzero(log_odds <= line)[-FEWEST:])
    log_odds = np.linspace(-0.4, 0.4, 4 * MOST)
    line = np.zeros(4 * MOST)
    rows, rule = choose(log_odds, log_odds <= line, line)
    assert rule == "near_the_line"
    np.testing.assert_array_equal(rows, np.flatnonzero(log_odds <= line)[-MOST:])


@pytest.mark.parametrize("bands", ["decline", "accept"])
def test_there_is_a_reference_where_nobody_or_everybody_is_accepted(bands: str) -> None:
    text = default_policy().text.replace("decision: accept", f"decision: {bands}")
    text = text.replace("decision: review", f"decision: {bands}").replace("decision: decline", f"decision: {bands}")
    policy = parse_policy(text, "policy.yaml")
    log_odds = np.linspace(-6, 2, 401)
    codes = np.full(401, 1.0)
    decisions = policy.decision_index(score(log_odds), default_probability(log_odds), codes)
    rows, rule = choose(log_odds, decisions == DECISIONS.index("accept"), acceptance_line(policy, codes))
    if bands == "decline":
        assert rule == "least_risky"
        np.testing.assert_array_equal(rows, np.arange(FEWEST))
    else:
        assert rule == "nearest_to_the_line"
        np.testing.assert_array_equal(rows, np.arange(401)[-FEWEST:])


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 3), st.floats(6, 20), st.integers(0, 4))
def test_the_line_is_where_decisions_by_figures_stop_to_accept(gain: float, loss: float, width: int) -> None:
    text = default_policy().text
    for decision in DECISIONS:
        text = text.replace(f"decision: {decision}, ", "")
    text += (
        f"\nline:\n  gain: {gain}\n  loss: {loss}\n  review_width: {width}\n"
        f"  by_contract_type:\n    Revolving loans: {{gain: {gain}, loss: {loss / 2}}}\n"
    )
    policy = parse_policy(text, "policy.yaml")
    log_odds = np.repeat(np.linspace(-7, 2, 181), 2) + 1e-4
    codes = np.tile([1.0, 2.0], 181)
    decisions = policy.decision_index(score(log_odds), default_probability(log_odds), codes)
    np.testing.assert_array_equal(decisions == 0, log_odds < acceptance_line(policy, codes))


def test_a_reference_comes_back_as_it_was_written_and_no_other_does() -> None:
    reference = Reference.of(np.random.default_rng(1).normal(0, 1, (7, FEATURES)), "nearest_to_the_line")
    text = reference.to_json()
    assert Reference.from_json(text) == reference and Reference.from_json(text).sha256 == reference.sha256
    content = json.loads(text)
    for change in (
        {"mean_contributions": {**content["mean_contributions"], "MORE": 0.0}},
        {"mean_contributions": {}},
        {"rows": 0},
        {"rule": "friends"},
    ):
        with pytest.raises(ArtefactError, match="reference of reasons"):
            Reference.from_json(json.dumps({**content, **change}))
    with pytest.raises(ArtefactError, match="reference of reasons"):
        Reference.from_json("no")
