"""Moving readers by hand: one step, recorded, and refused where there is nothing to see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

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


def test_histories_end_with_what_readers_see(engine: Engine, nights: list[int]) -> None:
    """Whatever was published for a later date, and whatever else for the same one."""
    history = text("SELECT run_id FROM reporting.customer_timeline WHERE customer_id = 7 ORDER BY as_of")
    ahead = text("SELECT run_id FROM reporting.run_history WHERE is_ahead ORDER BY as_of")
    newest = pointer.newest(engine)
    assert newest is not None
    again = night(engine, newest.model_id, day=newest.as_of, sha256="8" * 64)
    with engine.connect() as connection:
        whole = connection.scalars(history).all()
        assert whole[-1] == again
        assert newest.run_id not in whole
        assert connection.scalars(ahead).all() == []
    pointer.move(engine, newest.run_id, by="olga")
    with engine.connect() as connection:
        assert connection.scalars(history).all() == [*whole[:-1], newest.run_id]
        assert connection.scalars(ahead).all() == []
    pointer.move(engine, whole[1], by="olga")
    with engine.connect() as connection:
        assert connection.scalars(history).all() == whole[:2]
        assert connection.scalars(ahead).all() == [*whole[2:-1], *sorted({newest.run_id, again})]


def test_a_run_that_is_withdrawn_is_nobodys_and_the_ledger_keeps_why(engine: Engine, nights: list[int]) -> None:
    model_id = ledger.get(engine, nights[3]).model_id
    before = pointer.newest(engine)
    assert before is not None
    wrong = night(engine, model_id, day=date(2062, 11, 29), sha256="7" * 64)
    assert seen(engine) == wrong
    assert pointer.withdraw(engine, wrong, by="olga", reason="a wrong date") == before.run_id == seen(engine)
    assert pointer.newest(engine) == before
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT status, message, withdrawn_by, is_ahead FROM reporting.run_history WHERE run_id = :run"),
            {"run": wrong},
        ).one()
        assert tuple(row) == ("withdrawn", "a wrong date", "olga", False)
        scores = text("SELECT count(*) FROM reporting.score_history WHERE run_id = :run")
        assert connection.scalar(scores, {"run": wrong}) == 0
    for refused in (pointer.move, lambda *given, **by: pointer.withdraw(*given, **by, reason="again")):
        with pytest.raises(RefusedError, match="withdrawn"):
            refused(engine, wrong, by="olga")
    same = {"source_sha256": "7" * 64, "model_id": model_id}
    assert ledger.find_unchanged(engine, **same, as_of=date(2062, 11, 29)) is None
    following = night(engine, model_id, day=before.as_of + timedelta(days=1), sha256="6" * 64)
    assert seen(engine) == following
    assert wrong in ledger.retire(engine, retained_runs=100)
    with engine.connect() as connection:
        kept = text("SELECT count(*) FROM credit.past_score WHERE run_id = :run")
        assert connection.scalar(kept, {"run": wrong}) == 3


def test_a_run_that_readers_do_not_see_is_withdrawn_without_moving_them(engine: Engine, nights: list[int]) -> None:
    now = seen(engine)
    assert now != nights[2]
    assert pointer.withdraw(engine, nights[2], by="olga", reason="half a file") == now == seen(engine)


def test_readers_are_never_left_without_a_run(new_database: Callable[[], Engine]) -> None:
    engine = new_database()
    only = night(engine, new_model(engine), day=DAY, sha256="5" * 64)
    with pytest.raises(RefusedError, match="no earlier run is kept"):
        pointer.withdraw(engine, only, by="olga", reason="a mistake")
    assert seen(engine) == only
