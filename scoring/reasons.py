"""The reasons for a decision: what counted most against an application, compared with those just accepted.

A contribution says how a feature moved a customer from the average customer. Whoever is refused asks something
else: what was different with those who were accepted? So each contribution is taken relative to the mean
contribution of former customers who would be accepted and are near the line (`Reference`). Features are added up
to the reasons of the catalogue. What may not be told is left out before, so that it can neither make a reason nor
weigh on one. A reason raises the risk, or it is none. Everything depends on the row itself, the reference, the
catalogue and the policy, and never on the other rows of a night.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ArtefactError
from scoring.policy import Policy
from scoring.preprocess import explained_features
from scoring.reason_catalogue import ReasonCatalogue
from scoring.scorecard import points

Vector = NDArray[np.float64]
Rule = Literal["near_the_line", "nearest_to_the_line", "least_risky"]

# In log-odds: from the line to where the odds of default are 1.65 times better.
NEAR = 0.5
FEWEST = 200
# More make no better mean, and take time to explain.
MOST = 5_000
# What moves a default probability of 8 % by less than a tenth of a percentage point is no reason.
SMALLEST = 0.01


@dataclass(frozen=True)
class Reference:
    """Those whom refused applications are compared with.

    Attributes
    ----------
    mean_contributions: per explained feature, log-odds of default.
    rows: how many former customers they are the mean of.
    rule: who these are: the accepted ones within `NEAR` of the line, or, where these are too few, the `FEWEST`
        accepted ones nearest to it, or, where nobody is accepted, those with the lowest risk.
    """

    mean_contributions: tuple[float, ...]
    rows: int
    rule: Rule

    @staticmethod
    def of(contributions: Vector, rule: Rule) -> Reference:
        """The reference of those that `choose` chose: what the model says of them, shape (n, features), n > 0."""
        kept = _as_kept(contributions)
        return Reference(tuple(kept.mean(axis=0).tolist()), len(kept), rule)

    def to_json(self) -> str:
        """The reference as canonical JSON, features by name: the same reference gives the same text."""
        names = [feature.name for feature in explained_features()]
        content = {
            "mean_contributions": dict(zip(names, self.mean_contributions, strict=True)),
            "rows": self.rows,
            "rule": self.rule,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `to_json()`, as hexadecimal text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @staticmethod
    def from_json(text: str) -> Reference:
        """What `to_json` gave. Raises ArtefactError for that of another feature list, or for anything else."""
        try:
            content: Mapping[str, Any] = json.loads(text)
            means, rows, rule = (content[name] for name in ("mean_contributions", "rows", "rule"))
            found = Reference(
                tuple(float(means[feature.name]) for feature in explained_features()), int(rows), rule
            )
        except (KeyError, TypeError, ValueError):
            raise ArtefactError("The reference of reasons is none of this program's feature list.") from None
        if len(means) != len(found.mean_contributions) or rule not in get_args(Rule) or rows < 1:
            raise ArtefactError("The reference of reasons is none of this program's feature list.")
        return found


@dataclass(frozen=True)
class ReasonRules:
    """All that the reasons of a row depend on besides the row.

    Attributes
    ----------
    may_be_told: which of the explained features the policy lets be told, shape (features,).
    most: how many reasons a row has at most.
    """

    catalogue: ReasonCatalogue
    reference: Reference
    may_be_told: NDArray[np.bool_]
    most: int

    @cached_property
    def tellable(self) -> NDArray[np.bool_]:
        """Which of the explained features count: those that may be told and that there are words for."""
        return self.may_be_told & self.catalogue.tellable


@dataclass(frozen=True, slots=True)
class Reasons:
    """Reasons of rows as flat arrays, in the order of rows and places, shape (n,) each.

    Attributes
    ----------
    row: the row among those that were asked about; place: 1 is the strongest.
    reason: position in the catalogue's reasons.
    feature: position, among the explained features, of the one that counts most in the reason; -1 for none.
    log_odds: what the reason adds to the risk, relative to the reference; points: the same in score points,
        negative. Both are NaN where no reason may be told.
    """

    row: NDArray[np.intp]
    place: NDArray[np.int16]
    reason: NDArray[np.intp]
    feature: NDArray[np.intp]
    log_odds: Vector
    points: Vector

    def __len__(self) -> int:
        return len(self.row)


def reasons(
    rules: ReasonRules, contributions: Vector, log_odds: Vector, base_value: float, decision_index: NDArray[np.intp]
) -> Reasons:
    """One to `rules.most` reasons for each row that is not accepted, or one that says that there is none to tell.

    Parameters
    ----------
    contributions: shape (n, features), log-odds of default; they count in the precision that they are kept in.
    log_odds: shape (n,); base_value: the model's expected log-odds.
    decision_index: positions in `policy.DECISIONS`, shape (n,).
    """
    rows = np.flatnonzero(decision_index != 0)
    order, starts = _by_reason(rules)
    relative = _as_kept(contributions[rows].T[order]) - np.array(rules.reference.mean_contributions)[order, None]
    totals = np.full((len(rows), len(rules.catalogue.reasons)), -np.inf)
    leaders = np.full(totals.shape, -1, dtype=np.intp)
    for reason, (start, stop) in starts.items():
        part = relative[start:stop]
        # One feature after the other: how numpy sums up depends on the shape, and so on the other rows.
        total = part[0].copy()
        for line in part[1:]:
            total += line
        totals[:, reason] = total
        leaders[:, reason] = order[start + part.argmax(axis=0)]
    strongest = np.argsort(-totals, axis=1, kind="stable")[:, : rules.most]
    strength = np.take_along_axis(totals, strongest, axis=1)
    leading = np.take_along_axis(leaders, strongest, axis=1)
    in_points = points(np.where(np.isfinite(strength), strength, 0.0), log_odds[rows], base_value)
    told = strength >= SMALLEST
    silent = ~told[:, 0]
    told[silent, 0] = True
    strongest[silent, 0], leading[silent, 0] = rules.catalogue.none, -1
    strength[silent, 0] = in_points[silent, 0] = np.nan
    at, place = np.nonzero(told)
    return Reasons(
        row=rows[at],
        place=(place + 1).astype(np.int16),
        reason=strongest[told],
        feature=leading[told],
        log_odds=strength[told],
        points=in_points[told],
    )


def acceptance_line(policy: Policy, contract_type: Vector) -> Vector:
    """For each application the log-odds of default from which on it is not accepted, shape (n,).

    Infinite where everything is accepted, or nothing.
    """
    if policy.line is None:
        accepting = [band.minimum_score for band in policy.bands if band.decision == "accept"]
        # A score is rounded.
        lowest = min(accepting, default=101) - 0.5
        return np.full(len(contract_type), _logit(1 - lowest / 100))
    limits = np.full(len(contract_type), _logit(policy.line.limits()[0]))
    for code in policy.line.by_contract_type:
        limits[contract_type == code] = _logit(policy.line.limits(code)[0])
    return limits


def choose(log_odds: Vector, accepted: NDArray[np.bool_], line: Vector) -> tuple[NDArray[np.intp], Rule]:
    """Which of some former customers are the reference, in their order, and by which rule.

    Parameters
    ----------
    log_odds: out of fold, so that nobody's own outcome decides, shape (n,).
    accepted: who of them would be accepted, shape (n,).
    line: see `acceptance_line`, shape (n,).
    """
    rows = np.flatnonzero(accepted)
    if not len(rows):
        return np.sort(np.argsort(log_odds, kind="stable")[:FEWEST]), "least_risky"
    # Where everybody is accepted, the line is infinitely far: then the riskiest are the nearest.
    distance = np.where(np.isfinite(line), line, log_odds.max())[rows] - log_odds[rows]
    near = int((distance <= NEAR).sum())
    count = min(max(near, FEWEST), MOST)
    rule: Rule = "near_the_line" if near >= FEWEST else "nearest_to_the_line"
    return np.sort(rows[np.argsort(distance, kind="stable")[:count]]), rule


def _by_reason(rules: ReasonRules) -> tuple[NDArray[np.intp], dict[int, tuple[int, int]]]:
    """The features that count, those of one reason together, and where each reason begins and ends among them."""
    counting = np.flatnonzero(rules.tellable)
    of = rules.catalogue.reason_index[counting]
    order = np.argsort(of, kind="stable")
    found, starts = np.unique(of[order], return_index=True)
    stops = np.searchsorted(of[order], found, side="right")
    return counting[order], {int(r): (int(a), int(b)) for r, a, b in zip(found, starts, stops, strict=True)}


def _as_kept(contributions: Vector) -> Vector:
    """In the single precision that they are kept in: whoever recomputes reasons from what is kept gets the same."""
    return contributions.astype(np.float32).astype(np.float64)


def _logit(probability: float) -> float:
    if not 0 < probability < 1:
        return float(np.inf if probability >= 1 else -np.inf)
    return float(np.log(probability / (1 - probability)))
