"""The feature dictionary: what every column of an application is, and how it is told to people.

The data lies beside this module in ``dictionary/features.csv`` (one line per column: the columns of an
application in the order of the published file, then the features derived from them) and in
``dictionary/categories.csv`` (one line per known value of a category or yes/no column). Both are checked in
full when they are first read.

``actionable`` says that applicants can change the value themselves before they apply again and that doing so
is sound advice: the terms of the credit, the documents and contacts they hand in, how many lenders they ask.
It is not set for who they are, where they live or work, what others say about them, or when and with whom
they came.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, cast, get_args

from scoring.dictionary_lines import DictionaryError as DictionaryError
from scoring.dictionary_lines import Line, read_lines

Origin = Literal["application", "derived"]
Kind = Literal[
    "id",
    "amount",
    "duration",
    "count",
    "flag",
    "category",
    "rating",
    "share",
    "ratio",
    "external_score",
    "hour",
    "index",
]
Dtype = Literal["int", "float", "category"]
Language = Literal["en", "fr"]

_FEATURES_FILE = "features.csv"
_CATEGORIES_FILE = "categories.csv"
_FEATURE_COLUMNS = (
    "name",
    "origin",
    "kind",
    "dtype",
    "nullable",
    "min",
    "max",
    "missing_code",
    "unit_en",
    "unit_fr",
    "display_scale",
    "display_decimals",
    "actionable",
    "label_en",
    "label_fr",
    "description_en",
    "description_fr",
)
_CATEGORY_COLUMNS = ("feature", "code", "value", "label_en", "label_fr")

_MISSING_WORDS: Mapping[Language, str] = MappingProxyType({"en": "not given", "fr": "non renseigné"})
_UNKNOWN_WORDS: Mapping[Language, str] = MappingProxyType({"en": "not a known value", "fr": "valeur inconnue"})

_NARROW_NO_BREAK_SPACE = "\u202f"
_NO_BREAK_SPACE = "\u00a0"
_FRENCH_NUMBER = str.maketrans({",": _NARROW_NO_BREAK_SPACE, ".": ","})


@dataclass(frozen=True, slots=True)
class Category:
    """One known value of a category column (code from 1) or of a yes/no column (codes 0 and 1).

    ``value`` is the text as written in the file; ``code`` is the number that stands for it in the model's
    input.
    """

    code: int
    value: str
    label_en: str
    label_fr: str


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: its place, its limits and its words.

    ``feature_id`` is the position in the dictionary: 0 for the application number, 1 to 120 for the other
    columns of an application, then the derived features. ``minimum`` and ``maximum`` are inclusive, in the
    raw units of the file; ``None`` means no bound. ``missing_code`` is a number that the file uses for
    "missing", allowed in spite of the limits. ``display_scale`` and ``display_decimals`` turn a raw number
    into the one shown to people. ``categories`` is in code order and empty unless the column is a category or
    a yes/no column.
    """

    feature_id: int
    name: str
    origin: Origin
    kind: Kind
    dtype: Dtype
    nullable: bool
    minimum: float | None
    maximum: float | None
    missing_code: float | None
    unit_en: str
    unit_fr: str
    display_scale: float
    display_decimals: int
    actionable: bool
    label_en: str
    label_fr: str
    description_en: str
    description_fr: str
    categories: tuple[Category, ...]

    def display_text(self, value: float | None, language: Language) -> str:
        """Words and units for one value, as an advisor would say it.

        ``value`` is a number in the raw units of the file; for category and yes/no columns it is the code.
        ``None``, NaN and the column's missing code read "not given" (French "non renseigné"); code 0 of a
        category column reads "not a known value" (French "valeur inconnue"). French texts hold no-break
        spaces: U+202F between thousands and before "%", U+00A0 before other units.

        Raises ``ValueError`` for a code that the column does not have, an infinite number or a language that
        is neither "en" nor "fr".
        """
        if language not in get_args(Language):
            raise ValueError(f"language must be one of {', '.join(get_args(Language))}, not {language!r}")
        if value is None or math.isnan(value) or value == self.missing_code:
            return _MISSING_WORDS[language]
        if math.isinf(value):
            raise ValueError(f"{self.name}: {value} has no text")
        if self.categories:
            return self._category_text(value, language)
        # The application number is a name, not a quantity: it carries no thousands separators.
        separator = "" if self.kind == "id" else ","
        number = number_text(value * self.display_scale, self.display_decimals, language, separator)
        return number + unit_text(self.unit_en if language == "en" else self.unit_fr, language)

    def _category_text(self, code: float, language: Language) -> str:
        for category in self.categories:
            if category.code == code:
                return category.label_en if language == "en" else category.label_fr
        if code == 0:
            return _UNKNOWN_WORDS[language]
        raise ValueError(f"{self.name} has no category with code {code}")


