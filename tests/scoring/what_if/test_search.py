"""The search finds every offer that gets a yes, says truly that there is none, and scores what LightGBM scores."""

from __future__ import annotations

from dataclasses import fields, replace

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.batch import Scored, score_batch
from scoring.bundle import ModelBundle
from scoring.contract import Applications
from scoring.feature_groups import computed_from
from scoring.features import by_name
from scoring.policy import CONTRACT_TYPE, Band, Figures, Policy, WhatIfLimits, default_policy
from scoring.preprocess import derived_values, explained_features, input_features
from scoring.training import Trained
from scoring.what_if import search as search_module
from scoring.what_if.grid import Grid
from scoring.what_if.search import FOUND, MOVING, NONE, OUTCOMES, Search, WhatIf
from scoring.what_if.terms import Convention, implied_terms, relative_annuities
from tests.scoring.what_if.offers import COLUMN, as_applications, logits, smaller, strict_policy, with_trees

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def batch(trained: Trained, new: Applications) -> Scored:
    return score_batch(trained.bundle, new)


@pytest.fixture(scope="module")
def searched(trained: Trained, batch: Scored) -> WhatIf:
    return Search.prepare(trained.bundle, strict_policy()).run(batch, threads=2)


def _nothing_else_moves(before: Floats, after: Floats, columns: list[str]) -> None:
    moved = [column for column in range(len(columns)) if columns[column] in MOVING]
    locked = [column for column in range(len(columns)) if columns[column] not in MOVING]
    np.testing.assert_array_equal(after[:, locked], before[:, locked])
    assert len(moved) == len(MOVING)


def test_the_moving_features_are_all_that_amount_and_annuity_reach() -> None:
    reached = {name for name, columns in computed_from().items() if {"AMT_CREDIT", "AMT_ANNUITY"} & set(columns)}
    assert reached | {"AMT_CREDIT", "AMT_ANNUITY"} == set(MOVING)


def test_some_are_found_and_for_some_there_is_none(searched: WhatIf) -> None:
    counted = np.bincount(searched.outcome, minlength=len(OUTCOMES))
    assert counted[FOUND] > 10 and counted[NONE] > 10


def test_every_offer_scores_in_its_own_row_what_the_search_says_to_the_last_bit(
    trained: Trained, batch: Scored, searched: WhatIf
) -> None:
    offers = searched.offers
    rescored = score_batch(trained.bundle, as_applications(batch, offers))
    assert len(offers.row) >= 10_000
    np.testing.assert_array_equal(offers.log_odds, rescored.log_odds)
    np.testing.assert_array_equal(offers.default_probability, rescored.default_probability)
    np.testing.assert_array_equal(offers.score, rescored.score)
    np.testing.assert_array_equal(offers.log_odds, logits(trained.bundle, as_applications(batch, offers)))


def test_offers_agree_with_the_reference_engine(trained: Trained, batch: Scored, searched: WhatIf) -> None:
    some = np.arange(0, len(searched.offers.row), 101)
    rows = as_applications(batch, _taken(searched, some))
    log_odds, _ = trained.bundle.reference_engine.explain(
        trained.bundle.preprocessing.transform(rows.values), threads=1
    )
    np.testing.assert_allclose(searched.offers.log_odds[some], log_odds, atol=1e-9)


def test_what_is_called_acceptable_is_accepted_and_the_grid_says_what_the_policy_says(
    trained: Trained, batch: Scored, searched: WhatIf
) -> None:
    offers, policy = searched.offers, strict_policy()
    rescored = score_batch(trained.bundle, as_applications(batch, offers))
    types = rescored.applications.values[:, COLUMN[CONTRACT_TYPE]]
    decisions = policy.decision_index(rescored.score, rescored.default_probability, types)
    np.testing.assert_array_equal(offers.decision_index, decisions)
    assert np.all(decisions[offers.is_frontier] == 0) and offers.is_frontier.any()
    assert np.all(decisions[searched.nearest[searched.nearest >= 0]] == 0)
    # Whoever has no offer has no accepted cell either.
    assert np.all(decisions[searched.outcome[offers.row] == NONE] != 0)


