"""Former customers as bitmaps: any cohort of them is counted, and its quantiles found, by AND and bit counts alone.

For every feature the former customers of one outcome stand in the order of their values, each at a place. Per
option of what people filter by (an age band, a gender) a bitmap says at which places its members stand; the AND of
bitmaps is a cohort, already sorted. The values themselves are whole numbers, one bitmap per binary digit, the most
significant first: sums are bit counts (a bit-sliced index: O'Neil and Quass, "Improved query performance with
variant indexes", SIGMOD 1997), and as the places are sorted, those who share a value's first digits are an interval
of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.contract import Applications
from scoring.features import Feature, Language, by_name, number_text, unit_text
from scoring.preprocess import explained_features, feature_values
from scoring.scorecard import exact_score

Vector = NDArray[np.float64]
Codes = NDArray[np.int64]

REPAID, DEFAULTED = 0, 1
NO_RESTRICTION = 0
"""The code of the option "All" of every attribute."""

SCORE_ID, SCORE = 0, "SCORE"
"""The former customer's own score stands beside the features, under the number that no feature has."""

FIRST_FEATURES = ("ANNUITY_INCOME_PERCENT", "DAYS_EMPLOYED_PERCENT", "AMT_ANNUITY", "AMT_GOODS_PRICE", SCORE)
"""What people compare first."""

_LANGUAGES: tuple[Language, Language] = ("en", "fr")
_ALL_WORDS: Mapping[Language, str] = {"en": "All", "fr": "Tous"}
_BELOW: Mapping[Language, str] = {"en": "under {}", "fr": "moins de {}"}
_FROM: Mapping[Language, str] = {"en": "{} and more", "fr": "{} et plus"}

