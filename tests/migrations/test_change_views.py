"""What moved a score: first what changed in the file, with its effect, and everything adds up to the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, text

from db.access import roles
from db.engine import make_engine
from db.runs import pointer
from scoring.contract import Applications
from scoring.training import Trained, train
from tests.migrations.nights import Query, checked, load_model, publish_night

AMOUNT, TWO_FACTS, NOTHING, MANY = range(4)
MANY_COLUMNS = (
    *("AMT_CREDIT", "AMT_INCOME_TOTAL", "EXT_SOURCE_1", "EXT_SOURCE_2", "DAYS_BIRTH", "DAYS_EMPLOYED"),
    *("DAYS_REGISTRATION", "DAYS_ID_PUBLISH", "DAYS_LAST_PHONE_CHANGE", "CNT_CHILDREN", "CNT_FAM_MEMBERS"),
    *("OBS_30_CNT_SOCIAL_CIRCLE", "AMT_REQ_CREDIT_BUREAU_YEAR", "REGION_POPULATION_RELATIVE", "APARTMENTS_AVG"),
    *("FLOORSMAX_AVG", "FLOORSMAX_MEDI", "LIVINGAREA_AVG", "HOUR_APPR_PROCESS_START"),
)


def _next_night(frame: pl.DataFrame) -> pl.DataFrame:
    """Of every four applicants one has another amount, one another score too, one is the same, one is all new."""
    kind = pl.col("SK_ID_CURR") % 4
    whole = {"OBS_30_CNT_SOCIAL_CIRCLE", "AMT_REQ_CREDIT_BUREAU_YEAR", "CNT_CHILDREN", "CNT_FAM_MEMBERS"}

    def of_another(column: str) -> pl.Expr:
        if column.startswith("DAYS_"):
            moved = pl.when(pl.col(column) < 0).then(pl.col(column) - 30).otherwise(pl.col(column))
        elif column in whole:
            moved = pl.col(column) + 1
        elif column == "HOUR_APPR_PROCESS_START":
            moved = (pl.col(column) + 5) % 24
        else:
            moved = pl.col(column) * 0.75
        return pl.when(kind == MANY).then(moved).otherwise(pl.col(column)).alias(column)

    return frame.with_columns(of_another(column) for column in MANY_COLUMNS).with_columns(
        pl.when(kind.is_in([AMOUNT, TWO_FACTS]))
        .then(pl.col("AMT_CREDIT") * 1.5)
        .otherwise(pl.col("AMT_CREDIT"))
        .alias("AMT_CREDIT"),
        pl.when(kind == TWO_FACTS)
        .then((pl.col("EXT_SOURCE_2").fill_null(0.4) * 0.5 + 0.1).round(6))
        .otherwise(pl.col("EXT_SOURCE_2"))
        .alias("EXT_SOURCE_2"),
    )


@dataclass(frozen=True)
class Nights:
    """Two published nights, as an analyst sees them."""

    owner: Engine
    query: Query
    customers: list[int]

    def of_kind(self, kind: int) -> list[int]:
        return [customer for customer in self.customers if customer % 4 == kind]

    def parts(self, customer_id: int) -> list[dict[str, Any]]:
        return self.query(
            "SELECT * FROM reporting.score_change_part WHERE customer_id = :id ORDER BY ord", id=customer_id
        )


@pytest.fixture(scope="module")
def nights(
    new_database: Callable[[], Engine],
    reader_passwords: dict[str, str],
    trained: Trained,
    former: Applications,
    new_frame: pl.DataFrame,
) -> Iterator[Nights]:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    for day, frame in enumerate((new_frame, _next_night(new_frame)), 1):
        publish_night(owner, model_id, trained, checked(frame), date(2026, 3, day))
    yield from _opened(owner, reader_passwords, new_frame)


@pytest.fixture(scope="module")
def model_nights(
    new_database: Callable[[], Engine],
    reader_passwords: dict[str, str],
    trained: Trained,
    former: Applications,
    new_frame: pl.DataFrame,
) -> Iterator[Nights]:
    """The same, but the second night uses another model."""
    owner = new_database()
    half = former.take(np.arange(0, len(former), 2))
    other = train(half, trials=0, threads=2)
    for day, (model, customers, frame) in enumerate(
        ((trained, former, new_frame), (other, half, _next_night(new_frame))), 1
    ):
        publish_night(owner, load_model(owner, model, customers), model, checked(frame), date(2026, 4, day))
    yield from _opened(owner, reader_passwords, new_frame)


def _limit(owner: Engine, score: int) -> None:
    """Accept from this score on, as if the lender had always done so: synthetic scores are near each other."""
    with owner.begin() as connection:
        # Out of the way first: no two bands may begin with one score.
        connection.execute(text("UPDATE credit.score_band SET minimum_score = minimum_score + 200"))
        for band, minimum in (("E", 0), ("D", 1), ("C", score), ("B", 99), ("A", 100)):
            connection.execute(
                text("UPDATE credit.score_band SET minimum_score = :minimum WHERE band = :band"),
                {"minimum": minimum, "band": band},
            )
        connection.execute(
            text("UPDATE credit.score SET decision = CASE WHEN score >= :score THEN 'accept' ELSE 'review' END"),
            {"score": score},
        )


def _opened(owner: Engine, passwords: dict[str, str], frame: pl.DataFrame) -> Iterator[Nights]:
    with owner.connect() as connection:
        usual = connection.scalar(text("SELECT mode() WITHIN GROUP (ORDER BY score) FROM credit.score"))
    _limit(owner, usual)
    reader = make_engine(owner.url.set(username=roles.ANALYST, password=passwords[roles.ANALYST]))
    yield Nights(owner, Query(reader), frame["SK_ID_CURR"].to_list())
    reader.dispose()


@pytest.mark.parametrize("which", ["nights", "model_nights"])
def test_the_parts_of_everybodys_change_add_up_to_the_change_of_the_exact_score(
    which: str, request: pytest.FixtureRequest
) -> None:
    found: Nights = request.getfixturevalue(which)
    rows = found.query(
        "SELECT s.customer_id, COALESCE(p.points, 0) AS points,"
        " reporting.exact_score(after.log_odds) - reporting.exact_score(before.log_odds) AS change"
        " FROM reporting.score_change AS s"
        " JOIN reporting.score_history AS after ON after.customer_id = s.customer_id AND after.run_id = s.run_id"
        " JOIN reporting.score_history AS before"
        " ON before.customer_id = s.customer_id AND before.run_id = s.previous_run_id"
        " LEFT JOIN (SELECT customer_id, sum(points_change) AS points FROM reporting.score_change_part"
        " GROUP BY customer_id) AS p ON p.customer_id = s.customer_id"
    )
    assert len(rows) == len(found.customers)
    assert [row["points"] for row in rows] == pytest.approx([row["change"] for row in rows], abs=2e-4)
    assert max(abs(row["change"]) for row in rows) > 1


def test_one_changed_fact_has_the_whole_change_and_is_told_by_the_column_of_the_file(nights: Nights) -> None:
    moved = 0
    for customer in nights.of_kind(AMOUNT):
        (part,) = nights.parts(customer)
        change = nights.query.one("SELECT * FROM reporting.score_change WHERE customer_id = :id", id=customer)
        assert (part["kind"], part["feature"], part["ord"]) == ("total", "AMT_CREDIT", 1)
        assert part["points_change"] == change["points_change"]
        assert part["label_en"] == f"Credit amount: {part['previous_value_en']} → {part['value_en']}"
        assert part["sentence_en"].startswith(part["label_en"] + " (")
        assert part["sentence_en"].endswith(" points in all)")
        assert part["sentence_fr"].endswith(" en tout)")
        moved += abs(part["points_change"]) > 0.1
    assert moved


def test_with_two_changed_facts_each_has_what_its_features_moved_and_the_rest_comes_last(
    nights: Nights,
) -> None:
    interactions = 0
    for customer in nights.of_kind(TWO_FACTS):
        parts = nights.parts(customer)
        facts = [part for part in parts if part["kind"] == "direct"]
        assert {part["feature"] for part in facts} == {"AMT_CREDIT", "EXT_SOURCE_2"}
        assert [part["kind"] for part in parts[2:]] in ([], ["interaction"])
        assert abs(facts[0]["points_change"]) >= abs(facts[1]["points_change"])
        change = nights.query(
            "SELECT * FROM reporting.customer_change WHERE customer_id = :id ORDER BY rank_of_change", id=customer
        )
        leads = {"AMT_CREDIT": "AMT_INCOME_TOTAL", "EXT_SOURCE_2": "EXT_SOURCE_1"}
        for part in facts:
            own = [row for row in change if row["fact"] == leads[part["feature"]] and row["kind"] == "direct"]
            assert part["points_change"] == pytest.approx(sum(row["points_change"] for row in own), abs=1e-9)
        rest = sum(row["points_change"] for row in change if row["kind"] == "interaction")
        assert sum(part["points_change"] for part in parts[2:]) == pytest.approx(rest, abs=2e-4)
        interactions += len(parts) > 2
        directs = [row["value_changed"] for row in change]
        assert directs == sorted(directs, reverse=True)
    assert interactions


def test_who_is_the_same_has_no_change_and_no_parts(nights: Nights) -> None:
    for customer in nights.of_kind(NOTHING):
        assert nights.parts(customer) == []
        change = nights.query("SELECT * FROM reporting.customer_change WHERE customer_id = :id", id=customer)
        assert {(row["points_change"], row["value_changed"]) for row in change} == {(0, False)}


def test_of_many_changed_facts_the_strongest_are_told_and_the_others_are_counted(nights: Nights) -> None:
    seen = 0
    for customer in nights.of_kind(MANY):
        parts = nights.parts(customer)
        told = [part for part in parts if part["ord"] <= 12]
        sizes = [abs(part["points_change"]) for part in told]
        assert sizes == sorted(sizes, reverse=True)
        changed = nights.query(
            "SELECT count(DISTINCT fact) AS facts FROM reporting.customer_change"
            " WHERE customer_id = :id AND value_changed",
            id=customer,
        )[0]["facts"]
        others = [part for part in parts if part["ord"] == 13]
        if changed > 12:
            seen += 1
            count = changed - 12
            assert others[0]["label_en"] == f"{count} other fact{'s' if count > 1 else ''} that changed"
        else:
            assert others == []
        (money,) = (part for part in parts if part["feature"] in {"AMT_CREDIT", "AMT_INCOME_TOTAL"})
        assert "Credit amount: " in money["label_en"]
        assert "Income: " in money["label_en"] or "income: " in money["label_en"]
    assert seen


def test_another_model_has_a_line_for_its_start_and_one_for_what_it_counts(
    model_nights: Nights,
) -> None:
    for customer in model_nights.of_kind(AMOUNT):
        parts = model_nights.parts(customer)
        assert [part["kind"] for part in parts] == ["direct", "interaction", "model"]
        assert parts[-2]["label_en"] == "Another model: all other features, as it counts them"
        assert parts[-1]["label_fr"] == "Autre modèle\u00a0: point de départ"
    for customer in model_nights.of_kind(NOTHING):
        parts = model_nights.parts(customer)
        assert [part["kind"] for part in parts] == ["interaction", "model"]
        assert parts[0]["label_en"] == "Another model: the same facts, as it counts them"


def test_the_customers_file_tells_the_same(nights: Nights) -> None:
    for customer in (*nights.of_kind(TWO_FACTS)[:5], *nights.of_kind(MANY)[:5]):
        movers = nights.query(
            "SELECT * FROM reporting.customer_mover WHERE customer_id = :id ORDER BY ord", id=customer
        )
        parts = nights.parts(customer)
        for row, part in zip(movers, parts, strict=True):
            assert (row["feature_label_en"], row["sentence_fr"]) == (part["label_en"], part["sentence_fr"])
            points = round(row["points_change"], 1)
            expected = "Raised" if points > 0 else "Lowered" if points < 0 else "Did not move"
            assert row["direction_en"] == f"{expected} the score"
            assert row["value_changed"] == (row["kind_en"].startswith("Changed in the file"))
            assert (row["previous_as_of"], row["as_of"]) == (date(2026, 3, 1), date(2026, 3, 2))


def test_of_a_file_in_which_nothing_changed_one_line_says_so(nights: Nights) -> None:
    for customer in nights.of_kind(NOTHING)[:5]:
        (line,) = nights.query("SELECT * FROM reporting.customer_mover WHERE customer_id = :id", id=customer)
        assert (line["kind"], line["points_change"], line["value_changed"]) == ("none", 0, False)
        assert line["feature_label_en"] == "Nothing changed since 1 Mar 2026"
        assert line["feature_label_fr"] == "Rien n'a changé depuis le 01/03/2026"


@pytest.mark.parametrize("which", ["nights", "model_nights"])
def test_whose_decision_flipped_is_told_once_with_the_strongest_that_pushed_that_way(
    which: str, request: pytest.FixtureRequest
) -> None:
    found: Nights = request.getfixturevalue(which)
    flips = found.query("SELECT * FROM reporting.decision_flip")
    changes = {
        row["customer_id"]: row
        for row in found.query("SELECT * FROM reporting.score_change WHERE decision <> previous_decision")
    }
    assert sorted(row["customer_id"] for row in flips) == sorted(changes)
    assert flips
    for flip in flips:
        change = changes[flip["customer_id"]]
        assert (flip["previous_decision"], flip["decision"]) == (change["previous_decision"], change["decision"])
        parts = found.parts(flip["customer_id"])
        pushed = [part for part in parts if part["points_change"] * change["points_change"] > 0]
        strongest = max(pushed, key=lambda part: abs(part["points_change"]))
        assert flip["sentence_en"] == strongest["sentence_en"]
        assert flip["decision_fr"] in {"Accorder", "À étudier", "Refuser"}


def test_a_decision_that_flipped_by_other_limits_says_so(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new: Applications
) -> None:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    runs = [publish_night(owner, model_id, trained, new, date(2026, 5, day))[0] for day in (1, 2)]
    with owner.begin() as connection:
        # As if everybody had been accepted on the first day.
        connection.execute(
            text("UPDATE credit.score SET decision = CASE run_id WHEN :first THEN 'accept' ELSE 'review' END"),
            {"first": runs[0]},
        )
        connection.execute(text("UPDATE credit.score_band SET decision = 'review'"))
    flips = Query(owner)("SELECT * FROM reporting.decision_flip")
    assert flips
    for flip in flips:
        assert (flip["previous_decision"], flip["decision"], flip["kind"]) == ("accept", "review", "limits")
        assert flip["sentence_en"] == "Other limits of the decisions"
        assert flip["points_change"] == 0


def test_several_customers_are_asked_at_once(nights: Nights) -> None:
    asked = [*nights.of_kind(TWO_FACTS)[:3], nights.of_kind(NOTHING)[0], 999_999]
    rows = nights.query("SELECT * FROM reporting.customer_changes(:ids) ORDER BY customer_id, ord", ids=asked)
    assert rows == [part for customer in asked for part in nights.parts(customer)]


# Any run


def test_every_kept_run_is_explained_by_its_own_model(model_nights: Nights) -> None:
    query = model_nights.query
    customers = model_nights.customers[:20]
    models = set()
    for run in query("SELECT run_id FROM reporting.run_history"):
        run_id = run["run_id"]
        scores = {row["customer_id"]: row for row in query("SELECT * FROM reporting.scores_of(:run)", run=run_id)}
        assert len(scores) == 300
        rows = query("SELECT * FROM reporting.explanation_of(:run, :ids)", run=run_id, ids=customers)
        assert len(rows) == 128 * len(customers)
        for customer in customers:
            own = [row for row in rows if row["customer_id"] == customer]
            total = scores[customer]["base_score"] + sum(row["score_points"] for row in own)
            assert total == pytest.approx(scores[customer]["score_exact"], abs=1e-4)
        models |= {row["model_id"] for row in rows}
    assert len(models) == 2


def test_the_published_run_is_explained_as_in_the_other_views(nights: Nights) -> None:
    run_id = nights.query.one("SELECT run_id FROM reporting.published_run")["run_id"]
    customer = nights.customers[3]
    one = nights.query(
        "SELECT feature, score_points, rank, direction, feature_group FROM reporting.explanation_of(:run, :ids)"
        " ORDER BY rank",
        run=run_id,
        ids=[customer],
    )
    other = nights.query(
        "SELECT feature, score_points, rank, direction, feature_group FROM reporting.customer_explanation"
        " WHERE customer_id = :id ORDER BY rank",
        id=customer,
    )
    assert one == other


def test_a_run_that_was_withdrawn_or_never_was_has_no_rows(
    new_database: Callable[[], Engine], trained: Trained, former: Applications, new: Applications
) -> None:
    owner = new_database()
    model_id = load_model(owner, trained, former)
    first, second = (publish_night(owner, model_id, trained, new, date(2026, 6, day))[0] for day in (1, 2))
    query, customer = Query(owner), int(new.customer_id[0])
    assert query("SELECT * FROM reporting.explanation_of(:run, :ids)", run=first, ids=[customer])
    pointer.withdraw(owner, first, reason="wrong file", by="test")
    for run_id in (first, second + 100):
        assert query("SELECT * FROM reporting.scores_of(:run)", run=run_id) == []
        assert query("SELECT * FROM reporting.explanation_of(:run, :ids)", run=run_id, ids=[customer]) == []
