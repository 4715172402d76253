"""What a night looks like as a whole, and how far it has drifted from the customers that the model learned from.

Everything is a sum over customers, so chunks can be counted anywhere and added up in any order. Values fall into
bins that were fixed at training: deciles of the former customers for a number, the codes of a category, and one bin
for what is missing. The same bins give the drift of a feature and the dependence of its contributions on its value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scoring import scorecard
from scoring.baseline import Baseline, Counts, Vector, bin_number
from scoring.batch import Scored
from scoring.fairness import GroupRates, count, night_groups, places
from scoring.features import Feature
from scoring.policy import DECISIONS, Moved, Policy, contract_types, default_policy, moved_decisions
from scoring.preprocess import explained_features

PSI_FLOOR = 1e-4
EMPTY_BY_CHANCE = 1e-6

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    return cast(_Function, njit(nogil=True, cache=True)(function))


@dataclass
class Sums:
    """Sums over the customers of a chunk, or of a night, over k features with b bins in all.

    Attributes
    ----------
    customers: how many; default_probability: the sum of theirs.
    scores: customers per decision (as `policy.DECISIONS`) and score 0 to 100, shape (3, 101).
    moved: customers per decision of the policy before and decision, shape (3, 3).
    log_odds: per bin of the log-odds, shape (at most 11,).
    group_customers, group_accepted, group_default_probability: per group of `fairness.known_groups`.
    absolute_contribution, absolute_points: shape (k,).
    count, contribution, points, squared_points: per feature and bin, shape (b,), in the order of `Baseline.starts`.
    """

    customers: int
    default_probability: float
    scores: Counts
    moved: Counts
    log_odds: Counts
    group_customers: Counts
    group_accepted: Counts
    group_default_probability: Vector
    absolute_contribution: Vector
    absolute_points: Vector
    count: Counts
    contribution: Vector
    points: Vector
    squared_points: Vector

    @staticmethod
    def of(scored: Scored, baseline: Baseline, base_value: float, before: Policy | None = None) -> Sums:
        """The sums of one batch; `before` is the policy of the run before where it was another one."""
        bins, features = int(baseline.starts[-1]), len(baseline.features)
        reference = baseline.log_odds
        groups = places(scored.values)
        decisions, accepted = scored.decision_index, scored.decision_index == 0
        earlier = decisions if before is None else _decided(scored, before)
        sums = Sums(
            customers=len(scored.log_odds),
            default_probability=float(scored.default_probability.sum()),
            scores=np.bincount(101 * decisions + scored.score, minlength=303).reshape(3, 101),
            moved=np.bincount(3 * earlier + decisions, minlength=9).reshape(3, 3),
            log_odds=np.bincount(
                np.searchsorted(reference.edges, scored.log_odds, side="left"), minlength=len(reference.counts)
            ),
            group_customers=count(groups),
            group_accepted=count(groups, accepted).astype(np.int64),
            group_default_probability=count(groups, scored.default_probability),
            absolute_contribution=np.zeros(features),
            absolute_points=np.zeros(features),
            count=np.zeros(bins, dtype=np.int64),
            contribution=np.zeros(bins),
            points=np.zeros(bins),
            squared_points=np.zeros(bins),
        )
        _add_up(
            scored.values,
            scored.contributions,
            scorecard.points(np.ones((len(scored.log_odds), 1)), scored.log_odds, base_value)[:, 0],
            scored.coded,
            baseline.edges,
            baseline.starts,
            sums.absolute_contribution,
            sums.absolute_points,
            sums.count,
            sums.contribution,
            sums.points,
            sums.squared_points,
        )
        return sums

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """One feature over a night.

    `psi` is its drift, see `stability_index`. `correlation` is between the number of the bin and the points, over
    customers with a value: positive if higher raw values raise the score; None for codes and where one is constant.
    """

    feature_id: int
    customers: int
    missing: int
    unknown: int
    mean_absolute_contribution: float
    mean_contribution: float
    mean_absolute_points: float
    psi: float
    correlation: float | None


@dataclass(frozen=True, slots=True)
class BinSummary:
    """One bin of one feature over a night, `bin` as in `FormerBin`.

    The means and the standard deviation of the points are over the bin's customers, of whom there is at least one.
    """

    feature_id: int
    bin: int
    customers: int
    mean_contribution: float
    mean_points: float
    points_deviation: float


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """How many customers have one score and decision, and the band that it means."""

    score: int
    band: str
    decision: str
    customers: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A night as a whole; `score_psi` is the drift of its log-odds from the former customers' out-of-fold ones.

    `groups` are those by gender and by age that somebody is in; `moved` says how many customers have another
    decision than the policy of the run before would have suggested.
    """

    customers: int
    mean_score: float
    mean_default_probability: float
    approval_rate: float
    score_psi: float
    moved: tuple[Moved, ...]
    groups: tuple[GroupRates, ...]
    scores: tuple[ScoreSummary, ...]
    features: tuple[FeatureSummary, ...]
    bins: tuple[BinSummary, ...]