_FIFTHS = (0.2, 0.4, 0.6, 0.8)
_DECIMAL_GRIDS = (1, 2, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
_MOST_BITS = 31
_FINE_BITS = 24
_BINS = 25


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something that former customers are filtered by: the categories of a feature, or fifths of its values.

    `scale` is None for categories. Otherwise the feature's values are banded after multiplication with it, at
    limits rounded to `decimals`, so that a band's label says exactly who is in it; `whole` says that people
    count only what is complete (years of age).
    """

    name: str
    feature: str
    scale: float | None = None
    decimals: int = 0
    unit: Mapping[Language, str] | None = None
    whole: bool = False


ATTRIBUTES = (
    Attribute("credit", "AMT_CREDIT", scale=0.001, unit={"en": "k€", "fr": "k€"}),
    Attribute("age", "DAYS_BIRTH", scale=-1 / 365.25, unit={"en": "years", "fr": "ans"}, whole=True),
    Attribute("annuity_income", "ANNUITY_INCOME_PERCENT", scale=1.0, decimals=3),
    Attribute("gender", "CODE_GENDER"),
    Attribute("education", "NAME_EDUCATION_TYPE"),
    Attribute("family", "NAME_FAMILY_STATUS"),
    Attribute("housing", "NAME_HOUSING_TYPE"),
    Attribute("occupation", "OCCUPATION_TYPE"),
    Attribute("region", "REGION_RATING_CLIENT"),
    Attribute("contract", "NAME_CONTRACT_TYPE"),
)


@dataclass(frozen=True, slots=True)
class _Written:
    """How the limits of bins are written; their unit is the feature's."""

    decimals: int
    whole: bool
    unit: Mapping[Language, str] | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of an attribute, `code` from 1 in the order that people read; code 0 is everybody.

    `value` is what the application file says, a band's number, or None for everybody and for what is missing.
    """

    attribute: str
    code: int
    value: str | None
    label_en: str
    label_fr: str
    repaid: int
    defaulted: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Whole numbers in the order of a feature's values: value = (origin + code) / per_unit, 0 <= code < 2^bits.

    Where all values are decimals of few places the grid is theirs, and codes give the very values back (`exact`);
    otherwise the range is cut into 2^24 - 1 equal steps.
    """

    origin: float
    per_unit: float
    bits: int
    exact: bool

    @staticmethod
    def over(values: Vector) -> Grid:
        """The grid of some values, shape (n,), of which the missing are NaN."""
        present = np.unique(values[np.isfinite(values)])
        if not len(present):
            return Grid(0.0, 1.0, 1, exact=True)
        low, high = float(present[0]), float(present[-1])
        for per_unit in _DECIMAL_GRIDS:
            bits = round((high - low) * per_unit).bit_length()
            # A decimal that went through arithmetic can be off in its last digits: 0.08320000000000001.
            decimals = np.rint(present * per_unit) / per_unit
            if bits <= _MOST_BITS and np.allclose(decimals, present, rtol=1e-12, atol=0):
                return Grid(float(np.rint(low * per_unit)), float(per_unit), max(bits, 1), exact=True)
        if low == high:
            return Grid(low, 1.0, 1, exact=True)
        fine = (2**_FINE_BITS - 1) / (high - low)
        if not math.isfinite(fine):
            # So near each other that no number says how many steps fit into one.
            return Grid(low, 1.0, 1, exact=False)
        return Grid(low * fine, fine, _FINE_BITS, exact=False)

    def codes(self, values: Vector) -> Codes:
        """The code of each value, 0 where it is missing; shape kept."""
        exact = np.rint(np.where(np.isfinite(values), values, 0.0) * self.per_unit - self.origin)
        return np.where(np.isfinite(values), exact, 0.0).astype(np.int64)

    def values(self, codes: Codes) -> Vector:
        """The value of each code; shape kept."""
        return (self.origin + codes.astype(np.float64)) / self.per_unit

    def first_code(self, value: float) -> int:
        """The lowest code of values that are not below `value`; on an inexact grid the code of `value`."""
        place = value * self.per_unit - self.origin
        # A millionth of a step is beyond any rounding, and no value lies so near another.
        return math.ceil(place - 1e-6) if self.exact else round(place)

    def last_code(self, value: float) -> int:
        """The highest code of values that are not above `value`; on an inexact grid the code of `value`."""
        place = value * self.per_unit - self.origin
        return math.floor(place + 1e-6) if self.exact else round(place)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a feature's histogram, `bin` from 1 in people's units: codes `first_code` to `last_code`.

    `lower` and `upper` are its limits in people's units, None where the outer bins are open.
    """

    bin: int
    first_code: int
    last_code: int
    lower: float | None
    upper: float | None
    label_en: str
    label_fr: str


@dataclass(frozen=True, slots=True)
class Bitmap:
    """`length` bits, the first of them the highest of the first byte; the last byte is filled up with zeros."""

    data: bytes
    length: int


@dataclass(frozen=True, slots=True)
class SortedPlaces:
    """The former customers of one outcome who have a value of one feature, in the order of their values.

    Attributes
    ----------
    rows: which of the former customers stands at each place.
    members: per attribute and code of an option (without "All") who of them has it.
    slices: slice 0 is everybody; the others are the binary digits of the codes, the most significant first.
    bins: per bin of the feature how many of them have lower codes than its first, and how many are in it.
    """

    outcome: int
    rows: NDArray[np.intp]
    members: Mapping[tuple[str, int], Bitmap]
    slices: tuple[Bitmap, ...]
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class SlicedFeature:
    """One feature of all former customers: its place in lists, its grid and the bins of its histogram."""

    feature_id: int
    ord: int
    grid: Grid
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Cohorts:
    """Everything that is stored of the former customers of one model.

    Attributes
    ----------
    customer_id: shape (n,).
    target: shape (n,), 0 repaid, 1 defaulted.
    options: of all attributes, in the attributes' order, each beginning with "All".
    features: in the order of lists.
    """

    customer_id: NDArray[np.int32]
    target: NDArray[np.int8]
    options: tuple[Option, ...]
    features: tuple[SlicedFeature, ...]
    _option_codes: Mapping[str, NDArray[np.int16]]
    _values: Mapping[int, Vector]

    def places(self) -> Iterator[tuple[SlicedFeature, tuple[SortedPlaces, SortedPlaces]]]:
        """Every feature in order with the places of those who repaid and who defaulted, made when asked for."""
        for feature in self.features:
            values = self._values[feature.feature_id]
            present, codes = np.isfinite(values), feature.grid.codes(values)
            repaid, defaulted = (
                np.flatnonzero(present & (self.target == outcome)) for outcome in (REPAID, DEFAULTED)
            )
            yield (
                feature,
                (self._sorted(feature, REPAID, repaid, codes), self._sorted(feature, DEFAULTED, defaulted, codes)),
            )

    def _sorted(self, feature: SlicedFeature, outcome: int, rows: NDArray[np.intp], codes: Codes) -> SortedPlaces:
        rows = rows[np.argsort(codes[rows], kind="stable")]
        ordered = codes[rows]
        members = {}
        for option in self.options:
            if option.code != NO_RESTRICTION:
                chosen = self._option_codes[option.attribute][rows] == option.code
                members[option.attribute, option.code] = _bitmap(chosen)
        digits = (ordered >> digit & 1 == 1 for digit in range(feature.grid.bits - 1, -1, -1))
        first = np.searchsorted(ordered, [bar.first_code for bar in feature.bins])
        after = np.searchsorted(ordered, [bar.last_code for bar in feature.bins], side="right")
        return SortedPlaces(
            outcome,
            rows,
            members,
            slices=(_bitmap(np.ones(len(rows), dtype=np.bool_)), *map(_bitmap, digits)),
            bins=tuple(zip(first.tolist(), (after - first).tolist(), strict=True)),
        )


def cohorts(former: Applications, log_odds: Vector) -> Cohorts:
    """Bitmaps and slices of former customers.

    Parameters
    ----------
    former: n labelled applications.
    log_odds: shape (n,), of default, out of fold.

    Raises ValueError for applications without outcome.
    """
    if former.target is None:
        raise ValueError("Cohorts are of former customers, whose outcome is known.")
    shown, coded = feature_values(former.values)
    column = {feature.name: shown[:, position] for position, feature in enumerate(explained_features())}
    options: list[Option] = []
    option_codes: dict[str, NDArray[np.int16]] = {}
    for attribute in ATTRIBUTES:
        found, codes = attribute_options(attribute, column[attribute.feature], former.target)
        options += found
        option_codes[attribute.name] = codes.astype(np.int16)
    numeric = [feature for feature, code in zip(explained_features(), coded, strict=True) if not code]
    score = exact_score(log_odds)
    values = {SCORE_ID: score, **{feature.feature_id: column[feature.name] for feature in numeric}}
    by_id = {feature.feature_id: feature for feature in numeric}
    names = {SCORE: SCORE_ID, **{feature.name: feature.feature_id for feature in numeric}}
    listed = [names[name] for name in FIRST_FEATURES]
    features = tuple(
        _sliced(feature_id, place, values[feature_id], by_id.get(feature_id))
        for place, feature_id in enumerate([*listed, *sorted(set(names.values()) - set(listed))], start=1)
    )
    return Cohorts(former.customer_id, former.target, tuple(options), features, option_codes, values)


def attribute_options(attribute: Attribute, values: Vector, target: NDArray[np.int8]) -> tuple[list[Option], Codes]:
    """The options of an attribute that somebody has, "All" first, and each former customer's code, shape (n,)."""
    feature = by_name()[attribute.feature]
    if attribute.scale is None:
        kinds = values
        present = np.unique(values[np.isfinite(values)]).tolist()
        words = {kind: _Words(_raw_value(feature, kind), *_texts(feature, kind)) for kind in present}
    else:
        kinds, words = _bands(attribute, values * attribute.scale)
    choices = [(_Words(None, _ALL_WORDS["en"], _ALL_WORDS["fr"]), np.ones(len(values), dtype=np.bool_))]
    choices += [(words[kind], kinds == kind) for kind in sorted(words)]
    if np.isnan(kinds).any():
        choices.append((_Words(None, *_texts(feature, None)), np.isnan(kinds)))
    codes = np.zeros(len(values), dtype=np.int64)
    options: list[Option] = []
    for code, (said, who) in enumerate(choices):
        codes[who] = code
        repaid, defaulted = (int((who & (target == outcome)).sum()) for outcome in (REPAID, DEFAULTED))
        options.append(Option(attribute.name, code, *said, repaid, defaulted))
    return options, codes


class _Words(NamedTuple):
    value: str | None
    label_en: str
    label_fr: str


def _texts(feature: Feature, value: float | None) -> tuple[str, str]:
    return feature.display_text(value, "en"), feature.display_text(value, "fr")


def _raw_value(feature: Feature, code: float) -> str:
    """A category as the application file writes it, or the number."""
    return {float(known.code): known.value for known in feature.categories}.get(code, f"{code:g}")


def _bands(attribute: Attribute, shown: Vector) -> tuple[Vector, dict[float, _Words]]:
    """Per former customer the number of the band, NaN if missing, and per band its words."""
    present = shown[np.isfinite(shown)]
    if not len(present):
        return np.full(len(shown), np.nan), {}
    limits = np.unique(np.round(np.quantile(present, _FIFTHS), attribute.decimals))
    limits = limits[(limits > present.min()) & (limits <= present.max())]
    numbers = np.where(np.isfinite(shown), np.searchsorted(limits, shown, side="right") + 1, np.nan)
    edges = [None, *limits.tolist(), None]
    words: dict[float, _Words] = {}
    for number in np.unique(numbers[np.isfinite(numbers)]).tolist():
        lower, upper = edges[int(number) - 1], edges[int(number)]
        english, french = (_range_text(lower, upper, attribute, language) for language in _LANGUAGES)
        words[number] = _Words(f"{number:g}", english, french)
    return numbers, words


def _range_text(lower: float | None, upper: float | None, how: Attribute | _Written, language: Language) -> str:
    """From `lower` up to `upper`; of whole numbers up to the one before it. No limit at all is everything."""

    def text(value: float) -> str:
        return number_text(value, how.decimals, language)

    unit = unit_text(how.unit[language], language) if how.unit else ""
    if lower is None and upper is None:
        return _ALL_WORDS[language]
    if lower is None:
        assert upper is not None
        return _BELOW[language].format(text(upper) + unit)
    if upper is None:
        return _FROM[language].format(text(lower) + unit)
    last = upper - 1 if how.whole else upper
    return f"{text(lower)}{unit}" if last == lower else f"{text(lower)}–{text(last)}{unit}"


def _sliced(feature_id: int, place: int, values: Vector, feature: Feature | None) -> SlicedFeature:
    grid = Grid.over(values)
    if feature is None:
        return SlicedFeature(feature_id, place, grid, histogram_bins(values, grid, scale=1.0, whole=False))
    whole = feature.dtype == "int" and feature.display_scale == 1
    return SlicedFeature(
        feature_id, place, grid, histogram_bins(values, grid, scale=feature.display_scale, whole=whole)
    )


def histogram_bins(values: Vector, grid: Grid, *, scale: float, whole: bool) -> tuple[Bin, ...]:
    """About 25 bins of one width, a round number, between the 1st and 99th percentile; the outer ones are open.

    Parameters
    ----------
    values: shape (n,), raw units, NaN for missing.
    scale: turns raw values into people's units; negative turns their order round.
    whole: the values are whole numbers to people too, so that no bin is narrower than one of them.
    """
    shown = values[np.isfinite(values)] * scale
    top = 2**grid.bits - 1
    if not len(shown):
        return ()
    limits, decimals = _round_limits(shown, whole)
    written = _Written(decimals, whole)
    edges = [None, *limits, None]
    bins: list[Bin] = []
    for number, (lower, upper) in enumerate(pairwise(edges), start=1):
        # A limit belongs to the bin above it, in people's units.
        if scale > 0:
            first = 0 if lower is None else grid.first_code(lower / scale)
            last = top if upper is None else grid.first_code(upper / scale) - 1
        else:
            first = 0 if upper is None else grid.last_code(upper / scale) + 1
            last = top if lower is None else grid.last_code(lower / scale)
        low, high = lower, upper
        # An open bin of whole numbers that holds just one of them is called by it.
        if whole and lower is None and upper is not None and upper == shown.min() + 1:
            low = upper - 1
        if whole and upper is None and lower is not None and lower == shown.max():
            high = lower + 1
        english, french = (_range_text(low, high, written, language) for language in _LANGUAGES)
        bins.append(Bin(number, first, last, lower, upper, english, french))
    return tuple(bins)


def _round_limits(shown: Vector, whole: bool) -> tuple[list[float], int]:
    """The limits between bins, and how many decimals it takes to write them."""
    low, high = np.quantile(shown, [0.01, 0.99]).tolist()
    if low == high:
        low, high = float(shown.min()), float(shown.max())
    if low == high:
        return [], 0 if whole else 2
    ideal = (high - low) / _BINS
    power = math.floor(math.log10(ideal))
    steps = [
        (factor * 10.0**exponent, max(0, -exponent + (factor == 2.5)))
        for exponent in (power, power + 1)
        for factor in (1, 2, 2.5, 5)
    ]
    if whole:
        steps = [(1.0, 0), *((step, 0) for step, _ in steps if step.is_integer())]
    step, decimals = min(steps, key=lambda known: abs(math.log(known[0] / ideal)))
    # Products of whole numbers and rounding, so that 3 steps of 0.1 are 0.3.
    first, last = math.floor(low / step + 1e-9) + 1, math.floor(high / step + 1e-9)
    limits = [round(number * step, decimals) for number in range(first, last + 1)]
    return limits or [round(first * step, decimals)], decimals


def _bitmap(ones: NDArray[np.bool_]) -> Bitmap:
    return Bitmap(np.packbits(ones).tobytes(), len(ones))
