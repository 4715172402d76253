"""The catalogue of reasons: what a customer and an advisor are told about a decision, in words that never change.

`dictionary/reasons.csv` has a line for each reason: its code, the groups of features that it gathers (see
`feature_groups`; a group of one feature has the feature's name), and its texts in English and French: for the
letter to the customer, for the advisor, and what can be done, where something honestly can. A code that was once
given keeps its meaning for ever: another meaning gets another code.

The one line without features is told where no reason may be told. A line without texts gathers features that are
never a reason, whatever a policy lets be told: who somebody is, where somebody lives, and what others do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scoring.dictionary_lines import DictionaryError, Line, read_lines
from scoring.feature_groups import FeatureGroup, feature_groups
from scoring.preprocess import explained_features

FILE = "reasons.csv"
_CODE = re.compile(r"R\d\d")
_TEXTS = ("refusal_en", "refusal_fr", "advisor_en", "advisor_fr")
_ACTIONS = ("action_en", "action_fr")
# A sentence ends with its only full stop.
_SENTENCE = re.compile(r"[^.!?…]+\.")


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of the catalogue; `features` in the dictionary's order, texts empty where there are none."""

    code: str
    features: tuple[str, ...]
    refusal_en: str
    refusal_fr: str
    advisor_en: str
    advisor_fr: str
    action_en: str
    action_fr: str


_COLUMNS = tuple(field.name for field in fields(Reason))


@dataclass(frozen=True)
class ReasonCatalogue:
    """Every explained feature is in exactly one reason; `reasons` are in the file's order."""

    reasons: tuple[Reason, ...]

    @cached_property
    def text(self) -> str:
        """The canonical content: features instead of groups, one way to write each cell; `parse` reads it too."""
        lines = [{**asdict(reason), "features": " ".join(reason.features)} for reason in self.reasons]
        cells = [{column: text or None for column, text in line.items()} for line in lines]
        return pl.DataFrame(cells, schema=dict.fromkeys(_COLUMNS, pl.String)).write_csv()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `text`, as hexadecimal text: the catalogue's version."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def none(self) -> int:
        """The position of what is told where no reason may be told."""
        return next(position for position, reason in enumerate(self.reasons) if not reason.features)

    @cached_property
    def reason_index(self) -> NDArray[np.intp]:
        """For each explained feature the position of its reason, shape (features,)."""
        of = {name: position for position, reason in enumerate(self.reasons) for name in reason.features}
        return np.array([of[feature.name] for feature in explained_features()], dtype=np.intp)

    @cached_property
    def tellable(self) -> NDArray[np.bool_]:
        """Which of the explained features there are words for, shape (features,)."""
        return np.array([bool(self.reasons[position].refusal_en) for position in self.reason_index])


@cache
def reason_catalogue() -> ReasonCatalogue:
    """The catalogue that comes with the program."""
    return parse(files("scoring").joinpath("dictionary", FILE).read_text(encoding="utf-8"), feature_groups())


def parse(text: str, groups: Sequence[FeatureGroup]) -> ReasonCatalogue:
    """The catalogue of a comma-separated text.

    Raises DictionaryError, naming file, line and column, at the first cell that breaks a rule.
    """
    known = {name: group.members for group in groups for name in (group.name, *group.members)}
    codes: set[str] = set()
    taken: set[str] = set()
    said: dict[str, set[str]] = {column: set() for column in (*_TEXTS, *_ACTIONS)}
    reasons = []
    lines = read_lines(FILE, text, _COLUMNS)
    for line in lines:
        line.unique("code", codes)
        if not _CODE.fullmatch(line.cells["code"]):
            line.fail("code", f"{line.cells['code']!r} is no R with two digits")
        _check_texts(line, said)
        features = _features(line, known, taken)
        reasons.append(Reason(line.cells["code"], features, *(line.cells[column] for column in _COLUMNS[2:])))
    _check_whole(lines[-1], reasons, taken)
    return ReasonCatalogue(tuple(reasons))


def _features(line: Line, known: dict[str, tuple[str, ...]], taken: set[str]) -> tuple[str, ...]:
    if not line.cells["features"]:
        return ()
    names = line.cells["features"].split(" ")
    for name in names:
        if name not in known:
            line.fail("features", f"{name!r} is no group of features")
    found = {member for name in names for member in known[name]}
    for member in sorted(found & taken):
        line.fail("features", f"{member!r} is in a reason already: a group is in one reason as a whole")
    taken |= found
    return tuple(feature.name for feature in explained_features() if feature.name in found)


def _check_texts(line: Line, said: dict[str, set[str]]) -> None:
    told = any(line.cells[column] for column in (*_TEXTS, *_ACTIONS))
    acts = any(line.cells[column] for column in _ACTIONS)
    if not told and not line.cells["features"]:
        line.fail("features", "a line has features, or texts, or both")
    for column in (*(_TEXTS if told else ()), *(_ACTIONS if acts else ())):
        line.unique(column, said[column])
        if not _SENTENCE.fullmatch(line.cells[column]):
            line.fail(column, f"{line.cells[column]!r} is not one sentence that ends with a full stop")


def _check_whole(last: Line, reasons: Sequence[Reason], taken: set[str]) -> None:
    nothing = [reason.code for reason in reasons if not reason.features]
    if len(nothing) != 1:
        last.fail("features", f"one line has none, for where no reason may be told, and not {len(nothing)}")
    left = [feature.name for feature in explained_features() if feature.name not in taken]
    if left:
        last.fail("features", f"no line has {left[0]!r}")


__all__ = ["DictionaryError", "Reason", "ReasonCatalogue", "parse", "reason_catalogue"]