def number_text(value: float, decimals: int, language: Language, separator: str = ",") -> str:
    """A number as a language writes it: 1,234.5 in English, 1 234,5 with a narrow no-break space in French."""
    # "z" keeps zero days from reading "-0.0 years", as the scale of the durations is negative.
    number = format(value, f"z{separator}.{decimals}f")
    return number.translate(_FRENCH_NUMBER) if language == "fr" else number


def unit_text(unit: str, language: Language) -> str:
    """A unit with the space that a language sets before it; nothing for no unit."""
    if not unit:
        return ""
    if language == "en":
        # English sets the percent sign close, French sets it off.
        return unit if unit == "%" else f" {unit}"
    return f"{_NARROW_NO_BREAK_SPACE if unit == '%' else _NO_BREAK_SPACE}{unit}"


@cache
def dictionary() -> tuple[Feature, ...]:
    """All lines of the dictionary: 121 columns of an application, then the derived features.

    Raises ``DictionaryError`` when the packaged data breaks a rule.
    """
    folder = files("scoring").joinpath("dictionary")
    return parse_dictionary(
        folder.joinpath(_FEATURES_FILE).read_text(encoding="utf-8"),
        folder.joinpath(_CATEGORIES_FILE).read_text(encoding="utf-8"),
    )


@cache
def by_name() -> Mapping[str, Feature]:
    """The dictionary by column name, read-only and in dictionary order."""
    return MappingProxyType({feature.name: feature for feature in dictionary()})


@cache
def application_columns() -> tuple[str, ...]:
    """The 121 column names of an application file, in file order, the application number first."""
    return tuple(feature.name for feature in dictionary() if feature.origin == "application")


@cache
def input_features() -> tuple[Feature, ...]:
    """The 120 columns of an application besides its number, in file order (feature_id 1 to 120)."""
    return tuple(feature for feature in dictionary() if feature.origin == "application" and feature.kind != "id")


@cache
def derived_features() -> tuple[Feature, ...]:
    """The features computed from an application's own columns, in dictionary order."""
    return tuple(feature for feature in dictionary() if feature.origin == "derived")


def parse_dictionary(features_csv: str, categories_csv: str) -> tuple[Feature, ...]:
    """Features in the order of ``features_csv``, each with its lines of ``categories_csv``.

    Both arguments are the text of a comma-separated file with a header line. Raises ``DictionaryError``,
    naming file, line and column, at the first cell that breaks a rule.
    """
    lines = read_lines(_FEATURES_FILE, features_csv, _FEATURE_COLUMNS)
    categories = _parse_categories(categories_csv, {line.cells["name"] for line in lines})
    features: list[Feature] = []
    seen: dict[str, set[str]] = {column: set() for column in ("name", "label_en", "label_fr")}
    for feature_id, line in enumerate(lines):
        for column, values in seen.items():
            line.unique(column, values)
        feature = _parse_feature(line, feature_id, categories.get(line.cells["name"], ()))
        # Ids of an application's columns are their positions in its file, so nothing may come between them.
        if (feature.kind == "id") != (feature_id == 0):
            line.fail("kind", "the first line and no other is the application number")
        if feature.origin == "application" and features and features[-1].origin == "derived":
            line.fail("origin", "an application column may not follow a derived feature")
        features.append(feature)
    return tuple(features)