def summarise(sums: Sums, baseline: Baseline, policy: Policy | None = None) -> Summary | None:
    """Means, drift and distributions of a night decided by a policy; None for a night without customers."""
    if not sums.customers:
        return None
    policy = policy or default_policy()
    decisions, values = np.nonzero(sums.scores)
    bands = policy.band_index(values.astype(np.int16))
    scores = tuple(
        ScoreSummary(int(value), policy.bands[band].band, DECISIONS[decision], int(sums.scores[decision, value]))
        for value, decision, band in sorted(zip(values, decisions, bands, strict=True))
    )
    default = sums.default_probability / sums.customers
    return Summary(
        customers=sums.customers,
        mean_score=100 * (1 - default),
        mean_default_probability=default,
        approval_rate=float(sums.scores[0].sum() / sums.customers),
        score_psi=stability_index(sums.log_odds, baseline.log_odds.counts),
        moved=moved_decisions(sums.moved),
        groups=night_groups(sums.group_customers, sums.group_accepted, sums.group_default_probability),
        scores=scores,
        features=tuple(_feature(sums, baseline, at) for at in range(len(baseline.features))),
        bins=tuple(line for at in range(len(baseline.features)) for line in _bins(sums, baseline, at)),
    )


def _decided(scored: Scored, policy: Policy) -> NDArray[np.intp]:
    return policy.decision_index(
        scored.score, scored.default_probability, contract_types(scored.applications.values)
    )


def emptied(sums: Sums, baseline: Baseline) -> list[tuple[Feature, float]]:
    """Features without any value tonight, and the share of the former customers who had one.

    Those are left out that may be empty by chance: where so many former customers would lack the value all together
    once in more than EMPTY_BY_CHANCE times.
    """
    found = []
    for at, (feature, bins) in enumerate(zip(explained_features(), baseline.features, strict=True)):
        present = int(sums.count[baseline.starts[at] : baseline.starts[at + 1] - 1].sum())
        former = sum(bins.counts)
        share = 1 - bins.counts[-1] / former if former else 0.0
        if sums.customers and not present and (1 - share) ** sums.customers < EMPTY_BY_CHANCE:
            found.append((feature, share))
    return found


def stability_index(actual: Sequence[int] | Counts, expected: Sequence[int] | Counts) -> float:
    """The population stability index of two distributions over the same bins: 0 if they are alike.

    Sum over the bins of (a - e) x ln(a / e), a and e being the bin's shares. Under 0.1 nothing has changed, from
    0.1 on it should be watched, from 0.25 on the population has shifted (Siddiqi 2006, "Credit Risk Scorecards",
    chapter 9). A share under 0.0001 counts as 0.0001, so that an empty bin has a logarithm; bins that are empty in
    both count nothing. NaN if either has nobody at all.
    """
    a, e = (np.asarray(counts, dtype=np.float64) for counts in (actual, expected))
    if not a.sum() or not e.sum():
        return float("nan")
    a, e = (np.maximum(counts / counts.sum(), PSI_FLOOR) for counts in (a, e))
    return float(np.sum((a - e) * np.log(a / e)))


