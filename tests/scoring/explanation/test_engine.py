"""Explanations are exact, complete and summed, never maximised; shap.TreeExplainer is the oracle."""

from __future__ import annotations

import warnings

import lightgbm
import numpy as np
import pytest

from scoring.batch import score_batch
from scoring.contract import Applications
from scoring.errors import ArtefactError
from scoring.explanation.engine import engine, ranks
from scoring.training import Trained


@pytest.fixture(scope="module")
def oracle(trained: Trained, new: Applications) -> tuple[np.ndarray, float]:
    """SHAP values per matrix column, and the expected value, by shap.TreeExplainer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        booster = lightgbm.Booster(model_str=trained.bundle.booster_text)
        explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
        values = explainer.shap_values(trained.bundle.preprocessing.transform(new.values))
    return np.asarray(values), float(np.asarray(explainer.expected_value))


def test_contributions_are_shaps_summed_into_the_applicants_features(
    trained: Trained, new: Applications, oracle: tuple[np.ndarray, float]
) -> None:
    scored = score_batch(trained.bundle, new, threads=2)
    per_column, _ = oracle
    groups = trained.bundle.preprocessing.groups
    expected = np.stack([per_column[:, groups == group].sum(axis=1) for group in range(groups.max() + 1)], axis=1)
    np.testing.assert_allclose(scored.contributions, expected, atol=1e-5)


def test_one_hot_columns_are_summed_not_maximised(
    trained: Trained, new: Applications, oracle: tuple[np.ndarray, float]
) -> None:
    scored = score_batch(trained.bundle, new)
    per_column, _ = oracle
    groups = trained.bundle.preprocessing.groups
    several = [group for group in range(groups.max() + 1) if (groups == group).sum() > 2]
    maximised = np.stack([per_column[:, groups == group].max(axis=1) for group in several], axis=1)
    assert np.abs(scored.contributions[:, several] - maximised).max() > 1e-3


def test_the_base_value_is_the_expected_log_odds(trained: Trained, oracle: tuple[np.ndarray, float]) -> None:
    assert trained.bundle.base_value == pytest.approx(oracle[1], abs=1e-6)


def test_base_value_and_contributions_add_up_to_the_models_log_odds(trained: Trained, new: Applications) -> None:
    scored = score_batch(trained.bundle, new)
    np.testing.assert_allclose(
        trained.bundle.base_value + scored.contributions.sum(axis=1), scored.log_odds, atol=1e-9
    )
    booster = lightgbm.Booster(model_str=trained.bundle.booster_text)
    raw = booster.predict(trained.bundle.preprocessing.transform(new.values), raw_score=True)
    np.testing.assert_allclose(scored.log_odds, raw, atol=1e-9)


def test_alone_in_a_batch_or_in_another_order_scores_and_contributions_are_the_same(
    trained: Trained, new: Applications
) -> None:
    batch = score_batch(trained.bundle, new, threads=2)
    order = np.random.default_rng(0).permutation(len(new))
    shuffled = score_batch(trained.bundle, new.take(order), threads=1)
    np.testing.assert_array_equal(shuffled.contributions, batch.contributions[order])
    np.testing.assert_array_equal(shuffled.log_odds, batch.log_odds[order])
    for row in range(5):
        alone = score_batch(trained.bundle, new.take(np.array([row])))
        np.testing.assert_array_equal(alone.contributions[0], batch.contributions[row])
        assert alone.log_odds[0] == batch.log_odds[row]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"objective": "binary", "sigmoid": 2.5}, "binary sigmoid:2.5"),
        ({"objective": "regression"}, "regression"),
        ({"objective": "cross_entropy"}, "cross_entropy"),
        ({"objective": lambda predicted, data: (predicted - data.get_label(), np.ones(200))}, "not named"),
    ],
)
def test_a_model_whose_output_is_not_log_odds_is_refused_by_its_objective(
    parameters: dict[str, object], named: str
) -> None:
    rng = np.random.default_rng(0)
    data = lightgbm.Dataset(rng.normal(size=(200, 3)), rng.integers(0, 2, 200))
    text = lightgbm.train({"verbosity": -1, **parameters}, data, 2).model_to_string()
    with pytest.raises(ArtefactError, match=f"its objective is '{named}', and only that of 'binary sigmoid:1'"):
        engine(text, np.zeros(3, np.int16), 1)


def test_an_empty_batch_gives_empty_results(trained: Trained, new: Applications) -> None:
    scored = score_batch(trained.bundle, new.take(np.array([], dtype=np.intp)))
    assert scored.contributions.shape == (0, scored.coded.shape[0])


def test_ranks_order_by_size_and_break_ties_by_feature_order() -> None:
    assert ranks(np.array([[0.1, -0.5, 0.5, 0.0]])).tolist() == [[3, 1, 2, 4]]
