"""Which features belong together, in two ways.

`dictionary/groups.csv` lists features that say the same thing in other words, as a lender's catalogue of reasons
would: a reason is a group, not a feature. A feature that no line names is a group of its own.

`dictionary/derived.csv` says which columns of an application each derived feature is computed from. Features that
it connects are one fact of the file: the credit amount, the annuity, the income and their ratios, say. When one of
them changes, others may change with it and for no other reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from scoring.dictionary_lines import Line, read_lines
from scoring.features import Feature, dictionary

_GROUPS_FILE = "groups.csv"
_DERIVED_FILE = "derived.csv"


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Features that say the same thing; `group_id` is the lowest `feature_id` among them."""

    group_id: int
    name: str
    label_en: str
    label_fr: str
    members: tuple[str, ...]


@cache
def feature_groups() -> tuple[FeatureGroup, ...]:
    """All groups in the order of their ids; every feature is in exactly one."""
    return parse_groups(_text(_GROUPS_FILE), dictionary())


@cache
def computed_from() -> Mapping[str, tuple[str, ...]]:
    """The columns of an application that each derived feature is computed from, by name."""
    return parse_derived(_text(_DERIVED_FILE), dictionary())


@cache
def facts() -> Mapping[str, str]:
    """For every feature, by name, the first feature of the fact that it belongs to."""
    return connected([feature.name for feature in dictionary()], computed_from())


def parse_groups(text: str, features: Sequence[Feature]) -> tuple[FeatureGroup, ...]:
    """The groups that a file lists, and those of one feature each that it leaves out.

    Raises DictionaryError, naming file, line and column, at the first cell that breaks a rule.
    """
    ids = {feature.name: feature.feature_id for feature in features}
    seen: set[str] = set()
    words: dict[str, set[str]] = {
        "name": set(ids),
        "label_en": {feature.label_en for feature in features},
        "label_fr": {feature.label_fr for feature in features},
    }
    groups = []
    for line in read_lines(_GROUPS_FILE, text, ("name", "label_en", "label_fr", "features")):
        for column, used in words.items():
            line.unique(column, used)
        members = _names(line, "features", ids)
        if len(members) < 2:
            line.fail("features", "a feature alone is a group of its own without a line")
        for name in members:
            if name in seen:
                line.fail("features", f"{name!r} is in a group already")
            seen.add(name)
        first = min(ids[name] for name in members)
        groups.append(
            FeatureGroup(first, line.cells["name"], line.cells["label_en"], line.cells["label_fr"], members)
        )
    groups += [
        FeatureGroup(feature.feature_id, feature.name, feature.label_en, feature.label_fr, (feature.name,))
        for feature in features
        if feature.name not in seen
    ]
    return tuple(sorted(groups, key=lambda group: group.group_id))


def parse_derived(text: str, features: Sequence[Feature]) -> dict[str, tuple[str, ...]]:
    """What the derived features are computed from, by name.

    Raises DictionaryError, naming file, line and column, at the first cell that breaks a rule.
    """
    derived = {feature.name for feature in features if feature.origin == "derived"}
    columns = {feature.name: feature.feature_id for feature in features if feature.origin == "application"}
    found: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    lines = read_lines(_DERIVED_FILE, text, ("feature", "computed_from"))
    for line in lines:
        line.unique("feature", seen)
        if line.cells["feature"] not in derived:
            line.fail("feature", f"{line.cells['feature']!r} is no derived feature")
        found[line.cells["feature"]] = _names(line, "computed_from", columns)
    missing = sorted(derived - set(found))
    if missing:
        lines[-1].fail("feature", f"no line says what {missing[0]!r} is computed from")
    return found


def connected(names: Sequence[str], sources: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """For each of some names the first of those that it is connected with, itself included."""
    first = {name: name for name in names}
    place = {name: number for number, name in enumerate(names)}
    for name, columns in sources.items():
        joined = {first[each] for each in (name, *columns)}
        head = min(joined, key=place.__getitem__)
        first = {each: head if root in joined else root for each, root in first.items()}
    return first


def _names(line: Line, column: str, known: Mapping[str, int]) -> tuple[str, ...]:
    names = tuple(line.text(column).split(" "))
    for name in names:
        if name not in known:
            line.fail(column, f"{name!r} is not one of the features that can stand here")
    if len(set(names)) < len(names):
        line.fail(column, "a feature is named twice")
    return names


def _text(file: str) -> str:
    return files("scoring").joinpath("dictionary", file).read_text(encoding="utf-8")
