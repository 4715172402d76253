"""Features that say the same thing, and features that are computed from one another."""

from __future__ import annotations

import re

import numpy as np
import pytest

from scoring.contract import Applications
from scoring.dictionary_lines import DictionaryError
from scoring.feature_groups import computed_from, connected, facts, feature_groups, parse_derived, parse_groups
from scoring.features import by_name, derived_features, dictionary, input_features
from scoring.preprocess import derived_values

GROUPS = "name,label_en,label_fr,features\n"
DERIVED = "feature,computed_from\n"


def test_every_feature_is_in_exactly_one_group_whose_number_is_its_first_features() -> None:
    members = [name for group in feature_groups() for name in group.members]
    assert sorted(members) == sorted(feature.name for feature in dictionary())
    for group in feature_groups():
        assert group.group_id == min(by_name()[name].feature_id for name in group.members)


def test_groups_can_be_told_apart_in_both_languages() -> None:
    for words in ("name", "label_en", "label_fr"):
        found = [getattr(group, words) for group in feature_groups()]
        assert len(set(found)) == len(found)


def test_a_group_of_one_feature_has_its_words() -> None:
    (gender,) = (group for group in feature_groups() if group.members == ("CODE_GENDER",))
    feature = by_name()["CODE_GENDER"]
    assert (gender.name, gender.label_en, gender.label_fr) == (feature.name, feature.label_en, feature.label_fr)


def test_what_reasons_may_not_be_drawn_from_stands_alone() -> None:
    alone = {group.members[0] for group in feature_groups() if len(group.members) == 1}
    assert {"CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH"} <= alone


def test_the_external_scores_say_one_thing() -> None:
    (group,) = (group for group in feature_groups() if "EXT_SOURCE_2" in group.members)
    assert set(group.members) == {name for name in by_name() if name.startswith("EXT_SOURCE_")}


@pytest.mark.parametrize("column", [feature.name for feature in input_features()])
def test_a_column_that_changes_changes_the_features_that_are_computed_from_it_and_no_other(
    former: Applications, column: str
) -> None:
    values = former.values[:200].copy()
    position = [feature.name for feature in input_features()].index(column)
    before = derived_values(values)
    if column.startswith("EXT_SOURCE"):
        # Which of three is the lowest or the highest takes a value beyond both others to tell.
        low, high = values.copy(), values.copy()
        low[:, position], high[:, position] = 0.0, 1.0
        moved = _differ(before, derived_values(low)) | _differ(before, derived_values(high))
    else:
        values[:, position] = values[:, position] * 1.25 + 1
        moved = _differ(before, derived_values(values))
    said = {name for name, columns in computed_from().items() if column in columns}
    assert {feature.name for feature, differs in zip(derived_features(), moved, strict=True) if differs} == said


def _differ(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return ~np.all((before == after) | (np.isnan(before) & np.isnan(after)), axis=0)


def test_a_fact_is_all_that_is_connected_by_what_is_computed() -> None:
    assert connected(list("abcdefg"), {"c": ["a", "d"], "e": ["d", "f"]}) == dict(
        zip("abcdefg", "abaaaag", strict=True)
    )


def test_the_amount_and_its_ratios_are_one_fact_and_the_external_scores_another() -> None:
    together = {"AMT_INCOME_TOTAL", "AMT_CREDIT", "AMT_ANNUITY", "AMT_GOODS_PRICE", "CREDIT_TERM"}
    assert {facts()[name] for name in together} == {"AMT_INCOME_TOTAL"}
    assert {facts()[name] for name in by_name() if name.startswith("EXT_SOURCE_")} == {"EXT_SOURCE_1"}
    assert facts()["FLAG_OWN_CAR"] == "FLAG_OWN_CAR"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a,A,B,CODE_GENDER\n", "groups.csv line 2, column features: a feature alone"),
        ("a,A,B,CODE_GENDER NO_SUCH\n", "groups.csv line 2, column features: 'NO_SUCH'"),
        ("a,A,B,CODE_GENDER CODE_GENDER\n", "groups.csv line 2, column features: a feature is named twice"),
        ("a,A,,CODE_GENDER AMT_CREDIT\n", "groups.csv line 2, column label_fr: empty"),
        ("a,Gender,B,CODE_GENDER AMT_CREDIT\n", "groups.csv line 2, column label_en: 'Gender' was used"),
        (
            "a,A,B,CODE_GENDER AMT_CREDIT\nb,C,D,AMT_CREDIT AMT_ANNUITY\n",
            "groups.csv line 3, column features: 'AMT_CREDIT' is in a group already",
        ),
    ],
)
def test_a_wrong_group_is_named_by_its_place(text: str, place: str) -> None:
    with pytest.raises(DictionaryError, match=re.escape(place)):
        parse_groups(GROUPS + text, dictionary())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("AMT_CREDIT,AMT_ANNUITY\n", "derived.csv line 2, column feature: 'AMT_CREDIT' is no derived feature"),
        ("CREDIT_TERM,EXT_SOURCE_MEAN\n", "derived.csv line 2, column computed_from: 'EXT_SOURCE_MEAN'"),
        ("CREDIT_TERM,AMT_CREDIT AMT_ANNUITY\n", "no line says what 'ANNUITY_INCOME_PERCENT' is computed from"),
    ],
)
def test_a_wrong_relation_is_named_by_its_place(text: str, place: str) -> None:
    with pytest.raises(DictionaryError, match=re.escape(place)):
        parse_derived(DERIVED + text, dictionary())