def test_locked_features_never_move_and_ratios_fit_in_over_ten_thousand_offers(
    trained: Trained, batch: Scored, searched: WhatIf
) -> None:
    offers = searched.offers
    rows = as_applications(batch, offers)
    preprocessing = trained.bundle.preprocessing
    before = preprocessing.transform(batch.applications.values)[offers.row]
    _nothing_else_moves(before, preprocessing.transform(rows.values), [each.name for each in preprocessing.columns])
    assert len(offers.row) >= 10_000
    names = [feature.name for feature in explained_features()[len(input_features()) :]]
    ratios = dict(zip(names, derived_values(rows.values).T, strict=True))
    income, goods = rows.values[:, COLUMN["AMT_INCOME_TOTAL"]], rows.values[:, COLUMN["AMT_GOODS_PRICE"]]
    tolerance = {"rtol": 1e-9, "atol": 0.0}
    np.testing.assert_allclose(ratios["CREDIT_INCOME_PERCENT"] * income, offers.amount, **tolerance)
    np.testing.assert_allclose(ratios["ANNUITY_INCOME_PERCENT"] * income, offers.annuity, **tolerance)
    np.testing.assert_allclose(ratios["CREDIT_TERM"] * offers.annuity, offers.amount, **tolerance)
    known = np.isfinite(goods)
    np.testing.assert_allclose((ratios["CREDIT_GOODS_PERCENT"] * goods)[known], offers.amount[known], **tolerance)


def test_what_was_asked_for_has_its_own_amounts_score_and_log_odds(batch: Scored, searched: WhatIf) -> None:
    offers = searched.offers
    asked = np.flatnonzero(offers.is_asked)
    rows = offers.row[asked]
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(searched.outcome <= NONE))
    np.testing.assert_array_equal(offers.amount[asked], batch.applications.values[rows, COLUMN["AMT_CREDIT"]])
    np.testing.assert_array_equal(offers.annuity[asked], batch.applications.values[rows, COLUMN["AMT_ANNUITY"]])
    np.testing.assert_array_equal(offers.log_odds[asked], batch.log_odds[rows])
    np.testing.assert_array_equal(offers.duration[asked], searched.duration[rows])
    assert offers.is_grid[asked].any()


def test_an_offer_stands_once_and_annuities_are_whole_cents_of_the_terms_implied(
    batch: Scored, searched: WhatIf
) -> None:
    offers = searched.offers
    keys = np.column_stack([offers.row, offers.duration, offers.amount])
    assert len(np.unique(keys, axis=0)) == len(keys)
    others = np.flatnonzero(~offers.is_asked)
    rate, months = searched.monthly_rate[offers.row[others]], offers.duration[others]
    annuity = offers.amount[others] * rate / (1 - (1 + rate) ** -months.astype(float))
    np.testing.assert_allclose(offers.annuity[others], annuity, atol=0.0051)
    np.testing.assert_array_equal(offers.annuity[others], np.rint(offers.annuity[others] * 100) / 100)


def test_alone_in_a_batch_in_another_order_or_on_more_threads_the_offers_are_the_same(
    trained: Trained, batch: Scored, searched: WhatIf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "_TASK_ROWS", 7)
    search = Search.prepare(trained.bundle, strict_policy())
    order = np.random.default_rng(0).permutation(len(batch.log_odds))
    shuffled = search.run(batch.take(order), threads=3)
    np.testing.assert_array_equal(shuffled.outcome, searched.outcome[order])
    np.testing.assert_array_equal(shuffled.pieces, searched.pieces[order])
    for row in np.flatnonzero(searched.outcome <= NONE)[:6].tolist():
        whole = _taken(searched, np.flatnonzero(searched.offers.row == row))
        alone = search.run(batch.take(np.array([row])))
        other = _taken(shuffled, np.flatnonzero(shuffled.offers.row == np.flatnonzero(order == row)[0]))
        for name in (field.name for field in fields(whole) if field.name != "row"):
            np.testing.assert_array_equal(getattr(alone.offers, name), getattr(whole, name))
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))


