"""Whether a model's probabilities are what they say, and an affine map of its log-odds where they surely are not.

A logistic recalibration (Cox 1958, "Two further applications of a model for binary regression") fits
log-odds' = intercept + slope x log-odds to outcomes that the model had not seen. A slope under 1 says that the
probabilities are too extreme. Such a map multiplies every contribution by the slope and moves the base value: that
keeps explanations exact and everybody's order, and isotonic regression would keep neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.explanation.rewriting import rewritten
from scoring.scorecard import default_probability

Vector = NDArray[np.float64]
Outcomes = NDArray[np.int8]

BINS = 10
SIGNIFICANT = 0.05
# Half of a 95 % interval in standard errors.
_Z = 1.959964
_STEPS = 50
_CONVERGED = 1e-9
_SINGULAR = 1e12


@dataclass(frozen=True, slots=True)
class Map:
    """log-odds' = intercept + slope x log-odds, with the standard errors of both where it was fitted."""

    slope: float
    intercept: float
    slope_error: float = 0.0
    intercept_error: float = 0.0

    def of(self, log_odds: Vector) -> Vector:
        """Log-odds after the map, shape kept."""
        return self.intercept + self.slope * log_odds


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of a model's calibration, and what follows from it.

    Attributes
    ----------
    fitted: the recalibration fitted to all rows; None where the log-odds or the outcomes do not let it be told.
    p_value: of the likelihood-ratio test that slope 1 and intercept 0 hold together (two degrees of freedom).
    log_loss_gain, log_loss_gain_error: by how much the mean log-loss falls if each row is mapped by a recalibration
        that was fitted without its part, and the standard error of that paired difference.
    log_odds: those of the rows after what follows: mapped without their own part, or as they were; shape (n,).
    """

    fitted: Map | None
    p_value: float
    log_loss_gain: float
    log_loss_gain_error: float
    log_odds: Vector

    @property
    def applied(self) -> Map | None:
        """The map that the model needs, None where it is to stay as it is.

        It is applied only if slope 1 and intercept 0 are refuted together, and the log-loss on rows that it was not
        fitted on falls beyond doubt (the paired difference's 95 % interval is above 0). The second is the stricter:
        a difference that is significant only because the rows are many is left alone.
        """
        if self.fitted is None or self.fitted.slope <= 0:
            return None
        better = self.log_loss_gain - _Z * self.log_loss_gain_error > 0
        return self.fitted if self.p_value < SIGNIFICANT and better else None

    def to_json(self, outcomes: Outcomes) -> dict[str, Any]:
        """Figures for people: slope and intercept as found, with 95 % intervals (Wald), before the map is applied.

        The error (`ece`) and the parts of the Brier score are those of the probabilities after it.
        """
        found = self.fitted
        probability = default_probability(self.log_odds)
        return {
            **(_interval("slope", found.slope, found.slope_error) if found else _interval("slope")),
            **(_interval("intercept", found.intercept, found.intercept_error) if found else _interval("intercept")),
            "p_value": self.p_value,
            **_interval("log_loss_gain", self.log_loss_gain, self.log_loss_gain_error),
            "ece": expected_calibration_error(probability, outcomes),
            **brier_parts(probability, outcomes),
            "recalibrated": self.applied is not None,
        }


def calibration(log_odds: Vector, outcomes: Outcomes, parts: Sequence[NDArray[np.intp]]) -> Calibration:
    """What out-of-fold log-odds say about a model's calibration.

    Parameters
    ----------
    log_odds: shape (n,), of models that had not seen the row.
    outcomes: shape (n,), 1 = default.
    parts: rows of each part, every row in one; a part is judged by a recalibration that was fitted on the others.
    """
    fitted = recalibration(log_odds, outcomes)
    if fitted is None:
        return Calibration(None, 1.0, 0.0, 0.0, log_odds)
    before = log_losses(log_odds, outcomes)
    statistic = 2 * float(np.sum(before - log_losses(fitted.of(log_odds), outcomes)))
    mapped = _without_own_part(log_odds, outcomes, parts)
    gain = before - log_losses(mapped, outcomes)
    judged = Calibration(
        fitted,
        # The tail of chi squared with two degrees of freedom is an exponential.
        p_value=math.exp(-max(0.0, statistic) / 2),
        log_loss_gain=float(gain.mean()),
        log_loss_gain_error=float(gain.std(ddof=1) / math.sqrt(len(gain))),
        log_odds=mapped,
    )
    return judged if judged.applied else replace(judged, log_odds=log_odds)


def _without_own_part(log_odds: Vector, outcomes: Outcomes, parts: Sequence[NDArray[np.intp]]) -> Vector:
    """Each part's log-odds mapped by a recalibration of the others; unchanged where one of these has no slope."""
    mapped = log_odds.copy()
    for rows in parts:
        others = np.ones(len(log_odds), dtype=bool)
        others[rows] = False
        found = recalibration(log_odds[others], outcomes[others])
        if found is None or found.slope <= 0:
            return log_odds
        mapped[rows] = found.of(log_odds[rows])
    return mapped


def recalibration(log_odds: Vector, outcomes: Outcomes) -> Map | None:
    """The logistic recalibration of greatest likelihood, with standard errors from the Fisher information.

    None where there is no such thing: one outcome only, the same log-odds for all, or outcomes told apart without
    an error, whose slope has no end.
    """
    if len(np.unique(outcomes)) < 2 or np.ptp(log_odds) < 1e-9:
        return None
    # Centred, so that the two are nearly independent.
    middle = float(log_odds.mean())
    x = np.column_stack([np.ones(len(log_odds)), log_odds - middle])
    weights = np.array([middle, 1.0])

    def loss(at: Vector) -> float:
        return float(log_losses(x @ at, outcomes).sum())

    for _ in range(_STEPS):
        probability = default_probability(x @ weights)
        information = x.T @ (x * (probability * (1 - probability))[:, None])
        if np.linalg.cond(information) > _SINGULAR:
            return None
        step = np.linalg.solve(information, x.T @ (outcomes - probability))
        # A full step of Newton's can go too far where the map begins far off.
        while np.abs(step).max() > _CONVERGED and loss(weights + step) > loss(weights):
            step /= 2
        weights += step
        if np.abs(step).max() <= _CONVERGED:
            covariance = np.linalg.inv(information)
            back = np.array([1.0, -middle])
            return Map(
                slope=float(weights[1]),
                intercept=float(weights @ back),
                slope_error=math.sqrt(covariance[1, 1]),
                intercept_error=math.sqrt(back @ covariance @ back),
            )
    return None


def log_losses(log_odds: Vector, outcomes: Outcomes) -> Vector:
    """The log-loss of each row, shape (n,)."""
    return np.logaddexp(0.0, np.where(outcomes == 1, -log_odds, log_odds))


def expected_calibration_error(probability: Vector, outcomes: Outcomes) -> float:
    """How far mean probability and default rate are apart on average, over ten bins of equal size."""
    return float(sum(size * abs(mean - rate) for size, mean, rate in _bins(probability, outcomes)))


def brier_parts(probability: Vector, outcomes: Outcomes) -> dict[str, float]:
    """Murphy's (1973) parts of the Brier score over the same bins: reliability - resolution + uncertainty.

    Reliability, 0 at best, is the squared calibration error; resolution is how far the bins' default rates are from
    the overall one; uncertainty is what nobody can help. They add up to the score but for what probabilities differ
    within a bin.
    """
    overall = float(outcomes.mean())
    bins = _bins(probability, outcomes)
    return {
        "reliability": float(sum(size * (mean - rate) ** 2 for size, mean, rate in bins)),
        "resolution": float(sum(size * (rate - overall) ** 2 for size, _, rate in bins)),
        "uncertainty": overall * (1 - overall),
    }


def recalibrated(booster_text: str, by: Map) -> str:
    """The model whose log-odds are the old ones after `by`: so are its contributions and its base value.

    All leaves are multiplied by the slope, and those of the first tree get the intercept. A constant in all leaves
    of a tree moves what the tree says on average, and none of its contributions.
    """

    def change(tree: int, key: str, value: str) -> str:
        if key not in ("leaf_value", "internal_value"):
            return value
        added = by.intercept if tree == 0 else 0.0
        return " ".join(f"{by.slope * float(each) + added:.17g}" for each in value.split())

    return rewritten(booster_text, change)


def _bins(probability: Vector, outcomes: Outcomes) -> list[tuple[float, float, float]]:
    """Share of rows, mean probability and default rate of each bin; the bins are of equal size."""
    ordered = np.argsort(probability, kind="stable")
    return [
        (len(rows) / len(ordered), float(probability[rows].mean()), float(outcomes[rows].mean()))
        for rows in np.array_split(ordered, min(BINS, len(ordered)))
    ]


def _interval(name: str, value: float | None = None, error: float = 0.0) -> dict[str, float | None]:
    if value is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: value, f"{name}_low": value - _Z * error, f"{name}_high": value + _Z * error}
