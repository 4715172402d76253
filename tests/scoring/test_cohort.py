"""Cohorts: whatever is asked of the bitmaps is what NumPy says of the values themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.cohort import (
    ATTRIBUTES,
    FIRST_FEATURES,
    SCORE_ID,
    Attribute,
    Bitmap,
    Cohorts,
    Grid,
    attribute_options,
    cohorts,
    histogram_bins,
)
from scoring.contract import Applications
from scoring.features import by_name
from scoring.preprocess import explained_features, feature_values
from scoring.scorecard import exact_score

Bits = NDArray[np.bool_]
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@pytest.fixture(scope="module")
def log_odds(former: Applications) -> NDArray[np.float64]:
    return np.random.default_rng(4).normal(-2.5, 1, len(former))


@pytest.fixture(scope="module")
def made(former: Applications, log_odds: NDArray[np.float64]) -> Cohorts:
    return cohorts(former, log_odds)


@pytest.fixture(scope="module")
def column(former: Applications, log_odds: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    """Raw values by feature_id, the score too."""
    values, _ = feature_values(former.values)
    ids = [feature.feature_id for feature in explained_features()]
    return {**{key: values[:, place] for place, key in enumerate(ids)}, SCORE_ID: exact_score(log_odds)}


def unpack(bitmap: Bitmap) -> Bits:
    bits = np.unpackbits(np.frombuffer(bitmap.data, dtype=np.uint8)).astype(np.bool_)
    assert not bits[bitmap.length :].any()
    return bits[: bitmap.length]


# Grids

numbers = st.lists(
    st.one_of(
        st.integers(-50_000, 50_000).map(float),
        st.integers(-(10**6), 10**6).map(lambda cents: cents / 100),
        st.floats(-1e6, 1e6, allow_nan=False),
        st.just(math.nan),
    ),
    min_size=1,
    max_size=60,
)


@given(numbers)
@example([0.0, 2.2250738585e-313])
@settings(max_examples=200, deadline=None)
def test_codes_keep_the_order_and_give_values_back_to_half_a_step(values: list[float]) -> None:
    array = np.array(values)
    grid = Grid.over(array)
    present = array[np.isfinite(array)]
    codes = grid.codes(present)
    assert ((codes >= 0) & (codes < 2**grid.bits)).all()
    order = np.argsort(present, kind="stable")
    assert (np.diff(codes[order]) >= 0).all()
    assert np.abs(grid.values(codes) - present).max(initial=0) <= (0.5 + 1e-6) / grid.per_unit


@given(st.lists(st.integers(-36_525, 0), min_size=2, max_size=40), st.sampled_from([1, 2, 10, 100, 10_000]))
def test_decimals_of_few_places_come_back_as_they_were(whole: list[int], per_unit: int) -> None:
    values = np.array(whole) / per_unit
    grid = Grid.over(values)
    assert grid.exact
    assert (grid.values(grid.codes(values)) == values).all()


# Places, members and slices


def test_places_are_in_the_order_of_the_values_and_slices_are_their_digits(
    made: Cohorts, column: dict[int, NDArray[np.float64]]
) -> None:
    for feature, places in made.places():
        for outcome, place in enumerate(places):
            values = column[feature.feature_id][made.target == outcome]
            expected = np.sort(feature.grid.codes(values[np.isfinite(values)]))
            codes_of_rows = feature.grid.codes(column[feature.feature_id][place.rows])
            assert (made.target[place.rows] == outcome).all() and len(set(place.rows)) == len(place.rows)
            assert (codes_of_rows == expected).all()
            everybody, *digits = (unpack(bits) for bits in place.slices)
            assert everybody.all() and len(everybody) == len(expected)
            assert len(digits) == feature.grid.bits
            codes = sum(bits.astype(np.int64) << feature.grid.bits - 1 - at for at, bits in enumerate(digits))
            assert (codes == expected).all()
            for (before, size), bar in zip(place.bins, feature.bins, strict=True):
                inside = (expected >= bar.first_code) & (expected <= bar.last_code)
                assert size == inside.sum()
                assert inside[before : before + size].all()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_cohort_has_numpys_count_quantiles_rank_and_mean(
    made: Cohorts,
    column: dict[int, NDArray[np.float64]],
    all_places: dict[tuple[int, int], object],
    data: st.DataObject,
) -> None:
    feature = data.draw(st.sampled_from(made.features))
    outcome = data.draw(st.sampled_from((0, 1)))
    chosen = data.draw(st.lists(st.sampled_from([option for option in made.options if option.code]), max_size=4))
    place = all_places[feature.feature_id, outcome]
    cohort = unpack(place.slices[0])  # type: ignore[attr-defined]
    who = (made.target == outcome) & np.isfinite(column[feature.feature_id])
    for attribute in {option.attribute for option in chosen}:
        mine = [option for option in chosen if option.attribute == attribute]
        cohort = cohort & np.any([unpack(place.members[attribute, o.code]) for o in mine], axis=0)  # type: ignore[attr-defined]
        who &= np.any([made_codes(made, attribute) == o.code for o in mine], axis=0)
    values = np.sort(column[feature.feature_id][who])
    assert cohort.sum() == len(values)
    if not len(values):
        return
    digits = [unpack(bits) for bits in place.slices[1:]]  # type: ignore[attr-defined]
    step = (0.5 + 1e-6) / feature.grid.per_unit
    total = 0
    for bits in digits:
        total = 2 * total + int((cohort & bits).sum())
    assert (feature.grid.origin + total / len(values)) / feature.grid.per_unit == pytest.approx(
        values.mean(), abs=step, rel=1e-9
    )
    for share in QUANTILES:
        rank = math.ceil(share * len(values)) - 1
        code = nth(cohort, digits, rank)
        assert feature.grid.values(np.array([code]))[0] == pytest.approx(values[rank], abs=step)
        low, high = interval(digits, code)
        at_or_below = int((feature.grid.codes(values) <= code).sum())
        assert cohort[:high].sum() == at_or_below
        assert cohort[:low].sum() <= rank < at_or_below


@pytest.fixture(scope="module")
def all_places(made: Cohorts) -> dict[tuple[int, int], object]:
    return {(feature.feature_id, place.outcome): place for feature, places in made.places() for place in places}


def made_codes(made: Cohorts, attribute: str) -> NDArray[np.int16]:
    return made._option_codes[attribute]


def nth(cohort: Bits, digits: list[Bits], rank: int) -> int:
    """The code of the member with so many before it, digit by digit, as the database finds it."""
    low, high, code = 0, len(cohort), 0
    for bits in digits:
        division = high - int(bits[low:high].sum())
        zeros = int(cohort[low:division].sum())
        if rank < zeros:
            high, code = division, 2 * code
        else:
            low, rank, code = division, rank - zeros, 2 * code + 1
    return code


def interval(digits: list[Bits], code: int) -> tuple[int, int]:
    low, high = 0, len(digits[0])
    for at, bits in enumerate(digits):
        division = high - int(bits[low:high].sum())
        if code >> len(digits) - 1 - at & 1:
            low = division
        else:
            high = division
    return low, high


# Options


def test_every_attribute_splits_all_former_customers_and_begins_with_everybody(
    made: Cohorts, former: Applications
) -> None:
    assert former.target is not None
    for attribute in ATTRIBUTES:
        first, *options = [option for option in made.options if option.attribute == attribute.name]
        assert (first.code, first.label_en, first.label_fr) == (0, "All", "Tous")
        assert (first.repaid, first.defaulted) == ((former.target == 0).sum(), (former.target == 1).sum())
        assert [option.code for option in options] == list(range(1, len(options) + 1))
        assert sum(option.repaid for option in options) == first.repaid
        assert sum(option.defaulted for option in options) == first.defaulted
        assert len({option.label_en for option in options}) == len({option.label_fr for option in options})
        assert all(option.repaid + option.defaulted for option in options)


def test_bands_are_fifths_whose_labels_say_who_is_in_them(former: Applications) -> None:
    assert former.target is not None
    values, _ = feature_values(former.values)
    place = [feature.name for feature in explained_features()].index("DAYS_BIRTH")
    options, codes = attribute_options(ATTRIBUTES[1], values[:, place], former.target)
    years = np.floor(values[:, place] / -365.25)
    assert len(options) == 6
    shares = [(option.repaid + option.defaulted) / len(former) for option in options[1:]]
    assert shares == pytest.approx([0.2] * 5, abs=0.03)
    for option in options[2:5]:
        low, high = option.label_en.removesuffix(" years").split("–")
        assert option.label_fr == f"{low}–{high}\u00a0ans"
        assert ((years >= int(low)) & (years <= int(high)) == (codes == option.code)).all()
    below = options[1].label_en.removeprefix("under ").removesuffix(" years")
    assert ((years < int(below)) == (codes == 1)).all()
    assert options[5].label_fr.endswith("\u00a0ans et plus")


def test_a_missing_value_is_an_option_of_its_own_at_the_end() -> None:
    share = Attribute("annuity_income", "ANNUITY_INCOME_PERCENT", scale=1.0, decimals=3)
    values = np.array([0.1, 0.2, 0.3, np.nan, 0.4, 0.5])
    options, codes = attribute_options(share, values, np.array([0, 0, 0, 1, 0, 0], dtype=np.int8))
    assert (options[-1].label_en, options[-1].label_fr, options[-1].value) == ("not given", "non renseigné", None)
    assert (options[-1].repaid, options[-1].defaulted) == (0, 1)
    assert codes[3] == options[-1].code


def test_bands_of_equal_values_are_one_band() -> None:
    credit = ATTRIBUTES[0]
    options, codes = attribute_options(credit, np.full(50, 9_000.0), np.zeros(50, dtype=np.int8))
    assert [option.label_en for option in options] == ["All", "All"]
    assert (codes == 1).all()


def test_a_category_that_the_dictionary_does_not_know_is_an_option() -> None:
    gender = next(attribute for attribute in ATTRIBUTES if attribute.name == "gender")
    options, _ = attribute_options(gender, np.array([1.0, 0.0, 2.0]), np.zeros(3, dtype=np.int8))
    assert [option.label_en for option in options] == ["All", "not a known value", "Woman", "Man"]
    assert [option.value for option in options] == [None, "0", "F", "M"]


# Histograms


@pytest.mark.parametrize(
    ("scale", "whole", "values", "labels"),
    [
        (1.0, True, [0, 0, 1, 1, 2, 2, 3, 3], ["0", "1", "2", "3"]),
        (1.0, True, [0, 0, 1, 2, 2, 2, 9], ["0", "1", "2", "3", "4", "5", "6", "7", "8 and more"]),
        (1.0, True, [7, 7, 7], ["All"]),
        (100.0, False, [0.1, 0.1, 0.1], ["All"]),
    ],
)
def test_few_whole_numbers_have_a_bin_each(
    scale: float, whole: bool, values: list[float], labels: list[str]
) -> None:
    array = np.array(values, dtype=np.float64)
    bins = histogram_bins(array, Grid.over(array), scale=scale, whole=whole)
    assert [bar.label_en for bar in bins] == labels


def test_bins_are_of_one_round_width_and_hold_everybody_once(
    made: Cohorts, column: dict[int, NDArray[np.float64]]
) -> None:
    scales = {SCORE_ID: 1.0, **{feature.feature_id: feature.display_scale for feature in explained_features()}}
    for feature in made.features:
        values = column[feature.feature_id]
        present = values[np.isfinite(values)]
        scale = scales[feature.feature_id]
        bins = feature.bins
        assert len(bins) <= 45
        assert len({bar.label_en for bar in bins}) == len({bar.label_fr for bar in bins}) == len(bins)
        codes = feature.grid.codes(present)
        held = np.zeros(len(codes), dtype=np.int64)
        for bar in bins:
            inside = (codes >= bar.first_code) & (codes <= bar.last_code)
            held += inside
            shown = feature.grid.values(codes[inside]) * scale
            near = 1e-9 if feature.grid.exact else 0.51 * abs(scale) / feature.grid.per_unit
            assert bar.lower is None or (shown >= bar.lower - near).all()
            assert bar.upper is None or (shown < bar.upper + near).all()
        assert (held == 1).all()
        widths = [bar.upper - bar.lower for bar in bins if bar.lower is not None and bar.upper is not None]
        assert np.ptp(widths) < 1e-9 * max(widths) if len(widths) > 1 else True


def test_limits_are_written_as_each_language_does(made: Cohorts) -> None:
    annuity = next(f for f in made.features if f.feature_id == by_name()["AMT_ANNUITY"].feature_id)
    assert "7,500–10,000" in {bar.label_en for bar in annuity.bins}
    assert "7\u202f500–10\u202f000" in {bar.label_fr for bar in annuity.bins}


def test_what_people_compare_first_comes_first(made: Cohorts) -> None:
    names = {SCORE_ID: "SCORE", **{feature.feature_id: feature.name for feature in explained_features()}}
    assert [names[feature.feature_id] for feature in made.features[:5]] == list(FIRST_FEATURES)
    assert [feature.ord for feature in made.features] == list(range(1, len(made.features) + 1))
    assert len(made.features) == 1 + sum(not feature.categories for feature in explained_features())


def test_applications_without_outcome_are_refused(new: Applications) -> None:
    with pytest.raises(ValueError, match="whose outcome is known"):
        cohorts(new, np.zeros(len(new)))