def test_no_application_at_all_gives_no_offers(trained: Trained, batch: Scored) -> None:
    empty = Search.prepare(trained.bundle, strict_policy()).run(batch.take(np.array([], np.intp)))
    assert len(empty.offers.row) == len(empty.outcome) == 0


def test_who_is_not_searched_has_no_offers_and_a_reason(trained: Trained, new: Applications) -> None:
    values = np.repeat(new.values[new.values[:, COLUMN[CONTRACT_TYPE]] == 1][:1], 6, axis=0)
    revolving = next(each.code for each in by_name()[CONTRACT_TYPE].categories if each.value == "Revolving loans")
    values[1, COLUMN[CONTRACT_TYPE]] = revolving
    values[2, COLUMN["AMT_ANNUITY"]] = np.nan
    values[3, COLUMN["AMT_ANNUITY"]] = values[3, COLUMN["AMT_CREDIT"]] * 1.01
    values[4, COLUMN["AMT_ANNUITY"]] = values[4, COLUMN["AMT_CREDIT"]] / 601
    ids = np.arange(6)
    batch = score_batch(trained.bundle, Applications(ids.astype(np.int32), values, None, ids))
    none = strict_policy(loss=1e9)
    result = Search.prepare(trained.bundle, none).run(batch)
    told = [OUTCOMES[code] for code in result.outcome]
    assert told == ["none", "revolving", "no_annuity", "no_duration", "no_duration", "none"]
    assert set(result.offers.row.tolist()) == {0, 5} and np.all(result.nearest == -1)
    everybody = Search.prepare(trained.bundle, strict_policy(gain=1e9)).run(batch)
    assert {OUTCOMES[code] for code in everybody.outcome} == {"accepted"} and not len(everybody.offers.row)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    leaves=st.sampled_from([2, 8, 31]),
    trees=st.sampled_from([1, 12]),
    # Small amounts let the rounding of the annuity to cents decide tests of amount / annuity.
    divisor=st.sampled_from([1.0, 300.0, 3000.0]),
    loss=st.sampled_from([3.0, 9.0, 30.0]),
    limits=st.sampled_from(
        [WhatIfLimits(30, 100, 6, 60), WhatIfLimits(50, 150, 12, 24), WhatIfLimits(20, 90, 3, 40)]
    ),
)
def test_found_or_not_the_search_agrees_with_trying_every_single_offer(
    trained: Trained, former: Applications, new: Applications,
    seed: int, leaves: int, trees: int, divisor: float, loss: float, limits: WhatIfLimits,
) -> None:  # fmt: skip
    bundle = with_trees(trained.bundle, smaller(former, divisor), seed, trees, leaves)
    batch = score_batch(bundle, smaller(new.take(np.arange(40)), divisor))
    policy = strict_policy(loss=loss, limits=limits)
    step = 5_000 if divisor == 1.0 else max(1, int(3_000 / divisor))
    result = Search.prepare(bundle, policy, step=step, grid=Grid(3, 3)).run(batch)
    for row in np.flatnonzero(result.outcome <= NONE).tolist():
        _agrees(result, batch, row, policy, step, bundle)


