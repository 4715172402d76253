"""The date of a night: one that is still to come keeps every later night out of readers' sight."""

from __future__ import annotations

from datetime import date, timedelta

from db.errors import RefusedError
from db.runs.ledger import Check
from flows.settings import Settings

CHECK = "date_ahead"


def is_ahead(as_of: date, settings: Settings) -> bool:
    """Whether a date is after tomorrow in the lender's time zone; by then a night of it may be due."""
    return as_of > settings.today() + timedelta(days=1)


def require_date(as_of: date | None, settings: Settings, because: str | None) -> None:
    """Raise RefusedError for a date after tomorrow that nobody gave a reason for."""
    if as_of is not None and is_ahead(as_of, settings) and not (because or "").strip():
        raise RefusedError(
            f"{as_of} is after tomorrow: readers would see no night before that date. If you mean it, give the"
            " reason with --ahead-because; it is recorded with the run."
        )


def check_of(as_of: date, settings: Settings, because: str | None) -> Check | None:
    """What the ledger keeps of a date after tomorrow; None for any other date."""
    if not is_ahead(as_of, settings):
        return None
    return Check(CHECK, "warn", f"{as_of}: {because}", "a date up to tomorrow", False)


def warning(run_id: int, check: Check) -> str:
    """What to tell of such a date."""
    return (
        f"Run {run_id} has a date that is still to come ({check.observed}); until that date, nights go to history"
        f" and readers do not see them. `creditlens withdraw {run_id} --reason ...` takes it back."
    )
