"""Comparing one customer with any cohort: the very SQL that dashboards send, against NumPy on the same people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from db import cohort, registry
from db.access import roles
from db.engine import transaction
from db.lists import integer_lists
from db.models import RUN_PARTITIONED, new_customer, score, shap_value, similar_member
from db.runs import ledger
from db.runs.copy import Masked, encode, text_bytes
from db.runs.partitions import staging
from flows.steps.rows import application_columns, cohort_rows, former_distributions, load_former
from scoring import scorecard
from scoring.cohort import ATTRIBUTES, SCORE_ID, Cohorts, cohorts
from scoring.contract import Applications, check_rows
from scoring.features import by_name
from scoring.policy import default_policy, suggested_decisions
from scoring.preprocess import explained_features, feature_ids, feature_values
from scoring.sample import applications

FORMER, NEW, TWINS, FIRST_ID = 10_000, 30, 20, 500_001
NAMES = [attribute.name for attribute in ATTRIBUTES]
PREDECESSOR = ("credit", "age", "annuity_income")
ALL = {"en": "All", "fr": "Tous"}
YES = {"en": "Yes", "fr": "Oui"}
SHARES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}
FIGURES = (*SHARES, "mean", "percentile", "members", "given")
GUARDED = ("cohort_comparison", "cohort_histogram", "customer_cohort")
# How many former customers are most like the first of tonight's; of the others the night does not know it.
LIKE = {FIRST_ID: 200, FIRST_ID + 1: 1000, FIRST_ID + 2: 20}


@dataclass(frozen=True)
class World:
    """Former customers, tonight's customers, and who may ask about them."""

    model_id: int
    former: Applications
    made: Cohorts
    values: Mapping[int, NDArray[np.float64]]
    customers: NDArray[np.int32]
    own: Mapping[int, NDArray[np.float64]]
    like: Mapping[int, NDArray[np.int32]]
    reader: psycopg.Connection[Any]

    def ask(self, statement: str) -> list[dict[str, Any]]:
        with self.reader.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(statement).fetchall()  # type: ignore[call-overload, no-any-return]

    def codes(self, name: str) -> NDArray[np.int16]:
        return self.made._option_codes[name]

    def labels(self, name: str, language: str) -> list[str]:
        return [getattr(o, f"label_{language}") for o in self.made.options if o.attribute == name]

    def members(self, chosen: Mapping[str, Sequence[int]], like: int | None = None) -> NDArray[np.bool_]:
        """Who is in the cohort; no code of an attribute, or only 0, is everybody. `like`: of those like him."""
        who = np.ones(len(self.former), dtype=np.bool_)
        if like is not None:
            who = np.isin(self.former.customer_id, self.like.get(like, []))
        for name, codes in chosen.items():
            some = [code for code in codes if code]
            if some:
                who &= np.isin(self.codes(name), some)
        return who

    def where(self, chosen: Mapping[str, Sequence[int]], language: str = "en", like: bool | None = None) -> str:
        """The conditions of the native filters, every one of them set; `like` where a view has it."""
        conditions = [] if like is None else [f"cohort_like_{language} = '{(YES if like else ALL)[language]}'"]
        for name in NAMES:
            labels = self.labels(name, language)
            words = ", ".join(quoted(labels[code]) for code in chosen.get(name, [0]))
            conditions.append(f"cohort_{name}_{language} IN ({words})")
        return " AND ".join(conditions)


def quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def world(engine: Engine, reader_passwords: dict[str, str]) -> Iterator[World]:
    former = check_rows(applications(FORMER, seed=7, labelled=True), first_row=1, labelled=True).accepted
    fresh = check_rows(applications(NEW, seed=8, first_id=FIRST_ID), first_row=1, labelled=False).accepted
    # Some have exactly what a former customer had.
    twins = former.take(np.arange(TWINS))
    ids = np.arange(FIRST_ID, FIRST_ID + NEW + TWINS, dtype=np.int32)
    tonight = Applications(ids, np.vstack([fresh.values, twins.values]), None, ids.astype(np.int64))
    rng = np.random.default_rng(9)
    log_odds = rng.normal(-2.5, 1, FORMER)
    own_log_odds = np.concatenate([rng.normal(-2.5, 1, NEW), log_odds[:TWINS]])
    made = cohorts(former, log_odds)
    model_id = registry.register(
        engine,
        training_rows=FORMER,
        training_sha256="1" * 64,
        base_value=-2.5,
        parameters={},
        metrics={"auc": 0.7, "gini": 0.4, "ks": 0.3, "brier": 0.07, "default_rate": 0.08},
        feature_set=[],
        artefact=b"1",
        artefact_sha256="1" * 64,
    )
    with registry.former_customers(engine, model_id) as tables:
        load_former(tables, former, log_odds)
        tables.index()
    distributions, categories = former_distributions(former)
    registry.promote(
        engine, model_id, distributions=distributions, categories=categories, cohorts=cohort_rows(made)
    )
    like = {
        customer: np.sort(rng.choice(former.customer_id, people, replace=False))
        for customer, people in LIKE.items()
    }
    publish(engine, model_id, tonight, own_log_odds, like)
    address = engine.url.set(
        drivername="postgresql", username=roles.DASHBOARD, password=reader_passwords[roles.DASHBOARD]
    )
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as reader:
        yield World(
            model_id,
            former,
            made,
            {**columns(former), SCORE_ID: scorecard.exact_score(log_odds)},
            ids,
            {**columns(tonight), SCORE_ID: scorecard.exact_score(own_log_odds)},
            like,
            reader,
        )


