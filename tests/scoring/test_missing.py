"""A missing value counts as much as it does on average, and is never the number 0 by accident."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.contract import Applications
from scoring.explanation.engine import engine
from scoring.explanation.kernels import MISSING_NAN
from scoring.explanation.lightgbm_text import parse_model
from scoring.explanation.reference import lightgbm_engine
from scoring.features import by_name, input_features
from scoring.missing import LEARNED_FROM, with_missing_ways
from scoring.preprocess import Preprocessing, explained_features
from scoring.training import Trained, train

NAMES = [feature.name for feature in input_features()]
NULLABLE = [feature.name for feature in input_features() if feature.nullable and feature.dtype != "category"]


def complete(former: Applications) -> Applications:
    """The same people with every number given: what is missing is drawn from the others."""
    values = former.values.copy()
    rng = np.random.default_rng(0)
    for name in NULLABLE:
        column = values[:, NAMES.index(name)]
        missing = np.isnan(column)
        column[missing] = rng.choice(column[~missing], missing.sum())
    return Applications(former.customer_id, values, former.target, former.row_number)


@pytest.fixture(scope="module")
def without_gaps(former: Applications) -> tuple[Applications, Trained]:
    people = complete(former)
    return people, train(people, trials=0, threads=2)


def test_every_split_on_what_may_be_missing_has_a_way_for_it(without_gaps: tuple[Applications, Trained]) -> None:
    _, trained = without_gaps
    trees = parse_model(trained.bundle.booster_text)
    columns = np.concatenate(trained.bundle.preprocessing.missing_together)
    asks = np.isin(trees.feature, columns)
    assert asks.any()
    assert (trees.missing_type[asks] == MISSING_NAN).all()


@pytest.mark.parametrize("name", NULLABLE)
def test_a_missing_value_changes_the_mean_score_less_than_a_zero_or_not_at_all(
    without_gaps: tuple[Applications, Trained], name: str
) -> None:
    people, trained = without_gaps
    bundle = trained.bundle

    def log_odds(value: float | None) -> np.ndarray:
        values = people.values[:500].copy()
        if value is not None:
            values[:, NAMES.index(name)] = value
        return bundle.engine.explain(bundle.preprocessing.transform(values), threads=2)[0]

    given, missing, zero = log_odds(None), log_odds(np.nan), log_odds(0.0)
    # 0.1 in log-odds is half a point of a score.
    assert abs(missing.mean() - given.mean()) <= max(0.1, abs(zero.mean() - given.mean()))
    if abs(zero.mean() - given.mean()) > 0.1:
        assert not np.array_equal(missing, zero)


def test_what_is_derived_from_a_missing_amount_is_missing_and_said_so(
    without_gaps: tuple[Applications, Trained],
) -> None:
    people, trained = without_gaps
    values = people.values[:1].copy()
    values[:, NAMES.index("AMT_ANNUITY")] = np.nan
    matrix = trained.bundle.preprocessing.transform(values)
    columns = [column.name for column in trained.bundle.preprocessing.columns]
    for name in ("AMT_ANNUITY", "ANNUITY_INCOME_PERCENT", "CREDIT_TERM"):
        value = float(matrix[0, columns.index(name)])
        assert np.isnan(value)
        assert by_name()[name].display_text(value, "en") == "not given"


def test_explanations_of_missing_values_are_exact(without_gaps: tuple[Applications, Trained]) -> None:
    people, trained = without_gaps
    bundle = trained.bundle
    values = people.values[:200].copy()
    values[np.random.default_rng(1).random(values.shape) < 0.3] = np.nan
    matrix = bundle.preprocessing.transform(values)
    log_odds, contributions = bundle.engine.explain(matrix, threads=2)
    reference = lightgbm_engine(bundle.booster_text, bundle.preprocessing.groups, len(explained_features()))
    expected, expected_contributions = reference.explain(matrix)
    np.testing.assert_allclose(log_odds, expected, atol=1e-9)
    np.testing.assert_allclose(contributions, expected_contributions, atol=1e-9)
    np.testing.assert_allclose(bundle.base_value + contributions.sum(axis=1), log_odds, atol=1e-9)


def test_a_feature_that_decides_and_is_missing_scores_as_people_do_on_average() -> None:
    rng = np.random.default_rng(0)
    values = np.ones((2_000, len(NAMES)))
    for name, value in {"AMT_INCOME_TOTAL": 1e5, "AMT_CREDIT": 3e5, "DAYS_BIRTH": -15_000}.items():
        values[:, NAMES.index(name)] = value
    annuity = NAMES.index("AMT_ANNUITY")
    values[:, annuity] = rng.uniform(5e3, 5e4, len(values))
    target = (rng.random(len(values)) < 0.05 + 0.5 * (values[:, annuity] > 3e4)).astype(np.int8)
    ids = np.arange(1, len(values) + 1)
    bundle = train(Applications(ids.astype(np.int32), values, target, ids), trials=0, threads=2).bundle
    everybody = bundle.engine.explain(bundle.preprocessing.transform(values), threads=2)[0]
    one = values[:1].copy()
    one[:, annuity] = np.nan
    (missing,) = bundle.engine.explain(bundle.preprocessing.transform(one), threads=2)[0]
    assert missing == pytest.approx(everybody.mean(), abs=0.05)
    assert everybody.min() < missing - 0.5 < missing + 0.5 < everybody.max()


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from((0.0, 0.002, 0.3)),
    leaves=st.integers(2, 12),
    offset=st.sampled_from((-3.0, 0.0, 50.0)),
)
def test_no_value_that_is_there_is_scored_otherwise_and_what_was_learned_stays(
    seed: int, share: float, leaves: int, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    matrix = (rng.random((600, 4)) + offset).astype(np.float32)
    target = (rng.random(600) < 0.2 + 0.5 * (matrix[:, 0] > offset + 0.6)).astype(np.int8)
    matrix[rng.random(600) < share, 0] = np.nan
    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "min_data_in_leaf": 5,
        "verbosity": -1,
        "num_threads": 1,
    }
    before = lightgbm.train(parameters, lightgbm.Dataset(matrix, target), num_boost_round=8)
    text = before.model_to_string()
    after = with_missing_ways(text, matrix, [np.array([0]), np.array([1, 2])])
    found = lightgbm.Booster(model_str=after)
    there = (rng.random((200, 4)) + offset).astype(np.float32)
    np.testing.assert_array_equal(found.predict(there, raw_score=True), before.predict(there, raw_score=True))
    blank = there.copy()
    blank[:, 0] = np.nan
    if share > 0.2 and leaves == 2 and not np.isnan(matrix[:, 0]).sum() < LEARNED_FROM:
        np.testing.assert_array_equal(found.predict(blank, raw_score=True), before.predict(blank, raw_score=True))
    groups = np.arange(4, dtype=np.int16)
    log_odds, contributions = engine(after, groups, 4).explain(blank, threads=1)
    expected, expected_contributions = lightgbm_engine(after, groups, 4).explain(blank)
    np.testing.assert_allclose(log_odds, expected, atol=1e-9)
    np.testing.assert_allclose(contributions, expected_contributions, atol=1e-9)


def test_derived_features_are_missing_together_with_what_they_are_made_of(former: Applications) -> None:
    preprocessing = Preprocessing.fit(former.values)
    names = [column.name for column in preprocessing.columns]
    together = [{names[column] for column in group} for group in preprocessing.missing_together]
    assert {"AMT_ANNUITY", "ANNUITY_INCOME_PERCENT", "CREDIT_TERM"} in together
    assert {"EXT_SOURCE_MEAN", "EXT_SOURCE_MIN", "EXT_SOURCE_MAX"} in together
    for name in NULLABLE:
        values = former.values[:50].copy()
        values[:, NAMES.index(name)] = np.nan
        blank = {names[column] for column in np.flatnonzero(np.isnan(preprocessing.transform(values)).all(axis=0))}
        assert blank <= set().union(*together)