def test_where_cents_of_the_annuity_decide_every_offer_is_tried(trained: Trained, new: Applications) -> None:
    # One test, of amount / annuity, whose threshold is the ratio at 30 months itself: which side an amount is on
    # depends on how its annuity is rounded.
    values = new.values[new.values[:, COLUMN[CONTRACT_TYPE]] == 1][:1].copy()
    values[:, [COLUMN["AMT_CREDIT"], COLUMN["AMT_ANNUITY"]]] = 1009.0, 83.17
    terms = implied_terms(np.array([1009.0]), np.array([83.17]), Convention())
    relative = relative_annuities(terms, np.array([30]))[0, 0]
    ratio = 1009.0 / 83.17 / relative
    column = [each.name for each in trained.bundle.preprocessing.columns].index("CREDIT_TERM")
    matrix = np.repeat(trained.bundle.preprocessing.transform(values), 40, axis=0).astype(np.float64)
    matrix[:, column] = np.repeat([ratio - 1e-5, ratio + 1e-5], 20)
    one = {"objective": "binary", "verbosity": -1, "num_leaves": 2, "min_data_in_leaf": 1, "min_data_in_bin": 1}
    number = np.arange(1)
    applications = Applications(number.astype(np.int32), values, None, number)
    found = []
    for side in (0, 1):
        data = lightgbm.Dataset(matrix, np.repeat([side, 1 - side], 20))
        text = lightgbm.train({**one, "num_threads": 1}, data, 1).model_to_string()
        bundle = replace(trained.bundle, booster_text=text)
        batch = score_batch(bundle, applications)
        policy = strict_policy(1, 1, WhatIfLimits(30, 99, 25, 33))
        result = Search.prepare(bundle, policy).run(batch)
        if result.outcome[0] <= NONE:
            _agrees(result, batch, 0, policy, 1, bundle)
            own = result.offers.is_frontier & (result.offers.duration == 30)
            found.append(float(result.offers.amount[own][0]))
    # At any other duration the largest amount that the limits allow would do.
    assert found and found[0] < 998


def _agrees(result: WhatIf, batch: Scored, row: int, policy: Policy, step: int, bundle: ModelBundle) -> None:
    """Whether the search found for a row what trying every offer finds."""
    accepted = _every_accepted_offer(batch, row, policy, step, bundle)
    offers = _taken(result, np.flatnonzero((result.offers.row == row) & result.offers.is_frontier))
    assert dict(zip(offers.duration.tolist(), offers.amount.tolist(), strict=True)) == {
        months: max(amounts) for months, amounts in accepted.items()
    }
    assert (result.outcome[row] == FOUND) == bool(accepted)
    if accepted:
        nearest, own = result.nearest[row], batch.applications.values[row, COLUMN["AMT_CREDIT"]]
        found = int(result.offers.duration[nearest]), float(result.offers.amount[nearest])
        assert result.offers.row[nearest] == row
        assert _change(found, own, int(result.duration[row])) == pytest.approx(
            _least_change(accepted, own, int(result.duration[row]))
        )


def _every_accepted_offer(
    batch: Scored, row: int, policy: Policy, step: int, bundle: ModelBundle
) -> dict[int, list[float]]:
    """Per duration the accepted amounts, each offer put into the row and scored by LightGBM."""
    values, limits = batch.applications.values[row], policy.what_if
    own, annuity = values[COLUMN["AMT_CREDIT"]], values[COLUMN["AMT_ANNUITY"]]
    amounts = np.arange(0.0, own * limits.most_percent / 100 + step, step)
    amounts = np.unique(np.append(amounts, own))
    amounts = amounts[
        (amounts >= max(1, own * limits.least_percent / 100)) & (amounts <= own * limits.most_percent / 100)
    ]
    terms = implied_terms(np.array([own]), np.array([annuity]), Convention())
    months = np.arange(limits.least_months, limits.most_months + 1)
    rates = 100.0 * annuity / own * relative_annuities(terms, months)[0]
    duration, amount = np.repeat(months, len(amounts)), np.tile(amounts, len(months))
    annuities = np.rint(amount * np.repeat(rates, len(amounts))) / 100
    # What was asked for is that row itself.
    is_asked = (duration == terms.months[0]) & (amount == own)
    annuities[is_asked] = annuity
    kept = annuities >= 1
    trial = np.repeat(values[None, :], kept.sum(), axis=0)
    trial[:, COLUMN["AMT_CREDIT"]], trial[:, COLUMN["AMT_ANNUITY"]] = amount[kept], annuities[kept]
    numbers = np.arange(len(trial))
    rows = Applications(numbers.astype(np.int32), trial, None, numbers)
    probability = 1 / (1 + np.exp(-logits(bundle, rows)))
    yes = probability < policy.line.limits()[0]  # type: ignore[union-attr]
    found: dict[int, list[float]] = {}
    for each, value in zip(duration[kept][yes].tolist(), amount[kept][yes].tolist(), strict=True):
        found.setdefault(each, []).append(value)
    return found


