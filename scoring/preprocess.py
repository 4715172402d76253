"""Preprocessing: fitted once on former customers, stored with the model, applied unchanged to one row or a million.

It follows what holds up of W. Koehrsen's kernel "Start here: a gentle introduction": categories one-hot
encoded, the 365243 of DAYS_EMPLOYED blanked and flagged, days made positive, domain ratios added. Polynomials of
the external scores did not earn their place; their mean, minimum and maximum did.

What is learned is data (which category codes exist), so nothing depends on the other rows of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from scoring.errors import ArtefactError
from scoring.features import Feature, by_name, derived_features, input_features

Matrix = NDArray[np.float64]

# A derived feature is missing where its operand is; those of the external scores only where all three are.
_MISSING_WITH: Mapping[str, str] = {
    "ANNUITY_INCOME_PERCENT": "AMT_ANNUITY",
    "CREDIT_TERM": "AMT_ANNUITY",
    "CREDIT_GOODS_PERCENT": "AMT_GOODS_PRICE",
    "DAYS_EMPLOYED_PERCENT": "DAYS_EMPLOYED",
    "EXT_SOURCE_MIN": "EXT_SOURCE_MEAN",
    "EXT_SOURCE_MAX": "EXT_SOURCE_MEAN",
}


@dataclass(frozen=True, slots=True)
class ModelColumn:
    """One column of the model's matrix, and the feature (by name) whose contribution it counts towards."""

    name: str
    feature: str


@dataclass(frozen=True)
class Preprocessing:
    """What was learned from former customers: per category feature the codes that get a column of their own."""

    levels: Mapping[str, tuple[int, ...]]

    @staticmethod
    def fit(values: Matrix) -> Preprocessing:
        """Learn from applications of shape (n, 120), raw, as the contract gives them."""
        levels = {}
        for column, feature in enumerate(input_features()):
            if feature.dtype == "category":
                seen = np.unique(values[:, column])
                levels[feature.name] = tuple(int(code) for code in seen if code > 0)
        return Preprocessing(levels)

    @cached_property
    def columns(self) -> tuple[ModelColumn, ...]:
        """The matrix's columns in order: numbers, flags of missing codes, categories one-hot, derived."""
        found: list[ModelColumn] = []
        for feature in input_features():
            if feature.dtype == "category":
                found += [
                    ModelColumn(f"{feature.name}={code}", feature.name)
                    for code in self.levels.get(feature.name, ())
                ]
                continue
            found.append(ModelColumn(feature.name, feature.name))
            if feature.missing_code is not None:
                found.append(ModelColumn(f"{feature.name}_ANOM", feature.name))
        found += [ModelColumn(feature.name, feature.name) for feature in derived_features()]
        return tuple(found)

    @cached_property
    def groups(self) -> NDArray[np.int16]:
        """For each column of the matrix the index, in `explained_features()`, of the feature it belongs to."""
        index = {feature.name: position for position, feature in enumerate(explained_features())}
        return np.array([index[column.feature] for column in self.columns], dtype=np.int16)

    @cached_property
    def missing_together(self) -> tuple[NDArray[np.intp], ...]:
        """The columns of the matrix that may be missing in an application, those together that are so together."""
        groups: dict[str, list[int]] = {}
        for position, column in enumerate(self.columns):
            feature = by_name()[column.feature]
            if column.name == feature.name and (feature.nullable or feature.missing_code is not None):
                groups.setdefault(_MISSING_WITH.get(feature.name, feature.name), []).append(position)
        return tuple(np.array(columns, dtype=np.intp) for columns in groups.values())

    def transform(self, values: Matrix) -> NDArray[np.float32]:
        """The model's matrix, shape (n, len(columns)), column-major, NaN for missing.

        `values` has shape (n, 120), raw, as the contract gives them. A category that was never seen has all
        its columns at 0.
        """
        matrix = np.empty((len(values), len(self.columns)), dtype=np.float32, order="F")
        at = 0
        for column, feature in enumerate(input_features()):
            raw = values[:, column]
            if feature.dtype == "category":
                for code in self.levels.get(feature.name, ()):
                    matrix[:, at] = raw == code
                    at += 1
                continue
            matrix[:, at] = _magnitude(feature, raw)
            at += 1
            if feature.missing_code is not None:
                matrix[:, at] = raw == feature.missing_code
                at += 1
        matrix[:, at:] = derived_values(values)
        return matrix

    def to_json(self) -> dict[str, object]:
        """The learned state as plain data."""
        return {"levels": {name: list(codes) for name, codes in self.levels.items()}}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Preprocessing:
        """The state that `to_json` gave. Raises ArtefactError for anything else."""
        levels = data.get("levels")
        known = {feature.name for feature in input_features() if feature.dtype == "category"}
        if not isinstance(levels, dict) or set(levels) != known:
            raise ArtefactError(
                "The model's preprocessing does not name the categories of this feature dictionary."
            )
        for name, codes in levels.items():
            if not isinstance(codes, list) or not all(type(code) is int and 0 < code < 32768 for code in codes):
                raise ArtefactError(f"The model's preprocessing has no list of category codes for {name}.")
        return Preprocessing({name: tuple(codes) for name, codes in levels.items()})


