"""The reasons of a night as they are kept: worked out anew by the audit, told in a view, in words that stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import numpy as np
import pytest
from sqlalchemy import Engine, text

from db.decisions import reasons as kept
from db.models import RUN_PARTITIONED
from db.runs import ledger
from db.runs.audit_reasons import UNTOLD, audit_reasons
from db.runs.partitions import staging
from flows.steps.rows import encode_scored
from flows.steps.run_policy import RunPolicy
from flows.steps.run_reasons import RunReasons, make_reference, reason_rows, run_reasons
from scoring.batch import Scored, score_batch
from scoring.contract import Applications
from scoring.feature_groups import feature_groups
from scoring.features import by_name
from scoring.reason_catalogue import parse, reason_catalogue
from scoring.reasons import FEWEST, MOST
from scoring.training import Trained
from tests.migrations.nights import Query, load_model, put_strict_policy_in_force


class World(NamedTuple):
    engine: Engine
    query: Query
    model_id: int
    run_id: int
    decide: RunPolicy
    reasons: RunReasons
    chunks: Sequence[Scored]

    def not_accepted(self) -> set[int]:
        return {
            int(customer)
            for chunk in self.chunks
            for customer in chunk.applications.customer_id[chunk.decision_index != 0]
        }

    def change(self, statement: str) -> list[str]:
        """The checks that do not pass after a change of what is kept, which is then taken back."""
        part = f"credit.reason_r{self.run_id:08d}"
        backup = "CREATE TABLE credit.before AS SELECT * FROM " + part
        with self.engine.begin() as connection:
            connection.execute(text(backup))
            connection.execute(text(statement.format(reason=part)))
        try:
            checks = audit_reasons(self.engine, self.run_id, self.reasons.basis(self.model_id, self.decide))
            return [check.name for check in checks if not check.passed]
        finally:
            with self.engine.begin() as connection:
                connection.execute(text(f"DELETE FROM {part}"))
                connection.execute(text(f"INSERT INTO {part} SELECT * FROM credit.before"))
                connection.execute(text("DROP TABLE credit.before"))


@pytest.fixture(scope="module")
def world(new_database: Callable[[], Engine], trained: Trained, former: Applications, new: Applications) -> World:
    engine = new_database()
    model_id = load_model(engine, trained, former)
    decide = put_strict_policy_in_force(engine)
    reasons = run_reasons(engine, model_id, trained.bundle, decide)
    run_id = ledger.open_run(
        engine, as_of=date(2026, 3, 1), model_id=model_id, source_name="new.csv", source_sha256="0" * 64,
        policy_id=decide.policy_id,
    )  # fmt: skip
    halves = np.array_split(np.arange(len(new)), 2)
    chunks = [score_batch(trained.bundle, new.take(half), policy=decide.policy) for half in halves]
    with staging(engine, RUN_PARTITIONED, run_id) as tables:
        for chunk in chunks:
            tables.write_all(encode_scored(chunk, decide.policy, reasons))
        tables.index()
    ledger.publish(engine, run_id, customers=len(new), rejected=0, unknown_categories=0, stage_seconds={})
    return World(engine, Query(engine), model_id, run_id, decide, reasons, chunks)


def test_everybody_who_is_not_accepted_has_reasons_and_nobody_else(world: World) -> None:
    rows = world.query("SELECT * FROM reporting.decision_reason ORDER BY customer_id, place")
    assert {row["customer_id"] for row in rows} == world.not_accepted() != set()
    places: dict[int, list[int]] = {}
    for row in rows:
        places.setdefault(row["customer_id"], []).append(row["place"])
        assert row["is_current"] and row["run_id"] == world.run_id
        assert row["text_en"].endswith(".") and row["text_fr"].endswith(".")
        assert (row["score_points"] is None) == (row["reason_code"] == "R00") == (row["feature"] is None)
    for found in places.values():
        assert found == list(range(1, len(found) + 1)) and len(found) <= world.decide.policy.reasons


def test_the_view_names_the_customers_own_value_and_no_feature_that_may_not_be_told(world: World) -> None:
    tellable = dict(zip(by_name(), [False, *world.decide.policy.tellable], strict=True))
    rows = world.query(
        "SELECT r.feature, r.value_en, r.value_fr, e.value_en AS own_en, e.value_fr AS own_fr"
        " FROM reporting.decision_reason AS r"
        " JOIN reporting.customer_explanation AS e USING (customer_id, feature)"
    )
    assert rows
    for row in rows:
        assert tellable[row["feature"]]
        assert (row["value_en"], row["value_fr"]) == (row["own_en"], row["own_fr"])


def test_the_audit_works_every_reason_out_anew(world: World) -> None:
    checks = audit_reasons(world.engine, world.run_id, world.reasons.basis(world.model_id, world.decide))
    assert [check.name for check in checks if not check.passed and check.severity == "fail"] == []
    seen = {check.name: check.observed for check in checks}
    assert seen["not_accepted_with_reasons"] == str(len(world.not_accepted()))
    assert 0 <= float(seen["reason_error"]) < 1e-9


SOMEBODY = "(SELECT min(customer_id) FROM {reason} WHERE log_odds IS NOT NULL)"
CHANGES = {
    "other points": (f"UPDATE {{reason}} SET points = points - 1e-5 WHERE customer_id = {SOMEBODY}",
                     "reason_error"),
    "another size": (f"UPDATE {{reason}} SET log_odds = log_odds + 1e-5 WHERE customer_id = {SOMEBODY}",
                     "reason_error"),
    "no reason": (f"DELETE FROM {{reason}} WHERE customer_id = {SOMEBODY}", "not_accepted_with_reasons"),
    "a gap": (
        "DELETE FROM {reason} WHERE place = 2 AND customer_id ="
        " (SELECT min(customer_id) FROM {reason} WHERE place = 3)",
        "not_accepted_with_reasons",
    ),
    "a reason of an accepted customer": (
        "INSERT INTO {reason} SELECT min(s.run_id), min(s.customer_id), 1, 'R00', 1, NULL, NULL, NULL"
        " FROM credit.score AS s WHERE s.decision = 'accept'",
        "reasons_of_others",
    ),
    "a reason that nothing tells of": (
        f"UPDATE {{reason}} SET code = 'R99' WHERE place = 1 AND customer_id = {SOMEBODY}",
        "reasons_of_nothing_kept",
    ),
    "the strongest left out": (
        f"DELETE FROM {{reason}} WHERE place = 1 AND customer_id = {SOMEBODY};"
        f" UPDATE {{reason}} SET place = place - 1 WHERE customer_id = {SOMEBODY}",
        "stronger_reasons_left_out",
    ),
    "said that there is none": (
        f"DELETE FROM {{reason}} WHERE place > 1 AND customer_id = {SOMEBODY};"
        " UPDATE {reason} SET code = 'R00', feature_id = NULL, log_odds = NULL, points = NULL"
        f" WHERE customer_id = {SOMEBODY}",
        "stronger_reasons_left_out",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "noticed"), CHANGES.values(), ids=CHANGES.keys())
def test_the_audit_notices(world: World, statement: str, noticed: str) -> None:
    assert noticed in world.change(statement)


def test_too_many_without_a_reason_to_tell_are_a_warning(world: World) -> None:
    failed = world.change(
        "DELETE FROM {reason} WHERE place > 1; UPDATE {reason}"
        " SET code = 'R00', feature_id = NULL, log_odds = NULL, points = NULL"
    )
    assert UNTOLD in failed


# --- the catalogue and the reference ---------------------------------------------------------------------------


def test_words_of_an_old_run_stay_after_the_catalogue_changed(world: World) -> None:
    texts = "SELECT customer_id, place, text_en, text_fr, advisor_en, advisor_fr, action_en, action_fr" \
        " FROM reporting.decision_reason ORDER BY customer_id, place"  # fmt: skip
    before = world.query(texts)
    changed = parse(reason_catalogue().text.replace("External scores are", "These scores are"), feature_groups())
    number = kept.keep_catalogue(
        world.engine, sha256=changed.sha256, text=changed.text, reasons=reason_rows(changed)
    )
    assert number != world.reasons.catalogue_id
    assert world.query(texts) == before
    stored = world.query.one(
        "SELECT text, sha256 FROM credit.reason_catalogue WHERE catalogue_id = :number",
        number=world.reasons.catalogue_id,
    )
    assert stored == {"text": reason_catalogue().text, "sha256": reason_catalogue().sha256}


def test_what_a_catalogue_and_a_reference_say_is_written_once(world: World, trained: Trained) -> None:
    again = run_reasons(world.engine, world.model_id, trained.bundle, world.decide)
    assert again.catalogue_id == world.reasons.catalogue_id
    assert again.rules.reference == world.reasons.rules.reference
    # Made anew it is the same, to the last bit: who is the reference does not depend on the night.
    made = make_reference(world.engine, world.model_id, trained.bundle, world.decide.policy)
    assert made == again.rules.reference
    assert FEWEST <= made.rows <= MOST
    key = {"model_id": world.model_id, "policy_id": world.decide.policy_id}
    found = kept.reference(world.engine, **key)
    assert found is not None
    kept.keep_reference(world.engine, replace(found, customers=1), **key)
    assert kept.reference(world.engine, **key) == found