# One pass in a loop of its own takes a tenth of the time of numpy's passes over millions of values.
@_compiled
def _add_up(
    values: Vector,
    contributions: Vector,
    per_log_odds: Vector,
    coded: NDArray[np.bool_],
    edges: Vector,
    starts: NDArray[np.intp],
    absolute_contribution: Vector,
    absolute_points: Vector,
    count: Counts,
    contribution: Vector,
    points: Vector,
    squared_points: Vector,
) -> None:
    for row in range(values.shape[0]):
        for feature in range(values.shape[1]):
            value = values[row, feature]
            missing = starts[feature + 1] - 1
            if np.isnan(value):
                place = missing
            elif coded[feature]:
                place = starts[feature] + int(value)
                if place >= missing:
                    # A code that the dictionary does not have is an unknown category.
                    place = starts[feature]
            else:
                place = starts[feature]
                for edge in edges[feature]:
                    place += value > edge
            own = contributions[row, feature]
            own_points = own * per_log_odds[row]
            absolute_contribution[feature] += abs(own)
            absolute_points[feature] += abs(own_points)
            count[place] += 1
            contribution[place] += own
            points[place] += own_points
            squared_points[place] += own_points * own_points


def _feature(sums: Sums, baseline: Baseline, at: int) -> FeatureSummary:
    feature, bins = explained_features()[at], baseline.features[at]
    own = slice(baseline.starts[at], baseline.starts[at + 1])
    count = sums.count[own]
    return FeatureSummary(
        feature_id=feature.feature_id,
        customers=sums.customers,
        missing=int(count[-1]),
        # 0 of a flag is its "no".
        unknown=int(count[0]) if feature.kind == "category" else 0,
        mean_absolute_contribution=float(sums.absolute_contribution[at] / sums.customers),
        mean_contribution=float(sums.contribution[own].sum() / sums.customers),
        mean_absolute_points=float(sums.absolute_points[at] / sums.customers),
        psi=stability_index(count, bins.counts),
        correlation=None
        if feature.categories
        else _correlation(count[:-1], sums.points[own][:-1], sums.squared_points[own][:-1]),
    )


def _bins(sums: Sums, baseline: Baseline, at: int) -> list[BinSummary]:
    feature, bins = explained_features()[at], baseline.features[at]
    found = []
    for position in range(len(bins.counts)):
        place = baseline.starts[at] + position
        count = int(sums.count[place])
        if not count:
            continue
        mean = float(sums.points[place] / count)
        found.append(
            BinSummary(
                feature_id=feature.feature_id,
                bin=bin_number(feature, bins, position),
                customers=count,
                mean_contribution=float(sums.contribution[place] / count),
                mean_points=mean,
                # What is left of a difference of nearly equal numbers may be negative.
                points_deviation=float(np.sqrt(max(0.0, sums.squared_points[place] / count - mean * mean))),
            )
        )
    return found


def _correlation(count: Counts, points: Vector, squared_points: Vector) -> float | None:
    """Pearson's, between the bin's number and the points of its customers."""
    total = int(count.sum())
    if not total:
        return None
    number = np.arange(len(count))
    mean_number, mean_points = count @ number / total, points.sum() / total
    covariance = number @ points / total - mean_number * mean_points
    variance = count @ number**2 / total - mean_number**2, squared_points.sum() / total - mean_points**2
    if min(variance) <= 1e-12:
        return None
    return float(np.clip(covariance / np.sqrt(variance[0] * variance[1]), -1, 1))