def columns(people: Applications) -> dict[int, NDArray[np.float64]]:
    values, _ = feature_values(people.values)
    return {int(key): values[:, place] for place, key in enumerate(feature_ids())}


def publish(
    engine: Engine,
    model_id: int,
    people: Applications,
    log_odds: NDArray[np.float64],
    like: Mapping[int, NDArray[np.int32]],
) -> None:
    run_id = ledger.open_run(
        engine, as_of=date(2026, 3, 1), model_id=model_id, source_name="new.csv", source_sha256="2" * 64
    )
    values, coded = feature_values(people.values)
    codes = np.broadcast_to(coded, values.shape)
    no_code = ~codes | np.isnan(values)
    rows, features = values.shape
    with staging(engine, RUN_PARTITIONED, run_id) as tables:
        tables.write(encode(new_customer, application_columns(people)))
        tables.write(
            encode(
                score,
                {
                    "customer_id": people.customer_id,
                    "log_odds": log_odds,
                    "default_probability": scorecard.default_probability(log_odds),
                    "score": scorecard.score(log_odds),
                    "band": text_bytes(["A"] * rows),
                    "decision": text_bytes(["accept"] * rows),
                    "percentile": np.full(rows, 50.0),
                },
            )
        )
        tables.write(
            encode(
                shap_value,
                {
                    "customer_id": np.repeat(people.customer_id, features),
                    "feature_id": np.tile(feature_ids(), rows),
                    "numeric_value": np.where(codes, np.nan, values).ravel(),
                    "category_code": Masked(np.where(no_code, 0, values).astype(np.int16).ravel(), no_code.ravel()),
                    "contribution": np.zeros(rows * features),
                    "rank": np.tile(np.arange(1, features + 1), rows),
                },
            )
        )
        for customer, members in like.items():
            one = {"customer_id": np.array([customer], np.int32), "members": integer_lists(members[None, :])}
            tables.write(encode(similar_member, one))
        tables.index()
    ledger.publish(engine, run_id, customers=rows, rejected=0, unknown_categories=0, stage_seconds={})


def comparison(
    world: World, customer: int, chosen: Mapping[str, Sequence[int]], **how: Any
) -> list[dict[str, Any]]:
    """The table of the dashboard: figures per feature and outcome."""
    language = how.get("language", "en")
    groups = how.get("groups", ("feature", "outcome"))
    figures = ", ".join(f"(reporting.cohort_summary(cohort)).{name} AS {name}" for name in FIGURES)
    return world.ask(
        f"SELECT {', '.join(groups)}, max(customer_value) AS customer_value, {figures},"
        f" reporting.cohort_note_en((reporting.cohort_summary(cohort)).given) AS note"
        f" FROM reporting.cohort_comparison WHERE customer_id = {customer}"
        f" AND {world.where(chosen, language, how.get('like'))} GROUP BY {', '.join(groups)} LIMIT 1000"
    )


