"""What a killed night, or a clock that was wrong, leaves behind hides no failure from `status`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from db.runs import ledger as run_ledger
from flows import signals
from flows.alerts import last_night
from flows.operations import status
from tests.db import ledger
from tests.installation import Installation


@pytest.fixture(scope="module")
def failed(installation: Installation) -> str:
    """One published night, then one that failed: what status says of it."""
    installation.settings.secrets()
    model_id = ledger.new_model(installation.engine)
    ledger.night(installation.engine, model_id)
    run_id = ledger.open_run(installation.engine, model_id, sha256="1" * 64)
    run_ledger.close_unpublished(installation.engine, run_id, status="failed", message="the reason")
    return f"The last run ({run_id}) failed: the reason"


def problems(installation: Installation) -> list[str]:
    found: list[str] = status.status_json(installation.settings)["problems"]
    return found


def test_a_run_that_nobody_runs_is_told_beside_the_failure_before_it(
    installation: Installation, failed: str
) -> None:
    assert problems(installation) == [failed]
    model_id = ledger.new_model(installation.engine)
    run_id = ledger.open_run(installation.engine, model_id, sha256="2" * 64)
    dead, told = problems(installation)
    assert dead.startswith(f"Run {run_id} of {ledger.DAY} is marked as running, but nobody runs it")
    assert told == failed
    # Somebody does.
    with run_ledger.exclusive(installation.engine):
        assert problems(installation) == [failed]
    assert run_ledger.recover(installation.engine) == [run_id]


def note(installation: Installation, outcome: str, message: str | None, *, hours: float) -> None:
    night = last_night.LastNight((datetime.now(UTC) + timedelta(hours=hours)).isoformat(), outcome, message)
    (installation.settings.state / "night.json").write_text(json.dumps(asdict(night)))


def test_a_good_night_of_a_time_that_is_still_to_come_hides_no_failure(
    installation: Installation, failed: str
) -> None:
    model_id = ledger.new_model(installation.engine)
    run_id = ledger.open_run(installation.engine, model_id, sha256="3" * 64)
    run_ledger.close_unpublished(installation.engine, run_id, status="failed", message="the reason")
    told = f"The last run ({run_id}) failed: the reason"
    note(installation, "ended", None, hours=48)
    found = status.status_json(installation.settings)
    assert found["problems"] == [told]
    assert "which is still to come: the clock was wrong" in found["notes"][0]
    note(installation, "ended", None, hours=0)
    found = status.status_json(installation.settings)
    assert (found["problems"], found["notes"]) == ([], [])


def test_a_bad_night_of_a_time_that_is_still_to_come_is_told_until_another_has_ended(
    installation: Installation, failed: str
) -> None:
    note(installation, "refused", "no such file", hours=48)
    ledger.night(installation.engine, ledger.new_model(installation.engine), sha256="4" * 64)
    (told,) = problems(installation)
    assert "The last night was refused" in told and told.endswith("no such file")
    with last_night.accounted(installation.settings):
        pass
    assert problems(installation) == []


@contextmanager
def cancelled(engine: Engine, times: int) -> Iterator[None]:
    """The server takes a cancelling, which was meant for a query before, for the first of the next ones."""
    left = [times]

    def late(connection: Connection, cursor: Any, statement: str, *_: object) -> None:
        if left[0] and statement.lstrip().startswith("UPDATE credit.scoring_run"):
            left[0] -= 1
            cursor.execute("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)")

    event.listen(engine, "before_cursor_execute", late)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", late)


@pytest.fixture
def attempts(prefect_api: str) -> int:
    """How often the closing of a run is tried."""
    from flows.steps.recovery import CLOSING_ATTEMPTS

    return CLOSING_ATTEMPTS


def end(engine: Engine, run_id: int) -> None:
    """A night that a signal ends."""
    from flows.steps.recovery import closed_on_error

    with closed_on_error(engine, {}) as opened:
        opened.run_id = run_id
        raise signals.EndedBySignal(signal.SIGTERM)


@pytest.mark.parametrize("published", [False, True])
def test_a_run_is_closed_rightly_though_the_cancelling_of_a_query_hits_the_next_ones(
    installation: Installation, attempts: int, published: bool
) -> None:
    engine = installation.engine
    model_id = ledger.new_model(engine)
    run_id = ledger.open_run(engine, model_id, sha256="4" * 64)
    if published:
        ledger.load(engine, run_id)
        run_ledger.publish(engine, run_id, customers=0, rejected=0, unknown_categories=0, stage_seconds={})
    with cancelled(engine, attempts - 1), pytest.raises(signals.EndedBySignal) as ended:
        end(engine, run_id)
    said = f"run {run_id} was published before" if published else "nothing was published"
    assert str(ended.value) == f"Ended by SIGTERM; {said}."
    assert ended.value.done is published
    assert run_ledger.get(engine, run_id).status == ("published" if published else "failed")


def test_what_cannot_be_known_is_not_claimed(installation: Installation, attempts: int) -> None:
    engine = installation.engine
    run_id = ledger.open_run(engine, ledger.new_model(engine), sha256="5" * 64)
    with cancelled(engine, attempts), pytest.raises(signals.EndedBySignal) as ended:
        end(engine, run_id)
    assert str(ended.value) == "Ended by SIGTERM; `creditlens status` shows whether it had published."
    assert run_id in run_ledger.recover(engine)
