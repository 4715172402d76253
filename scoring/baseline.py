"""How former customers spread over the bins of each feature: what each night is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ArtefactError
from scoring.features import Feature
from scoring.preprocess import explained_features, feature_values

Vector = NDArray[np.float64]
Counts = NDArray[np.int64]

BINS = 10
MISSING = -1


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of one feature, or of the log-odds, and how the former customers spread over them.

    Attributes
    ----------
    edges: upper ends, inclusive and ascending, of all bins of numbers but the last; empty for codes.
    counts: former customers per bin; the last is for missing values. For codes, bin and code are the same.
    minima, maxima: the smallest and the largest value in each bin of numbers; empty for codes, and for a number
        that no former customer has.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    minima: tuple[float, ...] = ()
    maxima: tuple[float, ...] = ()

    @staticmethod
    def of_numbers(values: Vector) -> Bins:
        """At most ten bins of about equal size; NaN is missing. Equal values are never torn apart."""
        present = np.sort(values[np.isfinite(values)])
        count = len(present)
        if not count:
            return Bins((), (0, len(values)))
        # Values that occur, so that a bin of a small whole number is that number.
        deciles = present[np.ceil(np.arange(1, BINS) * count / BINS).astype(np.intp) - 1]
        edges = np.unique(deciles[deciles < present[-1]])
        ends = np.append(np.searchsorted(present, edges, side="right"), count)
        starts = np.append(0, ends[:-1])
        return Bins(
            tuple(edges.tolist()),
            (*np.subtract(ends, starts).tolist(), len(values) - count),
            tuple(present[starts].tolist()),
            tuple(present[ends - 1].tolist()),
        )

    @staticmethod
    def of_codes(values: Vector, feature: Feature) -> Bins:
        """A bin per code of the dictionary; NaN is missing."""
        present = values[np.isfinite(values)].astype(np.intp)
        counts = np.bincount(present, minlength=_codes(feature))
        return Bins((), (*counts.tolist(), len(values) - len(present)))


@dataclass(frozen=True, slots=True)
class FormerBin:
    """One bin of one feature: `bin` counts from 1 for numbers, is the code of a category, -1 for missing values.

    `minimum` and `maximum` are the smallest and the largest value in it, None where there is none or for codes.
    """

    feature_id: int
    bin: int
    minimum: float | None
    maximum: float | None
    customers: int


@dataclass(frozen=True)
class Baseline:
    """How the customers that a model learned from spread: per explained feature, and by out-of-fold log-odds."""

    features: tuple[Bins, ...]
    log_odds: Bins

    @staticmethod
    def fit(values: NDArray[np.float64], log_odds: Vector) -> Baseline:
        """Learn from former customers: raw values, shape (n, 120), and out-of-fold log-odds, shape (n,)."""
        shown, coded = feature_values(values)
        features = [
            Bins.of_codes(shown[:, position], feature) if coded[position] else Bins.of_numbers(shown[:, position])
            for position, feature in enumerate(explained_features())
        ]
        return Baseline(tuple(features), Bins.of_numbers(log_odds))

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where each feature's bins begin in the vector of all bins, and where the last one's end."""
        return np.cumsum([0, *(len(bins.counts) for bins in self.features)])

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """Per feature its edges, shape (features, 9), padded with infinity, which no value exceeds."""
        edges = np.full((len(self.features), BINS - 1), np.inf)
        for position, bins in enumerate(self.features):
            edges[position, : len(bins.edges)] = bins.edges
        return edges

    def lines(self) -> list[FormerBin]:
        """All bins of the features, one after the other."""
        return [
            FormerBin(
                feature_id=feature.feature_id,
                bin=bin_number(feature, bins, position),
                minimum=bins.minima[position] if position < len(bins.minima) else None,
                maximum=bins.maxima[position] if position < len(bins.maxima) else None,
                customers=customers,
            )
            for feature, bins in zip(explained_features(), self.features, strict=True)
            for position, customers in enumerate(bins.counts)
        ]

    def to_json(self) -> dict[str, Any]:
        """The baseline as plain data."""
        return {
            "features": {
                feature.name: _bins_to_json(bins)
                for feature, bins in zip(explained_features(), self.features, strict=True)
            },
            "log_odds": _bins_to_json(self.log_odds),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Baseline:
        """What `to_json` gave. Raises ArtefactError if its bins are not those of this feature dictionary."""
        known = data["features"]
        features = tuple(
            _bins_from_json(known[feature.name]) for feature in explained_features() if feature.name in known
        )
        fits = len(features) == len(explained_features()) == len(known) and all(
            len(bins.counts) == _codes(feature) + 1
            if feature.categories
            else len(bins.counts) == len(bins.edges) + 2
            for feature, bins in zip(explained_features(), features, strict=True)
        )
        if not fits:
            raise ArtefactError("The model's bins are not those of this feature dictionary; train again.")
        return Baseline(features, _bins_from_json(data["log_odds"]))


def bin_number(feature: Feature, bins: Bins, position: int) -> int:
    """The number of the bin at `position`, as `FormerBin` explains it."""
    if position == len(bins.counts) - 1:
        return MISSING
    return position if feature.categories else position + 1


def _codes(feature: Feature) -> int:
    """Bins for the codes of a category (0, the unknown one, included) or of a yes/no column."""
    return feature.categories[-1].code + 1


def _bins_to_json(bins: Bins) -> dict[str, list[float]]:
    return {each.name: list(getattr(bins, each.name)) for each in fields(Bins)}


def _bins_from_json(data: Mapping[str, Any]) -> Bins:
    return Bins(**{each.name: tuple(data[each.name]) for each in fields(Bins)})
