"""How many customers a night has beside the nights before it: half of a file can look like a whole one."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from sqlalchemy import Engine

from db.runs import ledger
from db.runs.ledger import Check
from flows.files.applications import Survey
from flows.settings import Settings
from flows.steps import empty_columns
from scoring.errors import ScoringError

COMPARED_NIGHTS = 7
CHECK = "customers_of_earlier_nights"


class SmallNightError(ScoringError):
    """The file has far fewer applications than those of the nights before."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The median of the customers of some earlier nights."""

    customers: float
    nights: int

    def __str__(self) -> str:
        nights = "the last night" if self.nights == 1 else f"the last {self.nights} nights (their median)"
        return f"the {self.customers:,.0f} of {nights}"


def usual(engine: Engine, run_id: int) -> Usual | None:
    """What the nights before this run had, one run for each date; None before the first one."""
    earlier = ledger.earlier_customers(engine, run_id, nights=COMPARED_NIGHTS)
    return Usual(median(earlier), len(earlier)) if earlier else None


def require_large_enough(usual: Usual | None, survey: Survey, settings: Settings) -> None:
    """Raise SmallNightError if the file's rows are below the share that the settings refuse."""
    if usual is not None and survey.rows < settings.refused_night_share * usual.customers:
        raise SmallNightError(
            f"{survey.path} has {survey.rows:,} applications, {survey.rows / usual.customers:.1%} of {usual};"
            " it may not be whole"
            f" (CREDITLENS_REFUSED_NIGHT_SHARE refuses below {settings.refused_night_share:.0%})."
        )


def size_check(usual: Usual | None, customers: int, settings: Settings) -> Check | None:
    """The check of a night that may be far smaller than those before; None if there is none before."""
    if usual is None:
        return None
    least = settings.smallest_night_share * usual.customers
    return Check(
        CHECK,
        "warn",
        f"{customers:,}",
        f"at least {settings.smallest_night_share:.0%} of {usual}",
        customers >= least,
    )


def warning(run_id: int, check: Check) -> str:
    """A check that did not pass, as a sentence."""
    if check.name == empty_columns.CHECK:
        return empty_columns.warning(run_id, check)
    if check.name != CHECK:
        return f"Run {run_id}: {check.name} is {check.observed}, expected {check.expected}."
    return (
        f"Run {run_id} has only {check.observed} customers, expected {check.expected}; its file may not have been"
        " whole."
    )
