"""One fit of LightGBM, held to the lender's policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from scoring.policy import Policy
from scoring.preprocess import Preprocessing

Matrix = NDArray[np.float32]
Target = NDArray[np.int8]
Rows = NDArray[np.intp]

_FIXED: Mapping[str, Any] = {
    "objective": "binary",
    "metric": "auc",
    "bagging_freq": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
}
# It is as good as "intermediate" and "advanced" and faster (the README has the figures), and holds where other
# values are missing too: it keeps all that is below one side of a split under all that is below the other, where
# those two compare only leaves that the same numbers can reach.
_METHOD = "basic"
_SIGN = {"rises": 1, "falls": -1}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a policy lets a model make of each column of its matrix.

    Attributes
    ----------
    barred: which columns must not be split on, shape (columns,).
    directions: 1 where the risk may only rise with a present value, -1 where it may only fall, 0 where it is free.
    """

    barred: NDArray[np.bool_]
    directions: tuple[int, ...]

    @staticmethod
    def of(policy: Policy, preprocessing: Preprocessing) -> Limits:
        """The limits that a policy sets. Flags of missing codes and missing values themselves have no direction."""
        return Limits(
            np.isin([column.feature for column in preprocessing.columns], policy.barred),
            tuple(
                _SIGN[policy.directions[column.feature]] if column.name in policy.directions else 0
                for column in preprocessing.columns
            ),
        )

    def blank(self, matrix: Matrix) -> None:
        """Make the barred columns constant, in place: LightGBM never splits on such a column, nor counts it."""
        matrix[:, self.barred] = 0


@dataclass(frozen=True, slots=True)
class Fitter:
    """How every model of one training is fitted.

    Attributes
    ----------
    directions: as those of `Limits`; empty where there are none.
    """

    threads: int
    seed: int
    directions: tuple[int, ...] = ()

    def parameters(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """LightGBM's parameters of a choice of ours."""
        mine = {name: value for name, value in chosen.items() if name != "trees"}
        held: dict[str, Any] = {}
        if any(self.directions):
            held = {"monotone_constraints": list(self.directions), "monotone_constraints_method": _METHOD}
        return {**_FIXED, **mine, **held, "seed": self.seed, "num_threads": self.threads}

    def fit(self, matrix: Matrix, target: Target, chosen: Mapping[str, Any]) -> lightgbm.Booster:
        """A model of as many trees as chosen."""
        return lightgbm.train(self.parameters(chosen), dataset(matrix, target), num_boost_round=chosen["trees"])

    def log_odds(self, booster: lightgbm.Booster, matrix: Matrix) -> NDArray[np.float64]:
        """The log-odds that a model gives to rows, shape (n,)."""
        return np.asarray(booster.predict(matrix, raw_score=True, num_threads=self.threads), dtype=np.float64)


def dataset(matrix: Matrix, target: Target) -> lightgbm.Dataset:
    """Rows as LightGBM learns from them."""
    return lightgbm.Dataset(matrix, target, free_raw_data=True, params={"verbosity": -1})


def folds(target: NDArray[Any], number: int, seed: int) -> Sequence[tuple[Rows, Rows]]:
    """Rows to fit on and rows to hold out, for each fold; outcomes are spread evenly."""
    splitter = StratifiedKFold(number, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(target)), target))


def subsample(rows: int, at_most: int, seed: int) -> Rows:
    """Positions of at most so many of `rows` rows, ascending."""
    if rows <= at_most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, at_most, replace=False))
