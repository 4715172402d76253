"""Exact SHAP contributions of each application's own features to its log-odds of default.

Path-dependent TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable
AI for trees", Nature Machine Intelligence 2), computed by an exchangeable engine. Columns that stand for one
feature of the application (one-hot columns, the flag of a missing code) are summed, never maximised, so that
base value + contributions = log-odds.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ArtefactError
from scoring.explanation.lightgbm_text import ModelFormatError, parse_model
from scoring.explanation.treeshap import TreeShap

# As LightGBM writes it: another sigmoid would stretch the log-odds, another objective predicts something else.
OBJECTIVE = "binary sigmoid:1"


class Engine(Protocol):
    """Computes log-odds and contributions for a model's matrix."""

    def explain(self, x: NDArray[np.float32], *, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-odds, shape (n,), and contributions, shape (n, features), for a matrix of shape (n, columns)."""


def engine(booster_text: str, groups: NDArray[np.int16], n_groups: int) -> TreeShap:
    """The engine that scores and explains: exact, one pass for log-odds and contributions.

    `groups` gives for each column of the matrix the feature that its contribution counts towards.
    Raises ArtefactError for a text that is not understood, or a model whose raw output is not log-odds.
    """
    try:
        ensemble = parse_model(booster_text)
        if ensemble.objective != OBJECTIVE:
            named = ensemble.objective or "not named"
            raise ModelFormatError(f"its objective is {named!r}, and only that of {OBJECTIVE!r} gives log-odds")
        return TreeShap(ensemble, groups, n_groups)
    except ModelFormatError as error:
        raise ArtefactError(f"The model cannot be explained exactly: {error}.") from error


def ranks(contributions: NDArray[np.float64]) -> NDArray[np.int16]:
    """Rank of each contribution within its row, 1 = largest in absolute value; ties in feature order.

    Shape (n, features) in and out.
    """
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")
    rank = np.empty(order.shape, dtype=np.int16)
    np.put_along_axis(rank, order, np.arange(1, order.shape[1] + 1, dtype=np.int16)[None, :], axis=1)
    return rank
