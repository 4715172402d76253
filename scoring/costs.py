"""What the lender's policy costs in AUC: the same folds and parameters with a rule of it, and without.

The models compared are fitted without the ways of missing values (`scoring.missing`), which take as long as the fit
itself and are alike on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from scoring.contract import UNKNOWN_CATEGORY
from scoring.features import by_name
from scoring.fitting import Fitter, Limits, Matrix, Target, folds
from scoring.policy import Policy
from scoring.preprocess import Preprocessing, explained_features, feature_values

FOLDS = 5
GUESS_FOLDS = 3
# Fewer people than this with or without a property say nothing about how well it can be guessed.
FEWEST_GUESSED = 20
_GUESSER: Mapping[str, Any] = {
    "trees": 50,
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
}

Step = Callable[[], None]


@dataclass(frozen=True)
class PolicyCosts:
    """Measures what a policy costs.

    Attributes
    ----------
    values: the raw applications that it is measured on, shape (n, 120).
    target: their outcomes, shape (n,).
    parameters: those of the model.
    """

    policy: Policy
    preprocessing: Preprocessing
    values: NDArray[np.float64]
    target: Target
    parameters: Mapping[str, Any]
    threads: int
    seed: int

    @property
    def excluded(self) -> tuple[str, ...]:
        """The barred features that the policy names; the others are computed from them."""
        return tuple(name for name, rule in self.policy.features.items() if not rule.may_score)

    def measured(self, progress: Callable[[str, int, int], None]) -> dict[str, Any]:
        """Costs of each exclusion, of all together, and of all directions: AUC without the rule minus AUC with it.

        Of an exclusion also `guessed_auc`, see `guessed_auc`. The standard error is that of the mean over five
        folds, corrected for what they share (Nadeau and Bengio 2003, "Inference for the generalization error").
        """
        lifted = [self._allowing(name) for name in self.excluded]
        together = self._allowing(*self.excluded) if len(lifted) > 1 else None
        undirected = replace(self.policy, directions={}) if self.policy.directions else None
        total = FOLDS * (1 + len(lifted) + (together is not None) + (undirected is not None))
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            progress("costs", done, total)

        matrix = self.preprocessing.transform(self.values)
        kept = np.zeros(FOLDS)
        if total > FOLDS:
            progress("costs", 0, total)
            kept = self._fold_aucs(self.policy, matrix, step)

        def cost(policy: Policy | None) -> dict[str, float]:
            difference = np.zeros(FOLDS) if policy is None else self._fold_aucs(policy, matrix, step) - kept
            error = float(difference.std(ddof=1)) * math.sqrt(1 / FOLDS + 1 / (FOLDS - 1))
            return {"auc_cost": float(difference.mean()), "auc_cost_se": error}

        exclusions = [
            {"feature": name, **cost(policy), "guessed_auc": self._guessed(name, matrix)}
            for name, policy in zip(self.excluded, lifted, strict=True)
        ]
        alone = {key: exclusions[0][key] for key in ("auc_cost", "auc_cost_se")} if len(exclusions) == 1 else None
        return {
            "exclusions": exclusions,
            "all_exclusions": alone or cost(together),
            "directions": cost(undirected),
            "rows": len(self.target),
        }

    def _allowing(self, *names: str) -> Policy:
        rules = {
            name: replace(rule, may_score=True) if name in names else rule
            for name, rule in self.policy.features.items()
        }
        return replace(self.policy, features=rules)

    def _fold_aucs(self, policy: Policy, matrix: Matrix, step: Step) -> NDArray[np.float64]:
        limits = Limits.of(policy, self.preprocessing)
        seen = matrix.copy(order="F")
        limits.blank(seen)
        fitter = Fitter(self.threads, self.seed, limits.directions)
        aucs = []
        for fit, held in folds(self.target, FOLDS, self.seed + 1):
            booster = fitter.fit(seen[fit], self.target[fit], self.parameters)
            aucs.append(roc_auc_score(self.target[held], fitter.log_odds(booster, seen[held])))
            step()
        return np.array(aucs)

    def _guessed(self, name: str, matrix: Matrix) -> float | None:
        seen = matrix.copy(order="F")
        Limits.of(self.policy, self.preprocessing).blank(seen)
        position = [feature.name for feature in explained_features()].index(name)
        shown, coded = feature_values(self.values)
        feature = shown[:, position]
        if by_name()[name].kind == "category":
            feature = np.where(feature == UNKNOWN_CATEGORY, np.nan, feature)
        return guessed_auc(feature, seen, coded=bool(coded[position]), threads=self.threads, seed=self.seed)


def guessed_auc(
    feature: NDArray[np.float64], matrix: Matrix, *, coded: bool, threads: int, seed: int
) -> float | None:
    """How well a feature that may not score can be guessed from those that may: an AUC out of fold, 0.5 for not.

    Of a category, its most frequent value is told from all others; of a number, what is over the median from the
    rest. That is one figure for any feature, and the one with the most people on either side. People without the
    value are left out. None where too few are on one side.

    Parameters
    ----------
    feature: its value for each row, a code or a number, NaN where it is not known, shape (n,).
    matrix: the model's matrix with barred columns blanked, shape (n, columns).
    """
    known = np.isfinite(feature)
    there, matrix = feature[known], matrix[known]
    if not len(there):
        return None
    if coded:
        values, counts = np.unique(there, return_counts=True)
        property_ = (there == values[counts.argmax()]).astype(np.int8)
    else:
        property_ = (there > np.median(there)).astype(np.int8)
    if min(property_.sum(), len(there) - property_.sum()) < FEWEST_GUESSED:
        return None
    fitter = Fitter(threads, seed)
    aucs = []
    for fit, held in folds(property_, GUESS_FOLDS, seed):
        booster = fitter.fit(matrix[fit], property_[fit], _GUESSER)
        aucs.append(roc_auc_score(property_[held], fitter.log_odds(booster, matrix[held])))
    return float(np.mean(aucs))
