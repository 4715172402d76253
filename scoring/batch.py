"""Scoring a batch: from checked applications to everything that is written down about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring import scorecard
from scoring.bundle import ModelBundle
from scoring.contract import Applications
from scoring.explanation.engine import ranks
from scoring.policy import Policy, contract_types, default_policy
from scoring.preprocess import feature_values


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores and explanations of n applications with k explained features.

    Attributes
    ----------
    log_odds, default_probability, percentile: shape (n,).
    score: shape (n,), 0 to 100.
    band_index, decision_index: shape (n,), positions in the policy's `bands` and in `policy.DECISIONS`.
    contributions: shape (n, k), log-odds of default; rank: shape (n, k), 1 = largest in absolute value.
    values: shape (n, k), raw units, NaN missing; coded: shape (k,), whether a feature's values are codes.
    """

    applications: Applications
    log_odds: NDArray[np.float64]
    default_probability: NDArray[np.float64]
    score: NDArray[np.int16]
    band_index: NDArray[np.intp]
    decision_index: NDArray[np.intp]
    percentile: NDArray[np.float64]
    contributions: NDArray[np.float64]
    rank: NDArray[np.int16]
    values: NDArray[np.float64]
    coded: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> Scored:
        """The given rows, in the given order, as copies."""
        kept = {name: getattr(self, name)[rows] for name in self.__slots__ if name not in {"applications", "coded"}}
        return Scored(applications=self.applications.take(rows), coded=self.coded, **kept)


def score_batch(
    bundle: ModelBundle, applications: Applications, *, policy: Policy | None = None, threads: int = 1
) -> Scored:
    """Score, explain, and decide by a policy (the program's by default); a row does not depend on the others."""
    policy = policy or default_policy()
    matrix = bundle.preprocessing.transform(applications.values)
    log_odds, contributions = bundle.engine.explain(matrix, threads=threads)
    # The engine gives columns; ranking and writing go row by row.
    contributions = np.ascontiguousarray(contributions)
    values, coded = feature_values(applications.values)
    scores, probability = scorecard.score(log_odds), scorecard.default_probability(log_odds)
    return Scored(
        applications=applications,
        log_odds=log_odds,
        default_probability=probability,
        score=scores,
        band_index=policy.band_index(scores),
        decision_index=policy.decision_index(scores, probability, contract_types(applications.values)),
        percentile=scorecard.percentile(log_odds, np.asarray(bundle.reference_log_odds)),
        contributions=contributions,
        rank=ranks(contributions),
        values=values,
        coded=coded,
    )
