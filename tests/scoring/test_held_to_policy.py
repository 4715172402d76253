"""A model is held to the lender's policy: it never asks what it must not, and never rewards what it must not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from scoring.calibration import log_losses, recalibration
from scoring.contract import Applications
from scoring.costs import PolicyCosts, guessed_auc
from scoring.explanation.kernels import MISSING_NAN
from scoring.explanation.lightgbm_text import TreeEnsemble, parse_model
from scoring.explanation.reference import lightgbm_engine
from scoring.features import by_name, input_features
from scoring.fitting import Fitter, Limits
from scoring.missing import with_missing_ways
from scoring.policy import Policy, default_policy, parse_policy
from scoring.preprocess import Preprocessing, explained_features
from scoring.training import Trained, no_progress, train

NAMES = [feature.name for feature in input_features()]
EXPLAINED = [feature.name for feature in explained_features()]
NULLABLE = [NAMES.index(feature.name) for feature in input_features() if feature.nullable]
INCOME = ("AMT_INCOME_TOTAL", "CREDIT_INCOME_PERCENT", "ANNUITY_INCOME_PERCENT")
FEW_TREES = {"trees": 20, "learning_rate": 0.1, "max_depth": 4, "num_leaves": 12, "min_data_in_leaf": 20}


def changed(before: str, after: str) -> Policy:
    """The default policy with one part of its text changed."""
    text = default_policy().text
    assert text.count(before) == 1
    return parse_policy(text.replace(before, after), "policy.yaml")


def allowing(name: str) -> Policy:
    return changed(f"  {name}:\n    may_score: no", f"  {name}:\n    may_score: yes")


@pytest.fixture(scope="module")
def without_income() -> Policy:
    """A policy that bars an amount, of which two features are computed that it does not name."""
    directions = "  ANNUITY_INCOME_PERCENT: rises\n  CREDIT_INCOME_PERCENT: rises\n"
    rule = "features:\n  AMT_INCOME_TOTAL:\n    may_score: no\n    because: {en: A test., fr: Un test.}\n"
    return parse_policy(changed(directions, "").text.replace("features:\n", rule, 1), "policy.yaml")


def shuffled(people: Applications, seed: int) -> np.ndarray:
    """Applications that nobody made: each column in an order of its own, a tenth of what may be missing is."""
    rng = np.random.default_rng(seed)
    values = rng.permuted(people.values, axis=0)
    missing = rng.random((len(values), len(NULLABLE))) < 0.1
    values[:, NULLABLE] = np.where(missing, np.nan, values[:, NULLABLE])
    return values


# What may not score


def test_no_tree_asks_for_what_may_not_score_and_the_matrix_keeps_its_columns(
    trained: Trained, former: Applications
) -> None:
    bundle = trained.bundle
    assert bundle.policy["barred"] == ["CODE_GENDER", "NAME_FAMILY_STATUS"]
    asked = {bundle.preprocessing.columns[column].feature for column in parse_model(bundle.booster_text).feature}
    assert not asked & set(default_policy().barred)
    assert {"CODE_GENDER", "NAME_FAMILY_STATUS"} < {column.feature for column in bundle.preprocessing.columns}
    assert bundle.preprocessing == Preprocessing.fit(former.values)


@pytest.mark.parametrize("seed", range(3))
def test_what_may_not_score_contributes_exactly_nothing_to_anybody(
    trained: Trained, former: Applications, seed: int
) -> None:
    matrix = trained.bundle.preprocessing.transform(shuffled(former, seed))
    barred = [EXPLAINED.index(name) for name in default_policy().barred]
    for engine in (trained.bundle.engine, trained.bundle.reference_engine):
        _, contributions = engine.explain(matrix, threads=1)
        assert not contributions[:, barred].any()
        assert contributions[:, EXPLAINED.index("EXT_SOURCE_2")].any()


@pytest.mark.parametrize("name", default_policy().barred)
def test_another_value_of_what_may_not_score_changes_nothing_at_all(
    trained: Trained, former: Applications, name: str
) -> None:
    bundle = trained.bundle

    def scored(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return bundle.engine.explain(bundle.preprocessing.transform(values), threads=1)

    log_odds, contributions = scored(former.values)
    for code in (np.nan, 0, *(category.code for category in by_name()[name].categories)):
        values = former.values.copy()
        values[:, NAMES.index(name)] = code
        np.testing.assert_array_equal(scored(values)[0], log_odds)
        np.testing.assert_array_equal(scored(values)[1], contributions)


def test_what_is_computed_from_what_may_not_score_is_barred_too(
    former: Applications, without_income: Policy
) -> None:
    preprocessing = Preprocessing.fit(former.values)
    limits = Limits.of(without_income, preprocessing)
    matrix = preprocessing.transform(former.values)
    limits.blank(matrix)
    booster = Fitter(1, 0, limits.directions).fit(matrix, former.target, FEW_TREES)
    asked = {preprocessing.columns[column].feature for column in parse_model(booster.model_to_string()).feature}
    barred = {"CODE_GENDER", "NAME_FAMILY_STATUS", *INCOME}
    assert {preprocessing.columns[column].feature for column in np.flatnonzero(limits.barred)} == barred
    assert not asked & barred


def test_a_model_names_what_another_policy_bars_and_it_may_use(trained: Trained, without_income: Policy) -> None:
    bundle = trained.bundle
    assert bundle.bars(default_policy()) == ()
    assert bundle.bars(allowing("CODE_GENDER")) == ()
    assert bundle.bars(without_income) == INCOME


# Directions

Box = dict[int, tuple[float, float, bool]]
ANYTHING = (-np.inf, np.inf, True)


def leaves(trees: TreeEnsemble, tree: int) -> Iterator[tuple[Box, float]]:
    """Who comes to each leaf: by column the values over the first up to the second, and whether missing ones do."""

    def below(node: int, box: Box) -> Iterator[tuple[Box, float]]:
        if node < 0:
            yield box, float(trees.leaf_value[trees.leaf_start[tree] + ~node])
            return
        at = int(trees.node_start[tree]) + node
        column, threshold = int(trees.feature[at]), float(trees.threshold[at])
        low, high, missing = box.get(column, ANYTHING)
        # Another column cannot be missing.
        to_left = bool(trees.default_left[at])
        told = trees.missing_type[at] == MISSING_NAN
        left = (low, min(high, threshold), missing and told and to_left)
        right = (max(low, threshold), high, missing and told and not to_left)
        yield from below(int(trees.left_child[at]), {**box, column: left})
        yield from below(int(trees.right_child[at]), {**box, column: right})

    yield from below(0, {})


def wrong_ways(text: str, directions: tuple[int, ...]) -> int:
    """Pairs of leaves between which one value alone can take somebody, with the risk moving the wrong way."""
    trees, found = parse_model(text), 0
    for tree in range(trees.n_trees):
        if trees.node_start[tree] == trees.node_start[tree + 1]:
            continue
        for (lower, before), (upper, after) in itertools.permutations(leaves(trees, tree), 2):
            for column in {column for column in {**lower, **upper} if directions[column]}:
                low, high = lower.get(column, ANYTHING), upper.get(column, ANYTHING)
                if low[0] >= low[1] or high[0] >= high[1] or low[0] >= high[1]:
                    continue
                others = {**lower, **upper}.keys() - {column}
                if all(meet(lower.get(other, ANYTHING), upper.get(other, ANYTHING)) for other in others):
                    found += (after - before) * directions[column] < 0
    return found


def meet(one: tuple[float, float, bool], other: tuple[float, float, bool]) -> bool:
    return (one[2] and other[2]) or max(one[0], other[0]) < min(one[1], other[1])


def test_no_application_there_could_be_gets_a_risk_that_moves_the_wrong_way(trained: Trained) -> None:
    bundle = trained.bundle
    limits = Limits.of(default_policy(), bundle.preprocessing)
    assert np.count_nonzero(limits.directions) == len(default_policy().directions)
    assert wrong_ways(bundle.booster_text, limits.directions) == 0


def test_without_directions_some_would_and_with_them_none_also_where_values_are_missing(
    former: Applications,
) -> None:
    preprocessing = Preprocessing.fit(former.values)
    directions = Limits.of(default_policy(), preprocessing).directions
    for seed in range(3):
        matrix = preprocessing.transform(shuffled(former, seed))

        def fitted(fitter: Fitter, matrix: np.ndarray = matrix) -> str:
            text = fitter.fit(matrix, former.target, FEW_TREES).model_to_string()
            return with_missing_ways(text, matrix, preprocessing.missing_together)

        assert wrong_ways(fitted(Fitter(1, seed)), directions) > 0
        assert wrong_ways(fitted(Fitter(1, seed, directions)), directions) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_amount_over_the_same_time_never_lowers_the_risk(
    trained: Trained, former: Applications, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = np.vstack([former.values, shuffled(former, seed)])
    amounts = [NAMES.index("AMT_CREDIT"), NAMES.index("AMT_ANNUITY")]
    # In whole units and 64ths, so that credit / annuity is the same number to the last bit.
    values[:, amounts] = np.round(values[:, amounts])
    larger = values.copy()
    larger[:, amounts] *= 1 + rng.integers(1, 65, len(values))[:, None] / 64
    before, after = (risks(trained, each) for each in (values, larger))
    assert (after >= before).all()
    assert (after > before).any()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_higher_external_score_never_raises_the_risk(trained: Trained, former: Applications, number: int) -> None:
    rng = np.random.default_rng(number)
    values = np.vstack([former.values, shuffled(former, number)])
    column = NAMES.index(f"EXT_SOURCE_{number}")
    values = values[np.isfinite(values[:, column])]
    higher = values.copy()
    higher[:, column] += rng.random(len(values)) * (1 - values[:, column])
    before, after = (risks(trained, each) for each in (values, higher))
    assert (after <= before).all()
    assert (after < before).any()


@pytest.mark.parametrize("name", default_policy().directions)
def test_a_feature_alone_never_moves_the_risk_the_wrong_way(
    trained: Trained, former: Applications, name: str
) -> None:
    preprocessing = trained.bundle.preprocessing
    matrix = preprocessing.transform(shuffled(former, 7))
    column = [each.name for each in preprocessing.columns].index(name)
    matrix = np.asfortranarray(matrix[np.isfinite(matrix[:, column])])
    higher = matrix.copy(order="F")
    higher[:, column] = np.maximum(matrix[:, column], np.random.default_rng(7).permutation(matrix[:, column]))
    before, after = (trained.bundle.engine.explain(each, threads=1)[0] for each in (matrix, higher))
    sign = {"rises": 1, "falls": -1}[default_policy().directions[name]]
    assert ((after - before) * sign >= 0).all()


def risks(trained: Trained, values: np.ndarray) -> np.ndarray:
    bundle = trained.bundle
    return bundle.engine.explain(bundle.preprocessing.transform(values), threads=1)[0]


def test_explanations_stay_exact_under_directions(trained: Trained, former: Applications) -> None:
    bundle = trained.bundle
    matrix = bundle.preprocessing.transform(shuffled(former, 3)[:300])
    log_odds, contributions = bundle.engine.explain(matrix, threads=1)
    reference = lightgbm_engine(bundle.booster_text, bundle.preprocessing.groups, len(EXPLAINED))
    expected, expected_contributions = reference.explain(matrix)
    np.testing.assert_allclose(log_odds, expected, atol=1e-9)
    np.testing.assert_allclose(contributions, expected_contributions, atol=1e-9)
    np.testing.assert_allclose(bundle.base_value + contributions.sum(axis=1), log_odds, atol=1e-9)


# What it costs


def test_the_costs_of_each_exclusion_of_all_and_of_directions_are_kept_with_the_model(trained: Trained) -> None:
    told = trained.bundle.metrics["policy"]
    assert told["sha256"] == trained.bundle.policy["sha256"] == default_policy().sha256
    assert [each["feature"] for each in told["exclusions"]] == told["barred"] == list(default_policy().barred)
    for cost in (*told["exclusions"], told["all_exclusions"], told["directions"]):
        assert abs(cost["auc_cost"]) < 0.1 and 0 < cost["auc_cost_se"] < 0.1
    assert all(0.4 < each["guessed_auc"] <= 1 for each in told["exclusions"])
    assert told["rows"] == 2_000


def costs(policy: Policy, former: Applications, target: np.ndarray) -> dict:
    told: list[tuple[str, int, int]] = []
    measured = PolicyCosts(
        policy, Preprocessing.fit(former.values), former.values, target, FEW_TREES, threads=1, seed=0
    ).measured(lambda *step: told.append(step))
    assert told[0][:2] == ("costs", 0)
    assert told[-1] == ("costs", told[0][2], told[0][2])
    return measured


def test_what_decides_costs_its_auc_and_what_does_not_costs_nothing(former: Applications) -> None:
    rng = np.random.default_rng(0)
    woman = former.values[:, NAMES.index("CODE_GENDER")] == by_name()["CODE_GENDER"].categories[0].code
    found = costs(default_policy(), former, (rng.random(len(former)) < 0.1 + 0.4 * woman).astype(np.int8))
    gender, family = found["exclusions"]
    assert gender["auc_cost"] > 4 * gender["auc_cost_se"] > 0
    assert abs(family["auc_cost"]) < 3 * family["auc_cost_se"] + 0.02
    assert found["all_exclusions"]["auc_cost"] == pytest.approx(gender["auc_cost"], abs=0.05)


def test_a_policy_without_exclusions_and_directions_costs_nothing(former: Applications) -> None:
    policy = default_policy()
    free = parse_policy(policy.text[: policy.text.index("directions:")].replace("may_score: no", "may_score: yes")
                        + policy.text[policy.text.index("# Bands of the score") :], "policy.yaml")  # fmt: skip
    assert (free.barred, free.directions) == ((), {})
    measured = PolicyCosts(
        free, Preprocessing.fit(former.values), former.values, former.target, FEW_TREES, threads=1, seed=0
    ).measured(no_progress)
    nothing = {"auc_cost": 0.0, "auc_cost_se": 0.0}
    assert measured == {"exclusions": [], "all_exclusions": nothing, "directions": nothing, "rows": len(former)}


def test_one_exclusion_costs_what_all_of_them_cost(former: Applications) -> None:
    found = costs(allowing("NAME_FAMILY_STATUS"), former, former.target)
    (gender,) = found["exclusions"]
    assert {key: gender[key] for key in ("auc_cost", "auc_cost_se")} == found["all_exclusions"]


def test_a_feature_is_guessed_as_well_as_the_others_tell_it() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.random((2_000, 3)).astype(np.float32)

    def guessed(feature: np.ndarray, coded: bool) -> float | None:
        return guessed_auc(feature, matrix, coded=coded, threads=1, seed=0)

    for first_code in (0.0, 1.0):
        told = guessed(first_code + (matrix[:, 0] > 0.6), True)
        assert told is not None and told > 0.99
    told = guessed(matrix[:, 1] * 50.0 - 10, False)
    assert told is not None and told > 0.99
    told = guessed(rng.integers(1, 4, 2_000).astype(float), True)
    assert told is not None and abs(told - 0.5) < 0.06
    # Who has no known value says nothing; nor do too few.
    known = 1.0 + (matrix[:, 0] > 0.6)
    known[rng.random(2_000) < 0.5] = np.nan
    told = guessed(known, True)
    assert told is not None and told > 0.99
    rare = np.ones(2_000)
    rare[:5] = 2
    assert guessed(rare, True) is None
    assert guessed(np.full(2_000, np.nan), True) is None


# Calibration


def one_question(people: Applications, seed: int) -> np.ndarray:
    """Outcomes that one question nearly tells, so that a search stops at trees that say too little of it."""
    column = np.nan_to_num(people.values[:, NAMES.index("EXT_SOURCE_2")], nan=1.0)
    return ((column < 0.4) ^ (np.random.default_rng(seed).random(len(people)) < 0.03)).astype(np.int8)


def test_a_model_that_is_too_timid_is_recalibrated_as_a_whole(former: Applications, new: Applications) -> None:
    target = one_question(former, 0)
    trained = train(Applications(former.customer_id, former.values, target, former.row_number), trials=0, threads=1)
    bundle, found = trained.bundle, trained.bundle.metrics["recalibration"]
    assert found["recalibrated"]
    assert found["slope_low"] > 1.5 and found["log_loss_gain_low"] > 0
    after = recalibration(trained.out_of_fold_log_odds, target)
    assert after is not None and after.slope == pytest.approx(1, abs=0.1)
    matrix = bundle.preprocessing.transform(new.values)
    log_odds, contributions = bundle.engine.explain(matrix, threads=1)
    np.testing.assert_allclose(bundle.base_value + contributions.sum(axis=1), log_odds, atol=1e-9)
    np.testing.assert_allclose(bundle.reference_engine.explain(matrix, threads=1)[0], log_odds, atol=1e-9)
    assert wrong_ways(bundle.booster_text, Limits.of(default_policy(), bundle.preprocessing).directions) == 0
    # People whom neither the model nor the recalibration has seen are told better for it.
    before = (log_odds - found["intercept"]) / found["slope"]
    outcomes = one_question(new, 1)
    assert log_losses(log_odds, outcomes).mean() < 0.8 * log_losses(before, outcomes).mean()
