"""LightGBM's own contributions, which the audit holds our engine against."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray


def lightgbm_engine(booster_text: str, groups: NDArray[np.int16], n_groups: int) -> LightGBMEngine:
    """The engine for a model in LightGBM's text format; see `scoring.explanation.engine.engine`."""
    return LightGBMEngine(lightgbm.Booster(model_str=booster_text), groups, n_groups)


@dataclass(frozen=True, slots=True)
class LightGBMEngine:
    """LightGBM's own contributions (`pred_contrib`, the code behind shap.TreeExplainer), summed into features.

    Slow; it is what the audit holds our engine against, on a sample.
    """

    booster: lightgbm.Booster
    groups: NDArray[np.int16]
    n_groups: int

    def explain(
        self, x: NDArray[np.float32], *, threads: int = 2
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `Engine.explain`."""
        if not len(x):
            return np.empty(0), np.empty((0, self.n_groups))
        columns: NDArray[np.float64] = self.booster.predict(x, pred_contrib=True, num_threads=threads)
        summed = np.zeros((self.n_groups, len(x)))
        np.add.at(summed, self.groups, columns[:, :-1].T)
        return columns.sum(axis=1), summed.T
