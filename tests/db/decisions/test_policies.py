"""Versions of the policy: kept, named by runs and models; the newest is in force, at first the program's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from db import registry
from db.decisions import policies
from db.decisions.policies import PolicyRows
from db.errors import DatabaseError
from db.runs import ledger as run_ledger
from flows.steps.rows import policy_rows
from scoring.policy import default_policy
from tests.db import ledger
from tests.scoring.test_policy import by_figures


def rows(name: str) -> PolicyRows:
    """The default policy under another name."""
    return replace(policy_rows(default_policy()), sha256=name * 64, name_en=name)


def test_a_new_database_has_the_programs_policy(engine: Engine) -> None:
    record = policies.current(engine)
    assert record.by_program
    assert (record.sha256, record.text) == (default_policy().sha256, default_policy().text)
    with engine.connect() as connection:
        barred = connection.scalars(
            text(
                "SELECT f.name FROM credit.policy_feature AS r JOIN credit.feature AS f USING (feature_id)"
                " WHERE NOT r.may_score AND r.policy_id = :id ORDER BY r.feature_id"
            ),
            {"id": record.policy_id},
        ).all()
    assert tuple(barred) == default_policy().barred


def test_the_newest_is_in_force_and_the_others_are_kept(engine: Engine) -> None:
    first = policies.current(engine)
    second, new = policies.put_in_force(engine, rows("b"), by="olga", reason="a try")
    assert new
    assert policies.current(engine) == second
    again, new = policies.put_in_force(engine, rows("b"), by="else", reason="again")
    assert (again, new) == (second, False)
    back, new = policies.put_in_force(engine, policy_rows(default_policy()), by="olga", reason="back")
    assert new
    assert back.sha256 == first.sha256
    assert [record.policy_id for record in policies.history(engine)[:3]] == [
        back.policy_id, second.policy_id, first.policy_id,
    ]  # fmt: skip
    assert policies.get(engine, second.policy_id).reason == "a try"
    with pytest.raises(DatabaseError, match="There is no policy 999"):
        policies.get(engine, 999)


def test_the_programs_policy_follows_the_program_until_the_lender_has_one_of_his_own(
    new_database: Callable[[], Engine],
) -> None:
    engine = new_database()
    assert not policies.follow_the_program(engine, policy_rows(default_policy()), version="1")
    assert policies.follow_the_program(engine, rows("n"), version="2")
    assert policies.current(engine).reason == "The policy that comes with creditlens 2."
    policies.put_in_force(engine, rows("o"), by="olga", reason="ours")
    assert not policies.follow_the_program(engine, policy_rows(default_policy()), version="3")
    assert policies.current(engine).sha256 == "o" * 64


def test_two_at_once_follow_one_another(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    threads = [
        threading.Thread(target=policies.put_in_force, args=(engine, rows("p")), kwargs={"by": "a", "reason": "b"})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(policies.history(engine)) == 2


def test_runs_and_models_name_the_policy_that_they_used(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    first = policies.current(engine).policy_id
    model_id = ledger.new_model(engine)
    run_id = ledger.night(engine, model_id)
    second, _ = policies.put_in_force(engine, rows("q"), by="olga", reason="a try")
    model = registry.model(engine, model_id)
    assert model is not None
    assert (model.policy_id, run_ledger.get(engine, run_id).policy_id) == (first, first)
    known = {"source_sha256": "0" * 64, "model_id": model_id, "as_of": None}
    assert run_ledger.find_unchanged(engine, **known) is None
    found = run_ledger.find_unchanged(engine, **known, policy_id=first)
    assert found is not None
    assert found.run_id == run_id
    policies.put_in_force(engine, policy_rows(default_policy()), by="olga", reason="back")
    assert run_ledger.find_unchanged(engine, **known) is not None
    assert run_ledger.get(engine, ledger.open_run(engine, model_id)).policy_id > second.policy_id


def test_figures_become_lines_by_contract_type(engine: Engine) -> None:
    record, _ = policies.put_in_force(engine, policy_rows(by_figures()), by="olga", reason="figures")
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT contract_type_en, gain, loss, accept_below_probability, decline_from_probability"
                " FROM reporting.policy_line WHERE policy_id = :id ORDER BY contract_type_en"
            ),
            {"id": record.policy_id},
        ).all()
        bands = connection.scalars(
            text("SELECT decision FROM reporting.policy_band WHERE policy_id = :id ORDER BY minimum_score"),
            {"id": record.policy_id},
        ).all()
    assert [tuple(row) for row in found] == [
        ("All others", 1, 10, pytest.approx(1 / 11 - 0.02), pytest.approx(1 / 11 + 0.02)),
        ("Revolving credit", 1, 4, pytest.approx(0.18), pytest.approx(0.22)),
    ]
    assert bands == ["decline", "decline", "decline", "review", "accept"]
