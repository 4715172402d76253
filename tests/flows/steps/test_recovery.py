"""What a killed night, or a clock that was wrong, leaves behind hides no failure from `status`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from db.runs import ledger as run_ledger
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
