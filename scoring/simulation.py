"""What a line between decisions would do, by former customers whom the model had not seen.

The default probability is out of fold and the outcome is known, so that what is expected of applicants like them is
counted and not assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.contract import Applications
from scoring.fairness import known_groups, places
from scoring.intervals import wilson
from scoring.policy import Figures, Line, Policy, contract_types
from scoring.preprocess import feature_values
from scoring.scorecard import default_probability

# Lines that are tried: every half point of the default probability up to half.
STEP = 0.005
HIGHEST = 0.5
# Two-sided 95 % of the normal distribution.

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FormerRisk:
    """Former customers: default probability out of fold, whether they defaulted, contract code; shape (n,)."""

    probability: Vector
    defaulted: NDArray[np.bool_]
    contract_type: Vector


@dataclass(frozen=True, slots=True)
class LineOption:
    """What accepting everybody under a default probability would do.

    Attributes
    ----------
    threshold: the default probability.
    accepted_share: of all former customers.
    expected_default_rate: of those accepted, with the ends of its 95 % Wilson interval; None if there are none.
    expected_profit: per application, in the unit of the lender's figures; None without figures.
    is_current: whether the policy draws its line here.
    is_best: whether no other line that was tried brings more.
    """

    threshold: float
    accepted_share: float
    expected_default_rate: float | None
    expected_default_rate_low: float | None
    expected_default_rate_high: float | None
    expected_profit: float | None
    is_current: bool
    is_best: bool


def current_threshold(policy: Policy) -> float:
    """The default probability under which the policy accepts; by scores, where the lowest accepted score begins."""
    if policy.line:
        return policy.line.limits()[0]
    accepted = [band.minimum_score for band in policy.bands if band.decision == "accept"]
    return (100.5 - min(accepted)) / 100 if accepted else 0.0


def simulate(former: FormerRisk, policy: Policy, figures: Line | None = None) -> list[LineOption]:
    """What each line would do, the lowest first; `figures` are by default those of the policy, if it has any."""
    figures = figures or policy.line
    current = current_threshold(policy)
    lines = {round(step * STEP, 4) for step in range(1, round(HIGHEST / STEP) + 1)} | {current}
    if figures:
        lines.add(figures.figures.break_even)
    thresholds = np.array(sorted(lines))
    order = np.argsort(former.probability, kind="stable")
    counts = np.searchsorted(former.probability[order], thresholds, side="left")
    defaulted = np.concatenate([[0], np.cumsum(former.defaulted[order])])[counts]
    profit = None
    if figures:
        gained = np.concatenate([[0.0], np.cumsum(_worth(former, figures)[order])])[counts]
        profit = gained / max(1, len(order))
    best = None if profit is None else int(np.argmax(profit))
    options = []
    for place, (threshold, count, bad) in enumerate(
        zip(thresholds.tolist(), counts.tolist(), defaulted.tolist(), strict=True)
    ):
        low, high = map(float, wilson(bad, count)) if count else (None, None)
        options.append(
            LineOption(
                threshold=threshold,
                accepted_share=count / max(1, len(order)),
                expected_default_rate=bad / count if count else None,
                expected_default_rate_low=low,
                expected_default_rate_high=high,
                expected_profit=None if profit is None else float(profit[place]),
                is_current=threshold == current,
                is_best=place == best,
            )
        )
    return options


def _worth(former: FormerRisk, figures: Line) -> Vector:
    """What accepting each former customer brought, or cost."""

    def of_each(name: str) -> Vector:
        found = np.full(len(former.probability), getattr(figures.figures, name))
        for code, own in figures.by_contract_type.items():
            found[former.contract_type == code] = getattr(own, name)
        return found

    return np.where(former.defaulted, -of_each("loss"), of_each("gain"))


def uniform(gain: float, loss: float) -> Line:
    """The same figures for every contract."""
    return Line(Figures(gain, loss), {}, 0.0)


def risk_counts(former: Applications, log_odds: Vector) -> list[dict[str, Any]]:
    """How many former customers, and how many who defaulted, there are by group, contract type and risk.

    Groups are everybody (kind "all", code 0) and those of `fairness.known_groups` (code -1 where it is missing);
    risk is the default probability out of fold in thousandths, rounded down.
    """
    assert former.target is not None
    # As they are stored, in single precision: whoever counts the stored ones again must find the same.
    probability = default_probability(log_odds.astype(np.float32).astype(np.float64))
    risk = np.minimum(np.floor(1000 * probability), 999).astype(np.int64)
    contract = np.nan_to_num(contract_types(former.values)).astype(np.int64)
    own = places(feature_values(former.values)[0])
    kinds = [("all", 0), *((group.kind, -1 if group.code is None else group.code) for group in known_groups())]
    found = []
    for place in (np.zeros(len(former), dtype=np.int64), *(each + 1 for each in own)):
        key = (place * 1000 + risk) * 100 + contract
        keys, first = np.unique(key, return_inverse=True)
        customers, defaulted = np.bincount(first), np.bincount(first, former.target)
        for at, count, bad in zip(keys.tolist(), customers.tolist(), defaulted.tolist(), strict=True):
            kind, code = kinds[at // 100_000]
            found.append(
                {
                    "group_kind": kind,
                    "group_code": code,
                    "contract_type": at % 100,
                    "risk": at // 100 % 1000,
                    "customers": count,
                    "defaulted": int(bad),
                }
            )
    return found