def _parse_categories(text: str, names: set[str]) -> dict[str, tuple[Category, ...]]:
    found: dict[str, list[Category]] = {}
    seen: dict[tuple[str, str], set[str]] = {}
    for line in read_lines(_CATEGORIES_FILE, text, _CATEGORY_COLUMNS):
        name = line.text("feature")
        if name not in names:
            line.fail("feature", f"{name!r} is not in {_FEATURES_FILE}")
        for column in ("value", "label_en", "label_fr"):
            line.unique(column, seen.setdefault((name, column), set()))
        category = Category(line.whole("code"), line.cells["value"], line.cells["label_en"], line.cells["label_fr"])
        earlier = found.setdefault(name, [])
        if earlier and category.code != earlier[-1].code + 1:
            line.fail("code", f"{category.code} does not follow {earlier[-1].code}")
        if not earlier and category.code > 1:
            line.fail("code", f"the first code is {category.code} instead of 0 or 1")
        earlier.append(category)
    return {name: tuple(categories) for name, categories in found.items()}


def _parse_feature(line: Line, feature_id: int, categories: tuple[Category, ...]) -> Feature:
    feature = Feature(
        feature_id=feature_id,
        name=line.text("name"),
        origin=cast(Origin, line.choice("origin", get_args(Origin))),
        kind=cast(Kind, line.choice("kind", get_args(Kind))),
        dtype=cast(Dtype, line.choice("dtype", get_args(Dtype))),
        nullable=line.boolean("nullable"),
        minimum=line.number_or_none("min"),
        maximum=line.number_or_none("max"),
        missing_code=line.number_or_none("missing_code"),
        unit_en=line.cells["unit_en"],
        unit_fr=line.cells["unit_fr"],
        display_scale=line.real("display_scale"),
        display_decimals=line.whole("display_decimals"),
        actionable=line.boolean("actionable"),
        label_en=line.text("label_en"),
        label_fr=line.text("label_fr"),
        description_en=line.text("description_en"),
        description_fr=line.text("description_fr"),
        categories=categories,
    )
    if feature.minimum is not None and feature.maximum is not None and feature.minimum > feature.maximum:
        line.fail("max", f"{feature.maximum} is below the minimum {feature.minimum}")
    if feature.display_scale == 0:
        line.fail("display_scale", "0 would show every value alike")
    if bool(feature.unit_en) != bool(feature.unit_fr):
        line.fail("unit_fr", "a unit is given in one language only")
    for column in ("min", "max", "missing_code"):
        number = line.number_or_none(column)
        if number is not None and feature.dtype == "category":
            line.fail(column, "a category column has no numbers")
        if number is not None and feature.dtype == "int" and not number.is_integer():
            line.fail(column, f"{number} is not whole in an int column")
    _check_categories(line, feature)
    return feature


def _check_categories(line: Line, feature: Feature) -> None:
    if (feature.kind == "category") != (feature.dtype == "category"):
        line.fail("dtype", f"{feature.dtype} does not go with kind {feature.kind}")
    if feature.kind == "flag" and feature.dtype != "int":
        line.fail("dtype", f"{feature.dtype} does not go with kind flag")
    pairs = [(category.code, category.value) for category in feature.categories]
    match feature.kind:
        case "flag":
            if pairs != [(0, "0"), (1, "1")]:
                line.fail("kind", f"a flag needs the codes 0 and 1 in {_CATEGORIES_FILE}")
        case "category":
            if not pairs or pairs[0][0] != 1:
                line.fail("kind", f"a category column needs codes from 1 in {_CATEGORIES_FILE}")
        case _:
            if pairs:
                line.fail("kind", f"{feature.kind} has no categories, but {_CATEGORIES_FILE} lists some")
