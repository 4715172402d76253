"""Synthetic people whose chance of default is known, because their outcome is drawn again and again."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from scoring import sample
from scoring.contract import Applications, check_rows
from scoring.sample import default
from scoring.sample.draw import Columns

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """Labelled applications, and the share of defaults among many outcomes of each, shape (n,)."""

    applications: Applications
    chance: Vector


def people(rows: int, *, seed: int, first_id: int = 100_001, draws: int = 100) -> People:
    """Draw people as `scoring.sample` does, and their outcomes anew so many times."""
    kept: list[Columns] = []

    def target(rng: Generator, known: Columns) -> Columns:
        kept.append(known)
        return default.target(rng, known)

    # What defaults depend on is in no column of the files alone.
    with patch.object(sample, "default", new=type("Kept", (), {"target": staticmethod(target)})):
        frame = sample.applications(rows, seed=seed, first_id=first_id, labelled=True)
    rng = np.random.default_rng((seed, 1))
    defaults = np.zeros(rows)
    for _ in range(draws):
        defaults += default.target(rng, kept[0])["TARGET"]
    checked = check_rows(frame.cast(pl.String), first_row=1, labelled=True)
    assert checked.rejected == 0
    return People(checked.accepted, defaults / draws)


def tenths(default_probability: Vector) -> NDArray[np.intp]:
    """The tenth of each applicant by the model's probability, 0 to 9, shape (n,)."""
    place = np.argsort(np.argsort(default_probability, kind="stable"), kind="stable")
    return place * 10 // len(place)


def covered(lowest: Vector, highest: Vector, default_probability: Vector, chance: Vector) -> Vector:
    """Per tenth of probability the share of applicants whose interval covers a chance, all of shape (n,)."""
    inside = (lowest <= chance) & (chance <= highest)
    own = tenths(default_probability)
    return np.array([inside[own == tenth].mean() for tenth in range(10)])
