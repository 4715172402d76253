"""The models of the folds explain former customers and applicants, so that the two can be compared.

The final model has learned what became of the former customers; so each is explained by the model of the fold
that never saw them. Two models explain one person differently: by 0.4 to 0.5 log-odds summed over the features,
for models of 40,000 former customers, half of what lies between an applicant and the 200th neighbour. So an
applicant is compared with the former customers of a fold as that fold's model explains the applicant, and is
explained once for each fold. No distance holds the difference of two models, nor of their base values, and for
any two people |log-odds - their log-odds| <= distance, both by the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.explanation.engine import engine
from scoring.similar.codes import Codes, to_codes

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Folds:
    """What comparing applicants with n former customers takes, apart from their numbers and outcomes.

    Attributes
    ----------
    boosters: LightGBM's text of each fold's model.
    fold: shape (n,), the fold that each former customer was held out of, from 0.
    codes: shape (n, features), their contributions by that fold's model.
    """

    boosters: tuple[str, ...]
    fold: NDArray[np.int8]
    codes: Codes


class HeldOut:
    """Explains the former customers of one fold after the other by the model that never saw them."""

    def __init__(self, matrix: Matrix, groups: NDArray[np.int16], features: int, *, threads: int) -> None:
        self._matrix, self._groups, self._threads = matrix, groups, threads
        self._boosters: list[str] = []
        self._fold = np.full(len(matrix), -1, np.int8)
        self._codes = np.empty((len(matrix), features), np.int16)

    def explain(self, booster: str, held: NDArray[np.intp]) -> NDArray[np.float64]:
        """Explain the rows that a model never saw; their log-odds, as LightGBM predicts them to the last bit."""
        explained = engine(booster, self._groups, self._codes.shape[1])
        log_odds, contributions = explained.explain(self._matrix[held], threads=self._threads)
        self._codes[held] = to_codes(contributions)
        self._fold[held] = len(self._boosters)
        self._boosters.append(booster)
        return log_odds

    def folds(self) -> Folds:
        """What was explained. Raises ValueError if somebody was held out of no fold."""
        if (self._fold < 0).any():
            raise ValueError(f"{int((self._fold < 0).sum())} former customers were held out of no fold.")
        return Folds(tuple(self._boosters), self._fold, self._codes)


def explained_by_folds(
    boosters: Sequence[str], matrix: Matrix, groups: NDArray[np.int16], features: int, *, threads: int
) -> tuple[Codes, ...]:
    """The contributions of applicants by each fold's model, shape (n, features) each."""
    return tuple(
        to_codes(engine(booster, groups, features).explain(matrix, threads=threads)[1]) for booster in boosters
    )
