"""Which duration and rate an application implies, and the annuity of other amounts and durations.

An application has an amount and an annuity, and neither a duration nor a rate: one equation for two unknowns. This
is the convention that settles it.

1. A credit is repaid in equal monthly instalments: amount = annuity x (1 - (1 + rate)^-months) / rate.
2. The **duration** is the whole number of months nearest to what the annuity takes to repay the amount at a
   reference rate (24 % a year, 2 % a month), at most the longest usual duration (60 months), and never fewer months
   than it takes without interest.
3. The **rate** is then the one that amount, annuity and duration imply exactly. It is kept for all offers.
4. An offer's annuity is that of its amount and duration at this rate, in whole cents.

So what was asked for gives back the row as it is; at the same duration, annuity and amount rise together; a longer
duration lowers the annuity and raises what is repaid in all.

Why not without interest, with amount / annuity as the duration? It would be simpler. But of Home Credit's earlier
cash loans, whose durations are known (`CNT_PAYMENT`), none was without interest: they cost 1.7 to 6 % a month. The
duration would come out 8 months too short on average, and a longer one would look far cheaper than any lender makes
it. The promise of a yes would be wrong where it counts most. With 2 % a month the average error is 4.5 months
there, with 3 % it is 3.5. New applications are cheaper than those (their amount / annuity goes up to 39.6, which is
60 months at 1.5 %), so the reference is 2 %. A lender who knows the own rates sets them.

A duration that is off shifts the months that an offer is told with. It does not shift what was scored, which is the
offer's amount and annuity: the model knows no months.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# The longest duration that a policy may name.
MOST_MONTHS = 600
_HALVINGS = 45
_NO_INTEREST = 1e-18


@dataclass(frozen=True, slots=True)
class Convention:
    """How durations are told from amounts and annuities: a nominal yearly rate, and the longest usual duration."""

    yearly_rate: float = 0.24
    longest_months: int = 60

    def __post_init__(self) -> None:
        if not 0.0 <= self.yearly_rate <= 12.0 or not 1 <= self.longest_months <= MOST_MONTHS:
            raise ValueError(f"{self} has a rate outside of 0 to 12, or a duration outside of 1 to {MOST_MONTHS}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms that applications imply, shape (n,): duration in months, and monthly rate."""

    months: NDArray[np.int64]
    monthly_rate: Vector


def are_clear(amount: Vector, annuity: Vector) -> NDArray[np.bool_]:
    """Which applications imply terms: 1 to 600 annuities repay the amount without interest. Shape (n,)."""
    return (amount >= annuity) & (amount <= MOST_MONTHS * annuity)


def implied_terms(amount: Vector, annuity: Vector, convention: Convention) -> Terms:
    """The terms of applications that imply any, shape (n,)."""
    annuities = amount / annuity
    months = np.minimum(_months(annuities, convention.yearly_rate / 12), convention.longest_months)
    months = np.maximum(np.maximum(np.rint(months), np.ceil(annuities)), 1.0)
    # The rate is between none and one at which the annuity is all interest.
    low, high = np.zeros(len(amount)), 1.0 / annuities
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_low = _annuity(middle, months) < 1.0 / annuities
        low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
    return Terms(months.astype(np.int64), low)


def relative_annuities(terms: Terms, months: NDArray[np.int64]) -> Vector:
    """The annuity at each duration as a multiple of the one asked for, for the same amount, shape (n, durations).

    It is exactly 1 at the duration asked for.
    """
    rate = terms.monthly_rate[:, None]
    asked = _annuity(rate, terms.months[:, None].astype(np.float64))
    return _annuity(rate, months[None, :].astype(np.float64)) / asked


def _annuity(rate: Vector, months: Vector) -> Vector:
    """The annuity of an amount of 1."""
    rate = np.maximum(rate, _NO_INTEREST)
    return rate / -np.expm1(-months * np.log1p(rate))


def _months(annuities: Vector, rate: float) -> Vector:
    """How many months it takes to repay so many annuities; infinite where interest eats up the annuity."""
    if rate == 0.0:
        return annuities
    rest = 1.0 - rate * annuities
    return np.where(rest > 0.0, -np.log(np.maximum(rest, 1e-300)) / np.log1p(rate), np.inf)
