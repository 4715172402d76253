"""What became of people like an applicant: a rate with its interval, and the middle half of what they were like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.contract import Applications
from scoring.intervals import wilson
from scoring.preprocess import explained_features, feature_values
from scoring.similar.search import SMALLEST_GROUP

Vector = NDArray[np.float64]

DESCRIBED = ("DAYS_BIRTH", "AMT_INCOME_TOTAL", "AMT_CREDIT", "ANNUITY_INCOME_PERCENT")
"""The features whose middle half is told; of DAYS_BIRTH it is the age in years."""
_YEAR = -365.25


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the neighbours of n applicants. Aggregates: nobody among them can be told from these.

    Attributes
    ----------
    neighbours, defaulted: shape (n,), how many, and how many of them defaulted.
    default_rate, lowest, highest: shape (n,), the rate that was observed and its 95 % interval, 0 to 1.
    default_probability: shape (n,), what the model says of the applicant.
    distance: shape (n,), of the farthest neighbour, in units, see `scoring.similar.codes`.
    quarter, three_quarters: shape (n, 4), limits of the middle half of the neighbours who have a value, in the
        order of `DESCRIBED`; NaN if fewer than 20 have one.
    """

    neighbours: NDArray[np.int32]
    defaulted: NDArray[np.int32]
    default_rate: Vector
    lowest: Vector
    highest: Vector
    default_probability: Vector
    distance: NDArray[np.int64]
    quarter: Vector
    three_quarters: Vector


def described(applications: Applications) -> Vector:
    """Age in years, income, amount and annuity/income, shape (n, 4), NaN for what is missing."""
    names = [feature.name for feature in explained_features()]
    shown, _ = feature_values(applications.values)
    found = shown[:, [names.index(name) for name in DESCRIBED]]
    found[:, 0] /= _YEAR
    return found


def outcomes(
    rows: NDArray[np.int32],
    distance: NDArray[np.int64],
    default_probability: Vector,
    target: NDArray[np.int8],
    about: Vector,
) -> Outcomes:
    """What became of neighbours.

    Parameters
    ----------
    rows, distance: shape (n, k), of `Neighbours`.
    default_probability: shape (n,), of the applicants.
    target, about: shapes (m,) and (m, 4), the outcomes of all former customers, and `described` of them.

    Raises ValueError if k is less than 20.
    """
    people = rows.shape[1]
    if people < SMALLEST_GROUP:
        raise ValueError(f"Of {people} people nothing is told, only of {SMALLEST_GROUP} and more.")
    defaulted = target[rows].sum(axis=1, dtype=np.int32)
    lowest, highest = wilson(defaulted, people)
    halves = [middle_half(about[:, column][rows]) for column in range(about.shape[1])]
    return Outcomes(
        neighbours=np.full(len(rows), people, np.int32),
        defaulted=defaulted,
        default_rate=defaulted / people,
        lowest=lowest,
        highest=highest,
        default_probability=default_probability,
        distance=distance.max(axis=1),
        quarter=np.stack([lower for lower, _ in halves], axis=1),
        three_quarters=np.stack([upper for _, upper in halves], axis=1),
    )


def middle_half(values: Vector) -> tuple[Vector, Vector]:
    """First and third quartile of each row of values, shape (n, k), as `scorecard.quantiles` defines them.

    NaN for a row in which fewer than 20 have a value.
    """
    ordered = np.sort(values, axis=1)  # what is missing comes last
    present = np.isfinite(ordered).sum(axis=1)
    found = []
    for quarters in (1, 3):
        place = np.maximum(-(-quarters * present // 4) - 1, 0)
        own = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
        found.append(np.where(present >= SMALLEST_GROUP, own, np.nan))
    return found[0], found[1]
