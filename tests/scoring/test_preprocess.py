"""Preprocessing is fitted once, and a row's features depend on nothing but the row."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.contract import Applications
from scoring.errors import ArtefactError
from scoring.features import input_features
from scoring.preprocess import Preprocessing, derived_values, explained_features, feature_values

NAMES = [feature.name for feature in input_features()]


def column(applications: Applications, name: str) -> np.ndarray:
    return applications.values[:, NAMES.index(name)]


@pytest.fixture(scope="module")
def fitted(former: Applications) -> Preprocessing:
    return Preprocessing.fit(former.values)


def test_the_anomaly_of_employment_is_blanked_and_flagged(fitted: Preprocessing, former: Applications) -> None:
    matrix = fitted.transform(former.values)
    names = [column.name for column in fitted.columns]
    anomalous = column(former, "DAYS_EMPLOYED") == 365243
    assert anomalous.any()
    assert np.isnan(matrix[anomalous, names.index("DAYS_EMPLOYED")]).all()
    np.testing.assert_array_equal(matrix[:, names.index("DAYS_EMPLOYED_ANOM")], anomalous)


def test_days_are_made_positive(fitted: Preprocessing, former: Applications) -> None:
    matrix = fitted.transform(former.values)
    for position, name in enumerate(column.name for column in fitted.columns):
        if name.startswith("DAYS_"):
            assert np.nanmin(matrix[:, position]) >= 0


def test_each_known_category_has_a_column_and_an_unseen_one_has_none(
    fitted: Preprocessing, former: Applications
) -> None:
    gender = NAMES.index("CODE_GENDER")
    changed = former.values[:2].copy()
    changed[0, gender] = 0
    changed[1, gender] = fitted.levels["CODE_GENDER"][0]
    matrix = fitted.transform(changed)
    columns = [position for position, c in enumerate(fitted.columns) if c.name.startswith("CODE_GENDER=")]
    assert matrix[0, columns].sum() == 0
    assert matrix[1, columns].sum() == 1


def test_ratios_are_what_their_names_say(former: Applications) -> None:
    derived = derived_values(former.values)
    names = [feature.name for feature in explained_features()[len(NAMES) :]]
    credit, annuity = column(former, "AMT_CREDIT"), column(former, "AMT_ANNUITY")
    np.testing.assert_allclose(derived[:, names.index("CREDIT_TERM")], credit / annuity)
    np.testing.assert_allclose(
        derived[:, names.index("ANNUITY_INCOME_PERCENT")], annuity / column(former, "AMT_INCOME_TOTAL")
    )
    employed = np.where(column(former, "DAYS_EMPLOYED") == 365243, np.nan, column(former, "DAYS_EMPLOYED"))
    np.testing.assert_allclose(
        derived[:, names.index("DAYS_EMPLOYED_PERCENT")], employed / column(former, "DAYS_BIRTH")
    )


def test_external_scores_are_averaged_over_those_that_are_there(former: Applications) -> None:
    values = former.values[:3].copy()
    where = [NAMES.index(f"EXT_SOURCE_{number}") for number in (1, 2, 3)]
    values[0, where] = [0.2, np.nan, 0.6]
    values[1, where] = np.nan
    names = [feature.name for feature in explained_features()]
    shown, _ = feature_values(values)
    assert shown[0, names.index("EXT_SOURCE_MEAN")] == pytest.approx(0.4)
    assert np.isnan(shown[1, names.index("EXT_SOURCE_MEAN")])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 40))
def test_alone_in_a_batch_or_in_another_order_a_row_is_the_same(
    fitted: Preprocessing, former: Applications, seed: int, size: int
) -> None:
    rows = np.random.default_rng(seed).choice(len(former), size, replace=False)
    batch = fitted.transform(former.values[rows])
    np.testing.assert_array_equal(fitted.transform(former.values)[rows], batch)
    np.testing.assert_array_equal(fitted.transform(former.values[rows[:1]]), batch[:1])
    np.testing.assert_array_equal(fitted.transform(former.values[rows[::-1]]), batch[::-1])


def test_every_matrix_column_counts_towards_one_explained_feature(fitted: Preprocessing) -> None:
    assert len(fitted.groups) == len(fitted.columns)
    assert set(fitted.groups.tolist()) == set(range(len(explained_features())))


def test_the_learned_state_survives_json(fitted: Preprocessing, former: Applications) -> None:
    again = Preprocessing.from_json(json.loads(json.dumps(fitted.to_json())))
    np.testing.assert_array_equal(again.transform(former.values), fitted.transform(former.values))


@pytest.mark.parametrize("state", [{}, {"levels": {"CODE_GENDER": [1]}}, {"levels": []}])
def test_a_foreign_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ArtefactError):
        Preprocessing.from_json(state)
