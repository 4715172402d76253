"""The reporting views: what readers are promised, on a handful of customers that can be reckoned by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db import registry
from db.access import roles
from db.engine import make_engine, transaction
from db.models import RUN_PARTITIONED, former_customer, new_customer, score, shap_value
from db.runs import ledger, statistics
from db.runs.audit import at_most, equal
from db.runs.copy import Masked, encode, text_bytes
from db.runs.ledger import Check
from db.runs.partitions import staging
from db.views import ORDER, VIEWS, create, drop
from flows.settings import Settings
from flows.steps import night_size
from flows.steps.rows import cohort_rows
from scoring.cohort import cohorts
from scoring.contract import Applications
from scoring.features import by_name, input_features
from scoring.policy import default_policy, suggested_decisions
from scoring.scorecard import points as score_points
from scoring.scorecard import quantiles
from scoring.scorecard import score as rounded_score

BANDS = default_policy().bands

# What each view promises to the programs that read it, in this order; more columns may follow.
PROMISED = {
    "customer": "customer_id score default_probability log_odds decision band band_label_en band_label_fr"
    " decision_label_en decision_label_fr percentile run_id as_of base_score score_exact previous_score"
    " score_change gender_en gender_fr age_years employed_years income credit_amount annuity goods_price"
    " annuity_income_share credit_term contract_type_en contract_type_fr education_en education_fr"
    " family_status_en family_status_fr housing_en housing_fr occupation_en occupation_fr children"
    " family_members owns_car owns_home region_rating external_score_1 external_score_2 external_score_3",
    "customer_explanation": "customer_id feature label_en value_en contribution score_points rank direction",
    "customer_comparison": "customer_id feature label_en label_fr value_en value_fr numeric_value outcome"
    " former_customers former_mean q10 q25 median q75 q90 percentile share_of_former default_rate",
    "cohort_comparison": "customer_id feature feature_en feature_fr feature_order outcome outcome_en outcome_fr"
    " unit_en unit_fr decimals customer_value cohort_credit_en cohort_credit_fr cohort_age_en cohort_age_fr"
    " cohort_annuity_income_en cohort_annuity_income_fr cohort_gender_en cohort_gender_fr cohort_education_en"
    " cohort_education_fr cohort_family_en cohort_family_fr cohort_housing_en cohort_housing_fr"
    " cohort_occupation_en cohort_occupation_fr cohort_region_en cohort_region_fr cohort_contract_en"
    " cohort_contract_fr cohort",
    "cohort_filter": "ord cohort_credit_en cohort_credit_fr cohort_age_en cohort_age_fr",
    "cohort_option": "attribute code value label_en label_fr members defaulted",
    "cohort_feature": "feature feature_en feature_fr feature_order label_en label_fr unit_en unit_fr",
    "score_history": "customer_id run_id as_of score default_probability log_odds decision band model_id superseded"
    " is_current",
    "customer_change": "customer_id feature label_en label_fr previous_run_id run_id previous_value_en value_en"
    " previous_value_fr value_fr previous_contribution contribution contribution_change points_change"
    " rank_of_change",
    "explanation_group": "customer_id feature_group group_label_en group_label_fr contribution score_points rank"
    " direction",
    "score_reason": "customer_id ord part part_en part_fr reason_code reason_en reason_fr value_en value_fr"
    " compared_en compared_fr action_en action_fr direction score_points",
    "decision_reason": "run_id as_of customer_id place reason_code text_en text_fr advisor_en advisor_fr action_en"
    " action_fr score_points relative_contribution feature feature_label_en feature_label_fr value_en value_fr"
    " catalogue_id is_current",
    "decision": "decision_id customer_id run_id as_of decision decision_label_en decision_label_fr amount duration"
    " recommendation recommendation_label_en recommendation_label_fr follows follows_en follows_fr reason_code"
    " reason_en reason_fr note score default_probability band reasons catalogue_id model_id policy_id decided_by"
    " decided_at hours_to_decide supersedes is_reversal is_current review_id default_percent annuity is_offer",
    "review": "review_id customer_id decision_id run_id decided_by decision decision_label_en decision_label_fr"
    " point_of_view asked_at recorded_by due_at four_eyes state state_en state_fr is_open is_overdue age_days"
    " outcome conclusion concluded_by concluded_at new_decision_id",
    "decision_ground": "reason_code place label_en label_fr",
    "decision_flip": "customer_id previous_decision decision",
    "run_score": "run_id as_of customer_id score score_exact default_probability default_percent"
    " log_odds band band_label_en band_label_fr decision",
    "run_explanation": "run_id as_of customer_id feature label_en label_fr value_en value_fr contribution"
    " score_points rank direction",
    "score_change": "customer_id previous_score score points_change previous_band band previous_decision decision",
    "score_change_part": "customer_id ord kind label_en label_fr points_change sentence_en sentence_fr",
    "score_distribution": "run_id as_of score customers share band former_customers former_share"
    " former_default_rate",
    "band_distribution": "run_id as_of band band_label_en band_label_fr decision decision_label_en"
    " decision_label_fr customers share",
    "feature_importance": "feature label_en label_fr mean_absolute_contribution mean_contribution"
    " mean_absolute_points share rank customers",
    "run_history": "run_id as_of status is_current superseded model_id customers rejected unknown_categories"
    " seconds stage_seconds source_name source_sha256 message started_at finished_at published_at details_retained",
    "rejected_row": "run_id as_of row_number customer_id column_name label_en rule value source_name",
    "unknown_category": "run_id column_name label_en value customers",
    "run_check": "run_id name severity observed expected passed",
    "model_card": "model_id base_value auc gini ks brier trained_at stage is_published training_rows"
    " former_default_rate base_score base_default_probability parameters metrics",
    "calibration": "model_id bin customers mean_default_percent default_rate",
    "feature": "feature_id name label_en label_fr description_en description_fr unit_en unit_fr kind actionable",
    "category": "feature code value label_en label_fr",
    "similar_customers": "customer_id neighbours defaulted default_rate low high model_probability text_en text_fr",
    "policy": "policy_id sha256 name_en name_fr set_at set_by reason is_current",
    "policy_feature": "policy_id feature_id feature feature_label_en feature_label_fr may_score may_be_told",
    "score_band": "band minimum_score maximum_score decision label_en label_fr decision_en decision_fr",
    "data_quality": "run_id feature label_en customers missing missing_share unknown former_missing_share",
    "application": " ".join(
        ["customer_id", *(feature.name.lower() for feature in input_features()), "score", "default_probability"]
    ),
    "former_customer": " ".join(
        ["customer_id target score default_probability", *(feature.name.lower() for feature in input_features())]
    ),
}
DICTIONARY_VIEWS = {"feature", "category", "category_list", "score_band", "portfolio_state"} | {
    "policy", "policy_feature", "policy_band", "decision_ground",
}  # fmt: skip

FEATURES = (
    "EXT_SOURCE_2",
    "DAYS_BIRTH",
    "AMT_CREDIT",
    "AMT_ANNUITY",
    "ANNUITY_INCOME_PERCENT",
    "OCCUPATION_TYPE",
    "CODE_GENDER",
    "FLAG_DOCUMENT_3",
)
ALICE, AT_BASE, BARE, NEWCOMER = 11, 12, 13, 14
UNKNOWN_ID = 999_999
# Raw values in the order of FEATURES, NaN for missing; category 0 is one that the dictionary does not know.
VALUES = {
    ALICE: (0.7, -12005.0, 202500.0, 24700.5, 0.122, 9.0, 1.0, 1.0),
    AT_BASE: (0.25, -20000.0, 1234567.0, 9000.0, 0.5, 18.0, 2.0, 0.0),
    BARE: (math.nan, -9000.0, 45000.0, math.nan, math.nan, math.nan, 0.0, 0.0),
    NEWCOMER: (0.9, -10000.0, 90000.0, 4500.0, 0.05, 1.0, 2.0, 0.0),
}
# Multiples of 1/64 add up exactly.
CONTRIBUTIONS = {
    ALICE: (-0.75, 0.25, 0.125, -0.0625, 0.0, 0.03125, -0.015625, 0.0),
    AT_BASE: (0.5, -0.5, 0.25, -0.25, 0.0, 0.0, 0.0, 0.0),
    BARE: (3.0, 1.5, 0.5, -0.25, 0.125, 0.0, 0.0625, 0.03125),
    NEWCOMER: (-4.0, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25),
}
FIRST_BASE, BASE = -2.5, -2.0


@dataclass(frozen=True)
class Nights:
    """The runs that were made, in this order, and the models that they used."""

    first: int
    superseded: int
    current: int
    late: int
    refused: int
    first_model: int
    model: int


@pytest.fixture(scope="module")
def nights(engine: Engine) -> Nights:
    """Four published runs, the last of them late for an older date, and a refused one."""
    first_model = _model(engine, "1", FIRST_BASE)
    model = _model(engine, "2", BASE, HONESTY)
    _load_former(engine, model)
    customers = (ALICE, AT_BASE, BARE)
    first = _night(engine, date(2026, 3, 1), first_model, FIRST_BASE, customers, age_contribution=-0.5)
    superseded = _night(engine, date(2026, 3, 2), first_model, FIRST_BASE, customers)
    current = _night(engine, date(2026, 3, 2), model, BASE, (*customers, NEWCOMER))
    late = _night(engine, date(2026, 2, 27), model, BASE, customers)
    refused = ledger.open_run(
        engine, as_of=date(2026, 3, 3), model_id=model, source_name="wrong.csv", source_sha256="f" * 64
    )
    ledger.record_input(
        engine,
        refused,
        [
            {
                "row_number": 3,
                "customer_id": "x1",
                "column_name": "AMT_CREDIT",
                "rule": "a number",
                "value": "much",
            }
        ],
        {("OCCUPATION_TYPE", "Astronaut"): 2},
        accepted=7,
        rejected=3,
    )
    ledger.record_checks(engine, refused, [ledger.Check("scores_loaded", "fail", "0", "3", False)])
    ledger.close_unpublished(engine, refused, status="refused", message="Too many rows.")
    ledger.retire(engine, retained_runs=2)
    return Nights(first, superseded, current, late, refused, first_model, model)


@pytest.fixture(scope="module")
def reader(engine: Engine, nights: Nights, reader_passwords: dict[str, str]) -> Iterator[Engine]:
    """The database as an analyst sees it."""
    made = make_engine(engine.url.set(username=roles.ANALYST, password=reader_passwords[roles.ANALYST]))
    yield made
    made.dispose()


@dataclass(frozen=True)
class Query:
    """Runs a query as the analyst; rows as dictionaries."""

    engine: Engine

    def __call__(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(statement), parameters)]

    def one(self, statement: str, **parameters: object) -> dict[str, Any]:
        (row,) = self(statement, **parameters)
        return row

    def explanation(self, customer_id: int) -> dict[str, dict[str, Any]]:
        rows = self("SELECT * FROM reporting.customer_explanation WHERE customer_id = :id", id=customer_id)
        return {row["feature"]: row for row in rows}

    def comparison(self, customer_id: int, outcome: str = "all") -> dict[str, dict[str, Any]]:
        rows = self(
            "SELECT * FROM reporting.customer_comparison WHERE customer_id = :id AND outcome = :outcome",
            id=customer_id,
            outcome=outcome,
        )
        return {row["feature"]: row for row in rows}


@pytest.fixture(scope="module")
def query(reader: Engine) -> Query:
    return Query(reader)


# What schema reporting consists of


def test_every_file_of_the_folder_is_run_and_there_is_one_view_to_a_file(query: Query) -> None:
    assert sorted(ORDER) == sorted(path.stem for path in VIEWS.glob("*.sql"))
    views = {row["relname"] for row in query(_VIEWS)}
    without_view = {"functions", "decision_words", "table_functions"}
    without_view |= {"cohort_types", "cohort_functions", "cohort_statistics", "cohort_comments"}
    assert views == set(ORDER) - without_view


def test_every_view_column_and_function_has_a_comment(query: Query) -> None:
    columns = query(
        "SELECT c.relname || coalesce('.' || a.attname, '') AS name FROM pg_class c"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = 'reporting'::regnamespace AND c.relkind = 'v'"
        " AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)"
    )
    functions = query(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'reporting'::regnamespace"
        " AND obj_description(oid, 'pg_proc') IS NULL"
    )
    assert columns == functions == []


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_begins_with_the_columns_that_are_promised(query: Query, view: str) -> None:
    columns = query(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('reporting.' || :view) AND attnum > 0"
        " ORDER BY attnum",
        view=view,
    )
    promised = PROMISED[view].split()
    assert [row["attname"] for row in columns][: len(promised)] == promised


def test_every_view_can_be_read_by_an_analyst_to_the_last_row(query: Query) -> None:
    open_to_all = [row["relname"] for row in query(_VIEWS) if row["relname"] not in _guarded(query)]
    empty = {view for view in open_to_all if not query(f"SELECT * FROM reporting.{view}")}
    # Nobody's decision is another one in these nights, no figures decide, and neither risks of former customers nor
    # reasons nor offers are counted, and nobody has decided anything; tests of what moved a score, of policies, of
    # a run's reasons and offers and of people's decisions have some.
    assert empty == {
        "decision", "review", "decision_flip", "decision_reason", "policy_line", "policy_simulation", "what_if",
    }  # fmt: skip


def test_a_view_for_one_customer_refuses_to_answer_for_several(query: Query) -> None:
    # Those of offers have no rows in these nights; tests of a run's offers ask them.
    for view in _guarded(query) - {"customer_what_if_grid", "customer_what_if_frontier"}:
        with pytest.raises(
            DBAPIError, match=r"Choose (exactly one customer|a value \(or All\) in every cohort filter)"
        ):
            query(f"SELECT * FROM reporting.{view}")


def test_before_the_first_run_only_the_dictionary_has_rows(new_database: Callable[[], Engine]) -> None:
    query = Query(new_database())
    filled = {row["relname"] for row in query(_VIEWS) if query(f"SELECT * FROM reporting.{row['relname']}")}
    assert filled == DICTIONARY_VIEWS
    several = ("customer_changes", "customer_reasons")
    for call in (
        *("new_customer_index()", f"new_customer({ALICE})", f"shap_values({ALICE})"),
        *(f"{name}(ARRAY[{ALICE}])" for name in several),
        *("scores_of(1)", f"explanation_of(1, ARRAY[{ALICE}])"),
    ):
        assert query(f"SELECT * FROM reporting.{call}") == []


def test_views_can_be_made_anew_and_dropped(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    with transaction(engine) as connection:
        create(connection)
        create(connection)
        drop(connection)
        drop(connection)
        assert connection.scalar(text("SELECT to_regnamespace('reporting')")) is None


# Customers


def test_a_customer_is_told_in_peoples_words_and_units(query: Query, nights: Nights) -> None:
    alice = query.one("SELECT * FROM reporting.customer WHERE customer_id = :id", id=ALICE)
    log_odds = BASE + sum(CONTRIBUTIONS[ALICE])
    assert alice["run_id"] == nights.current
    assert alice["as_of"] == date(2026, 3, 2)
    assert alice["log_odds"] == pytest.approx(log_odds, abs=1e-12)
    assert alice["score_exact"] == pytest.approx(_exact_score(log_odds), abs=1e-9)
    assert alice["base_score"] == pytest.approx(_exact_score(BASE), abs=1e-9)
    assert alice["score"] == round(alice["score_exact"])
    band = next(band for band in BANDS if band.band == alice["band"])
    words = next(words for words in suggested_decisions() if words["decision"] == band.decision)
    assert (alice["band_label_fr"], alice["decision_label_en"]) == (band.label_fr, words["label_en"])
    assert (alice["gender_en"], alice["gender_fr"]) == ("Woman", "Femme")
    assert (alice["occupation_en"], alice["occupation_fr"]) == ("Manual workers", "Ouvriers")
    assert (alice["age_years"], alice["employed_years"]) == (32.9, 4.1)
    assert (alice["credit_amount"], alice["annuity"], alice["income"]) == (202500.0, 24700.5, 202500.0)
    assert (alice["annuity_income_share"], alice["credit_term"]) == (12.2, 8.2)
    assert (alice["owns_car"], alice["external_score_2"]) == (True, 0.7)
    assert alice["percentile"] == 50.0


def test_what_is_missing_or_unknown_is_said_and_no_job_is_no_years(query: Query) -> None:
    bare = query.one("SELECT * FROM reporting.customer WHERE customer_id = :id", id=BARE)
    assert (bare["gender_en"], bare["gender_fr"]) == ("unknown", "inconnu")
    assert (bare["occupation_en"], bare["occupation_fr"]) == ("not given", "non renseigné")
    assert bare["employed_years"] is None
    assert bare["annuity_income_share"] is None
    assert bare["owns_car"] is None


def test_the_previous_score_is_of_the_date_before_and_not_of_an_earlier_run_of_the_same(
    query: Query, nights: Nights
) -> None:
    alice = query.one("SELECT * FROM reporting.customer WHERE customer_id = :id", id=ALICE)
    before = query.one(
        "SELECT score FROM reporting.score_history WHERE customer_id = :id AND run_id = :run",
        id=ALICE,
        run=nights.first,
    )
    assert alice["previous_score"] == before["score"]
    assert alice["score_change"] == alice["score"] - before["score"] != 0
    newcomer = query.one("SELECT * FROM reporting.customer WHERE customer_id = :id", id=NEWCOMER)
    assert newcomer["previous_score"] is newcomer["score_change"] is None


@pytest.mark.parametrize(
    "view",
    ["customer", "customer_explanation", "customer_comparison", "customer_change", "score_history", "application"],
)
def test_an_unknown_id_gives_no_rows(query: Query, view: str) -> None:
    assert query(f"SELECT * FROM reporting.{view} WHERE customer_id = :id", id=UNKNOWN_ID) == []


# Explanations


@pytest.mark.parametrize("customer_id", [ALICE, AT_BASE, BARE, NEWCOMER])
def test_points_add_up_to_the_score_and_have_the_sign_opposite_to_the_contribution(
    query: Query, customer_id: int
) -> None:
    explanation = query.explanation(customer_id)
    customer = query.one(
        "SELECT base_score, score_exact FROM reporting.customer WHERE customer_id = :id", id=customer_id
    )
    assert set(explanation) == set(FEATURES)
    total = customer["base_score"] + sum(row["score_points"] for row in explanation.values())
    assert total == pytest.approx(customer["score_exact"], abs=1e-9)
    for row in explanation.values():
        assert np.sign(row["score_points"]) == -np.sign(row["contribution"])
        assert row["direction"] == {-1: "lowers", 0: "none", 1: "raises"}[int(np.sign(row["score_points"]))]
    assert sorted(row["rank"] for row in explanation.values()) == list(range(1, len(FEATURES) + 1))


def test_where_log_odds_equal_the_base_points_follow_the_tangent(query: Query) -> None:
    probability = 1 / (1 + math.exp(-BASE))
    row = query.explanation(AT_BASE)["EXT_SOURCE_2"]
    assert row["score_points"] == pytest.approx(-0.5 * 100 * probability * (1 - probability), rel=1e-12)


def test_extreme_log_odds_overflow_nothing(query: Query) -> None:
    row = query.one(
        "SELECT reporting.exact_score(1000) AS worst, reporting.exact_score(-1000) AS best,"
        " reporting.points_per_log_odds(-2, 1000) AS points, reporting.exact_score(NULL) AS nothing"
    )
    assert row["worst"] == pytest.approx(0, abs=1e-9)
    assert row["best"] == pytest.approx(100, abs=1e-9)
    assert row["points"] < 0
    assert row["nothing"] is None


def test_values_are_told_in_words_and_units_of_both_languages(query: Query) -> None:
    alice = {name: (row["value_en"], row["value_fr"]) for name, row in query.explanation(ALICE).items()}
    assert alice == {
        "EXT_SOURCE_2": ("0.70", "0,70"),
        "DAYS_BIRTH": ("32.9 years", "32,9\u00a0ans"),
        "AMT_CREDIT": ("202,500 €", "202\u202f500\u00a0€"),
        "AMT_ANNUITY": ("24,701 €", "24\u202f701\u00a0€"),
        "ANNUITY_INCOME_PERCENT": ("12.2%", "12,2\u202f%"),
        "OCCUPATION_TYPE": ("Manual workers", "Ouvriers"),
        "CODE_GENDER": ("Woman", "Femme"),
        "FLAG_DOCUMENT_3": ("Yes", "Oui"),
    }
    bare = {name: (row["value_en"], row["value_fr"]) for name, row in query.explanation(BARE).items()}
    assert bare["EXT_SOURCE_2"] == bare["OCCUPATION_TYPE"] == ("not given", "non renseigné")
    assert bare["CODE_GENDER"] == ("unknown", "inconnu")
    assert bare["FLAG_DOCUMENT_3"] == ("No", "Non")


def test_a_value_stands_there_raw_and_in_peoples_units(query: Query) -> None:
    alice = query.explanation(ALICE)
    birth = alice["DAYS_BIRTH"]
    assert birth["raw_value"] == -12005
    assert birth["numeric_value"] == pytest.approx(12005 / 365.25, rel=1e-6)
    assert (birth["unit_en"], birth["unit_fr"]) == ("years", "ans")
    occupation = alice["OCCUPATION_TYPE"]
    assert (occupation["category_code"], occupation["category_value"]) == (9, "Laborers")
    assert occupation["numeric_value"] is occupation["raw_value"] is None
    assert query.explanation(BARE)["CODE_GENDER"]["category_value"] is None


@pytest.mark.parametrize(
    ("value", "decimals", "english", "french"),
    [
        (0, 0, "0", "0"),
        (0.5, 1, "0.5", "0,5"),
        (-0.04, 1, "0.0", "0,0"),
        (-1234.5, 1, "-1,234.5", "-1\u202f234,5"),
        (999.995, 2, "1,000.00", "1\u202f000,00"),
        (202500, 0, "202,500", "202\u202f500"),
        (1234567.891, 3, "1,234,567.891", "1\u202f234\u202f567,891"),
        (0.01885, 4, "0.0189", "0,0189"),
        (1e12, 0, "1,000,000,000,000", "1\u202f000\u202f000\u202f000\u202f000"),
        (None, 1, None, None),
    ],
)
def test_numbers_are_formatted_as_each_language_writes_them(
    query: Query, value: float | None, decimals: int, english: str | None, french: str | None
) -> None:
    row = query.one(
        "SELECT reporting.format_number_en(CAST(:value AS double precision), :decimals) AS english,"
        " reporting.format_number_fr(CAST(:value AS double precision), :decimals) AS french",
        value=value,
        decimals=decimals,
    )
    assert (row["english"], row["french"]) == (english, french)


def test_one_customers_explanation_reads_the_published_partition_only(engine: Engine, nights: Nights) -> None:
    loops = _loops(engine, f"SELECT * FROM reporting.customer_explanation WHERE customer_id = {ALICE}")
    shap = {name for name, count in loops.items() if name.startswith("shap_value_") and count}
    scores = {name for name, count in loops.items() if name.startswith("score_r") and count}
    assert shap == {f"shap_value_r{nights.current:08d}"}
    assert scores == {f"score_r{nights.current:08d}"}


def test_one_customer_reads_the_published_partitions_and_the_scores_before(engine: Engine, nights: Nights) -> None:
    loops = _loops(engine, f"SELECT * FROM reporting.customer WHERE customer_id = {ALICE}")
    scores = {name for name, count in loops.items() if name.startswith("score_r") and count}
    applications = {name for name, count in loops.items() if name.startswith("new_customer_") and count}
    assert scores == {f"score_r{nights.current:08d}", f"score_r{nights.first:08d}"}
    assert applications == {f"new_customer_r{nights.current:08d}"}


# Comparison with former customers


def test_quantiles_and_mean_are_in_peoples_units_also_where_the_scale_turns_them_round(query: Query) -> None:
    for outcome, members in _outcomes().items():
        rows = query.comparison(ALICE, outcome)
        for name, scale in (("AMT_CREDIT", 1.0), ("DAYS_BIRTH", by_name()["DAYS_BIRTH"].display_scale)):
            shown = scale * _former()[name][members]
            found = [rows[name][column] for column in ("q10", "q25", "median", "q75", "q90")]
            expected = np.quantile(shown, [0.1, 0.25, 0.5, 0.75, 0.9], method="inverted_cdf")
            assert found == pytest.approx(expected.tolist(), rel=1e-9)
            assert found == sorted(found)
            assert rows[name]["former_mean"] == pytest.approx(shown.mean(), rel=1e-9)
            assert rows[name]["former_customers"] == members.sum()


@pytest.mark.parametrize("customer_id", [ALICE, AT_BASE, NEWCOMER])
@pytest.mark.parametrize("feature", ["EXT_SOURCE_2", "DAYS_BIRTH", "AMT_CREDIT", "AMT_ANNUITY"])
def test_percentile_is_the_share_at_or_below_in_peoples_units(query: Query, customer_id: int, feature: str) -> None:
    scale = by_name()[feature].display_scale
    shown = scale * _former()[feature]
    shown = shown[np.isfinite(shown)]
    value = scale * VALUES[customer_id][FEATURES.index(feature)]
    expected = 100 * np.mean(shown <= value)
    assert query.comparison(customer_id)[feature]["percentile"] == pytest.approx(expected, abs=0.15)


def test_values_beyond_those_of_all_former_customers_are_at_0_and_100_percent(query: Query) -> None:
    assert _former()["AMT_CREDIT"].min() > VALUES[BARE][2]
    assert _former()["AMT_CREDIT"].max() < VALUES[AT_BASE][2]
    assert query.comparison(BARE)["AMT_CREDIT"]["percentile"] == 0
    assert query.comparison(AT_BASE)["AMT_CREDIT"]["percentile"] == 100


def test_percentile_is_empty_for_a_missing_value_and_for_categories(query: Query) -> None:
    rows = query.comparison(BARE)
    for feature in ("EXT_SOURCE_2", "AMT_ANNUITY", "OCCUPATION_TYPE", "FLAG_DOCUMENT_3"):
        assert rows[feature]["percentile"] is None
    assert rows["AMT_ANNUITY"]["median"] is not None


@pytest.mark.parametrize(("customer_id", "code"), [(ALICE, 9), (BARE, -1)])
def test_a_category_is_compared_by_its_share_and_default_rate(query: Query, customer_id: int, code: int) -> None:
    former, outcomes = _former(), _outcomes()
    same = former["OCCUPATION_TYPE"] == code
    for outcome, members in outcomes.items():
        row = query.comparison(customer_id, outcome)["OCCUPATION_TYPE"]
        assert row["former_customers"] == members.sum()
        assert row["share_of_former"] == pytest.approx(100 * same[members].mean())
        assert row["default_rate"] == pytest.approx(100 * outcomes["defaulted"][same].mean())
        assert row["median"] is row["former_mean"] is None


def test_a_category_that_no_former_customer_had_has_a_share_of_0_and_no_default_rate(query: Query) -> None:
    row = query.comparison(BARE)["CODE_GENDER"]
    assert (row["share_of_former"], row["default_rate"]) == (0, None)
    assert query.comparison(ALICE)["AMT_CREDIT"]["share_of_former"] is None


# History and change


def test_history_keeps_the_scores_of_superseded_and_retired_runs(query: Query, nights: Nights) -> None:
    rows = query("SELECT * FROM reporting.score_history WHERE customer_id = :id ORDER BY as_of, run_id", id=ALICE)
    assert [row["run_id"] for row in rows] == [nights.late, nights.first, nights.superseded, nights.current]
    assert [row["superseded"] for row in rows] == [False, False, True, False]
    assert [row["is_current"] for row in rows] == [False, False, False, True]
    assert rows[1]["model_id"] == nights.first_model
    assert rows[2]["log_odds"] == pytest.approx(FIRST_BASE + sum(CONTRIBUTIONS[ALICE]), abs=1e-12)


def test_change_compares_with_the_run_before_each_by_its_own_model(query: Query, nights: Nights) -> None:
    rows = query("SELECT * FROM reporting.customer_change WHERE customer_id = :id", id=ALICE)
    assert {(row["previous_run_id"], row["run_id"]) for row in rows} == {(nights.first, nights.current)}
    assert {row["feature"] for row in rows} == set(FEATURES)
    birth = next(row for row in rows if row["feature"] == "DAYS_BIRTH")
    assert (birth["previous_contribution"], birth["contribution"]) == (-0.5, 0.25)
    assert birth["contribution_change"] == 0.75
    assert birth["rank_of_change"] == 1
    assert (birth["previous_value_en"], birth["value_en"]) == ("32.8 years", "32.9 years")
    assert (birth["previous_value_fr"], birth["value_fr"]) == ("32,8\u00a0ans", "32,9\u00a0ans")
    assert [row["feature"] for row in rows if row["value_changed"]] == ["DAYS_BIRTH"]
    # All that the features moved, on the way from the one score to the other: the rest is the models' start.
    after, before = BASE + sum(CONTRIBUTIONS[ALICE]), FIRST_BASE + sum(CONTRIBUTIONS[ALICE]) - 0.75
    share = (after - before - (BASE - FIRST_BASE)) / (after - before)
    moved = (_exact_score(after) - _exact_score(before)) * share
    assert sum(row["points_change"] for row in rows) == pytest.approx(moved, abs=1e-9)
    assert {row["feature"] for row in rows if row["points_change"]} == {"DAYS_BIRTH"}


def test_a_customer_who_was_not_there_before_has_no_change(query: Query) -> None:
    assert query("SELECT * FROM reporting.customer_change WHERE customer_id = :id", id=NEWCOMER) == []


# Portfolio


def test_score_distribution_has_every_score_and_counts_everybody_once(query: Query) -> None:
    rows = query("SELECT * FROM reporting.score_distribution ORDER BY score")
    assert [row["score"] for row in rows] == list(range(101))
    assert sum(row["customers"] for row in rows) == 4
    assert sum(row["share"] for row in rows) == pytest.approx(100)
    assert sum(row["former_customers"] for row in rows) == FORMER
    assert sum(row["former_share"] for row in rows) == pytest.approx(100)
    expected = [BANDS[index].band for index in default_policy().band_index(np.arange(101, dtype=np.int16))]
    assert [row["band"] for row in rows] == expected
    former = [row for row in rows if row["former_customers"]]
    defaulted = sum(row["former_customers"] * row["former_default_rate"] / 100 for row in former)
    assert defaulted == pytest.approx(_outcomes()["defaulted"].sum())
    assert all((row["former_default_rate"] is None) == (row["former_customers"] == 0) for row in rows)


def test_band_distribution_leaves_superseded_runs_out(query: Query, nights: Nights) -> None:
    rows = query("SELECT * FROM reporting.band_distribution")
    assert {row["run_id"] for row in rows} == {nights.first, nights.current, nights.late}
    for run_id, customers in ((nights.first, 3), (nights.current, 4)):
        mine = [row for row in rows if row["run_id"] == run_id]
        assert sum(row["customers"] for row in mine) == customers
        assert sum(row["share"] for row in mine) == pytest.approx(100)
    words = {words["decision"]: words["label_fr"] for words in suggested_decisions()}
    labels = {(band.band, band.label_en, words[band.decision]) for band in BANDS}
    assert {(row["band"], row["band_label_en"], row["decision_label_fr"]) for row in rows} <= labels


def test_importance_is_the_mean_over_customers_and_its_shares_make_100_percent(query: Query) -> None:
    rows = query("SELECT * FROM reporting.feature_importance ORDER BY rank")
    assert sum(row["share"] for row in rows) == pytest.approx(100)
    first = rows[0]
    mine = [CONTRIBUTIONS[customer][0] for customer in (ALICE, AT_BASE, BARE, NEWCOMER)]
    points = query(
        "SELECT avg(abs(score_points)) AS mean FROM reporting.customer_explanation WHERE feature = 'EXT_SOURCE_2'"
    )
    assert (first["feature"], first["rank"], first["customers"]) == ("EXT_SOURCE_2", 1, 4)
    assert first["mean_absolute_contribution"] == pytest.approx(np.abs(mine).mean())
    assert first["mean_contribution"] == pytest.approx(np.mean(mine))
    assert first["mean_absolute_points"] == pytest.approx(points[0]["mean"])


def test_data_quality_counts_missing_and_unknown_values(query: Query, nights: Nights) -> None:
    rows = {row["feature"]: row for row in query("SELECT * FROM reporting.data_quality")}
    assert set(rows) == set(FEATURES)
    assert {row["run_id"] for row in rows.values()} == {nights.current}
    annuity = rows["AMT_ANNUITY"]
    assert (annuity["customers"], annuity["missing"], annuity["missing_share"]) == (4, 1, 25)
    assert annuity["former_missing_share"] == pytest.approx(100 * np.isnan(_former()["AMT_ANNUITY"]).mean())
    occupation = rows["OCCUPATION_TYPE"]
    assert occupation["former_missing_share"] == pytest.approx(100 * np.mean(_former()["OCCUPATION_TYPE"] == -1))
    assert (rows["CODE_GENDER"]["unknown"], rows["CODE_GENDER"]["missing"]) == (1, 0)
    assert rows["FLAG_DOCUMENT_3"]["unknown"] == 0


# Runs and models


def test_run_history_tells_what_became_of_every_run(query: Query, nights: Nights) -> None:
    rows = {row["run_id"]: row for row in query("SELECT * FROM reporting.run_history")}
    assert len(rows) == 5
    assert [run_id for run_id, row in rows.items() if row["is_current"]] == [nights.current]
    assert [run_id for run_id, row in rows.items() if row["superseded"]] == [nights.superseded]
    assert {run_id for run_id, row in rows.items() if row["details_retained"]} == {
        nights.first,
        nights.superseded,
        nights.current,
    }
    refused = rows[nights.refused]
    assert (refused["status"], refused["message"], refused["rejected"]) == ("refused", "Too many rows.", 3)
    current = rows[nights.current]
    assert current["stage_seconds"] == {"load": 0.5}
    assert current["seconds"] == pytest.approx(
        (current["published_at"] - current["started_at"]).total_seconds(), abs=1e-3
    )


def test_the_published_run_is_the_newest_by_date_and_names_the_one_of_the_date_before(
    query: Query, nights: Nights
) -> None:
    run = query.one("SELECT * FROM reporting.published_run")
    assert (run["run_id"], run["previous_run_id"]) == (nights.current, nights.first)
    assert (run["model_id"], run["base_value"]) == (nights.model, BASE)
    assert run["base_score"] == pytest.approx(_exact_score(BASE))


def test_rejected_rows_unknown_categories_and_checks_are_told_with_labels(query: Query, nights: Nights) -> None:
    rejected = query.one("SELECT * FROM reporting.rejected_row")
    assert (rejected["run_id"], rejected["row_number"]) == (nights.refused, 3)
    assert (rejected["label_en"], rejected["label_fr"]) == ("Credit amount", "Montant du crédit")
    assert (rejected["rule"], rejected["value"], rejected["source_name"]) == ("a number", "much", "wrong.csv")
    unknown = query.one("SELECT * FROM reporting.unknown_category")
    assert (unknown["label_en"], unknown["value"], unknown["customers"]) == ("Occupation", "Astronaut", 2)
    check = query.one("SELECT * FROM reporting.run_check")
    assert (check["name"], check["observed"], check["passed"]) == ("scores_loaded", "0", False)


@pytest.mark.parametrize(
    ("check", "expected", "observed"),
    [
        (at_most("additivity_error", 7.6e-08, 1e-4), "au plus 0,0001", "7,6e-08"),
        (equal("scores_loaded", 5000, 5000), "5000", "5000"),
        (
            night_size.size_check(night_size.Usual(5_000, 1), 2_496, Settings()),
            "au moins 50 % des 5\u202f000 de la nuit précédente",
            "2\u202f496",
        ),
        (
            night_size.size_check(night_size.Usual(48_744, 7), 48_000, Settings()),
            "au moins 50 % des 48\u202f744 des 7 dernières nuits (leur médiane)",
            "48\u202f000",
        ),
        (
            Check(
                "empty_columns", "warn", "none", "a value in every column that had one among former customers", True
            ),
            "une valeur dans chaque colonne qui en avait une chez les anciens clients",
            "aucune",
        ),
        (
            Check("smallest_night", "warn", "1,234,567", "at least 50% of the 12,345,678 of the last night", False),
            "au moins 50 % des 12\u202f345\u202f678 de la nuit précédente",
            "1\u202f234\u202f567",
        ),
        (Check("untold", "warn", "12.3%", "at most 20%", True), "au plus 20 %", "12,3 %"),
        (
            Check("twice", "fail", "unknown (no customer was explained twice)", "at most 1e-06", False),
            "au plus 1e-06",
            "inconnue (aucun client n'a été expliqué deux fois)",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Check) else None,
)
def test_what_a_check_expected_and_saw_is_told_in_french(
    query: Query, check: Check, expected: str, observed: str
) -> None:
    told = query.one(
        "SELECT reporting.check_value_fr(:expected) AS expected, reporting.check_value_fr(:observed) AS observed",
        expected=check.expected,
        observed=check.observed,
    )
    assert (told["expected"], told["observed"]) == (expected, observed)


def test_the_model_card_tells_quality_and_base(query: Query, nights: Nights) -> None:
    cards = {row["model_id"]: row for row in query("SELECT * FROM reporting.model_card")}
    card = cards[nights.model]
    assert (card["auc"], card["gini"], card["ks"], card["brier"]) == (0.75, 0.5, 0.4, 0.07)
    assert (card["stage"], card["is_published"]) == ("current", True)
    assert cards[nights.first_model]["is_published"] is False
    assert card["former_default_rate"] == pytest.approx(8)
    assert card["base_default_probability"] == pytest.approx(1 / (1 + math.exp(-BASE)))
    assert card["base_score"] == pytest.approx(100 * (1 - card["base_default_probability"]))
    bins = query("SELECT * FROM reporting.calibration WHERE model_id = :id ORDER BY bin", id=nights.model)
    assert [(row["bin"], row["customers"]) for row in bins] == [(1, 60), (2, 40)]
    rates = [rate for row in bins for rate in (row["mean_default_percent"], row["default_rate"])]
    assert rates == pytest.approx([5, 4, 12, 14])


def test_the_model_card_tells_calibration_and_what_the_policy_costs(query: Query, nights: Nights) -> None:
    card = query.one("SELECT * FROM reporting.model_card WHERE model_id = :id", id=nights.model)
    assert (card["slope_en"], card["slope_fr"]) == (
        "0.87 (0.80 to 0.94)",
        "0,87 (0,80 à 0,94)",
    )
    assert card["intercept_en"] == "−0.25 (−0.40 to −0.11)"
    assert card["calibration_difference"] == pytest.approx(1.23)
    assert (card["is_recalibrated"], card["recalibrated_en"], card["recalibrated_fr"]) == (True, "yes", "oui")
    assert card["exclusions_auc_cost"] == pytest.approx(0.0012)
    assert card["exclusions_cost_en"] == "+0.0012 (−0.0008 to +0.0032)"
    assert card["directions_cost_fr"] == "−0,0003 (−0,0003 à −0,0003)"


def test_a_model_from_before_calibration_and_costs_says_that_they_are_not_known(
    query: Query, nights: Nights
) -> None:
    card = query.one("SELECT * FROM reporting.model_card WHERE model_id = :id", id=nights.first_model)
    new = re.compile(r"calibration_|slope_|intercept_|is_recalibrated|recalibrated_|.*_cost")
    names = [name for name in card if new.match(name)]
    assert len(names) == 20
    assert {card[name] for name in names} == {None, "–"}
    assert {card[name] for name in names if name.endswith(("_en", "_fr"))} == {"–"}


def test_a_group_of_fewer_than_30_has_no_rates_and_says_why(query: Query) -> None:
    row = query.one("SELECT * FROM reporting.group_fairness")
    assert (row["group_en"], row["group_fr"], row["customers"]) == ("Woman", "Femme", 12)
    rates = [name for name in row if re.search(r"(rate|percent|score|difference|lower|upper)$", name)]
    assert len(rates) > 20 and {row[name] for name in rates} == {None}
    assert (row["note_en"], row["approval_en"]) == ("fewer than 30 people: no rates", "–")
    assert row["note_fr"].startswith("moins de 30 personnes")


# Applications as they came


def test_an_application_is_coded_as_in_its_file(query: Query) -> None:
    alice = query.one("SELECT * FROM reporting.application WHERE customer_id = :id", id=ALICE)
    assert (alice["code_gender"], alice["occupation_type"], alice["flag_own_car"]) == ("F", "Laborers", "Y")
    assert (alice["flag_document_3"], alice["days_birth"], alice["ext_source_2"]) == (1, -12005, 0.7)
    assert alice["organization_type"] is None
    customer = query.one("SELECT score FROM reporting.customer WHERE customer_id = :id", id=ALICE)
    assert alice["score"] == customer["score"]
    bare = query.one("SELECT * FROM reporting.application WHERE customer_id = :id", id=BARE)
    assert (bare["code_gender"], bare["occupation_type"], bare["days_employed"]) == (None, None, 365243)


def test_former_customers_are_those_of_the_published_runs_model(query: Query) -> None:
    rows = query("SELECT * FROM reporting.former_customer ORDER BY customer_id")
    former = _former()
    assert len(rows) == FORMER
    assert [row["target"] for row in rows] == _outcomes()["defaulted"].astype(int).tolist()
    words = [None, *(category.value for category in by_name()["OCCUPATION_TYPE"].categories)]
    expected = [words[max(int(code), 0)] for code in former["OCCUPATION_TYPE"]]
    assert [row["occupation_type"] for row in rows] == expected
    assert [row["flag_document_3"] for row in rows] == former["FLAG_DOCUMENT_3"].tolist()


def test_functions_give_ids_an_application_and_its_contributions(query: Query) -> None:
    ids = query("SELECT * FROM reporting.new_customer_index()")
    assert [row["customer_id"] for row in ids] == [ALICE, AT_BASE, BARE, NEWCOMER]
    application = query.one("SELECT * FROM reporting.application WHERE customer_id = :id", id=ALICE)
    assert query.one("SELECT * FROM reporting.new_customer(:id)", id=ALICE) == application
    values = query("SELECT * FROM reporting.shap_values(:id)", id=ALICE)
    assert list(values[0])[:3] == ["feature", "value_en", "contribution"]
    assert [row["rank"] for row in values] == list(range(1, len(FEATURES) + 1))
    first = values[0]
    assert (first["feature"], first["label_en"], first["contribution"]) == (
        "EXT_SOURCE_2",
        "External score 2",
        -0.75,
    )
    assert (first["value_en"], first["value_fr"]) == ("0.70", "0,70")


def test_functions_give_no_rows_for_an_unknown_id(query: Query) -> None:
    assert query("SELECT * FROM reporting.new_customer(:id)", id=UNKNOWN_ID) == []
    assert query("SELECT * FROM reporting.shap_values(:id)", id=UNKNOWN_ID) == []


def test_every_category_column_can_be_turned_back_into_words(query: Query) -> None:
    lists = query.one("SELECT * FROM reporting.category_list")
    expected = {
        feature.name.lower(): [category.value for category in feature.categories]
        for feature in input_features()
        if feature.kind == "category"
    }
    assert lists == expected


# How the data are made


def _guarded(query: Query) -> set[str]:
    """Views that answer for one customer, or one cohort, at a time."""
    guards = ("one_customer(", "choose_every_filter(", "cohort_selection", "cohort_customer")
    known = "SELECT viewname FROM pg_views WHERE schemaname = 'reporting' AND position(:guard IN definition) > 0"
    return {row["viewname"] for guard in guards for row in query(known, guard=guard)}


_VIEWS = "SELECT relname FROM pg_class WHERE relnamespace = 'reporting'::regnamespace AND relkind = 'v'"
FORMER = 1000
FORMER_LOG_ODDS = np.linspace(-4, 2, FORMER)


def _former() -> dict[str, NDArray[np.float64]]:
    """Former customers' raw values; many share ALICE's external score and age. Codes: -1 is missing."""
    rng = np.random.default_rng(5)
    shared = rng.random(FORMER)
    annuity = rng.uniform(2000, 60000, FORMER).round(1)
    return {
        "EXT_SOURCE_2": np.where(shared < 0.4, 0.7, rng.uniform(0, 1, FORMER)),
        "DAYS_BIRTH": np.where(shared < 0.3, -12005, rng.integers(-25000, -7500, FORMER)).astype(np.float64),
        "AMT_CREDIT": rng.uniform(50_000, 1_000_000, FORMER).round(),
        "AMT_ANNUITY": np.where(shared > 0.9, np.nan, annuity),
        "OCCUPATION_TYPE": np.where(shared > 0.8, -1, rng.integers(1, 19, FORMER)).astype(np.float64),
        "CODE_GENDER": rng.integers(1, 3, FORMER).astype(np.float64),
        "FLAG_DOCUMENT_3": rng.integers(0, 2, FORMER).astype(np.float64),
    }


def _outcomes() -> dict[str, NDArray[np.bool_]]:
    defaulted = np.random.default_rng(6).random(FORMER) < 0.2
    return {"all": np.ones(FORMER, dtype=np.bool_), "repaid": ~defaulted, "defaulted": defaulted}


def _exact_score(log_odds: float) -> float:
    return 100 * (1 - 1 / (1 + math.exp(-log_odds)))


HONESTY = {
    "recalibration": {
        "slope": 0.871,
        "slope_low": 0.8,
        "slope_high": 0.942,
        "intercept": -0.254,
        "intercept_low": -0.4,
        "intercept_high": -0.108,
        "ece": 0.0123,
        "recalibrated": True,
    },
    "policy": {
        "all_exclusions": {"auc_cost": 0.0012, "auc_cost_se": 0.001},
        "directions": {"auc_cost": -0.0003, "auc_cost_se": 0.0},
    },
}


def _model(engine: Engine, name: str, base_value: float, more: Mapping[str, object] | None = None) -> int:
    return registry.register(
        engine,
        training_rows=FORMER,
        training_sha256=name * 64,
        base_value=base_value,
        parameters={"max_depth": 3},
        metrics={
            "auc": 0.75,
            "gini": 0.5,
            "ks": 0.4,
            "brier": 0.07,
            "default_rate": 0.08,
            "mean_score": 90.5,
            "scores": _former_scores(),
            "gains": [{"decile": 1, "customers": 100, "defaulted": 40, "share_of_customers": 0.1}],
            "groups": [{"kind": "gender", "code": 1, "customers": 12}],
            "calibration": [
                {"bin": 1, "customers": 60, "mean_probability": 0.05, "default_rate": 0.04},
                {"bin": 2, "customers": 40, "mean_probability": 0.12, "default_rate": 0.14},
            ],
            **(more or {}),
        },
        feature_set=[],
        artefact=name.encode(),
        artefact_sha256=name * 64,
        bins=[{"feature_id": by_name()["AMT_CREDIT"].feature_id, "bin": 1, "customers": FORMER}],
    )


def _former_scores() -> list[dict[str, int]]:
    scores, defaulted = rounded_score(FORMER_LOG_ODDS), _outcomes()["defaulted"]
    return [
        {
            "score": int(value),
            "customers": int((scores == value).sum()),
            "defaulted": int(defaulted[scores == value].sum()),
        }
        for value in np.unique(scores)
    ]


def _load_former(engine: Engine, model_id: int) -> None:
    former, outcomes = _former(), _outcomes()
    defaulted = outcomes["defaulted"]
    log_odds = FORMER_LOG_ODDS
    stored = {
        name.lower(): Masked(values, values == -1) if by_name()[name].categories else values
        for name, values in former.items()
    }
    with registry.former_customers(engine, model_id) as tables:
        tables.write(
            encode(
                former_customer,
                {
                    "customer_id": np.arange(1, FORMER + 1),
                    "target": defaulted.astype(np.int16),
                    "log_odds": log_odds,
                    "default_probability": 1 / (1 + np.exp(-log_odds)),
                    "score": rounded_score(log_odds),
                    **stored,
                },
            )
        )
        tables.index()
    distributions: list[dict[str, Any]] = []
    categories: list[dict[str, Any]] = []
    for name, values in former.items():
        feature = by_name()[name]
        if feature.categories:
            categories += [
                {
                    "feature_id": feature.feature_id,
                    "category_code": int(code),
                    "customers": int((values == code).sum()),
                    "defaulted": int((defaulted & (values == code)).sum()),
                }
                for code in np.unique(values)
            ]
            continue
        for outcome, members in outcomes.items():
            present = values[members & np.isfinite(values)]
            distributions.append(
                {
                    "feature_id": feature.feature_id,
                    "outcome": outcome,
                    "customers": int(members.sum()),
                    "missing": int(members.sum()) - len(present),
                    "mean": float(present.mean()),
                    "quantiles": list(quantiles(present, mirrored=feature.display_scale < 0)),
                }
            )
    registry.promote(
        engine,
        model_id,
        distributions=distributions,
        categories=categories,
        cohorts=cohort_rows(cohorts(_applications(former, defaulted), log_odds)),
    )


def _applications(former: dict[str, NDArray[np.float64]], defaulted: NDArray[np.bool_]) -> Applications:
    """The same former customers with all columns, missing where nothing was made up."""
    nothing = np.full(FORMER, np.nan)
    values = [
        np.where(former[feature.name] == -1, np.nan, former[feature.name]) if feature.name in former else nothing
        for feature in input_features()
    ]
    ids = np.arange(1, FORMER + 1)
    return Applications(ids.astype(np.int32), np.column_stack(values), defaulted.astype(np.int8), ids)


def _night(
    engine: Engine,
    as_of: date,
    model_id: int,
    base_value: float,
    customers: tuple[int, ...],
    *,
    age_contribution: float | None = None,
) -> int:
    """A published run; where an age contribution is given, ALICE is also 32 days younger than in VALUES."""
    run_id = ledger.open_run(
        engine, as_of=as_of, model_id=model_id, source_name="new.csv", source_sha256=str(as_of).ljust(64, "0")
    )
    values = np.array([VALUES[customer] for customer in customers])
    contributions = np.array([CONTRIBUTIONS[customer] for customer in customers])
    if age_contribution is not None:
        values[0, FEATURES.index("DAYS_BIRTH")] += 32
        contributions[0, FEATURES.index("DAYS_BIRTH")] = age_contribution
    log_odds = base_value + contributions.sum(axis=1)
    scores = rounded_score(log_odds)
    features = [by_name()[name] for name in FEATURES]
    coded = np.broadcast_to([bool(feature.categories) for feature in features], values.shape)
    no_code = ~coded | np.isnan(values)
    column = {name: values[:, position] for position, name in enumerate(FEATURES)}
    ids = np.array(customers)
    with staging(engine, RUN_PARTITIONED, run_id) as tables:
        tables.write(
            encode(
                new_customer,
                {
                    "customer_id": ids,
                    **{name.lower(): column[name] for name in FEATURES if by_name()[name].origin == "application"},
                    "amt_income_total": np.full(len(ids), 202500.0),
                    "days_employed": np.where(ids == BARE, 365243, -1500),
                    "flag_own_car": np.where(ids == BARE, np.nan, 2.0),
                },
            )
        )
        tables.write(
            encode(
                score,
                {
                    "customer_id": ids,
                    "log_odds": log_odds,
                    "default_probability": 1 / (1 + np.exp(-log_odds)),
                    "score": scores,
                    "band": text_bytes([BANDS[index].band for index in default_policy().band_index(scores)]),
                    "decision": text_bytes(
                        [BANDS[index].decision for index in default_policy().band_index(scores)]
                    ),
                    "percentile": np.full(len(ids), 50.0),
                },
            )
        )
        rank = np.argsort(np.argsort(-np.abs(contributions), axis=1, kind="stable"), axis=1) + 1
        tables.write(
            encode(
                shap_value,
                {
                    "customer_id": np.repeat(ids, len(features)),
                    "feature_id": np.tile([feature.feature_id for feature in features], len(ids)),
                    "numeric_value": np.where(coded, np.nan, values).ravel(),
                    "category_code": Masked(np.where(no_code, 0, values).astype(np.int16).ravel(), no_code.ravel()),
                    "contribution": contributions.ravel(),
                    "rank": rank.ravel(),
                },
            )
        )
        tables.index()
    statistics.record(engine, run_id, _statistics(values, contributions, log_odds, base_value))
    ledger.publish(
        engine,
        run_id,
        customers=len(ids),
        rejected=0,
        unknown_categories=1,
        stage_seconds={"load": 0.5},
    )
    return run_id


def _statistics(
    values: NDArray[np.float64],
    contributions: NDArray[np.float64],
    log_odds: NDArray[np.float64],
    base_value: float,
) -> statistics.RunStatistics:
    """What a night would write down about itself, with one bin."""
    scores = rounded_score(log_odds)
    points = np.abs(score_points(contributions, log_odds, base_value))
    probability = 1 / (1 + np.exp(-log_odds))
    return statistics.RunStatistics(
        summary={
            "customers": len(values),
            "mean_score": 100 * (1 - probability.mean()),
            "mean_default_probability": probability.mean(),
            "approval_rate": np.mean(scores >= 85),
            "score_psi": 0.05,
        },
        scores=[
            {
                "score": int(value),
                "band": BANDS[index].band,
                "decision": BANDS[index].decision,
                "customers": int((scores == value).sum()),
            }
            for value, index in zip(np.unique(scores), default_policy().band_index(np.unique(scores)), strict=True)
        ],
        features=[
            {
                "feature_id": by_name()[name].feature_id,
                "customers": len(values),
                "missing": int(np.isnan(values[:, at]).sum()),
                "unknown": int((values[:, at] == 0).sum()) if by_name()[name].kind == "category" else 0,
                "mean_absolute_contribution": np.abs(contributions[:, at]).mean(),
                "mean_contribution": contributions[:, at].mean(),
                "mean_absolute_points": points[:, at].mean(),
                "psi": 0.15,
                "correlation": None,
            }
            for at, name in enumerate(FEATURES)
        ],
        bins=[
            {
                "feature_id": by_name()["AMT_CREDIT"].feature_id,
                "bin": 1,
                "customers": len(values),
                "mean_contribution": 0.1,
                "mean_points": -1.0,
                "points_deviation": 0.5,
            }
        ],
    )


def _loops(engine: Engine, statement: str) -> dict[str, int]:
    """How often each table was scanned when the statement ran."""
    with engine.connect() as connection:
        plan = connection.scalar(text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, FORMAT JSON) {statement}"))
    found: dict[str, int] = {}

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for part in node:
                walk(part)
        elif isinstance(node, dict):
            if "Relation Name" in node:
                name = node["Relation Name"]
                found[name] = found.get(name, 0) + int(Decimal(str(node["Actual Loops"])))
            for part in node.values():
                walk(part)

    walk(json.loads(plan) if isinstance(plan, str) else plan)
    return found
