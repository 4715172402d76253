"""The offers of a night as they are kept: audited against policy and scores, told in views, true when asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db.runs.audit_what_if import audit_what_if
from flows.steps.run_policy import RunPolicy
from scoring.batch import score_batch
from scoring.contract import Applications
from scoring.policy import DECISIONS
from scoring.training import Trained
from tests.migrations.nights import Query, checked, load_model, publish_night, put_strict_policy_in_force


class World(NamedTuple):
    engine: Engine
    query: Query
    run_id: int
    decide: RunPolicy

    def failed(self, statement: str) -> list[str]:
        """The checks that do not pass after a change of what is kept, which is then taken back."""
        assert self.decide.policy_id is not None
        tables = [f"credit.{name}_r{self.run_id:08d}" for name in ("what_if", "what_if_summary")]
        with self.engine.begin() as connection:
            for number, table in enumerate(tables):
                connection.execute(text(f"CREATE TABLE credit.before_{number} AS SELECT * FROM {table}"))
            connection.execute(text(statement.format(offer=tables[0], summary=tables[1])))
        try:
            checks = audit_what_if(self.engine, self.run_id, self.decide.policy_id)
            return [check.name for check in checks if not check.passed]
        finally:
            with self.engine.begin() as connection:
                for number, table in enumerate(tables):
                    connection.execute(text(f"DELETE FROM {table}"))
                    connection.execute(text(f"INSERT INTO {table} SELECT * FROM credit.before_{number}"))
                    connection.execute(text(f"DROP TABLE credit.before_{number}"))


@pytest.fixture(scope="module")
def world(new_database: Callable[[], Engine], trained: Trained, former: Applications, new: Applications) -> World:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    decide = put_strict_policy_in_force(engine)
    run_id, _ = publish_night(engine, model_id, trained, new, date(2026, 3, 1), decide)
    return World(engine, Query(engine), run_id, decide)


def test_the_audit_passes_what_was_written(world: World) -> None:
    assert world.failed("SELECT 1") == []


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("DELETE FROM {summary} WHERE customer_id = (SELECT min(customer_id) FROM {summary})", "not_accepted"),
        ("UPDATE {offer} SET is_frontier = NOT is_frontier WHERE decision = 'accept'", "frontier_misplaced"),
        ("UPDATE {offer} SET decision = 'accept' WHERE is_asked", "decisions_not_of_the_policy"),
        ("UPDATE {offer} SET score = 100 - score", "scores_not_of_their_probability"),
        ("UPDATE {offer} SET annuity = annuity + 0.01 WHERE is_asked", "asked_error"),
        ("UPDATE {summary} SET score = 100 WHERE outcome = 'found'", "nearest_unknown"),
        ("DELETE FROM {offer} WHERE decision = 'accept'", "outcomes_not_of_their_offers"),
        ("DELETE FROM {offer} WHERE is_asked", "outcomes_not_of_their_offers"),
    ],
)
def test_the_audit_sees_what_was_changed(world: World, statement: str, check: str) -> None:
    assert f"what_if_{check}" in world.failed(statement)


def test_everybody_has_a_sentence_and_whoever_is_not_accepted_and_searched_has_offers(world: World) -> None:
    rows = world.query(
        "SELECT w.*, s.decision, (SELECT count(*) FROM reporting.what_if AS o WHERE o.customer_id = w.customer_id)"
        " AS offers FROM reporting.what_if_summary AS w"
        " RIGHT JOIN credit.score AS s ON s.run_id = w.run_id AND s.customer_id = w.customer_id"
    )
    assert {row["outcome"] for row in rows} >= {"accepted", "found"}
    for row in rows:
        assert row["text_en"] and row["text_fr"]
        assert (row["outcome"] == "accepted") == (row["decision"] == "accept")
        assert (row["offers"] > 0) == (row["outcome"] in ("found", "none"))
        assert (row["amount"] is not None) == (row["outcome"] == "found")


def test_every_offer_comes_out_as_told_when_its_row_is_scored_as_a_new_application(
    world: World, trained: Trained, new_frame: pl.DataFrame
) -> None:
    """Each offer's amount and annuity are written into its row of the file, and the row is read and scored anew."""
    offers = pl.DataFrame(world.query("SELECT * FROM reporting.what_if"))
    assert len(offers) > 300 and offers["is_frontier"].any()
    numbered = offers.with_columns(number=pl.int_range(1, len(offers) + 1))
    frame = (
        numbered.select("number", "customer_id", "amount", "annuity")
        .join(new_frame, left_on="customer_id", right_on="SK_ID_CURR", how="left", maintain_order="left")
        .with_columns(AMT_CREDIT=pl.col("amount"), AMT_ANNUITY=pl.col("annuity"), SK_ID_CURR=pl.col("number"))
        .select(new_frame.columns)
    )
    applications = checked(pl.read_csv(frame.write_csv().encode(), infer_schema=False))
    scored = score_batch(trained.bundle, applications, policy=world.decide.policy)
    assert scored.applications.customer_id.tolist() == numbered["number"].to_list()
    assert scored.score.tolist() == offers["score"].to_list()
    assert [DECISIONS[index] for index in scored.decision_index] == offers["decision"].to_list()
    assert scored.default_probability == pytest.approx(offers["default_probability"].to_numpy(), abs=1e-12)


def test_the_page_has_a_row_per_amount_with_a_sign_in_each_cell_and_marks_what_was_asked(world: World) -> None:
    asked = world.query(
        "SELECT customer_id FROM reporting.what_if WHERE is_asked AND is_grid ORDER BY customer_id LIMIT 5"
    )
    assert asked
    for row in asked:
        number = row["customer_id"]
        grid = world.query(
            f"SELECT * FROM reporting.customer_what_if_grid WHERE customer_id = {number} ORDER BY ord"
        )
        assert [line["ord"] for line in grid] == list(range(len(grid))) and len(grid) > 1
        cells = [line[f"cell_{place}"] for line in grid[1:] for place in range(1, 7)]
        assert all(cell and any(sign in cell for sign in "✔?✖") for cell in cells)
        assert sum("◀" in cell for cell in cells) == 1
        (text_line,) = world.query(f"SELECT * FROM reporting.customer_what_if WHERE customer_id = {number}")
        assert text_line["text_en"] in text_line["text_html_en"]


@pytest.mark.parametrize("view", ["customer_what_if", "customer_what_if_grid", "customer_what_if_frontier"])
def test_a_view_of_the_page_refuses_to_answer_for_several(world: World, view: str) -> None:
    with pytest.raises(DBAPIError, match="Choose exactly one customer"):
        world.query(f"SELECT * FROM reporting.{view}")


def test_the_frontier_falls_to_the_nearest_offer_or_beyond(world: World) -> None:
    """What the sentence names is in the list below it."""
    missing = world.query(
        "SELECT w.customer_id FROM reporting.what_if_summary AS w WHERE w.outcome = 'found' AND NOT EXISTS ("
        "SELECT FROM reporting.what_if AS o WHERE o.customer_id = w.customer_id AND o.duration = w.duration"
        " AND o.amount >= w.amount AND o.is_frontier)"
    )
    assert missing == []