def check_comparison(
    world: World, customer: int, rows: list[dict[str, Any]], who: NDArray[np.bool_], least: int = 0
) -> int:
    """Hold every figure against NumPy, groups under `least` not even counted; how many were compared."""
    assert world.former.target is not None
    outcomes = {"repaid": world.former.target == 0, "defaulted": world.former.target == 1, None: who | True}
    grids = {feature.feature_id: feature.grid for feature in world.made.features}
    place = int(np.flatnonzero(world.customers == customer)[0])
    compared = 0
    for row in rows:
        feature = None if row["feature"] == "SCORE" else by_name()[row["feature"]]
        key, scale = (SCORE_ID, 1.0) if feature is None else (feature.feature_id, feature.display_scale)
        group = world.values[key][who & outcomes[row.get("outcome")]]
        shown = np.sort(group[np.isfinite(group)] * scale)
        own = world.own[key][place] * scale
        assert row["members"] == (len(group) if len(group) >= least else None)
        assert row["given"] == (len(shown) if len(shown) >= least else None)
        assert (row["customer_value"] is None) == np.isnan(own)
        if len(shown) < 30:
            assert row["note"] == "fewer than 30 former customers"
            assert all(row[name] is None for name in FIGURES if name not in ("members", "given"))
            continue
        assert row["note"] == ""
        step = 0 if grids[key].exact else 0.5 * abs(scale) / grids[key].per_unit
        for name, share in SHARES.items():
            value = shown[-(-round(100 * share) * len(shown) // 100) - 1]
            assert row[name] == pytest.approx(value, abs=1.01 * step + 1e-12, rel=1e-12), (row, name)
        assert row["mean"] == pytest.approx(shown.mean(), abs=1.01 * step + 1e-9, rel=1e-9)
        if np.isnan(own):
            assert row["percentile"] is None
        else:
            # On an inexact grid who is within a step, or within single precision, may count as equal.
            near = 0 if grids[key].exact else 2 * step + 1.3e-7 * abs(own)
            low, high = (100 * np.mean(shown <= own + shift) for shift in (-near, near))
            assert low - 1e-9 <= row["percentile"] <= high + 1e-9, row
            assert row["customer_value"] == pytest.approx(own, rel=1e-6)
        compared += len(FIGURES)
    return compared


def test_quantiles_of_everybody_are_those_of_the_explanation(world: World) -> None:
    """What a customer's file says of all former customers is what the cohort of everybody says."""
    grids = {feature.feature_id: feature.grid for feature in world.made.features}
    figures = ("q10", "q25", "median", "q75", "q90")
    rows = world.ask(
        "SELECT c.feature, c.feature_id, f.display_scale, s.given, to_jsonb(c) AS file, to_jsonb(s) AS cohort"
        " FROM reporting.customer_comparison AS c JOIN reporting.feature AS f USING (feature_id)"
        " CROSS JOIN LATERAL reporting.cohort_statistics(c.feature) AS s"
        f" WHERE c.customer_id = {world.customers[0]} AND c.kind NOT IN ('category', 'flag')"
        " AND s.outcome = c.outcome AND s.given >= 30"
    )
    assert len(rows) > 200
    # Shown as in the file, and the other way round.
    assert {row["display_scale"] > 0 for row in rows} == {True, False}
    for row in rows:
        grid = grids[row["feature_id"]]
        step = 0 if grid.exact else 0.5 * abs(row["display_scale"]) / grid.per_unit
        for name in figures:
            expected = pytest.approx(row["cohort"][name], abs=1.01 * step + 1e-12, rel=1e-12)
            assert row["file"][name] == expected, (row["feature"], name)


def random_choice(world: World, rng: np.random.Generator, names: Sequence[str]) -> dict[str, list[int]]:
    return {name: [int(rng.integers(0, len(world.labels(name, "en"))))] for name in names}


# The comparison


def test_by_the_predecessors_filters_every_figure_is_numpys(world: World) -> None:
    rng = np.random.default_rng(1)
    compared = 0
    for _ in range(8):
        customer = int(rng.choice(world.customers))
        chosen = random_choice(world, rng, PREDECESSOR)
        rows = comparison(world, customer, chosen)
        assert len(rows) == 2 * len(world.made.features)
        compared += check_comparison(world, customer, rows, world.members(chosen))
    assert compared > 3_000


@pytest.mark.parametrize("language", ["en", "fr"])
def test_by_any_filters_in_either_language_every_figure_is_numpys(world: World, language: str) -> None:
    rng = np.random.default_rng(ord(language[0]))
    compared = 0
    for _ in range(8):
        customer = int(rng.choice(world.customers))
        chosen = random_choice(world, rng, rng.choice(NAMES, size=rng.integers(0, 4), replace=False).tolist())
        rows = comparison(world, customer, chosen, language=language)
        compared += check_comparison(world, customer, rows, world.members(chosen))
    assert compared > 3_000


def test_by_all_ten_filters_at_once(world: World) -> None:
    chosen = {name: [int(world.codes(name)[0])] for name in NAMES}
    rows = comparison(world, FIRST_ID, chosen)
    check_comparison(world, FIRST_ID, rows, world.members(chosen))


def test_several_values_of_a_filter_are_any_of_them(world: World) -> None:
    chosen = {"age": [1, 3], "occupation": [4, 9, 15], "gender": [1]}
    rows = comparison(world, FIRST_ID, chosen)
    assert check_comparison(world, FIRST_ID, rows, world.members(chosen)) > 100


def test_all_together_with_another_value_counts_as_not_chosen(world: World) -> None:
    rows = comparison(world, FIRST_ID, {"gender": [0, 2], "age": [2]})
    assert check_comparison(world, FIRST_ID, rows, world.members({"gender": [2], "age": [2]})) > 100


@pytest.mark.parametrize("chosen", [{}, {"age": [5]}, {"age": [1, 2], "contract": [1]}])
def test_without_outcome_it_is_all_former_customers(world: World, chosen: dict[str, list[int]]) -> None:
    customer = FIRST_ID + 3
    rows = comparison(world, customer, chosen, groups=("feature",))
    assert len(rows) == len(world.made.features)
    assert check_comparison(world, customer, rows, world.members(chosen)) > 100


def test_a_value_that_a_former_customer_had_too_counts_as_equal(world: World) -> None:
    for place in range(NEW, NEW + TWINS):
        customer = int(world.customers[place])
        rows = comparison(world, customer, {}, groups=("feature",))
        check_comparison(world, customer, rows, world.members({}))


def test_several_features_together_have_no_figures(world: World) -> None:
    (row,) = comparison(world, FIRST_ID, {}, groups=("customer_id",))
    assert all(row[name] is None for name in FIGURES)


def test_features_have_words_and_the_predecessors_come_first(world: World) -> None:
    rows = world.ask(
        "SELECT DISTINCT feature_order, feature, feature_en, feature_fr, unit_en FROM reporting.cohort_comparison"
        f" WHERE customer_id = {FIRST_ID} AND {world.where({})} ORDER BY feature_order LIMIT 5"
    )
    assert [row["feature"] for row in rows] == [
        "ANNUITY_INCOME_PERCENT",
        "DAYS_EMPLOYED_PERCENT",
        "AMT_ANNUITY",
        "AMT_GOODS_PRICE",
        "SCORE",
    ]
    assert (rows[2]["feature_en"], rows[2]["feature_fr"], rows[2]["unit_en"]) == (
        "Annuity (€)",
        "Échéance (€)",
        "€",
    )
    assert rows[4]["feature_en"] == "Score"
    assert world.ask("SELECT feature_order, feature, feature_en, feature_fr, unit_en FROM reporting.cohort_feature"
                     " ORDER BY feature_order LIMIT 5") == rows  # fmt: skip


# The whole cohort


@pytest.mark.parametrize("seed", range(8))
def test_the_default_rate_is_numpys(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = random_choice(world, rng, rng.choice(NAMES, size=seed % 4, replace=False).tolist())
    assert world.former.target is not None
    (row,) = default_rate(world, chosen)
    who = world.members(chosen)
    assert row["members"] == who.sum()
    if who.sum() < 30:
        assert row["repaid"] is row["defaulted"] is row["default_rate"] is row["mean_score"] is None
        assert (row["note_en"], row["note_fr"]) == ("fewer than 30 former customers", "moins de 30 anciens clients")
        return
    assert row["defaulted"] == world.former.target[who].sum()
    assert row["repaid"] + row["defaulted"] == row["members"]
    assert row["default_rate"] == pytest.approx(100 * world.former.target[who].mean())
    assert row["mean_score"] == pytest.approx(world.values[SCORE_ID][who].mean(), abs=1e-4)


def test_a_group_under_30_says_so(world: World) -> None:
    code = next(o.code for o in world.made.options if o.attribute == "education" and o.value == "Academic degree")
    assert 0 < world.members({"education": [code]}).sum() < 30
    (row,) = default_rate(world, {"education": [code]})
    assert row["default_rate"] is None
    assert row["note_en"] == "fewer than 30 former customers"


def default_rate(
    world: World, chosen: Mapping[str, Sequence[int]], customer: int | None = None, like: bool | None = None
) -> list[dict[str, Any]]:
    rate = "(reporting.cohort_rate(cohort))"
    where = world.where(chosen, like=like)
    view = "cohort_default_rate"
    if customer is not None:
        view, where = "customer_cohort", f"customer_id = {customer} AND {where}"
    return world.ask(
        f"SELECT {rate}.members, {rate}.repaid, {rate}.defaulted, {rate}.default_rate, {rate}.mean_score,"
        f" reporting.cohort_note_en({rate}.members) AS note_en, reporting.cohort_note_fr({rate}.members) AS note_fr"
        f" FROM reporting.{view} WHERE {where} LIMIT 1000"
    )


# The histogram


@pytest.mark.parametrize(
    ("feature", "chosen"),
    [
        ("ANNUITY_INCOME_PERCENT", {}),
        ("DAYS_BIRTH", {"gender": [1]}),
        ("CNT_CHILDREN", {"age": [1, 2]}),
        ("EXT_SOURCE_1", {"age": [0, 3], "contract": [1]}),
        ("OWN_CAR_AGE", {"credit": [2]}),
        ("SCORE", {"age": [1]}),
    ],
)
def test_bins_hold_who_numpy_puts_into_them(world: World, feature: str, chosen: dict[str, list[int]]) -> None:
    assert world.former.target is not None
    key = SCORE_ID if feature == "SCORE" else by_name()[feature].feature_id
    scale = 1.0 if feature == "SCORE" else by_name()[feature].display_scale
    for place in (0, 1, NEW):
        rows = histogram(world, int(world.customers[place]), feature, chosen)
        own = world.own[key][place] * scale
        assert len({row["bin"] for row in rows if row["is_customer_bin"]}) == (0 if np.isnan(own) else 1)
        for outcome, target in (("repaid", 0), ("defaulted", 1)):
            group = world.values[key][world.members(chosen) & (world.former.target == target)]
            shown = group[np.isfinite(group)] * scale
            bars = [row for row in rows if row["outcome"] == outcome]
            assert sum(bar["members"] for bar in bars) == len(shown)
            for bar in bars:
                low = -np.inf if bar["lower"] is None else bar["lower"] - 1e-9
                high = np.inf if bar["upper"] is None else bar["upper"] - 1e-9
                assert bar["members"] == ((shown >= low) & (shown < high)).sum()
                assert bar["is_customer_bin"] == bool(low <= own < high)
                marked = ", bin of this customer" if bar["is_customer_bin"] else ""
                assert bar["series_en"] == outcome.capitalize() + marked
                if len(shown) < 30:
                    assert bar["share"] is None
                else:
                    assert bar["share"] == pytest.approx(100 * bar["members"] / len(shown))


def histogram(
    world: World, customer: int, feature: str, chosen: Mapping[str, Sequence[int]], like: bool | None = None
) -> list[dict[str, Any]]:
    return world.ask(
        "SELECT bin, bin_en, lower, upper, outcome, series_en, is_customer_bin,"
        " (reporting.cohort_bar(cohort)).share AS share, (reporting.cohort_bar(cohort)).members AS members"
        f" FROM reporting.cohort_histogram WHERE customer_id = {customer} AND feature = {quoted(feature)}"
        f" AND {world.where(chosen, like=like)} GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 6 LIMIT 1000"
    )


def test_every_bin_is_there_for_both_outcomes_even_empty(world: World) -> None:
    rows = histogram(world, FIRST_ID, "AMT_ANNUITY", {"age": [1], "credit": [1]})
    bins = next(f.bins for f in world.made.features if f.feature_id == by_name()["AMT_ANNUITY"].feature_id)
    assert len(rows) == 2 * len(bins)
    assert min(row["members"] for row in rows) == 0


# Like this customer


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("groups", [("feature", "outcome"), ("feature",)])
@pytest.mark.parametrize("customer", [*LIKE, FIRST_ID + 3])
def test_of_those_like_the_customer_every_figure_is_numpys(
    world: World, customer: int, groups: tuple[str, ...], language: str
) -> None:
    rows = comparison(world, customer, {}, like=True, groups=groups, language=language)
    assert len(rows) == len(groups) * len(world.made.features)
    compared = check_comparison(world, customer, rows, world.members({}, customer), least=20)
    assert compared > 100 or LIKE.get(customer, 0) < 30


@pytest.mark.parametrize("seed", range(12))
def test_with_other_filters_it_is_those_of_them_who_are_like_the_customer(world: World, seed: int) -> None:
    rng = np.random.default_rng(seed)
    customer = int(rng.choice(list(LIKE)))
    chosen = random_choice(world, rng, rng.choice(NAMES, size=rng.integers(1, 4), replace=False).tolist())
    who = world.members(chosen, customer)
    for groups in (("feature", "outcome"), ("feature",)):
        rows = comparison(world, customer, chosen, like=True, groups=groups)
        check_comparison(world, customer, rows, who, least=20)
    (row,) = default_rate(world, chosen, customer, like=True)
    told = (None, None, None) if who.sum() < 20 else (int(who.sum()), None, None)
    if who.sum() >= 30:
        assert world.former.target is not None
        told = (int(who.sum()), int(world.former.target[who].sum()), 100 * world.former.target[who].mean())
        assert row["mean_score"] == pytest.approx(world.values[SCORE_ID][who].mean(), abs=1e-4)
    else:
        assert row["note_en"] == "fewer than 30 former customers"
    assert (row["members"], row["defaulted"], row["default_rate"]) == (
        *told[:2], None if told[2] is None else pytest.approx(told[2]),
    )  # fmt: skip


@pytest.mark.parametrize("feature", ["SCORE", "DAYS_BIRTH", "AMT_ANNUITY", "EXT_SOURCE_1", "OWN_CAR_AGE"])
@pytest.mark.parametrize("customer", [*LIKE, FIRST_ID + 3])
@pytest.mark.parametrize("chosen", [{}, {"gender": [1]}, {"age": [1, 2]}])
def test_bins_hold_those_of_them_who_are_like_the_customer(
    world: World, customer: int, feature: str, chosen: dict[str, list[int]]
) -> None:
    assert world.former.target is not None
    key = SCORE_ID if feature == "SCORE" else by_name()[feature].feature_id
    scale = 1.0 if feature == "SCORE" else by_name()[feature].display_scale
    rows = histogram(world, customer, feature, chosen, like=True)
    assert rows
    for outcome, target in (("repaid", 0), ("defaulted", 1)):
        # Each value of a filter is a group of its own here: one under 20 hides them all.
        parts = [
            world.members({**chosen, "age": [code]}, customer) & (world.former.target == target)
            for code in chosen.get("age", [0])
        ]
        given = [int(np.isfinite(world.values[key][part]).sum()) for part in parts]
        values = world.values[key][np.any(parts, axis=0)]
        shown = values[np.isfinite(values)] * scale
        for bar in (row for row in rows if row["outcome"] == outcome):
            if min(given) < 20:
                assert bar["members"] is bar["share"] is None
                continue
            low = -np.inf if bar["lower"] is None else bar["lower"] - 1e-9
            high = np.inf if bar["upper"] is None else bar["upper"] - 1e-9
            assert bar["members"] == ((shown >= low) & (shown < high)).sum()
            assert bar["share"] == (pytest.approx(100 * bar["members"] / len(shown)) if len(shown) >= 30 else None)


def test_whoever_does_not_ask_for_those_like_the_customer_gets_all(world: World) -> None:
    for chosen in ({}, {"gender": [1], "age": [2]}):
        assert comparison(world, FIRST_ID, chosen) == comparison(world, FIRST_ID, chosen, like=False)
        assert histogram(world, FIRST_ID, "AMT_ANNUITY", chosen) == histogram(
            world, FIRST_ID, "AMT_ANNUITY", chosen, like=False
        )
        whole = default_rate(world, chosen)
        assert default_rate(world, chosen, FIRST_ID) == default_rate(world, chosen, FIRST_ID, like=False) == whole


def test_the_function_answers_of_those_like_the_customer_as_the_view_does(world: World) -> None:
    answers = world.ask(
        f"SELECT * FROM reporting.cohort_statistics('AMT_ANNUITY', gender => 'F', like_customer => {FIRST_ID + 1})"
    )
    view = comparison(world, FIRST_ID + 1, {"gender": [1]}, like=True)
    for row in answers[:2]:
        (same,) = [r for r in view if (r["feature"], r["outcome"]) == ("AMT_ANNUITY", row["outcome"])]
        assert row["given"] and {name: same[name] for name in row} == row


def test_those_like_two_customers_are_not_asked_for_together(world: World) -> None:
    rows = ", ".join(
        f"ROW({world.model_id}, 0, 0, NULL, array_fill(0, ARRAY[10]), {customer})::reporting.cohort_row"
        for customer in (FIRST_ID, FIRST_ID + 1)
    )
    with pytest.raises(psycopg.errors.RaiseException, match="Choose exactly one customer"):
        world.ask(f"SELECT reporting.rate_cohort(ARRAY[{rows}])")


def test_a_model_of_before_it_was_known_where_everybody_stands_has_nobody_like_the_customer(
    engine: Engine, world: World
) -> None:
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM credit.cohort_place"))
        rows = connection.execute(
            text("SELECT (reporting.cohort_rate(cohort)).members, reporting.cohort_note_fr((reporting.cohort_rate("
                 f"cohort)).members) FROM reporting.customer_cohort WHERE customer_id = {FIRST_ID}"
                 f" AND {world.where({}, like=True)}")
        ).all()  # fmt: skip
        connection.rollback()
    assert [tuple(row) for row in rows] == [(None, "moins de 30 anciens clients")]


# What is refused


@pytest.mark.parametrize("view", GUARDED)
def test_no_customer_or_two_are_refused_at_once(world: World, view: str) -> None:
    for condition in ("", f"customer_id IN ({FIRST_ID}, {FIRST_ID + 1}) AND ", f"customer_id > {FIRST_ID} AND "):
        refused(world, f"SELECT count(*) FROM reporting.{view} WHERE {condition}{world.where({})}",
                "Choose exactly one customer.")  # fmt: skip


@pytest.mark.parametrize("view", [*GUARDED, "cohort_default_rate", "cohort_selection"])
@pytest.mark.parametrize("missing", NAMES)
def test_a_filter_without_a_value_is_refused_at_once(world: World, view: str, missing: str) -> None:
    conditions = [part for part in world.where({}).split(" AND ") if not part.startswith(f"cohort_{missing}_en")]
    if view in GUARDED:
        conditions.append(f"customer_id = {FIRST_ID}")
    refused(world, f"SELECT count(*) FROM reporting.{view} WHERE {' AND '.join(conditions)}",
            r"Choose a value \(or All\) in every cohort filter\.")  # fmt: skip


@pytest.mark.parametrize("view", [*GUARDED, "cohort_default_rate", "cohort_selection"])
def test_a_bare_select_is_refused_at_once(world: World, view: str) -> None:
    for statement in (f"SELECT * FROM reporting.{view}", f"SELECT * FROM reporting.{view} LIMIT 10",
                      f"SELECT count(*) FROM reporting.{view}"):  # fmt: skip
        refused(world, statement, "Choose ")
    if view in GUARDED:
        refused(world, f"SELECT * FROM reporting.{view} WHERE customer_id = {FIRST_ID}", "Choose a value")


def refused(world: World, statement: str, message: str) -> None:
    started = time.perf_counter()
    with pytest.raises(psycopg.errors.RaiseException, match=message):
        world.ask(statement)
    assert time.perf_counter() - started < 2


def test_filters_that_are_not_combined_by_and_are_refused(world: World) -> None:
    man, woman = (world.where({"gender": [code], "age": [code]}) for code in (1, 2))
    with pytest.raises(psycopg.errors.RaiseException, match="by AND only"):
        world.ask(f"SELECT reporting.cohort_rate(cohort) FROM reporting.cohort_default_rate WHERE {man} OR {woman}")


@pytest.mark.parametrize("view", GUARDED)
def test_an_unknown_customer_or_value_gives_no_rows(world: World, view: str) -> None:
    assert world.ask(f"SELECT * FROM reporting.{view} WHERE customer_id = 1 AND {world.where({})}") == []
    nothing = world.where({}).replace("cohort_age_en IN ('All')", "cohort_age_en IN ('100%')")
    assert world.ask(f"SELECT * FROM reporting.{view} WHERE customer_id = {FIRST_ID} AND {nothing}") == []


def test_readers_cannot_read_the_tables(world: World) -> None:
    for table in (
        "cohort_option", "cohort_member", "cohort_feature", "cohort_slice", "cohort_bin", "cohort_place",
        "similar_member",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.ask(f"SELECT * FROM credit.{table}")
    for bitmap in ("cohort_bitmap({}, 0, 0, NULL)", f"like_bitmap({{}}, 0, 0, {FIRST_ID})"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.ask(f"SELECT reporting.{bitmap.format(world.model_id)}")


# Options


def test_the_filters_are_the_attributes_of_scoring_in_their_order(world: World) -> None:
    assert world.ask("SELECT reporting.cohort_attributes() AS names") == [{"names": NAMES}]
    columns = world.ask(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'reporting.cohort_words'::regclass ORDER BY attnum"
    )
    assert [row["attname"] for row in columns] == [
        f"cohort_{name}_{language}" for name in NAMES for language in ALL
    ]


def test_an_option_stands_at_the_place_of_its_attribute_in_a_cohort(world: World) -> None:
    for place, name in enumerate(NAMES):
        (row,) = world.ask(
            f"SELECT (cohort).options AS options FROM reporting.cohort_selection WHERE {world.where({name: [1]})}"
        )
        assert row["options"] == [int(place == other) for other in range(len(NAMES))]


def test_a_filters_values_begin_with_all_and_are_those_of_the_views(world: World) -> None:
    for name in NAMES:
        for language in ALL:
            rows = world.ask(
                f"SELECT cohort_{name}_{language} AS label FROM reporting.cohort_filter"
                f" GROUP BY cohort_{name}_{language} ORDER BY min(ord)"
            )
            assert [row["label"] for row in rows] == world.labels(name, language)
            assert rows[0]["label"] == ALL[language]


def test_options_say_how_many_they_hold(world: World) -> None:
    assert world.former.target is not None
    for row in world.ask("SELECT * FROM reporting.cohort_option"):
        who = world.members({row["attribute"]: [row["code"]]})
        assert (row["members"], row["defaulted"]) == (who.sum(), world.former.target[who].sum())


# For analysts


def test_the_function_answers_as_the_view_does(world: World) -> None:
    chosen = {"gender": [1], "age": [2]}
    label = world.labels("age", "fr")[2]
    answers = world.ask(
        f"SELECT * FROM reporting.cohort_statistics('AMT_ANNUITY', gender => 'F', age => {quoted(label)})"
    )
    assert [row["outcome"] for row in answers] == ["repaid", "defaulted", "all"]
    view = comparison(world, FIRST_ID, chosen)
    everybody = comparison(world, FIRST_ID, chosen, groups=("feature",))
    for row in answers:
        source = everybody if row["outcome"] == "all" else [r for r in view if r["outcome"] == row["outcome"]]
        (same,) = [r for r in source if r["feature"] == "AMT_ANNUITY"]
        assert {name: row[name] for name in row if name != "outcome"} == {
            name: same[name] for name in row if name != "outcome"
        }


def test_the_function_names_what_it_does_not_know(world: World) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match='no feature "AMT_PENSION"'):
        world.ask("SELECT * FROM reporting.cohort_statistics('AMT_PENSION')")
    with pytest.raises(
        psycopg.errors.RaiseException, match='No former customer has gender "X"; it is one of All, W'
    ):
        world.ask("SELECT * FROM reporting.cohort_statistics('Annuity', gender => 'X')")


# The life of cohorts


def test_without_a_published_run_there_is_nothing_to_compare(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    with engine.connect() as connection:
        for view in (*GUARDED, "cohort_default_rate", "cohort_option", "cohort_filter", "cohort_feature"):
            assert connection.execute(text(f"SELECT * FROM reporting.{view}")).all() == []
        assert connection.execute(text("SELECT * FROM reporting.cohort_statistics('AMT_ANNUITY')")).all() == []


def test_cohorts_are_loaded_once_and_go_as_a_whole(engine: Engine, world: World) -> None:
    count = text("SELECT count(*) FROM credit.cohort_slice")
    with engine.connect() as connection:
        loaded = connection.scalar(count)
    registry.promote(engine, world.model_id, distributions=[], categories=[], cohorts=cohort_rows(world.made))
    with engine.connect() as connection:
        assert connection.scalar(count) == loaded == sum(f.grid.bits + 1 for f in world.made.features) * 2
        assert cohort.known(connection, world.model_id)
    with transaction(engine) as connection:
        work = connection.begin_nested()
        cohort.remove(connection, [world.model_id])
        for table in (
            "cohort_option", "cohort_member", "cohort_feature", "cohort_slice", "cohort_bin", "cohort_place",
        ):  # fmt: skip
            assert connection.scalar(text(f"SELECT count(*) FROM credit.{table}")) == 0
        work.rollback()


def test_numbers_of_all_numeric_features_are_compared(world: World) -> None:
    numeric = {feature.name for feature in explained_features() if not feature.categories}
    rows = world.ask("SELECT feature FROM reporting.cohort_feature")
    assert {row["feature"] for row in rows} == {*numeric, "SCORE"}


# Former customers, one by one

COLUMNS = {
    "credit": "credit_range",
    "age": "age_range",
    "annuity_income": "annuity_income_range",
    "gender": "gender",
    "education": "education",
    "family": "family_status",
    "housing": "housing",
    "occupation": "occupation",
    "region": "region",
    "contract": "contract_type",
}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("name", NAMES)
def test_every_former_customer_is_told_by_the_options_of_the_filters(
    world: World, name: str, language: str
) -> None:
    rows = world.ask(f"SELECT customer_id, {COLUMNS[name]}_{language} AS told FROM reporting.former_customer")
    told = {row["customer_id"]: row["told"] for row in rows}
    labels = world.labels(name, language)
    expected = {
        int(customer): labels[code]
        for customer, code in zip(world.former.customer_id, world.codes(name), strict=True)
    }
    assert told == expected
    assert len(set(told.values())) == len(labels) - 1


def test_a_former_customers_band_and_decision_are_those_of_the_score(world: World) -> None:
    rows = world.ask(
        "SELECT score, band, band_label_fr, decision, decision_label_en FROM reporting.former_customer"
    )
    scores = np.array([row["score"] for row in rows])
    words = {words["decision"]: words["label_en"] for words in suggested_decisions()}
    for row, index in zip(rows, default_policy().band_index(scores), strict=True):
        band = default_policy().bands[index]
        assert (row["band"], row["band_label_fr"]) == (band.band, band.label_fr)
        assert (row["decision"], row["decision_label_en"]) == (band.decision, words[row["decision"]])
