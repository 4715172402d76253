"""Moving readers to another retained run by hand, and withdrawing a run from history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, insert, select, tuple_, update

from db.engine import connect, transaction
from db.errors import RefusedError
from db.models import pointer_move, published_run, run_withdrawal, scoring_run
from db.runs.ledger import Run, exclusive, get


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the readers' pointer by hand."""

    moved_at: datetime
    moved_by: str
    from_run_id: int
    to_run_id: int


_MOVE_COLUMNS = [pointer_move.c[name] for name in Move.__dataclass_fields__]


def move(engine: Engine, run_id: int, *, by: str) -> Move:
    """Let readers see the retained run `run_id` from now on; the move as it is recorded.

    The next night publishes as usual. Raises RefusedError for a run that is unknown, was never published, has no
    details any more or is the one that readers see; BusyError while a run is under way, which might retire it.
    """
    with exclusive(engine), transaction(engine) as connection:
        run = _known(connection, run_id)
        current = connection.scalar(select(published_run.c.run_id).with_for_update())
        if run.status != "published":
            raise RefusedError(f"Run {run_id} of {run.as_of} was not published ({run.status}); readers stay.")
        if run.retired_at is not None:
            raise RefusedError(
                f"The details of run {run_id} of {run.as_of} were dropped on {run.retired_at:%Y-%m-%d},"
                " only its scores are kept; readers stay."
            )
        if run_id == current:
            raise RefusedError(f"Readers see run {run_id} of {run.as_of} already.")
        return _move(connection, current, run_id, by)


def withdraw(engine: Engine, run_id: int, *, by: str, reason: str) -> int:
    """Take a published run out of history for good: no reader sees it any more; the run that they see now.

    The ledger keeps it, with the reason. Readers of that run go back to the kept run before it. Raises RefusedError
    for a run that is not published, or if there is none to go back to; BusyError while a run is under way.
    """
    with exclusive(engine), transaction(engine) as connection:
        run = _known(connection, run_id)
        if run.status != "published":
            raise RefusedError(f"Run {run_id} of {run.as_of} is not published ({run.status}).")
        seen: int | None = connection.scalar(select(published_run.c.run_id).with_for_update())
        if seen == run_id:
            before: int | None = connection.scalar(_kept_before(run_id, run.as_of))
            if before is None:
                raise RefusedError(
                    f"Readers see run {run_id} of {run.as_of}, and no earlier run is kept that they could go back"
                    " to: publish another night first."
                )
            _move(connection, run_id, before, by)
            seen = before
        connection.execute(update(scoring_run).where(scoring_run.c.run_id == run_id).values(status="withdrawn"))
        connection.execute(insert(run_withdrawal).values(run_id=run_id, withdrawn_by=by, reason=reason))
        assert seen is not None
        return seen


def _known(connection: Connection, run_id: int) -> Row[*tuple[Any, ...]]:
    """Status, date and retirement of a run. Raises RefusedError if there is none of this number."""
    columns = (scoring_run.c.status, scoring_run.c.as_of, scoring_run.c.retired_at)
    run = connection.execute(select(*columns).where(scoring_run.c.run_id == run_id)).one_or_none()
    if run is None:
        raise RefusedError(f"There is no run {run_id}; `SELECT * FROM reporting.run_history` lists them.")
    return run


def _move(connection: Connection, current: int | None, run_id: int, by: str) -> Move:
    connection.execute(update(published_run).values(run_id=run_id))
    row = connection.execute(
        insert(pointer_move).values(moved_by=by, from_run_id=current, to_run_id=run_id).returning(*_MOVE_COLUMNS)
    ).one()
    return Move(**row._mapping)


def _kept_before(run_id: int, as_of: date) -> Select[Any]:
    """The newest kept run that is older, by date and then by number."""
    return (
        select(scoring_run.c.run_id)
        .where(
            scoring_run.c.status == "published",
            scoring_run.c.retired_at.is_(None),
            tuple_(scoring_run.c.as_of, scoring_run.c.run_id) < tuple_(as_of, run_id),
        )
        .order_by(scoring_run.c.as_of.desc(), scoring_run.c.run_id.desc())
        .limit(1)
    )


def newest(engine: Engine) -> Run | None:
    """The run that readers would see if nobody had moved them: the newest published one; None before the first."""
    query = (
        select(scoring_run.c.run_id)
        .where(scoring_run.c.status == "published")
        .order_by(scoring_run.c.as_of.desc(), scoring_run.c.run_id.desc())
        .limit(1)
    )
    with connect(engine) as connection:
        run_id = connection.scalar(query)
    return None if run_id is None else get(engine, run_id)


def last_move(engine: Engine, to_run_id: int) -> Move | None:
    """The latest move by hand to one run, None if there was none."""
    query = select(*_MOVE_COLUMNS).where(pointer_move.c.to_run_id == to_run_id)
    with connect(engine) as connection:
        row = connection.execute(query.order_by(pointer_move.c.move_id.desc()).limit(1)).one_or_none()
    return Move(**row._mapping) if row else None
