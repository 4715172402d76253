"""From log-odds of default to what people are told: probability, score, points, percentile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def default_probability(log_odds: Vector) -> Vector:
    """P(payment difficulties), 1 / (1 + exp(-log_odds)), without overflow; shape kept."""
    return np.exp(-np.logaddexp(0.0, -log_odds))


def exact_score(log_odds: Vector) -> Vector:
    """The score before rounding, 100 x (1 - default probability)."""
    return 100.0 * (1.0 - default_probability(log_odds))


def score(log_odds: Vector) -> NDArray[np.int16]:
    """The score, 0 worst to 100 best."""
    return np.rint(exact_score(log_odds)).astype(np.int16)


def points(contributions: Vector, log_odds: Vector, base_value: float) -> Vector:
    """Contributions in score points: their sum is the exact score minus the exact base score.

    Parameters
    ----------
    contributions: shape (n, k), log-odds of default, base_value + row sum = log_odds.
    log_odds: shape (n,).

    Each point has the sign opposite to its contribution: positive raises the score. The factor is the slope of
    the chord of the logistic curve between base and log-odds, or its tangent where the two meet.
    """
    base = np.full_like(log_odds, base_value)
    distance = log_odds - base
    near = np.abs(distance) < 1e-9
    probability = default_probability(base)
    tangent = -100.0 * probability * (1.0 - probability)
    chord = (exact_score(log_odds) - exact_score(base)) / np.where(near, 1.0, distance)
    return contributions * np.where(near, tangent, chord)[:, None]


def percentile(log_odds: Vector, reference: Vector) -> Vector:
    """Percentage of former customers whose score is no better than this one's.

    `reference` holds the former customers' log-odds, ascending (all of them, or evenly spaced quantiles).
    """
    worse_or_equal = len(reference) - np.searchsorted(reference, log_odds, side="left")
    return 100.0 * worse_or_equal / len(reference)


def quantiles(values: Vector, count: int = 1001, *, mirrored: bool = False) -> Sequence[float]:
    """`count` evenly spaced quantiles of the finite values, ascending, minimum and maximum included.

    A quantile is the least value that this share of the people do not exceed, which somebody has: the inverse of
    the empirical distribution (type 1 of Hyndman and Fan 1996, "Sample quantiles in statistical packages", and
    percentile_disc of Postgres). `mirrored` are the quantiles of the negated values, negated: where people are
    shown those.
    """
    present = np.sort(values[np.isfinite(values)])
    if not len(present):
        return []
    # In whole numbers: 0.07 x 100 is more than 7 in floating point.
    steps = np.arange(count) * len(present)
    place = steps // (count - 1) if mirrored else -(-steps // (count - 1)) - 1
    found: list[float] = present[np.clip(place, 0, len(present) - 1)].tolist()
    return found