def _change(offer: tuple[int, float], amount: float, months: int) -> tuple[bool, bool, float]:
    """Smaller is nearer."""
    is_more, is_other = offer[1] > amount, offer[0] != months
    return is_more, is_other, abs(offer[1] / amount - 1) + abs(offer[0] / months - 1)


def _least_change(accepted: dict[int, list[float]], amount: float, months: int) -> tuple[bool, bool, float]:
    within = {each: [value for value in values if value <= amount] for each, values in accepted.items()}
    offers = [(each, max(values)) for each, values in within.items() if values]
    offers = offers or [(each, max(values)) for each, values in accepted.items()]
    return min(_change(offer, amount, months) for offer in offers)


@pytest.mark.parametrize("which", [0.0, 0.3, 0.7, 1.0])
def test_at_the_border_the_search_decides_as_the_policy_does(
    trained: Trained, batch: Scored, searched: WhatIf, which: float
) -> None:
    # A limit that is an offer's own probability, one step above it, and one below.
    probability = np.quantile(searched.offers.default_probability, which, method="nearest")
    for limit in (np.nextafter(probability, 0), probability, np.nextafter(probability, 1)):
        policy = strict_policy(gain=float(limit), loss=float(1 - limit))
        result = Search.prepare(trained.bundle, policy).run(batch)
        offers = result.offers
        assert np.all(offers.decision_index[offers.is_frontier] == 0)
        accepted = offers.is_grid & (offers.decision_index == 0) & ~offers.is_asked
        for row in np.flatnonzero(result.outcome <= NONE).tolist():
            own = offers.row == row
            frontier = {int(d): a for d, a in zip(offers.duration[own & offers.is_frontier], offers.amount[own & offers.is_frontier], strict=True)}  # fmt: skip # noqa: E501
            for at in np.flatnonzero(own & accepted):
                assert frontier[int(offers.duration[at])] >= offers.amount[at]


def test_bands_decide_by_the_rounded_score(trained: Trained, batch: Scored) -> None:
    low, high = (
        Band(name, score, decision, "", "") for name, score, decision in (("B", 0, "review"), ("A", 94, "accept"))
    )
    result = Search.prepare(trained.bundle, replace(default_policy(), bands=(low, high))).run(batch)
    offers = result.offers
    np.testing.assert_array_equal(offers.decision_index == 0, offers.score >= 94)
    assert np.all(offers.score[offers.is_frontier] >= 94) and offers.is_frontier.any()
    # The border of a rounded score is 93.5 before rounding.
    assert np.any(offers.default_probability[offers.is_frontier] > 0.06)


def test_a_contract_type_with_figures_of_its_own_is_searched_by_them(trained: Trained, batch: Scored) -> None:
    own = strict_policy(loss=1e9, by_type={1: Figures(1.0, 15.0)})
    by_type = Search.prepare(trained.bundle, own).run(batch)
    general = Search.prepare(trained.bundle, strict_policy()).run(batch)
    cash = batch.applications.values[:, COLUMN[CONTRACT_TYPE]] == 1
    np.testing.assert_array_equal(by_type.outcome[cash], general.outcome[cash])


def test_a_smaller_step_finds_at_least_as_much(trained: Trained, batch: Scored, searched: WhatIf) -> None:
    coarse = Search.prepare(trained.bundle, strict_policy(), step=1000).run(batch)
    offers = coarse.offers
    own = batch.applications.values[offers.row, COLUMN["AMT_CREDIT"]]
    assert np.all((offers.amount % 1000 == 0) | (offers.amount == own)) and np.any(offers.amount != own)
    assert not np.any((coarse.outcome == FOUND) & (searched.outcome == NONE))
    with pytest.raises(ValueError, match="step is 0"):
        Search.prepare(trained.bundle, strict_policy(), step=0)


def _taken(result: WhatIf, at: NDArray[np.intp]) -> search_module.Offers:
    return replace(
        result.offers, **{field.name: getattr(result.offers, field.name)[at] for field in fields(result.offers)}
    )