@cache
def explained_features() -> tuple[Feature, ...]:
    """The features that get a contribution, in order: the 120 columns of an application, then the derived ones."""
    return (*input_features(), *derived_features())


def feature_ids() -> NDArray[np.int16]:
    """The dictionary's id of each explained feature, shape (features,)."""
    return np.array([feature.feature_id for feature in explained_features()], dtype=np.int16)


def derived_values(values: Matrix) -> Matrix:
    """The derived features, shape (n, number of them), NaN where an operand is missing or a divisor is 0."""
    where = _column_index()

    def column(name: str) -> Matrix:
        return _blanked(by_name()[name], values[:, where[name]])

    income, credit, annuity = column("AMT_INCOME_TOTAL"), column("AMT_CREDIT"), column("AMT_ANNUITY")
    external = np.column_stack([column(f"EXT_SOURCE_{number}") for number in (1, 2, 3)])
    derived = {
        "CREDIT_INCOME_PERCENT": _ratio(credit, income),
        "ANNUITY_INCOME_PERCENT": _ratio(annuity, income),
        "CREDIT_TERM": _ratio(credit, annuity),
        "DAYS_EMPLOYED_PERCENT": _ratio(column("DAYS_EMPLOYED"), column("DAYS_BIRTH")),
        "CREDIT_GOODS_PERCENT": _ratio(credit, column("AMT_GOODS_PRICE")),
        # Over those that are there; NaN if none is.
        "EXT_SOURCE_MEAN": _ratio(np.nansum(external, axis=1), np.isfinite(external).sum(axis=1)),
        "EXT_SOURCE_MIN": np.fmin.reduce(external, axis=1),
        "EXT_SOURCE_MAX": np.fmax.reduce(external, axis=1),
    }
    return np.column_stack([derived[feature.name] for feature in derived_features()])


def feature_values(values: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
    """What each feature of each application is, for people: raw units with codes of "missing" blanked.

    Returns the values, shape (n, number of explained features), and, shape (number of explained features,),
    which of them are codes of the dictionary rather than numbers.
    """
    shown = np.empty((len(values), len(explained_features())))
    for column, feature in enumerate(input_features()):
        shown[:, column] = _blanked(feature, values[:, column])
    shown[:, len(input_features()) :] = derived_values(values)
    return shown, np.array([bool(feature.categories) for feature in explained_features()])


@cache
def _column_index() -> Mapping[str, int]:
    return {feature.name: column for column, feature in enumerate(input_features())}


def _blanked(feature: Feature, raw: Matrix) -> Matrix:
    if feature.missing_code is None:
        return raw
    return np.where(raw == feature.missing_code, np.nan, raw)


def _magnitude(feature: Feature, raw: Matrix) -> Matrix:
    blanked = _blanked(feature, raw)
    return np.abs(blanked) if feature.name.startswith("DAYS_") else blanked


def _ratio(numerator: Matrix, denominator: Matrix | NDArray[np.intp]) -> Matrix:
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator != 0)
    return ratio
