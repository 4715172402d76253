"""What a column's name says: its unit, its language, and the same wherever it stands (migrations/README.md)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest
from sqlalchemy import Engine

from db.decisions import policies
from flows.steps.rows import policy_rows
from scoring.contract import Applications
from scoring.policy import default_policy
from scoring.training import Trained
from superset_assets.generator.catalogue import Column, View, read
from tests.migrations.nights import Query, checked, load_model, publish_night, put_strict_policy_in_force
from tests.scoring.test_policy import by_figures

SHARE = re.compile(r"(^|_)(percent|percentile|share|rate)(_|$)")
PROBABILITY = re.compile(r"(^|_)probability(_|$)")
DIFFERENCE = re.compile(r"(^|_)difference(_|$)")
LANGUAGE = re.compile(r"_(en|fr)$")
NUMBERS = {"smallint", "integer", "bigint", "real", "double precision", "numeric"}
WHOLE = {"smallint", "integer", "bigint"}

MAY_EXCEED_100 = {"annuity_income_share": "an annuity may be larger than the income"}
# What programs reckon on from 0 to 1, whatever its name.
FROM_0_TO_1 = {("similar_customers", "default_rate")}
# A code for programs beside the words for people; the reason why it has a use of its own.
CODES = {
    "part": "decision, score: to filter by",
    "auc_cost": "a number, in words with its interval",
    "decision": "accept, review, decline: to filter by",
    "decides_by": "scores, figures: to filter by",
    "direction": "raises, lowers, none: to filter by",
    "follows": "1, 0 or empty: to count",
    "expected": "as the night noted it: for programs",
    "observed": "as the night noted it: for programs",
    "feature": "the column's name in the application file",
    "bin": "the place of the bin, to sort by",
    "group_kind": "all, gender, age: to filter by",
    "kind": "total, direct, interaction, model: to filter by",
    "level": "stable, watch, shifted: to filter by",
    "may_be_told": "true or false: to filter by",
    "may_score": "true or false: to filter by",
    "outcome": "repaid, defaulted: to filter by",
    "previous_decision": "accept, review, decline: to filter by",
    "risk_direction": "rises, falls: to filter by",
    "rule": "the rule's name in the contract",
    "severity": "fail, warn: to filter by",
    "state": "of a review: to filter by",
    "status": "what the ledger says",
}
OTHER_TYPES = {
    ("rejected_row", "customer_id"): "what is written in a broken row need not be a number",
    ("cohort_histogram", "cohort"): "what the aggregate of bars takes, which is not that of features",
}
# The view's columns are named after those of the file, and hold the list of their known values.
OF_LISTS = "category_list"

# The first that is in a comment is the unit.
UNITS = (
    ("a place", r"^(Place|Number of the (bin|tenth))\b"),
    ("a count", r"^How many\b"),
    ("%", r"in %"),
    ("percentage points", r"percentage points"),
    ("€", r"in €"),
    ("years", r"in years"),
    ("0 to 1", r"\b0 to 1\b"),
    ("0 to 100", r"\b0 (\(worst\) )?to 100\b"),
    ("points", r"\bpoints\b"),
    ("log-odds", r"\blog-odds\b"),
)


@dataclass(frozen=True)
class World:
    """The catalogue of schema `reporting`, and two nights in it."""

    query: Query
    views: dict[str, View]
    customer_id: int

    def columns(self) -> Iterator[tuple[str, Column]]:
        for name, view in self.views.items():
            for column in view.columns:
                yield name, column

    def extremes(self, view: str, columns: list[str]) -> Iterator[tuple[str, float, float]]:
        """Name, least and largest value of those columns that have a value; of one customer where the view asks."""
        one = any(column.name == "customer_id" for column in self.views[view].columns)
        guard = f"WHERE customer_id = {self.customer_id}" if one and view.startswith("customer_") else ""
        asked = ", ".join(f"min({name}) AS {name}_least, max({name}) AS {name}_largest" for name in columns)
        row = self.query.one(f"SELECT {asked} FROM reporting.{view} {guard}")
        for name in columns:
            if row[f"{name}_least"] is not None:
                yield name, row[f"{name}_least"], row[f"{name}_largest"]


@pytest.fixture(scope="module")
def world(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new_frame: pl.DataFrame
) -> World:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    # So that figures which decide, too, are seen.
    for policy in (by_figures(), default_policy(), by_figures()):
        policies.put_in_force(engine, policy_rows(policy), by="olga", reason="a test")
    decide = put_strict_policy_in_force(engine)
    for day in (1, 2):
        publish_night(engine, model_id, trained, checked(new_frame), date(2026, 3, day), decide)
    return World(Query(engine), read(engine), int(new_frame["SK_ID_CURR"][0]))


def unit(column: Column) -> str:
    return next((name for name, pattern in UNITS if re.search(pattern, column.comment)), "")


def kind(column: Column) -> str:
    if column.type in WHOLE:
        return "a whole number"
    return "a number" if column.type in NUMBERS else column.type


def test_every_column_has_a_comment(world: World) -> None:
    assert [f"{view}.{column.name}" for view, column in world.columns() if not column.comment] == []
    assert len(world.views) > 40


def test_a_share_is_in_percent_and_says_so(world: World) -> None:
    shares: dict[str, list[str]] = defaultdict(list)
    for view, column in world.columns():
        if column.type not in NUMBERS:
            continue
        place = f"{view}.{column.name}"
        if (view, column.name) in FROM_0_TO_1:
            assert unit(column) == "0 to 1", place
        elif DIFFERENCE.search(column.name):
            assert "in %" not in column.comment, place
        elif SHARE.search(column.name):
            assert unit(column) == "%", place
            shares[view].append(column.name)
        else:
            assert unit(column) != "%", f"{place} is in % and its name does not say so"
    seen = []
    for view, names in shares.items():
        for name, least, largest in world.extremes(view, names):
            assert least >= -1e-9, (view, name)
            assert largest <= 100 + 1e-9 or name in MAY_EXCEED_100, (view, name)
            seen.append((view, name, largest))
    # A share of 0 to 1 would be within the limits too. Only the lower end of an interval is that small here.
    assert len(seen) > 25
    assert [(view, name) for view, name, largest in seen if 0 < largest <= 1 and not name.endswith("_lower")] == []


def test_a_probability_is_of_0_to_1_and_has_a_twin_in_percent(world: World) -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for view, column in world.columns():
        if PROBABILITY.search(column.name):
            assert unit(column) == "0 to 1", f"{view}.{column.name}"
            twin = column.name.replace("probability", "percent")
            assert twin in {other.name for other in world.views[view].columns}, f"{view}.{twin}"
            found[view] += [column.name, twin]
    assert found.keys() >= {"customer", "customer_score", "score_history", "application", "former_customer"}
    for view, names in found.items():
        # A customer who is accepted has no offers.
        limits = {name: (least, largest) for name, least, largest in world.extremes(view, names)}
        for name in (name for name in names[::2] if name in limits):
            least, largest = limits[name]
            assert 0 <= least <= largest <= 1, (view, name)
            assert limits[name.replace("probability", "percent")] == pytest.approx((100 * least, 100 * largest))


def test_words_have_both_languages_and_no_column_is_bare(world: World) -> None:
    for name, view in world.views.items():
        types = {column.name: column.type for column in view.columns}
        for column in view.columns:
            place = f"{name}.{column.name}"
            if column.name.endswith("_en"):
                assert types.get(f"{column.name[:-3]}_fr") == column.type, place
                bare = column.name[:-3]
                assert bare not in types or bare in CODES, f"{name}.{bare} beside {column.name}"
            elif column.name.endswith("_fr"):
                assert f"{column.name[:-3]}_en" in types, place
            else:
                assert not re.search(r"\b(in|In) (English|French)\b", column.comment), place


def test_what_functions_return_has_both_languages(world: World) -> None:
    rows = world.query(
        "SELECT p.proname, array_agg(a.name) AS names FROM pg_proc AS p"
        " CROSS JOIN LATERAL unnest(p.proargnames, p.proargmodes::text[]) AS a (name, mode)"
        " WHERE p.pronamespace = 'reporting'::regnamespace AND a.mode = 't' GROUP BY 1"
    )
    assert {row["proname"] for row in rows} >= {"shap_values", "cohort_statistics", "cohort_bars"}
    for row in rows:
        stems = {language: set() for language in ("en", "fr")}  # type: dict[str, set[str]]
        for name in row["names"]:
            if found := LANGUAGE.search(name):
                stems[found[1]].add(name[:-3])
        assert stems["en"] == stems["fr"], row["proname"]
        assert stems["en"] & set(row["names"]) <= CODES.keys(), row["proname"]


def test_a_name_means_the_same_in_every_view(world: World) -> None:
    types: dict[str, dict[str, str]] = defaultdict(dict)
    units: dict[str, dict[str, str]] = defaultdict(dict)
    for view, column in world.columns():
        if view == OF_LISTS or (view, column.name) in OTHER_TYPES:
            continue
        types[column.name][view] = kind(column)
        if column.type in NUMBERS and (view, column.name) not in FROM_0_TO_1:
            units[column.name][view] = unit(column)
    assert {name: seen for name, seen in types.items() if len(set(seen.values())) > 1} == {}
    assert {name: seen for name, seen in units.items() if len(set(seen.values())) > 1} == {}


def test_no_exception_is_left_that_nothing_needs(world: World) -> None:
    there = {(view, column.name) for view, column in world.columns()}
    names = {name for _, name in there}
    assert OTHER_TYPES.keys() | FROM_0_TO_1 <= there
    assert CODES.keys() | MAY_EXCEED_100.keys() <= names
