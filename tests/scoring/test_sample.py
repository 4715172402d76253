"""The synthetic applications look like Home Credit's, hold together, and are the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

from scoring.contract import check_rows, match_columns
from scoring.sample import NOT_EMPLOYED, applications, evolve, portfolio_chunks

FILE_HEADER = """
SK_ID_CURR TARGET NAME_CONTRACT_TYPE CODE_GENDER FLAG_OWN_CAR FLAG_OWN_REALTY CNT_CHILDREN
AMT_INCOME_TOTAL AMT_CREDIT AMT_ANNUITY AMT_GOODS_PRICE NAME_TYPE_SUITE NAME_INCOME_TYPE
NAME_EDUCATION_TYPE NAME_FAMILY_STATUS NAME_HOUSING_TYPE REGION_POPULATION_RELATIVE DAYS_BIRTH
DAYS_EMPLOYED DAYS_REGISTRATION DAYS_ID_PUBLISH OWN_CAR_AGE FLAG_MOBIL FLAG_EMP_PHONE FLAG_WORK_PHONE
FLAG_CONT_MOBILE FLAG_PHONE FLAG_EMAIL OCCUPATION_TYPE CNT_FAM_MEMBERS REGION_RATING_CLIENT
REGION_RATING_CLIENT_W_CITY WEEKDAY_APPR_PROCESS_START HOUR_APPR_PROCESS_START
REG_REGION_NOT_LIVE_REGION REG_REGION_NOT_WORK_REGION LIVE_REGION_NOT_WORK_REGION REG_CITY_NOT_LIVE_CITY
REG_CITY_NOT_WORK_CITY LIVE_CITY_NOT_WORK_CITY ORGANIZATION_TYPE EXT_SOURCE_1 EXT_SOURCE_2 EXT_SOURCE_3
APARTMENTS_AVG BASEMENTAREA_AVG YEARS_BEGINEXPLUATATION_AVG YEARS_BUILD_AVG COMMONAREA_AVG ELEVATORS_AVG
ENTRANCES_AVG FLOORSMAX_AVG FLOORSMIN_AVG LANDAREA_AVG LIVINGAPARTMENTS_AVG LIVINGAREA_AVG
NONLIVINGAPARTMENTS_AVG NONLIVINGAREA_AVG APARTMENTS_MODE BASEMENTAREA_MODE YEARS_BEGINEXPLUATATION_MODE
YEARS_BUILD_MODE COMMONAREA_MODE ELEVATORS_MODE ENTRANCES_MODE FLOORSMAX_MODE FLOORSMIN_MODE
LANDAREA_MODE LIVINGAPARTMENTS_MODE LIVINGAREA_MODE NONLIVINGAPARTMENTS_MODE NONLIVINGAREA_MODE
APARTMENTS_MEDI BASEMENTAREA_MEDI YEARS_BEGINEXPLUATATION_MEDI YEARS_BUILD_MEDI COMMONAREA_MEDI
ELEVATORS_MEDI ENTRANCES_MEDI FLOORSMAX_MEDI FLOORSMIN_MEDI LANDAREA_MEDI LIVINGAPARTMENTS_MEDI
LIVINGAREA_MEDI NONLIVINGAPARTMENTS_MEDI NONLIVINGAREA_MEDI FONDKAPREMONT_MODE HOUSETYPE_MODE
TOTALAREA_MODE WALLSMATERIAL_MODE EMERGENCYSTATE_MODE OBS_30_CNT_SOCIAL_CIRCLE DEF_30_CNT_SOCIAL_CIRCLE
OBS_60_CNT_SOCIAL_CIRCLE DEF_60_CNT_SOCIAL_CIRCLE DAYS_LAST_PHONE_CHANGE FLAG_DOCUMENT_2 FLAG_DOCUMENT_3
FLAG_DOCUMENT_4 FLAG_DOCUMENT_5 FLAG_DOCUMENT_6 FLAG_DOCUMENT_7 FLAG_DOCUMENT_8 FLAG_DOCUMENT_9
FLAG_DOCUMENT_10 FLAG_DOCUMENT_11 FLAG_DOCUMENT_12 FLAG_DOCUMENT_13 FLAG_DOCUMENT_14 FLAG_DOCUMENT_15
FLAG_DOCUMENT_16 FLAG_DOCUMENT_17 FLAG_DOCUMENT_18 FLAG_DOCUMENT_19 FLAG_DOCUMENT_20 FLAG_DOCUMENT_21
AMT_REQ_CREDIT_BUREAU_HOUR AMT_REQ_CREDIT_BUREAU_DAY AMT_REQ_CREDIT_BUREAU_WEEK
AMT_REQ_CREDIT_BUREAU_MON AMT_REQ_CREDIT_BUREAU_QRT AMT_REQ_CREDIT_BUREAU_YEAR
"""
HEADER = FILE_HEADER.split()

DECIMAL = {
    *(name for name in HEADER if name.startswith(("AMT_", "EXT_SOURCE_"))),
    *(name for name in HEADER if name.endswith(("_AVG", "_MEDI", "_SOCIAL_CIRCLE"))),
    *(name.replace("_AVG", "_MODE") for name in HEADER if name.endswith("_AVG")),
    *("REGION_POPULATION_RELATIVE", "DAYS_REGISTRATION", "DAYS_LAST_PHONE_CHANGE", "OWN_CAR_AGE"),
    *("CNT_FAM_MEMBERS", "TOTALAREA_MODE"),
}
TEXT = {
    *(name for name in HEADER if name.startswith("NAME_")),
    *(name for name in HEADER if name.endswith("_MODE") and name not in DECIMAL),
    *("CODE_GENDER", "FLAG_OWN_CAR", "FLAG_OWN_REALTY", "OCCUPATION_TYPE", "ORGANIZATION_TYPE"),
    "WEEKDAY_APPR_PROCESS_START",
}
MEASURES = [name.removesuffix("_AVG") for name in HEADER if name.endswith("_AVG")]
ENQUIRIES = [name for name in HEADER if name.startswith("AMT_REQ_")]
SCORES = ["EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3"]
AMOUNTS = ["AMT_GOODS_PRICE", "AMT_CREDIT", "AMT_ANNUITY"]
DAYS = ["DAYS_BIRTH", "DAYS_EMPLOYED", "DAYS_REGISTRATION", "DAYS_ID_PUBLISH", "DAYS_LAST_PHONE_CHANGE"]

HAS_JOB = pl.col("DAYS_EMPLOYED") < NOT_EMPLOYED
# Nothing that these say depends on how many rows there are: each must be true of every application.
RULES = {
    "adults of at most 69 years": pl.col("DAYS_BIRTH").is_between(-69 * 365.25, -20.4 * 365.25),
    "a job is younger than adult life": pl.col("DAYS_EMPLOYED").is_between(pl.col("DAYS_BIRTH") + 18 * 365, 0)
    | ~HAS_JOB,
    "papers are not older than their owner": pl.all_horizontal(
        pl.col(name).is_between(pl.col("DAYS_BIRTH"), 0) for name in DAYS[2:]
    ),
    "no job means no employer": (pl.col("ORGANIZATION_TYPE") != "XNA") == HAS_JOB,
    "pensioners and the unemployed have no job": (
        pl.col("NAME_INCOME_TYPE").is_in(["Pensioner", "Unemployed"]) == ~HAS_JOB
    ),
    "no job means no occupation": HAS_JOB | pl.col("OCCUPATION_TYPE").is_null(),
    "an employer has a phone": pl.col("FLAG_EMP_PHONE") == HAS_JOB.cast(pl.Int64),
    "a family is its children and adults": (
        pl.col("CNT_FAM_MEMBERS") - pl.col("CNT_CHILDREN")
        == pl.when(pl.col("NAME_FAMILY_STATUS").is_in(["Married", "Civil marriage"])).then(2).otherwise(1)
    )
    | (pl.col("NAME_FAMILY_STATUS") == "Unknown"),
    "a family has at most 19 children": pl.col("CNT_CHILDREN").is_between(0, 19),
    "a car has an age": (pl.col("FLAG_OWN_CAR") == "Y") == pl.col("OWN_CAR_AGE").is_not_null(),
    "goods cost at most the credit": (pl.col("AMT_GOODS_PRICE") <= pl.col("AMT_CREDIT")).fill_null(True),
    "amounts are multiples of 4.5": pl.all_horizontal(
        (pl.col(name) % 4.5 == 0).fill_null(True) for name in [*AMOUNTS, "AMT_INCOME_TOTAL"]
    ),
    "a loan is paid back in time": (
        (pl.col("AMT_CREDIT") / pl.col("AMT_ANNUITY")).is_between(5, 48).fill_null(True)
    ),
    "a card is paid back by 5 % a month": (pl.col("NAME_CONTRACT_TYPE") == "Cash loans")
    | (pl.col("AMT_ANNUITY") == 0.05 * pl.col("AMT_CREDIT")).fill_null(True),
    "scores are shares": pl.all_horizontal(pl.col(name).is_between(0, 1).fill_null(True) for name in SCORES),
    "measures of buildings are shares": pl.all_horizontal(
        pl.col(name).is_between(0, 1).fill_null(True)
        for name in ["TOTALAREA_MODE", *(f"{m}_{kind}" for m in MEASURES for kind in ("AVG", "MODE", "MEDI"))]
    ),
    "a measure has its three forms or none": pl.all_horizontal(
        pl.col(f"{measure}_AVG").is_null() == pl.col(f"{measure}_{kind}").is_null()
        for measure in MEASURES
        for kind in ("MODE", "MEDI")
    ),
    "a building that is not in the register has no measure": pl.col("EMERGENCYSTATE_MODE").is_not_null()
    | pl.all_horizontal(
        pl.col(name).is_null()
        for name in HEADER
        if name.endswith(("_AVG", "_MEDI", "_MODE")) and name != "EMERGENCYSTATE_MODE"
    ),
    "who is late has been observed": pl.all_horizontal(
        (pl.col(f"DEF_{days}_CNT_SOCIAL_CIRCLE") <= pl.col(f"OBS_{days}_CNT_SOCIAL_CIRCLE")).fill_null(True)
        for days in (30, 60)
    ),
    "60 days late is 30 days late": pl.all_horizontal(
        (pl.col(f"{kind}_60_CNT_SOCIAL_CIRCLE") <= pl.col(f"{kind}_30_CNT_SOCIAL_CIRCLE")).fill_null(True)
        for kind in ("OBS", "DEF")
    ),
    "enquiries are missing together, and the third score with them": pl.all_horizontal(
        pl.col(ENQUIRIES[0]).is_null() == pl.col(name).is_null() for name in ENQUIRIES
    )
    & (pl.col(ENQUIRIES[0]).is_not_null() | pl.col("EXT_SOURCE_3").is_null()),
    "a city is rated like its region or better": pl.col("REGION_RATING_CLIENT_W_CITY").is_between(
        1, pl.col("REGION_RATING_CLIENT")
    )
    & pl.col("REGION_RATING_CLIENT").is_between(1, 3),
    "of three places never just two pairs are the same": pl.all_horizontal(
        ~HAS_JOB
        | (pl.sum_horizontal(f"REG_{a}_NOT_LIVE_{a}", f"REG_{a}_NOT_WORK_{a}", f"LIVE_{a}_NOT_WORK_{a}") != 1)
        for a in ("REGION", "CITY")
    ),
    "another region is another city": pl.all_horizontal(
        pl.col(name.replace("CITY", "REGION")) <= pl.col(name) for name in HEADER if "CITY_NOT" in name
    ),
    "hours are on the clock": pl.col("HOUR_APPR_PROCESS_START").is_between(0, 23),
    "flags are 0 or 1": pl.all_horizontal(
        pl.col(name).is_between(0, 1) for name in HEADER if "FLAG_" in name and name not in TEXT
    ),
}


def broken(frame: pl.DataFrame) -> list[str]:
    """The rules that some row of the frame breaks."""
    kept = frame.select(**{name: rule.all() for name, rule in RULES.items()})
    return [name for name in RULES if not kept[name].item()]


@pytest.fixture(scope="module")
def former() -> pl.DataFrame:
    return applications(20_000, seed=11, labelled=True)


def mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).to_numpy().mean())


# ------------------------------------------------------------------ form


def test_columns_are_those_of_the_files_in_their_order() -> None:
    assert len(HEADER) == 122
    assert applications(3, labelled=True).columns == HEADER
    assert applications(3).columns == [name for name in HEADER if name != "TARGET"]


def test_types_are_int64_float64_and_string(former: pl.DataFrame) -> None:
    for name, dtype in former.schema.items():
        assert dtype == (pl.String if name in TEXT else pl.Float64 if name in DECIMAL else pl.Int64), name


def test_only_nulls_are_missing_never_nan(former: pl.DataFrame) -> None:
    assert not former.select(pl.any_horizontal(pl.col(pl.Float64).is_nan().any())).item()


def test_the_contract_accepts_every_application_and_knows_every_category(former: pl.DataFrame) -> None:
    assert match_columns(former.columns, labelled=True).ignored == ()
    checked = check_rows(former, first_row=1, labelled=True)
    assert (checked.rejected, checked.violations, checked.unknown) == (0, [], {})


def test_ids_count_from_the_first_one() -> None:
    assert applications(4, first_id=7)["SK_ID_CURR"].to_list() == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": -1}, "rows must be 0 or more, got -1"),
        ({"rows": 1, "seed": -2}, "seed must be 0 or more, got -2"),
        ({"rows": 1, "revolving_share": 1.5}, "revolving_share must be between 0 and 1, got 1.5"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        applications(**arguments)
    with pytest.raises(ValueError, match=message):
        portfolio_chunks(**arguments)


# ------------------------------------------------------------------ seeds and chunks


def test_same_seed_same_frame_and_other_seed_other_frame() -> None:
    assert_frame_equal(applications(200, seed=5), applications(200, seed=5))
    assert not applications(200, seed=5).equals(applications(200, seed=6))


def test_labels_leave_the_other_columns_alone() -> None:
    assert_frame_equal(applications(200, seed=5, labelled=True).drop("TARGET"), applications(200, seed=5))


def test_drawing_leaves_the_global_random_state_alone() -> None:
    np.random.seed(1)
    before = np.random.get_state(legacy=False)["state"]
    applications(10)
    after = np.random.get_state(legacy=False)["state"]
    assert before["pos"] == after["pos"]
    assert np.array_equal(before["key"], after["key"])


def test_chunks_concatenate_to_the_same_portfolio_with_unique_ids() -> None:
    def draw(chunk_rows: int) -> list[pl.DataFrame]:
        return list(portfolio_chunks(250, seed=3, first_id=500, labelled=True, chunk_rows=chunk_rows))

    chunks = draw(100)
    assert [chunk.height for chunk in chunks] == [100, 100, 50]
    whole = pl.concat(chunks)
    assert whole["SK_ID_CURR"].to_list() == list(range(500, 750))
    assert_frame_equal(whole, pl.concat(draw(100)))
    assert not chunks[0].drop("SK_ID_CURR").equals(chunks[1].drop("SK_ID_CURR"))
    assert_frame_equal(pl.concat(draw(250)), applications(250, seed=3, first_id=500, labelled=True))


def test_a_portfolio_of_no_rows_still_has_columns() -> None:
    (empty,) = portfolio_chunks(0, seed=1, first_id=1, labelled=True)
    assert empty.shape == (0, 122)


def test_chunks_of_no_rows_are_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="chunk_rows must be 1 or more, got 0"):
        portfolio_chunks(10, chunk_rows=0)


# ------------------------------------------------------------------ consistency


def test_every_application_keeps_the_rules(former: pl.DataFrame) -> None:
    assert broken(former) == []


@settings(max_examples=25, deadline=None)
@given(
    rows=st.one_of(st.sampled_from([0, 1, 2]), st.integers(0, 40)),
    seed=st.integers(0, 2**64),
    labelled=st.booleans(),
    revolving=st.sampled_from([0.0, 0.095, 1.0]),
)
def test_any_number_of_rows_keeps_the_rules(rows: int, seed: int, labelled: bool, revolving: float) -> None:
    frame = applications(rows, seed=seed, labelled=labelled, revolving_share=revolving)
    assert frame.shape == (rows, 122 if labelled else 121)
    assert broken(frame) == []
    later = evolve(frame, seed=seed, changed_share=0.5)
    assert later.schema == frame.schema
    assert_frame_equal(later.select("SK_ID_CURR"), frame.select("SK_ID_CURR"))


# ------------------------------------------------------------------ plausibility


def test_eight_percent_default(former: pl.DataFrame) -> None:
    assert set(former["TARGET"].unique()) == {0, 1}
    assert 0.07 <= mean(former["TARGET"]) <= 0.095


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EXT_SOURCE_1", 0.56),
        ("EXT_SOURCE_2", 0.002),
        ("EXT_SOURCE_3", 0.20),
        ("OCCUPATION_TYPE", 0.31),
        ("OWN_CAR_AGE", 0.66),
        ("APARTMENTS_AVG", 0.51),
        ("COMMONAREA_MEDI", 0.70),
        ("NONLIVINGAPARTMENTS_MODE", 0.69),
        ("FLOORSMIN_AVG", 0.68),
        ("YEARS_BUILD_AVG", 0.66),
        ("EMERGENCYSTATE_MODE", 0.47),
        ("AMT_REQ_CREDIT_BUREAU_YEAR", 0.135),
        ("OBS_30_CNT_SOCIAL_CIRCLE", 0.0035),
        ("NAME_TYPE_SUITE", 0.004),
        ("DAYS_BIRTH", 0.0),
        ("AMT_CREDIT", 0.0),
    ],
)
def test_values_are_missing_as_often_as_real_ones(former: pl.DataFrame, name: str, expected: float) -> None:
    assert mean(former[name].is_null()) == pytest.approx(expected, abs=0.03, rel=0.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("NAME_CONTRACT_TYPE", "Revolving loans", 0.095),
        ("CODE_GENDER", "F", 0.66),
        ("FLAG_OWN_CAR", "Y", 0.34),
        ("FLAG_OWN_REALTY", "Y", 0.69),
        ("NAME_INCOME_TYPE", "Working", 0.52),
        ("NAME_INCOME_TYPE", "Pensioner", 0.18),
        ("NAME_EDUCATION_TYPE", "Higher education", 0.24),
        ("NAME_FAMILY_STATUS", "Married", 0.64),
        ("NAME_HOUSING_TYPE", "With parents", 0.048),
        ("ORGANIZATION_TYPE", "Business Entity Type 3", 0.22),
        ("ORGANIZATION_TYPE", "Self-employed", 0.125),
    ],
)
def test_categories_are_as_frequent_as_in_the_files(
    former: pl.DataFrame, name: str, value: str, expected: float
) -> None:
    assert mean(former[name] == value) == pytest.approx(expected, abs=0.02, rel=0.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AMT_INCOME_TOTAL", 145_000),
        ("AMT_CREDIT", 500_000),
        ("AMT_ANNUITY", 25_000),
        ("AMT_GOODS_PRICE", 450_000),
        ("DAYS_BIRTH", -15_800),
        ("EXT_SOURCE_1", 0.51),
        ("EXT_SOURCE_2", 0.565),
        ("EXT_SOURCE_3", 0.53),
        ("APARTMENTS_AVG", 0.087),
        ("FLOORSMAX_AVG", 0.1667),
    ],
)
def test_medians_are_those_of_the_files(former: pl.DataFrame, name: str, expected: float) -> None:
    assert former[name].median() == pytest.approx(expected, rel=0.1)


def test_the_whole_vocabulary_of_work_is_used(former: pl.DataFrame) -> None:
    assert former["ORGANIZATION_TYPE"].n_unique() >= 55
    assert former["OCCUPATION_TYPE"].drop_nulls().n_unique() == 18
    assert former["NAME_INCOME_TYPE"].n_unique() >= 5


@pytest.mark.parametrize("expected", [0.0, 0.01, 0.5, 1.0])
def test_the_share_of_revolving_loans_is_the_stated_one(expected: float) -> None:
    kinds = applications(4_000, revolving_share=expected)["NAME_CONTRACT_TYPE"]
    assert mean(kinds == "Revolving loans") == pytest.approx(expected, abs=0.03 if expected == 0.5 else 0.005)


def test_external_scores_agree_with_each_other_and_against_default(former: pl.DataFrame) -> None:
    def correlation(one: str, other: str) -> float:
        both = former.select(one, other).drop_nulls()
        return float(np.corrcoef(both[one], both[other])[0, 1])

    assert all(0.1 < correlation(a, b) < 0.4 for a, b in zip(SCORES, [*SCORES[1:], SCORES[0]], strict=True))
    assert all(-0.25 < correlation(name, "TARGET") < -0.12 for name in SCORES)


def test_the_three_forms_of_a_measure_are_nearly_equal(former: pl.DataFrame) -> None:
    for measure in MEASURES:
        forms = former.select(f"{measure}_{kind}" for kind in ("AVG", "MODE", "MEDI")).drop_nulls()
        assert np.corrcoef(forms.to_numpy().T).min() > 0.95, measure


def area_under_curve(score: NDArray[np.float64], target: NDArray[np.int64]) -> float:
    ranks = np.empty(len(score))
    ranks[np.argsort(score)] = np.arange(len(score))
    bad = target == 1
    return float((ranks[bad].mean() - (bad.sum() - 1) / 2) / (~bad).sum())


def test_a_model_learns_to_tell_who_defaults(former: pl.DataFrame) -> None:
    x = former.drop("SK_ID_CURR", "TARGET").with_columns(
        pl.col(pl.String).cast(pl.Categorical).to_physical().cast(pl.Float64)
    )
    features = x.select(pl.all().cast(pl.Float64)).to_numpy()
    target = former["TARGET"].to_numpy()
    parameters = {
        "objective": "binary",
        "learning_rate": 0.06,
        "num_leaves": 8,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.4,
        "num_threads": 1,
        "seed": 1,
        "deterministic": True,
        "verbose": -1,
    }
    model = lightgbm.train(parameters, lightgbm.Dataset(features[:6_000], target[:6_000]), 80)
    score = np.asarray(model.predict(features[6_000:], num_threads=1))
    assert 0.70 < area_under_curve(score, target[6_000:]) < 0.80


# ------------------------------------------------------------------ the next night


def differing(one: pl.DataFrame, other: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    return pl.select(
        pl.any_horizontal(one[name].ne_missing(other[name]) for name in names).alias("differs")
    ).to_series()


def test_the_next_night_changes_about_the_stated_share_and_keeps_ids(former: pl.DataFrame) -> None:
    later = evolve(former, seed=1, changed_share=0.05)
    assert later.schema == former.schema
    untouched = [name for name in HEADER if name not in {*DAYS, *AMOUNTS, *SCORES}]
    assert_frame_equal(later.select(untouched), former.select(untouched))
    assert 0.04 < mean(differing(former, later, HEADER)) < 0.06
    assert 0.02 < mean(differing(former, later, AMOUNTS)) < 0.03
    assert 0.02 < mean(differing(former, later, SCORES)) < 0.03


def test_who_came_back_is_a_day_older_and_still_keeps_the_rules(former: pl.DataFrame) -> None:
    later = evolve(former, seed=1, changed_share=1.0)
    assert (former["DAYS_BIRTH"] - later["DAYS_BIRTH"]).unique().to_list() == [1]
    has_job = former.select(HAS_JOB.cast(pl.Int64))["DAYS_EMPLOYED"]
    assert (former["DAYS_EMPLOYED"] - later["DAYS_EMPLOYED"]).equals(has_job)
    assert broken(later.filter(pl.col("DAYS_BIRTH") > -69 * 365)) == []
    assert check_rows(later, first_row=1, labelled=True).rejected == 0


def test_missing_scores_may_arrive_but_never_leave(former: pl.DataFrame) -> None:
    later = evolve(former, seed=1, changed_share=1.0)
    for name in SCORES:
        assert not (former[name].is_not_null() & later[name].is_null()).any()
        assert (former[name].is_null() & later[name].is_not_null()).any()


def test_goods_credit_and_annuity_move_together(former: pl.DataFrame) -> None:
    later = evolve(former, seed=1, changed_share=1.0)
    asked = differing(former, later, ["AMT_CREDIT"])
    ratios = [(later[name] / former[name]).filter(asked) for name in AMOUNTS]
    assert ((ratios[0] - ratios[1]).abs().drop_nulls() < 1e-4).all()
    assert ((ratios[0] - ratios[2]).abs().drop_nulls() < 2e-3).all()
    assert ratios[0].is_between(0.6, 1.5).all()


def test_the_next_night_is_the_same_for_the_same_seed(former: pl.DataFrame) -> None:
    assert_frame_equal(evolve(former, seed=4), evolve(former, seed=4))
    assert not evolve(former, seed=4).equals(evolve(former, seed=5))
    assert evolve(former, seed=4, changed_share=0.0).equals(former)


def test_evolve_names_what_it_lacks(former: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="without DAYS_BIRTH, AMT_CREDIT"):
        evolve(former.drop("AMT_CREDIT", "DAYS_BIRTH"), seed=1)
    with pytest.raises(ValueError, match="changed_share must be between 0 and 1, got 2"):
        evolve(former, seed=1, changed_share=2)
