"""Exact SHAP contributions of each application's own features to its log-odds of default.

Path-dependent TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable
AI for trees", Nature Machine Intelligence 2), computed by an exchangeable engine. Columns that stand for one
feature of the application (one-hot columns, the flag of a missing code) are summed, never maximised, so that
base value + contributions = log-odds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Computes log-odds and contributions for a model's matrix."""

    @property
    def base_value(self) -> float:
        """Expected log-odds over the training data."""

    def explain(self, x: NDArray[np.float32], *, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-odds, shape (n,), and contributions, shape (n, features), for a matrix of shape (n, columns)."""


@dataclass(frozen=True, slots=True)
class LightGBMEngine:
    """LightGBM's own contributions (`pred_contrib`, the code behind shap.TreeExplainer), summed into features."""

    booster: lightgbm.Booster
    groups: NDArray[np.int16]
    n_groups: int

    @property
    def base_value(self) -> float:
        """Expected log-odds over the training data."""
        row = np.full((1, len(self.groups)), np.nan, dtype=np.float32)
        contributions: NDArray[np.float64] = self.booster.predict(row, pred_contrib=True)
        return float(contributions[0, -1])

    def explain(self, x: NDArray[np.float32], *, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `Engine.explain`."""
        if not len(x):
            return np.empty(0), np.empty((0, self.n_groups))
        columns: NDArray[np.float64] = self.booster.predict(x, pred_contrib=True, num_threads=threads)
        summed = np.zeros((self.n_groups, len(x)))
        np.add.at(summed, self.groups, columns[:, :-1].T)
        return columns.sum(axis=1), summed.T


def ranks(contributions: NDArray[np.float64]) -> NDArray[np.int16]:
    """Rank of each contribution within its row, 1 = largest in absolute value; ties in feature order.

    Shape (n, features) in and out.
    """
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    rank = np.empty(order.shape, dtype=np.int16)
    np.put_along_axis(rank, order, np.arange(1, order.shape[1] + 1, dtype=np.int16)[None, :], axis=1)
    return rank
