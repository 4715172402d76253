"""Columns that are empty all night although former customers had values: something was not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.runs.ledger import Check

if TYPE_CHECKING:
    from flows.steps.chunks import Tally
    from scoring.baseline import Baseline

CHECK = "empty_columns"


def check_of(tally: Tally, baseline: Baseline) -> Check | None:
    """The check of a night in which a column may have no value at all; None for a night without customers."""
    # `status` words what this found, without what only a night needs.
    from scoring.monitoring import emptied

    if not tally.sums:
        return None
    empty = emptied(tally.sums, baseline)
    observed = "; ".join(
        f"{feature.name} ({share:.0%} of the former customers had one)" for feature, share in empty
    )
    return Check(
        CHECK, "warn", observed or "none", "a value in every column that had one among former customers", not empty
    )


def warning(run_id: int, check: Check) -> str:
    """What to tell of columns that are empty."""
    return (
        f"Run {run_id} has not one value in {check.observed}: the file may lack what it should deliver, and each"
        " customer was scored without."
    )
