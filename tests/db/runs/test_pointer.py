"""Moving readers by hand: one step, recorded, and refused where there is nothing to see."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from db.errors import BusyError, RefusedError
from db.runs import ledger, pointer
from tests.db.ledger import DAY, new_model, night, open_run


@pytest.fixture(scope="module")
def nights(engine: Engine) -> list[int]:
    """Four nights of which the first is retired."""
    model_id = new_model(engine)
    made = [night(engine, model_id, day=DAY + timedelta(days=day), sha256=str(day) * 64) for day in range(4)]
    assert ledger.retire(engine, retained_runs=3) == made[:1]
    return made


def seen(engine: Engine) -> int | None:
    run = ledger.published(engine)
    return run.run_id if run else None


def test_readers_move_back_and_forward_and_each_move_is_recorded(engine: Engine, nights: list[int]) -> None:
    back = pointer.move(engine, nights[1], by="olga")
    assert (back.moved_by, back.from_run_id, back.to_run_id) == ("olga", nights[3], nights[1])
    assert seen(engine) == nights[1]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM reporting.customer")) == 3
        assert connection.scalar(text("SELECT run_id FROM reporting.published_run")) == nights[1]
    newest = pointer.newest(engine)
    assert newest is not None
    assert newest.run_id == nights[3]
    assert pointer.last_move(engine, nights[1]) == back
    pointer.move(engine, nights[3], by="olga")
    assert seen(engine) == nights[3]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT from_run_id, to_run_id FROM credit.pointer_move")).all() == [
            (nights[3], nights[1]),
            (nights[1], nights[3]),
        ]


def test_a_run_that_cannot_be_shown_is_refused(engine: Engine, nights: list[int]) -> None:
    failed = open_run(engine, ledger.get(engine, nights[0]).model_id)
    ledger.close_unpublished(engine, failed, status="failed", message="x")
    for run_id, reason in (
        (99_999, "There is no run 99999"),
        (failed, "was not published"),
        (nights[0], "only its scores are kept"),
        (nights[3], "already"),
    ):
        with pytest.raises(RefusedError, match=reason):
            pointer.move(engine, run_id, by="olga")
    assert seen(engine) == nights[3]


def test_nobody_moves_readers_while_a_run_is_under_way(engine: Engine, nights: list[int]) -> None:
    with ledger.exclusive(engine), pytest.raises(BusyError):
        pointer.move(engine, nights[1], by="olga")


def test_the_night_after_a_move_publishes_as_usual(engine: Engine, nights: list[int]) -> None:
    pointer.move(engine, nights[1], by="olga")
    following = night(engine, ledger.get(engine, nights[1]).model_id, day=DAY + timedelta(days=4), sha256="9" * 64)
    assert seen(engine) == following


def test_the_run_that_readers_were_moved_to_is_not_retired(engine: Engine, nights: list[int]) -> None:
    pointer.move(engine, nights[1], by="olga")
    assert nights[1] not in ledger.retire(engine, retained_runs=2)
    assert seen(engine) == nights[1]
