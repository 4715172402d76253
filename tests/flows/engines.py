"""An engine that is wrong where only a second opinion can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.bundle import ModelBundle
from scoring.explanation.engine import Engine, engine
from scoring.preprocess import explained_features


@dataclass(frozen=True)
class Swapped:
    """Gives the contribution of one feature to another and back: sums stay what they are."""

    right: Engine

    @staticmethod
    def of_bundle(bundle: ModelBundle) -> Engine:
        """In place of `ModelBundle.engine`."""
        return Swapped(engine(bundle.booster_text, bundle.preprocessing.groups, len(explained_features())))

    def explain(self, x: NDArray[np.float32], *, threads: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `Engine.explain`."""
        names = [feature.name for feature in explained_features()]
        one, other = names.index("EXT_SOURCE_2"), names.index("EXT_SOURCE_3")
        log_odds, contributions = self.right.explain(x, threads=threads)
        contributions[:, [one, other]] = contributions[:, [other, one]]
        return log_odds, contributions
