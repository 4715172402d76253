"""Synthetic credit applications with the columns of Home Credit's files.

Home Credit's rows may not be passed on, so demonstrations, tests and benchmarks run on applications that are
drawn here. Shares, limits and correlations are rounded estimates from the public data; no row of it is used.
Themes build on each other: where the applicant lives, who they are, what they do, what they borrow, what the
bureaus know, the building they live in, and last whether they default.

Between the themes a column is a numpy array under its own name: a category is a position in `_LEVELS` (-1 if
missing), a missing number is NaN. Names with a leading underscore are drawn, but are no column of the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator, SeedSequence
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Columns = dict[str, Array]

NOT_EMPLOYED = 365_243
"""What DAYS_EMPLOYED says for people without a job: a thousand years ahead."""

_YEAR = 365.25
_ADULT = 18

# ------------------------------------------------------------------ vocabulary

# Weight (per mille of people with a job), share of state servants, of commercial associates and of men, trade
# (which decides the occupations), and the shift in the log-odds of default.
_ORGANISATIONS: dict[str, tuple[float, float, float, float, str, float]] = {
    "Advertising": (1.7, 0.00, 0.40, 0.33, "office", 0.10),
    "Agriculture": (9.7, 0.01, 0.11, 0.49, "industry", 0.20),
    "Bank": (9.9, 0.04, 0.51, 0.20, "office", -0.35),
    "Business Entity Type 1": (23.7, 0.03, 0.34, 0.44, "mixed", 0.05),
    "Business Entity Type 2": (41.8, 0.04, 0.28, 0.44, "mixed", 0.05),
    "Business Entity Type 3": (269.7, 0.01, 0.37, 0.45, "mixed", 0.12),
    "Cleaning": (1.0, 0.00, 0.20, 0.40, "service", 0.35),
    "Construction": (26.7, 0.02, 0.29, 0.72, "industry", 0.35),
    "Culture": (1.5, 0.17, 0.15, 0.28, "public", -0.35),
    "Electricity": (3.8, 0.03, 0.30, 0.55, "industry", -0.15),
    "Emergency": (2.2, 0.29, 0.14, 0.70, "guard", -0.10),
    "Government": (41.3, 0.27, 0.14, 0.30, "public", -0.15),
    "Hotel": (3.8, 0.02, 0.30, 0.20, "service", -0.15),
    "Housing": (11.7, 0.06, 0.22, 0.43, "industry", -0.05),
    "Industry: type 1": (4.1, 0.01, 0.33, 0.61, "industry", 0.30),
    "Industry: type 10": (0.4, 0.00, 0.25, 0.43, "industry", -0.15),
    "Industry: type 11": (10.7, 0.05, 0.24, 0.48, "industry", 0.05),
    "Industry: type 12": (1.5, 0.01, 0.36, 0.25, "industry", -0.40),
    "Industry: type 13": (0.3, 0.00, 0.20, 0.65, "industry", 0.45),
    "Industry: type 2": (1.8, 0.02, 0.33, 0.40, "industry", -0.10),
    "Industry: type 3": (13.0, 0.02, 0.22, 0.35, "industry", 0.30),
    "Industry: type 4": (3.5, 0.01, 0.40, 0.45, "industry", 0.15),
    "Industry: type 5": (2.3, 0.01, 0.25, 0.45, "industry", -0.15),
    "Industry: type 6": (0.4, 0.00, 0.30, 0.45, "industry", -0.10),
    "Industry: type 7": (5.1, 0.04, 0.16, 0.55, "industry", 0.00),
    "Industry: type 8": (0.1, 0.00, 0.20, 0.60, "industry", 0.40),
    "Industry: type 9": (13.3, 0.05, 0.14, 0.63, "industry", -0.15),
    "Insurance": (2.4, 0.08, 0.55, 0.22, "office", -0.20),
    "Kindergarten": (27.3, 0.29, 0.12, 0.04, "public", -0.10),
    "Legal Services": (1.2, 0.05, 0.36, 0.30, "office", 0.00),
    "Medicine": (44.3, 0.25, 0.13, 0.09, "medicine", -0.20),
    "Military": (10.5, 0.54, 0.09, 0.68, "guard", -0.35),
    "Mobile": (1.2, 0.00, 0.60, 0.30, "office", 0.10),
    "Other": (66.0, 0.16, 0.22, 0.34, "mixed", -0.10),
    "Police": (9.3, 0.58, 0.10, 0.60, "guard", -0.45),
    "Postal": (8.6, 0.24, 0.12, 0.10, "public", 0.05),
    "Realtor": (1.6, 0.00, 0.60, 0.25, "office", 0.25),
    "Religion": (0.3, 0.00, 0.25, 0.30, "public", -0.30),
    "Restaurant": (7.2, 0.02, 0.25, 0.20, "service", 0.30),
    "School": (35.2, 0.31, 0.12, 0.12, "public", -0.25),
    "Security": (12.8, 0.03, 0.30, 0.74, "guard", 0.20),
    "Security Ministries": (7.8, 0.48, 0.14, 0.33, "guard", -0.35),
    "Self-employed": (152.5, 0.00, 0.31, 0.32, "trade", 0.20),
    "Services": (6.2, 0.01, 0.36, 0.12, "service", -0.15),
    "Telecom": (2.3, 0.00, 0.40, 0.50, "office", -0.10),
    "Trade: type 1": (1.4, 0.00, 0.33, 0.20, "trade", 0.10),
    "Trade: type 2": (7.5, 0.00, 0.45, 0.35, "trade", -0.10),
    "Trade: type 3": (13.9, 0.00, 0.42, 0.22, "trade", 0.25),
    "Trade: type 4": (0.3, 0.00, 0.20, 0.40, "trade", -0.30),
    "Trade: type 5": (0.2, 0.00, 0.20, 0.20, "trade", -0.20),
    "Trade: type 6": (2.5, 0.03, 0.33, 0.10, "trade", -0.35),
    "Trade: type 7": (31.1, 0.02, 0.32, 0.20, "trade", 0.15),
    "Transport: type 1": (0.8, 0.00, 0.28, 0.65, "transport", -0.25),
    "Transport: type 2": (8.7, 0.15, 0.27, 0.54, "transport", -0.05),
    "Transport: type 3": (4.7, 0.00, 0.32, 0.82, "transport", 0.60),
    "Transport: type 4": (21.4, 0.02, 0.27, 0.62, "transport", 0.15),
    "University": (5.3, 0.30, 0.24, 0.22, "public", -0.45),
}
_TRADES = ("mixed", "office", "trade", "industry", "public", "medicine", "guard", "transport", "service")

# Weight in each of _TRADES, share of men, share of graduates, and the shift in the log-odds of default; the
# last row is "not given".
_OCCUPATIONS: dict[str | None, tuple[tuple[float, ...], float, float, float]] = {
    "Laborers": ((25, 3, 16, 38, 12, 2, 12, 28, 12), 0.58, 0.12, 0.15),
    "Core staff": ((7, 45, 7, 4, 42, 6, 38, 8, 6), 0.21, 0.48, -0.12),
    "Accountants": ((5, 10, 4, 4, 4, 1, 1, 3, 4), 0.03, 0.59, -0.20),
    "Managers": ((10, 20, 9, 7, 8, 3, 8, 8, 10), 0.48, 0.58, -0.05),
    "Drivers": ((8, 4, 10, 9, 4, 3, 6, 24, 3), 0.94, 0.11, 0.15),
    "Sales staff": ((13, 6, 42, 3, 1, 1, 1, 2, 8), 0.10, 0.17, 0.10),
    "Cleaning staff": ((1.5, 0.5, 0.8, 1.5, 4.5, 2, 0.6, 0.8, 6), 0.08, 0.03, 0.20),
    "Cooking staff": ((2.5, 0.3, 2.5, 1, 6, 2, 0.5, 0.5, 22), 0.12, 0.04, 0.20),
    "Private service staff": ((0.8, 0.6, 3, 0.2, 0.2, 0.5, 0.1, 0.2, 18), 0.03, 0.18, -0.10),
    "Medicine staff": ((0.5, 0.2, 0.2, 0.4, 3, 58, 0.5, 0.4, 1), 0.02, 0.11, 0.0),
    "Security staff": ((1.8, 0.8, 0.6, 1, 3, 0.8, 24, 1.5, 1), 0.67, 0.08, 0.15),
    "High skill tech staff": ((4.5, 5, 2.5, 7, 4, 3, 4, 5, 2), 0.35, 0.38, -0.10),
    "Waiters/barmen staff": ((0.6, 0.1, 0.4, 0.1, 0.2, 0.1, 0.1, 0.1, 6), 0.14, 0.19, 0.20),
    "Low-skill Laborers": ((1.3, 0.2, 1, 1.5, 0.3, 0.1, 0.4, 0.8, 0.8), 0.83, 0.06, 0.50),
    "Realty agents": ((0.3, 2.5, 0.5, 0.3, 0.05, 0.02, 0.05, 0.05, 3), 0.08, 0.33, 0.0),
    "Secretaries": ((0.4, 1, 0.3, 0.3, 1.5, 3, 0.8, 0.3, 0.3), 0.06, 0.40, -0.10),
    "IT staff": ((0.2, 0.8, 0.1, 0.15, 0.2, 0.05, 0.2, 0.1, 0.05), 0.75, 0.85, -0.15),
    "HR staff": ((0.2, 0.5, 0.1, 0.2, 0.3, 0.1, 0.2, 0.2, 0.1), 0.10, 0.85, -0.20),
    None: ((20, 12, 10, 14, 15, 8, 13, 16, 14), 0.33, 0.30, 0.0),
}

_LEVELS: dict[str, tuple[str, ...]] = {
    "NAME_CONTRACT_TYPE": ("Cash loans", "Revolving loans"),
    "CODE_GENDER": ("F", "M", "XNA"),
    "FLAG_OWN_CAR": ("N", "Y"),
    "FLAG_OWN_REALTY": ("N", "Y"),
    "NAME_TYPE_SUITE": (
        "Unaccompanied", "Family", "Spouse, partner", "Children", "Other_B", "Other_A", "Group of people",
    ),
    "NAME_INCOME_TYPE": (
        "Working", "Commercial associate", "State servant", "Pensioner",
        "Unemployed", "Student", "Businessman", "Maternity leave",
    ),
    "NAME_EDUCATION_TYPE": (
        "Secondary / secondary special", "Higher education", "Incomplete higher", "Lower secondary",
        "Academic degree",
    ),
    "NAME_FAMILY_STATUS": (
        "Married", "Single / not married", "Civil marriage", "Separated", "Widow", "Unknown",
    ),
    "NAME_HOUSING_TYPE": (
        "House / apartment", "With parents", "Rented apartment", "Municipal apartment", "Office apartment",
        "Co-op apartment",
    ),
    "OCCUPATION_TYPE": tuple(name for name in _OCCUPATIONS if name is not None),
    "WEEKDAY_APPR_PROCESS_START": (
        "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY",
    ),
    "ORGANIZATION_TYPE": (*_ORGANISATIONS, "XNA"),
    "FONDKAPREMONT_MODE": (
        "reg oper account", "reg oper spec account", "org spec account", "not specified",
    ),
    "HOUSETYPE_MODE": ("block of flats", "specific housing", "terraced house"),
    "WALLSMATERIAL_MODE": (
        "Panel", "Stone, brick", "Block", "Wooden", "Mixed", "Monolithic", "Others",
    ),
    "EMERGENCYSTATE_MODE": ("No", "Yes"),
}  # fmt: skip

# Threshold on "how well the building is documented" below which the measure is missing; what the most
# frequent value (MODE) and the median (MEDI) are as multiples of the average; the smallest part of it that
# they can be in an uneven building; the step in which the measure is counted.
_BUILDING: dict[str, tuple[float, float, float, float, float]] = {
    "APARTMENTS": (-1.68, 1.019, 1.010, 0.6, 1e-4),
    "BASEMENTAREA": (-0.87, 1.038, 1.000, 0.6, 1e-4),
    "YEARS_BEGINEXPLUATATION": (-2.39, 1.000, 1.000, 0.99, 1e-4),
    "YEARS_BUILD": (-0.39, 1.012, 1.004, 0.95, 1e-4),
    "COMMONAREA": (-0.23, 1.009, 1.006, 0.5, 1e-4),
    "ELEVATORS": (-1.34, 1.007, 1.000, 0.5, 0.04),
    "ENTRANCES": (-1.82, 1.000, 1.000, 0.6, 1 / 29),
    "FLOORSMAX": (-2.04, 1.000, 1.000, 0.7, 1 / 24),
    "FLOORSMIN": (-0.32, 1.000, 1.000, 0.7, 1 / 24),
    "LANDAREA": (-0.81, 1.023, 1.017, 0.6, 1e-4),
    "LIVINGAPARTMENTS": (-0.29, 1.092, 1.017, 0.6, 1e-4),
    "LIVINGAREA": (-1.81, 1.042, 1.018, 0.6, 1e-4),
    "NONLIVINGAPARTMENTS": (-0.24, 1.004, 1.000, 0.5, 1e-4),
    "NONLIVINGAREA": (-1.16, 1.058, 1.020, 0.5, 1e-4),
}
_ENQUIRIES = ("HOUR", "DAY", "WEEK", "MON", "QRT", "YEAR")

# In the order of the files; TARGET is in the file of former customers only.
_COLUMNS = (
    "SK_ID_CURR", "TARGET", "NAME_CONTRACT_TYPE", "CODE_GENDER", "FLAG_OWN_CAR", "FLAG_OWN_REALTY",
    "CNT_CHILDREN", "AMT_INCOME_TOTAL", "AMT_CREDIT", "AMT_ANNUITY", "AMT_GOODS_PRICE", "NAME_TYPE_SUITE",
    "NAME_INCOME_TYPE", "NAME_EDUCATION_TYPE", "NAME_FAMILY_STATUS", "NAME_HOUSING_TYPE",
    "REGION_POPULATION_RELATIVE", "DAYS_BIRTH", "DAYS_EMPLOYED", "DAYS_REGISTRATION", "DAYS_ID_PUBLISH",
    "OWN_CAR_AGE", "FLAG_MOBIL", "FLAG_EMP_PHONE", "FLAG_WORK_PHONE", "FLAG_CONT_MOBILE", "FLAG_PHONE",
    "FLAG_EMAIL", "OCCUPATION_TYPE", "CNT_FAM_MEMBERS", "REGION_RATING_CLIENT",
    "REGION_RATING_CLIENT_W_CITY", "WEEKDAY_APPR_PROCESS_START", "HOUR_APPR_PROCESS_START",
    "REG_REGION_NOT_LIVE_REGION", "REG_REGION_NOT_WORK_REGION", "LIVE_REGION_NOT_WORK_REGION",
    "REG_CITY_NOT_LIVE_CITY", "REG_CITY_NOT_WORK_CITY", "LIVE_CITY_NOT_WORK_CITY", "ORGANIZATION_TYPE",
    "EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3",
    *(f"{measure}_{kind}" for kind in ("AVG", "MODE", "MEDI") for measure in _BUILDING),
    "FONDKAPREMONT_MODE", "HOUSETYPE_MODE", "TOTALAREA_MODE", "WALLSMATERIAL_MODE", "EMERGENCYSTATE_MODE",
    *(f"{kind}_{days}_CNT_SOCIAL_CIRCLE" for days in (30, 60) for kind in ("OBS", "DEF")),
    "DAYS_LAST_PHONE_CHANGE",
    *(f"FLAG_DOCUMENT_{number}" for number in range(2, 22)),
    *(f"AMT_REQ_CREDIT_BUREAU_{span}" for span in _ENQUIRIES),
)  # fmt: skip
# The files write these as 12.0, even the counts.
_DECIMAL = re.compile(
    r"AMT_.*|EXT_SOURCE_\d|.*_(AVG|MODE|MEDI|SOCIAL_CIRCLE)|REGION_POPULATION_RELATIVE|OWN_CAR_AGE"
    r"|CNT_FAM_MEMBERS|DAYS_REGISTRATION|DAYS_LAST_PHONE_CHANGE"
)

# ------------------------------------------------------------------ public


def applications(
    rows: int,
    *,
    seed: int = 0,
    first_id: int = 100_001,
    labelled: bool = False,
    revolving_share: float = 0.095,
) -> pl.DataFrame:
    """Draw credit applications.

    Parameters
    ----------
    rows: how many, 0 or more.
    seed: the same seed gives the same frame, whether labelled or not.
    first_id: SK_ID_CURR of the first row; the others follow without gaps.
    labelled: add TARGET as second column: 1 for payment difficulties (8 % of the rows), else 0.
    revolving_share: share of revolving loans, 0 to 1: 0.095 among Home Credit's former customers, 0.01 among
        its new ones.

    Returns
    -------
    `rows` x 121 (122 if labelled): the columns of application_test.csv (application_train.csv), in their
    order, as Int64, Float64 and String, missing values null. Amounts are in the currency of the files, DAYS_*
    in days before the application (negative), external scores and measures of buildings in 0..1.

    Raises ValueError if `rows` or `seed` is negative or `revolving_share` is not a share.
    """
    _check(rows, seed, revolving_share)
    # The first child of the seed, so that one call equals a portfolio of one chunk.
    (child,) = SeedSequence(seed).spawn(1)
    return _draw(child, rows, first_id, labelled, revolving_share)


def portfolio_chunks(
    rows: int,
    *,
    seed: int = 0,
    first_id: int = 100_001,
    labelled: bool = False,
    chunk_rows: int = 50_000,
    revolving_share: float = 0.095,
) -> Iterator[pl.DataFrame]:
    """Draw credit applications as frames of `chunk_rows` rows, one at a time; the last may be shorter.

    Memory is bounded by one frame. The rows depend on nothing but `rows`, `seed`, `revolving_share` and
    `chunk_rows`.

    Parameters
    ----------
    chunk_rows: rows in a frame, 1 or more. The others are those of `applications`.

    Returns
    -------
    Frames as `applications` returns them; ids go on from one to the next. No rows are one empty frame, so
    that a writer still learns the columns.

    Raises ValueError as `applications` does, or if `chunk_rows` is below 1; at the call, not the first frame.
    """
    _check(rows, seed, revolving_share)
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows must be 1 or more, got {chunk_rows}")
    starts = range(0, max(rows, 1), chunk_rows)
    children = SeedSequence(seed).spawn(len(starts))
    return (
        _draw(child, min(chunk_rows, rows - start), first_id + start, labelled, revolving_share)
        for start, child in zip(starts, children, strict=True)
    )


def evolve(applications: pl.DataFrame, *, seed: int, changed_share: float = 0.05) -> pl.DataFrame:
    """The same applications one night later: some customers came back, the others stay as they were.

    Who came back is one day older, and one day longer employed, registered and so on. About half of them ask
    for another amount: goods price, credit and annuity move by one factor, up to their rounding. About half
    have an external score that moved, or that arrived where it was missing.

    Parameters
    ----------
    applications: any number of rows, with the columns that change (DAYS_BIRTH, DAYS_EMPLOYED,
        DAYS_REGISTRATION, DAYS_ID_PUBLISH, DAYS_LAST_PHONE_CHANGE, AMT_GOODS_PRICE, AMT_CREDIT, AMT_ANNUITY,
        EXT_SOURCE_1 to 3) and AMT_REQ_CREDIT_BUREAU_YEAR, which tells who has a bureau file. Others, TARGET
        among them, pass through.
    seed: take another one each night, or the same customers come back.
    changed_share: chance of each customer to come back, 0 to 1.

    Returns
    -------
    A new frame: the same rows in the same order, the same columns and types.

    Raises ValueError if a column is missing, `seed` is negative or `changed_share` is not a share.
    """
    _check(0, seed, changed_share, share_name="changed_share")
    missing = [name for name in (*_DAYS, *_AMOUNTS, *_SCORES, _FILE) if name not in applications.columns]
    if missing:
        raise ValueError(f"cannot evolve applications without {', '.join(missing)}")
    rng = np.random.default_rng(seed)
    back = rng.random(applications.height) < changed_share
    other_amount = back & (rng.random(applications.height) < 0.5)
    other_score = back & (rng.random(applications.height) < 0.5)
    tonight = [
        *_one_day_later(applications, back),
        *_amounts_changed(rng, applications, other_amount),
        *_scores_moved(rng, applications, other_score),
    ]
    return applications.with_columns(series.cast(applications.schema[series.name]) for series in tonight)


# ------------------------------------------------------------------ assembly


def _check(rows: int, seed: int, share: float, *, share_name: str = "revolving_share") -> None:
    if rows < 0:
        raise ValueError(f"rows must be 0 or more, got {rows}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 <= share <= 1:
        raise ValueError(f"{share_name} must be between 0 and 1, got {share}")


def _draw(seed: SeedSequence, rows: int, first_id: int, labelled: bool, revolving: float) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    known: Columns = {"SK_ID_CURR": np.arange(first_id, first_id + rows)}
    known |= _region(rng, rows)
    known |= _people(rng, rows)
    known |= _work(rng, known)
    known |= _workplace(rng, known)
    known |= _income(rng, known)
    known |= _belongings(rng, known)
    known |= _loan(rng, known, revolving)
    known |= _scores(rng, known)
    known |= _enquiries(rng, known)
    known |= _social_circle(rng, known)
    known |= _contact(rng, known)
    known |= _documents(rng, known)
    known |= _building(rng, known)
    if labelled:
        # Last, so that asking for labels leaves every other draw alone.
        known |= _target(rng, known)
    return pl.DataFrame([_series(name, known[name]) for name in _COLUMNS if name != "TARGET" or labelled])


def _series(name: str, values: Array) -> pl.Series:
    if name in _LEVELS:
        codes = pl.Series(np.where(values < 0, len(_LEVELS[name]), values))
        return pl.Series(name, [*_LEVELS[name], None], dtype=pl.String).gather(codes)
    if _DECIMAL.fullmatch(name):
        # Adding zero turns the -0.0 of "today" into 0.0, which text and checksums tell apart.
        return pl.Series(name, values.astype(np.float64) + 0.0, dtype=pl.Float64, nan_to_null=True)
    return pl.Series(name, values.astype(np.int64), dtype=pl.Int64)


def _pick(rng: Generator, rows: int, weights: ArrayLike, group: int | Array = 0) -> Array:
    """Draw a position for each row, by the weights (levels,) or by those of its group (groups, levels)."""
    table = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    groups, levels = table.shape
    bounds = np.cumsum(table, axis=1) / table.sum(axis=1, keepdims=True)
    # Every group has its own unit interval on one line, so a single search serves all rows.
    line = (bounds + np.arange(groups)[:, None]).ravel()
    where = np.searchsorted(line, rng.random(rows) + group, side="right") - np.multiply(group, levels)
    return np.clip(where, 0, levels - 1)


def _chance(rng: Generator, probability: float | Array, rows: int) -> Array:
    return rng.random(rows) < probability


def _is(known: Columns, name: str, *values: str) -> Array:
    return np.isin(known[name], [_LEVELS[name].index(value) for value in values])


def _to_grid(values: Array, unit: float | Array) -> Array:
    return np.maximum(np.rint(values / unit), 1) * unit


def _sigmoid(log_odds: Array) -> Array:
    return 1 / (1 + np.exp(-log_odds))


def _years(known: Columns, name: str) -> Array:
    return known[name] / -_YEAR


# ------------------------------------------------------------------ where they live

_RATING_SHARES = (0.11, 0.74, 0.15)
# Sizes of the regions of each rating; the best rated are the two big cities and their surroundings.
_REGION_SIZES = (
    np.array([0.0035, 0.0117, 0.0326, 0.0462, 0.0725]),
    np.round(np.geomspace(0.0025, 0.0358, 54), 6),
    np.round(np.geomspace(0.0013, 0.0207, 20), 6),
)


def _region(rng: Generator, rows: int) -> Columns:
    rating = _pick(rng, rows, _RATING_SHARES) + 1
    size = np.empty(rows)
    for number, sizes in enumerate(_REGION_SIZES, start=1):
        here = rating == number
        # More people apply where more people live.
        size[here] = sizes[_pick(rng, int(here.sum()), sizes**0.9)]
    # A city may be rated better than the region around it.
    gain = _pick(rng, rows, [(1, 0, 0), (0.993, 0.007, 0), (0.914, 0.075, 0.011)], rating - 1)
    return {
        "REGION_RATING_CLIENT": rating,
        "REGION_RATING_CLIENT_W_CITY": rating - gain,
        "REGION_POPULATION_RELATIVE": size,
    }


# ------------------------------------------------------------------ who they are

# Ten bands of age: below 25, then steps of five years. The tables below have a row for each.
_AGE_EDGES = (20.5, 25, 30, 35, 40, 45, 50, 55, 60, 65, 69)
_AGE_SHARES = (0.042, 0.101, 0.132, 0.132, 0.138, 0.120, 0.119, 0.104, 0.088, 0.024)
_MEN = (0.40, 0.41, 0.43, 0.38, 0.36, 0.32, 0.285, 0.24, 0.235, 0.20)
_EDUCATION = np.array(
    [
        (0.578, 0.231, 0.177, 0.013, 0.001),
        (0.571, 0.335, 0.080, 0.013, 0.001),
        (0.624, 0.325, 0.037, 0.013, 0.001),
        (0.693, 0.263, 0.030, 0.013, 0.001),
        (0.731, 0.236, 0.019, 0.013, 0.001),
        (0.740, 0.232, 0.014, 0.013, 0.001),
        (0.773, 0.197, 0.016, 0.013, 0.001),
        (0.801, 0.172, 0.011, 0.015, 0.001),
        (0.794, 0.178, 0.008, 0.019, 0.001),
        (0.768, 0.190, 0.006, 0.035, 0.001),
    ]
)
_FAMILY = np.array(
    [
        (0.313, 0.514, 0.166, 0.007, 0.000, 1e-5),
        (0.604, 0.248, 0.116, 0.031, 0.001, 1e-5),
        (0.695, 0.144, 0.109, 0.049, 0.003, 1e-5),
        (0.699, 0.121, 0.110, 0.057, 0.013, 1e-5),
        (0.687, 0.126, 0.091, 0.075, 0.021, 1e-5),
        (0.690, 0.085, 0.088, 0.102, 0.035, 1e-5),
        (0.663, 0.112, 0.088, 0.077, 0.060, 1e-5),
        (0.644, 0.099, 0.063, 0.073, 0.121, 1e-5),
        (0.585, 0.108, 0.052, 0.052, 0.203, 1e-5),
        (0.446, 0.125, 0.042, 0.066, 0.321, 1e-5),
    ]
)
_WIDOWERS = (1.0, 1.0, 1.0, 0.7, 0.25, 1.0)
_CHILDREN = (0.23, 0.52, 0.80, 0.83, 0.58, 0.31, 0.09, 0.033, 0.024, 0.012)
_CHILDREN_BY_FAMILY = (1.12, 0.45, 1.15, 1.00, 0.90, 1.00)
# The first is "not given".
_COMPANY = (0.0042, 0.812, 0.131, 0.037, 0.0106, 0.0058, 0.0028, 0.0009)
_WITH_PARENTS = (0.228, 0.145, 0.079, 0.043, 0.020, 0.020, 0.011, 0.006, 0.005, 0.001)


def _people(rng: Generator, rows: int) -> Columns:
    age = np.interp(rng.random(rows), np.cumsum((0, *_AGE_SHARES)), _AGE_EDGES)
    band = np.clip(age // 5 - 4, 0, 9).astype(np.int64)
    gender = np.where(_chance(rng, 1.3e-5, rows), 2, _chance(rng, np.take(_MEN, band), rows))
    by_gender = np.concatenate([_FAMILY, _FAMILY * _WIDOWERS])
    family = _pick(rng, rows, by_gender, band + 10 * (gender == 1))
    known: Columns = {
        "_age": age,
        "_band": band,
        "DAYS_BIRTH": -np.floor(age * _YEAR).astype(np.int64),
        "CODE_GENDER": gender,
        "NAME_EDUCATION_TYPE": _pick(rng, rows, _EDUCATION, band),
        "NAME_FAMILY_STATUS": family,
        "CNT_CHILDREN": _children(rng, band, family),
        "NAME_TYPE_SUITE": _pick(rng, rows, _COMPANY) - 1,
    }
    known["NAME_HOUSING_TYPE"] = _housing(rng, band, family)
    adults = np.where(_is(known, "NAME_FAMILY_STATUS", "Married", "Civil marriage"), 2.0, 1.0)
    # Nobody can count the adults of a household whose status is not known.
    adults[_is(known, "NAME_FAMILY_STATUS", "Unknown")] = np.nan
    known["CNT_FAM_MEMBERS"] = known["CNT_CHILDREN"] + adults
    return known | _papers(rng, age)


def _children(rng: Generator, band: Array, family: Array) -> Array:
    expected = np.take(_CHILDREN, band) * np.take(_CHILDREN_BY_FAMILY, family)
    many = _chance(rng, 4e-4, len(band)) * rng.geometric(0.4, len(band))
    children: Array = np.minimum(rng.binomial(4, expected / 4) + many, 19)
    return children


def _housing(rng: Generator, band: Array, family: Array) -> Array:
    parents = np.array(_WITH_PARENTS)
    rented = 0.010 + 0.12 * parents
    others = np.tile((0.037, 0.0085, 0.0040), (10, 1))
    own = 1 - parents - rented - others.sum(axis=1)
    table = np.column_stack([own, parents, rented, others])
    # Mostly before they marry.
    by_status = np.concatenate([table * (1, 1.45, 1, 1, 1, 1), table * (1, 0.75, 1, 1, 1, 1)])
    return _pick(rng, len(band), by_status, band + 10 * (family == 0))


def _papers(rng: Generator, age: Array) -> Columns:
    rows = len(age)
    registered = rng.beta(1.1, 2.4, rows) * age
    # Passports are renewed at 20 and at 45, and were all replaced once some 13 years ago.
    renewed = np.where(age >= 45, age - 45, age - 20)
    issued = np.minimum(renewed, 12.3 + 1.2 * rng.standard_normal(rows))
    issued = issued * np.where(_chance(rng, 0.3, rows), rng.random(rows), 1 - 0.12 * rng.random(rows))
    return {
        "DAYS_REGISTRATION": -np.floor(registered * _YEAR),
        "DAYS_ID_PUBLISH": -np.floor(np.maximum(issued, 0) * _YEAR).astype(np.int64),
    }


# ------------------------------------------------------------------ what they do

_PENSION_WOMEN = (0.005, 0.003, 0.003, 0.006, 0.02, 0.034, 0.125, 0.71, 0.84, 0.93)
_PENSION_MEN = (0.006, 0.003, 0.004, 0.007, 0.02, 0.032, 0.11, 0.28, 0.71, 0.87)
# In the order of the levels, without pensioners; for women, men, and female and male graduates.
_JOBS = np.array(
    [
        (0.655, 0.262, 0.083, 8e-5, 7e-5, 3e-5, 3e-5),
        (0.685, 0.270, 0.045, 8e-5, 7e-5, 4e-5, 0.0),
        (0.490, 0.365, 0.145, 8e-5, 7e-5, 3e-5, 3e-5),
        (0.530, 0.375, 0.095, 8e-5, 7e-5, 9e-5, 0.0),
    ]
)


def _work(rng: Generator, known: Columns) -> Columns:
    age, band = known["_age"], known["_band"]
    rows = len(age)
    man = _is(known, "CODE_GENDER", "M")
    graduate = _is(known, "NAME_EDUCATION_TYPE", "Higher education", "Academic degree")
    retired = _chance(rng, np.where(man, np.take(_PENSION_MEN, band), np.take(_PENSION_WOMEN, band)), rows)
    job = _pick(rng, rows, _JOBS, man + 2 * graduate)
    job = np.where(retired, 3, job + (job > 2))
    idle = np.isin(job, (3, 4))
    organisation, occupation = _employer(rng, job, man, graduate)
    work: Columns = {
        "_idle": idle,
        "NAME_INCOME_TYPE": job,
        "ORGANIZATION_TYPE": np.where(idle, len(_ORGANISATIONS), organisation),
        "OCCUPATION_TYPE": np.where(idle | (occupation == len(_OCCUPATIONS) - 1), -1, occupation),
        "FLAG_EMP_PHONE": ~idle,
        "FLAG_WORK_PHONE": ~idle & _chance(rng, 0.245, rows),
    }
    # Most people change jobs every few years, so older ones have spent a smaller part of their adult life in
    # the present one; people stay longest with the state, and a few for life.
    adult = -known["DAYS_BIRTH"] - _ADULT * _YEAR
    part = rng.beta(1.05 + 0.25 * (job == 2), np.interp(age, (21, 32, 60), (1.75, 2.1, 3.4)))
    for_life = _chance(rng, 0.06, rows)
    part[for_life] = rng.beta(6, 1.5, int(for_life.sum()))
    employed = np.maximum(np.floor(part * adult), 1)
    work["DAYS_EMPLOYED"] = np.where(idle, NOT_EMPLOYED, -employed).astype(np.int64)
    return work


def _employer(rng: Generator, job: Array, man: Array, graduate: Array) -> tuple[Array, Array]:
    weight, state, commercial, men = np.array([row[:4] for row in _ORGANISATIONS.values()]).T
    # By Bayes: how likely the kind of employment and the gender are in each organisation.
    kinds = np.array([1 - state - commercial, commercial, state]) * weight
    table = np.concatenate([kinds * (1 - men), kinds * men])
    organisation = _pick(rng, len(job), table, np.where(job < 3, job, 0) + 3 * man)

    trade = np.array([_TRADES.index(row[4]) for row in _ORGANISATIONS.values()])[organisation]
    by_trade = np.array([row[0] for row in _OCCUPATIONS.values()]).T
    men, graduates = np.array([row[1:3] for row in _OCCUPATIONS.values()]).T
    by_gender = np.concatenate([by_trade * (1 - men) / 0.63, by_trade * men / 0.37])
    by_all = np.concatenate([by_gender * (1 - graduates) / 0.74, by_gender * graduates / 0.26])
    return organisation, _pick(rng, len(job), by_all, trade + len(_TRADES) * (man + 2 * graduate))


def _workplace(rng: Generator, known: Columns) -> Columns:
    """Registered, living and working places: two of them differ, or all three, or none."""
    idle = known["_idle"]
    rows = len(idle)
    moved = _chance(rng, np.where(idle, 0.004, 0.022), rows)
    commutes = ~idle & _chance(rng, 0.048, rows)
    back = moved & commutes & _chance(rng, 0.15, rows)
    # Another region is another city too.
    moved_city = moved | _chance(rng, np.where(idle, 0.024, 0.077), rows)
    commutes_city = ~idle & (commutes | _chance(rng, np.where(moved_city, 0.15, 0.18), rows))
    elsewhere = ~idle & (moved | commutes) & ~back
    back_city = moved_city & commutes_city & ~elsewhere & _chance(rng, 0.4, rows)
    return {
        "REG_REGION_NOT_LIVE_REGION": moved,
        "REG_REGION_NOT_WORK_REGION": elsewhere,
        "LIVE_REGION_NOT_WORK_REGION": commutes,
        "REG_CITY_NOT_LIVE_CITY": moved_city,
        "REG_CITY_NOT_WORK_CITY": ~idle & (moved_city | commutes_city) & ~back_city,
        "LIVE_CITY_NOT_WORK_CITY": commutes_city,
    }


# ------------------------------------------------------------------ what they earn, own and borrow


def _income(rng: Generator, known: Columns) -> Columns:
    rows = len(known["_age"])
    log_income = (
        11.75
        + 0.17 * _is(known, "CODE_GENDER", "M")
        + 0.24 * _is(known, "NAME_EDUCATION_TYPE", "Higher education", "Academic degree")
        + np.take((0.33, 0.0, -0.06), known["REGION_RATING_CLIENT"] - 1)
        - 0.16 * known["_idle"]
        + 0.10 * _is(known, "NAME_INCOME_TYPE", "Commercial associate")
        + 0.26 * _is(known, "OCCUPATION_TYPE", "Managers", "IT staff", "Realty agents")
        + 0.08 * _is(known, "OCCUPATION_TYPE", "Drivers", "High skill tech staff", "Accountants")
        - 0.14 * _is(known, "OCCUPATION_TYPE", "Cleaning staff", "Low-skill Laborers", "Medicine staff")
        + 0.39 * rng.standard_t(14, rows)
    )
    exact = np.clip(np.exp(log_income), 25_650, 9_000_000)
    # People state their income in round numbers, and the rounder the higher it is.
    unit = np.take((45_000.0, 22_500.0, 4_500.0, 450.0), _pick(rng, rows, (0.24, 0.43, 0.30, 0.03)))
    unit = np.where(exact < 2 * unit, np.minimum(unit, 4_500.0), unit)
    return {"AMT_INCOME_TOTAL": _to_grid(exact, unit), "_income": (log_income - 11.9) / 0.48}


_CARS = (0.0, 0.25, 0.50, 0.48, 0.38, 0.15, 0.05, -0.20, -0.35, -0.75)


def _belongings(rng: Generator, known: Columns) -> Columns:
    band, income = known["_band"], known["_income"]
    rows = len(band)
    man = _is(known, "CODE_GENDER", "M")
    couple = _is(known, "NAME_FAMILY_STATUS", "Married", "Civil marriage")
    driver = _is(known, "OCCUPATION_TYPE", "Drivers")
    car = -1.85 + 1.35 * man + np.take(_CARS, band) + 0.40 * income + 0.45 * couple + 0.60 * driver
    has_car = _chance(rng, _sigmoid(car), rows)
    worn = rng.gamma(1.8, 6.1, rows) * np.exp(-0.30 * income)
    # 64 and 65 stand for cars of unknown age.
    unknown = _chance(rng, 0.043, rows)
    car_age = np.where(unknown, rng.integers(64, 66, rows), np.minimum(np.floor(worn), 63))
    house = _chance(rng, np.interp(known["_age"], (20, 30, 48, 69), (0.58, 0.62, 0.75, 0.76)), rows)
    return {
        "FLAG_OWN_CAR": has_car.astype(np.int64),
        "OWN_CAR_AGE": np.where(has_car, car_age, np.nan),
        "FLAG_OWN_REALTY": house.astype(np.int64),
    }


_TERMS = np.array([6, 10, 12, 18, 24, 30, 36, 48, 60])
_TERM_SHARES = np.array([0.002, 0.045, 0.11, 0.17, 0.23, 0.06, 0.16, 0.105, 0.118])
_YEARLY_RATES = np.array([0.18, 0.20, 0.23, 0.26, 0.30, 0.40])
# The insurance that is added to the price of the goods comes in steps of 1.32 %.
_INSURANCE = 0.0132
_INSURANCE_STEPS = np.array([0, 4, 5, 6, 8, 9, 10, 11, 12, 15, 16, 18, 20, 24, 30, 32, 40])
_INSURANCE_SHARES = (
    0.30, 0.015, 0.03, 0.04, 0.06, 0.08, 0.07, 0.045, 0.10, 0.09, 0.05, 0.03, 0.04, 0.04, 0.035, 0.02, 0.01,
)  # fmt: skip


def _loan(rng: Generator, known: Columns, revolving_share: float) -> Columns:
    rows = len(known["_age"])
    # Cards go to younger people, and with them their share must come out right on average.
    young = np.interp(known["_age"], (20, 45, 69), (1.5, 1.0, 0.46))
    revolving = _chance(rng, revolving_share + revolving_share * (1 - revolving_share) * (young - 1), rows)
    wish = rng.standard_normal(rows)
    size = 0.30 * known["_income"] + 0.65 * wish
    # Nobody lends without limit, so the large are closer together than the small.
    cash = _cash_loan(rng, 13.05 + np.where(size > 0, 0.84, 1.08) * size, known)
    limit = np.exp(12.45 + 0.20 * known["_income"] + 0.38 * wish)
    limit = _to_grid(np.clip(limit, 135_000, 1_350_000), np.where(limit < 300_000, 22_500, 67_500))
    card = (limit, limit, 0.05 * limit)
    goods, credit, annuity = (np.where(revolving, *both) for both in zip(card, cash, strict=True))
    # Only a card has no price of goods to tell.
    goods[revolving & _chance(rng, 0.009, rows)] = np.nan
    annuity[_chance(rng, 1e-4, rows)] = np.nan
    return {
        "NAME_CONTRACT_TYPE": revolving.astype(np.int64),
        "AMT_GOODS_PRICE": goods,
        "AMT_CREDIT": credit,
        "AMT_ANNUITY": annuity,
    }


def _cash_loan(rng: Generator, log_goods: Array, known: Columns) -> tuple[Array, Array, Array]:
    rows = len(log_goods)
    wanted = np.clip(np.exp(log_goods), 40_500, 4_050_000)
    unit = np.take((225_000.0, 45_000.0, 22_500.0, 4_500.0), _pick(rng, rows, (0.33, 0.30, 0.07, 0.30)))
    goods = _to_grid(wanted, np.where(wanted < unit, 4_500.0, unit))
    insurance = _INSURANCE * _INSURANCE_STEPS[_pick(rng, rows, _INSURANCE_SHARES)]
    credit = np.minimum(_to_grid(goods * (1 + insurance), 4.5), 4_050_000)
    # Bigger loans run longer and cost less, more income pays back sooner, and so must the oldest.
    size = (log_goods - 13.0) / 0.72
    patience = 0.82 * size - 0.34 * known["_income"] + 0.62 * rng.standard_normal(rows)
    patience -= 0.35 * (known["_age"] > 62)
    bounds = np.interp(np.cumsum(_TERM_SHARES)[:-1], _NORMAL_SHARES, _NORMAL_POINTS)
    term = _TERMS[np.searchsorted(bounds, patience)]
    cheapness = 0.35 * size + 0.94 * rng.standard_normal(rows)
    rate = _YEARLY_RATES[np.searchsorted((-1.5, -0.8, 0.0, 0.8, 1.4), -cheapness)] / 12
    annuity = _to_grid(credit * rate / (1 - (1 + rate) ** -term), 4.5)
    return goods, credit, annuity


# ------------------------------------------------------------------ what the bureaus know

# Points of the normal distribution, its shares below them, and the external scores at the same shares.
_NORMAL_POINTS = (
    -4.5, -2.326, -1.645, -1.282, -0.842, -0.524, -0.253, 0.0, 0.253, 0.524, 0.842, 1.282, 1.645, 2.326, 4.5,
)  # fmt: skip
_NORMAL_SHARES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_SCORE_1 = (
    0.014, 0.082, 0.157, 0.219, 0.301, 0.373, 0.444, 0.506, 0.571, 0.637, 0.703, 0.774, 0.822, 0.878, 0.96,
)  # fmt: skip
_SCORE_2 = (
    0.0001, 0.034, 0.144, 0.228, 0.349, 0.443, 0.511, 0.563, 0.605, 0.643, 0.68, 0.72, 0.748, 0.784, 0.855,
)  # fmt: skip
_SCORE_3 = (
    0.0005, 0.065, 0.153, 0.223, 0.326, 0.405, 0.469, 0.524, 0.581, 0.635, 0.688, 0.746, 0.785, 0.833, 0.896,
)  # fmt: skip


def _scores(rng: Generator, known: Columns) -> Columns:
    """Three scores that see the same creditworthiness, each with an error and an angle of its own."""
    rows = len(known["_age"])
    age = (known["_age"] - 43.8) / 11.9
    graduate = _is(known, "NAME_EDUCATION_TYPE", "Higher education", "Academic degree") - 0.24
    worth, own_1, own_2, own_3 = rng.standard_normal((4, rows))
    man = _is(known, "CODE_GENDER", "M") - 0.34
    first = 0.17 + 0.56 * age + 0.38 * worth - 0.45 * man + 0.20 * graduate + 0.68 * own_1
    region = known["REGION_RATING_CLIENT"] - 2.04
    second = 0.42 * worth - 0.55 * region + 0.10 * age + 0.12 * known["_income"] + 0.30 * graduate
    second += 0.82 * own_2
    third = 0.42 * worth + 0.22 * age + 0.88 * own_3
    # The third score is made from the bureau's file: without a file, neither it nor the enquiries exist.
    no_file = _chance(rng, np.interp(known["_age"], (20, 30, 69), (0.26, 0.13, 0.125)), rows)
    missing_1 = _chance(rng, np.interp(known["_age"], (20, 40, 69), (0.38, 0.48, 0.86)), rows)
    missing_2 = _chance(rng, 0.0022, rows)
    missing_3 = no_file | _chance(rng, 0.067, rows)
    return {
        "_score_1": first,
        "_score_2": second,
        "_score_3": third,
        "_no_file": no_file,
        "EXT_SOURCE_1": np.where(missing_1, np.nan, np.interp(first, _NORMAL_POINTS, _SCORE_1)),
        "EXT_SOURCE_2": np.where(missing_2, np.nan, np.interp(second, _NORMAL_POINTS, _SCORE_2)),
        "EXT_SOURCE_3": np.where(missing_3, np.nan, np.interp(third, _NORMAL_POINTS, _SCORE_3)),
    }


# Shape and mean of the number of enquiries in each span, and the most that is seen.
_ENQUIRY_COUNTS = (
    (0.5, 0.0064, 4), (0.1, 0.0070, 9), (0.6, 0.034, 8), (0.35, 0.27, 27), (1.2, 0.27, 19), (2.4, 1.95, 25),
)  # fmt: skip


def _enquiries(rng: Generator, known: Columns) -> Columns:
    rows = len(known["_age"])
    counts: Columns = {}
    for span, (shape, mean, most) in zip(_ENQUIRIES, _ENQUIRY_COUNTS, strict=True):
        count = np.minimum(rng.negative_binomial(shape, shape / (shape + mean), rows), most)
        counts[f"AMT_REQ_CREDIT_BUREAU_{span}"] = np.where(known["_no_file"], np.nan, count)
    return counts


def _social_circle(rng: Generator, known: Columns) -> Columns:
    rows = len(known["_age"])
    observed = np.minimum(rng.negative_binomial(0.45, 0.243, rows), 40)
    observed_60 = rng.binomial(observed, 0.99)
    # Friends resemble each other.
    rate = np.clip(rng.beta(1.0, 8.0, rows) * np.exp(-0.25 * known["_score_3"]), 0, 1)
    late = rng.binomial(observed, rate)
    late_60 = np.minimum(rng.binomial(late, 0.69), observed_60)
    nothing = np.where(_chance(rng, 0.0034, rows), np.nan, 0.0)
    return {
        "OBS_30_CNT_SOCIAL_CIRCLE": observed + nothing,
        "DEF_30_CNT_SOCIAL_CIRCLE": late + nothing,
        "OBS_60_CNT_SOCIAL_CIRCLE": observed_60 + nothing,
        "DEF_60_CNT_SOCIAL_CIRCLE": late_60 + nothing,
    }


# ------------------------------------------------------------------ how they apply

_WEEKDAYS = (0.165, 0.175, 0.168, 0.164, 0.163, 0.112, 0.053)
_HOURS = (13.6, 12.1, 10.5)


def _contact(rng: Generator, known: Columns) -> Columns:
    rows = len(known["_age"])
    hour = np.take(_HOURS, known["REGION_RATING_CLIENT"] - 1) + 3.1 * rng.standard_normal(rows)
    same_phone = 3.15 * rng.weibull(1.25, rows) * np.exp(0.16 * known["_score_2"])
    new_phone = _chance(rng, 0.125, rows)
    return {
        "WEEKDAY_APPR_PROCESS_START": _pick(rng, rows, _WEEKDAYS),
        "HOUR_APPR_PROCESS_START": np.clip(np.rint(hour), 0, 23),
        "DAYS_LAST_PHONE_CHANGE": np.where(new_phone, 0.0, -np.floor(np.minimum(same_phone, 11.7) * _YEAR)),
        "FLAG_MOBIL": ~_chance(rng, 3e-6, rows),
        "FLAG_CONT_MOBILE": _chance(rng, 0.998, rows),
        "FLAG_PHONE": _chance(rng, 0.28, rows),
        "FLAG_EMAIL": _chance(rng, 0.057, rows),
    }


# The main document is none, 3, 5, 6 or 8; others come on top, rarely.
_MAIN_DOCUMENTS = (0, 3, 5, 6, 8)
_MAIN_DOCUMENT_SHARES = (
    (0.020, 0.845, 0.018, 0.008, 0.109),
    (0.022, 0.500, 0.008, 0.458, 0.012),
    (0.930, 0.040, 0.022, 0.002, 0.006),
)
_OTHER_DOCUMENTS = {
    2: 4e-5, 4: 8e-5, 7: 2e-4, 9: 0.004, 10: 2e-5, 11: 0.0039, 12: 6e-6, 13: 0.0035, 14: 0.0029, 15: 0.0012,
    16: 0.0099, 17: 3e-4, 18: 0.0081, 19: 6e-4, 20: 5e-4, 21: 3e-4,
}  # fmt: skip


def _documents(rng: Generator, known: Columns) -> Columns:
    rows = len(known["_age"])
    kind = np.where(_is(known, "NAME_CONTRACT_TYPE", "Revolving loans"), 2, known["_idle"].astype(np.int64))
    main = np.take(_MAIN_DOCUMENTS, _pick(rng, rows, _MAIN_DOCUMENT_SHARES, kind))
    flags: Columns = {f"FLAG_DOCUMENT_{number}": main == number for number in _MAIN_DOCUMENTS[1:]}
    for number, share in _OTHER_DOCUMENTS.items():
        flags[f"FLAG_DOCUMENT_{number}"] = _chance(rng, share, rows)
    return flags


# ------------------------------------------------------------------ the building they live in

# Heights in steps of 1/24, and entrances in steps of 1/29, of the largest building.
_FLOORS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 24])
_FLOOR_SHARES = np.array(
    [0.018, 0.092, 0.045, 0.050, 0.410, 0.012, 0.014, 0.007, 0.200, 0.063, 0.025, 0.020, 0.020, 0.020, 0.004]
)
_ENTRANCE_COUNTS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 29])
_ENTRANCE_SHARES = (2, 95, 150, 130, 225, 65, 135, 27, 57, 15, 14, 10, 10, 8, 6, 1)
_DOCUMENTED = (0.715, 0.487, 0.455)
_HOUSING_DOCUMENTED = (1.0, 0.84, 0.56, 1.3, 0.9, 1.1)


def _building(rng: Generator, known: Columns) -> Columns:
    rows = len(known["_age"])
    by_region = np.take(_DOCUMENTED, known["REGION_RATING_CLIENT"] - 1)
    share = by_region * np.take(_HOUSING_DOCUMENTED, known["NAME_HOUSING_TYPE"])
    # Half of the buildings are not in the register: the measures are drawn for the others only.
    documented = np.flatnonzero(_chance(rng, share, rows))
    rating = known["REGION_RATING_CLIENT"][documented]
    average = _measures(rng, rating)
    record = rng.standard_normal(len(documented))

    def everywhere(values: Array, missing: float) -> Array:
        column = np.full(rows, missing)
        column[documented] = values
        return column

    columns: Columns = {}
    for measure, (threshold, mode, median, smallest, step) in _BUILDING.items():
        values = average[measure].copy()
        values[0.9 * record + 0.436 * rng.standard_normal(len(record)) < threshold] = np.nan
        columns[f"{measure}_AVG"] = everywhere(np.round(values, 4), np.nan)
        for kind, factor, uneven in (("MODE", mode, 0.08), ("MEDI", median, 0.03)):
            part = np.where(_chance(rng, uneven, len(record)), rng.uniform(smallest, 1, len(record)), 1.0)
            counted = np.clip(np.rint(values * part / step) * step * factor, 0, 1)
            columns[f"{measure}_{kind}"] = everywhere(np.round(counted, 4), np.nan)
    total = average["LIVINGAREA"] * np.exp(-0.07 + 0.15 * rng.standard_normal(len(record)))
    total[_chance(rng, 0.002, len(record))] = np.nan
    columns["TOTALAREA_MODE"] = everywhere(np.round(np.clip(total, 0, 1), 4), np.nan)
    for name, codes in _construction(rng, average["FLOORSMAX"], record).items():
        columns[name] = everywhere(codes, -1).astype(np.int64)
    return columns


def _measures(rng: Generator, rating: Array) -> Columns:
    """Averages in 0..1 of the buildings' measures; they all follow from height and width."""
    rows = len(rating)
    height, width = rng.standard_normal((2, rows))
    bounds = np.interp(np.cumsum(_FLOOR_SHARES)[:-1], _NORMAL_SHARES, _NORMAL_POINTS)
    floors = _FLOORS[np.searchsorted(bounds, np.take((0.75, -0.10, -0.20), rating - 1) + height)]
    entrances = _ENTRANCE_COUNTS[_pick(rng, rows, _ENTRANCE_SHARES)]
    size = 1.15 * np.log((floors + 1) / 5) + 0.60 * np.log(np.maximum(entrances, 1) / 4)

    def area(centre: float, slope: float, spread: float, zeros: float = 0.003) -> Array:
        values = np.exp(centre + slope * size + spread * rng.standard_normal(rows) + 0.25 * width)
        return np.where(_chance(rng, zeros, rows), 0.0, np.clip(values, 0, 1))

    apartments = area(-2.52, 0.90, 0.36)
    old = np.clip(0.0184 - 0.004 * height + 0.0068 * rng.standard_normal(rows), 0.0005, 0.07)
    begin = np.where(_chance(rng, 0.002, rows), 0.0, 1 - old)
    # Lifts are built from the sixth floor up, one or two for each entrance.
    lifts = np.clip(0.04 * np.rint(entrances * rng.uniform(0.6, 2.0, rows)), 0, 1)
    shops = _chance(rng, 0.5, rows)
    return {
        "APARTMENTS": apartments,
        "BASEMENTAREA": area(-2.55, 0.55, 0.50, zeros=0.10),
        "YEARS_BEGINEXPLUATATION": begin,
        "YEARS_BUILD": np.clip(1 - 13.6 * old, 0, 1),
        "COMMONAREA": area(-3.8, 0.85, 0.95, zeros=0.09),
        "ELEVATORS": np.where(floors > 4, lifts, 0.0),
        "ENTRANCES": entrances / 29,
        "FLOORSMAX": floors / 24,
        "FLOORSMIN": np.where(_chance(rng, 0.85, rows), np.minimum(floors + 1, 24), floors // 2) / 24,
        "LANDAREA": area(-2.95, 0.40, 0.85, zeros=0.12),
        "LIVINGAPARTMENTS": np.clip(apartments * np.exp(-0.15 + 0.10 * rng.standard_normal(rows)), 0, 1),
        "LIVINGAREA": np.clip(apartments * np.exp(-0.10 + 0.30 * rng.standard_normal(rows)), 0, 1),
        "NONLIVINGAPARTMENTS": shops * area(-5.1, 0.15, 1.2, zeros=0.17),
        "NONLIVINGAREA": np.where(shops | _chance(rng, 0.16, rows), area(-3.9, 0.20, 1.35), 0.0),
    }


# For low buildings, those of middling height and the tall ones.
_WALLS = (
    (0.04, 0.58, 0.08, 0.22, 0.04, 0.01, 0.03),
    (0.44, 0.43, 0.085, 0.008, 0.019, 0.006, 0.012),
    (0.63, 0.29, 0.03, 0.001, 0.012, 0.032, 0.005),
)
_HOUSES = ((0.90, 0.03, 0.07), (0.99, 0.008, 0.002), (0.998, 0.002, 0.0))
_EMERGENCIES = (0.09, 0.007, 0.002)
_CONSTRUCTION_MISSING = {"FONDKAPREMONT_MODE": -0.28, "HOUSETYPE_MODE": -1.81, "WALLSMATERIAL_MODE": -1.68}


def _construction(rng: Generator, height: Array, record: Array) -> Columns:
    rows = len(height)
    storeys = np.digitize(height, (0.06, 0.26))
    columns: Columns = {
        "FONDKAPREMONT_MODE": _pick(rng, rows, (0.77, 0.118, 0.06, 0.052)),
        "HOUSETYPE_MODE": _pick(rng, rows, _HOUSES, storeys),
        "WALLSMATERIAL_MODE": _pick(rng, rows, _WALLS, storeys),
        "EMERGENCYSTATE_MODE": _chance(rng, np.take(_EMERGENCIES, storeys), rows).astype(np.int64),
    }
    for name, threshold in _CONSTRUCTION_MISSING.items():
        columns[name][0.8 * record + 0.6 * rng.standard_normal(rows) < threshold] = -1
    return columns


# ------------------------------------------------------------------ whether they default

# Set so that 8 % default.
_INTERCEPT = -2.22
_EDUCATION_RISK = (0.0, -0.50, -0.15, 0.30, -0.6)
_FAMILY_RISK = (0.0, 0.05, 0.12, 0.10, 0.0, 0.0)
_JOB_RISK = (0.0, -0.10, -0.20, -0.32, 0.8, -0.3, -0.8, 0.9)


def _target(rng: Generator, known: Columns) -> Columns:
    log_odds = (
        _INTERCEPT
        + _score_risk(known)
        + _person_risk(known)
        + _work_risk(known)
        + _loan_risk(known)
        + _circumstance_risk(known)
        # What nobody asks in an application.
        + 0.3 * rng.standard_normal(len(known["_age"]))
    )
    return {"TARGET": _chance(rng, _sigmoid(log_odds), len(log_odds))}


def _score_risk(known: Columns) -> Array:
    first, second, third = known["_score_1"], known["_score_2"], known["_score_3"]
    # Two bad scores are worse than the sum of each.
    both = np.maximum(-second, 0) * np.maximum(-third, 0)
    risk: Array = -0.30 * first - 0.32 * second - 0.50 * third + 0.12 * both + 0.25 * known["_no_file"]
    return risk


def _person_risk(known: Columns) -> Array:
    man = _is(known, "CODE_GENDER", "M")
    has_car = _is(known, "FLAG_OWN_CAR", "Y")
    risk: Array = (
        0.01 * np.maximum(32 - known["_age"], 0)
        + 0.30 * man
        + np.take(_EDUCATION_RISK, known["NAME_EDUCATION_TYPE"])
        + np.take(_FAMILY_RISK, known["NAME_FAMILY_STATUS"])
        + 0.08 * np.minimum(known["CNT_CHILDREN"], 4)
        - 0.40 * has_car
        + 0.018 * np.where(has_car, np.minimum(np.nan_to_num(known["OWN_CAR_AGE"]), 25), 0)
        + 0.20 * _is(known, "NAME_HOUSING_TYPE", "Rented apartment", "With parents")
        - 0.034 * _years(known, "DAYS_ID_PUBLISH")
        - 0.012 * _years(known, "DAYS_REGISTRATION")
        - 0.055 * _years(known, "DAYS_LAST_PHONE_CHANGE")
    )
    return risk


def _work_risk(known: Columns) -> Array:
    idle = known["_idle"]
    employed = np.where(idle, 0.0, _years(known, "DAYS_EMPLOYED"))
    organisation = np.array([row[5] for row in _ORGANISATIONS.values()] + [0.0])
    occupation = np.array([row[3] for row in _OCCUPATIONS.values()])
    # A new job is a risk above all for the young.
    fresh = ~idle & (employed < 1.5) & (known["_age"] < 32)
    risk: Array = (
        -0.30 * np.log1p(employed)
        + np.take(_JOB_RISK, known["NAME_INCOME_TYPE"])
        + organisation[known["ORGANIZATION_TYPE"]]
        + occupation[known["OCCUPATION_TYPE"]]
        + 0.25 * fresh
    )
    return risk


def _loan_risk(known: Columns) -> Array:
    revolving = _is(known, "NAME_CONTRACT_TYPE", "Revolving loans")
    credit, goods, annuity = (known[name] for name in ("AMT_CREDIT", "AMT_GOODS_PRICE", "AMT_ANNUITY"))
    markup = np.nan_to_num(credit / goods - 1)
    burden = np.minimum(np.nan_to_num(annuity / known["AMT_INCOME_TOTAL"], nan=0.17), 0.6)
    # Middling terms default most: the shortest cost little, and the longest go to those who are trusted.
    term = np.nan_to_num(credit / annuity, nan=20.0)
    risk: Array = (
        -0.50 * revolving
        + 1.6 * markup
        + 1.0 * np.maximum(burden - 0.15, 0) * (1 + np.maximum(-known["_score_2"], 0))
        - np.where(revolving, 0.0, 0.0022 * (term - 16) ** 2)
        - 0.20 * np.log(credit / 500_000)
    )
    return risk


def _circumstance_risk(known: Columns) -> Array:
    height = np.nan_to_num(known["FLOORSMAX_AVG"], nan=0.15)
    late_friends = np.nan_to_num(known["DEF_30_CNT_SOCIAL_CIRCLE"])
    asked = np.nan_to_num(known["AMT_REQ_CREDIT_BUREAU_YEAR"], nan=1.9)
    risk: Array = (
        0.28 * (known["REGION_RATING_CLIENT_W_CITY"] - 2)
        + 0.17 * known["REG_CITY_NOT_LIVE_CITY"]
        + 0.08 * known["REG_CITY_NOT_WORK_CITY"]
        + 0.24 * np.minimum(late_friends, 3)
        + 0.02 * asked
        - 0.45 * height
        + 0.12 * known["FLAG_DOCUMENT_3"]
        + 0.06 * known["FLAG_WORK_PHONE"]
    )
    return risk


# ------------------------------------------------------------------ one night later

_DAYS = ("DAYS_BIRTH", "DAYS_EMPLOYED", "DAYS_REGISTRATION", "DAYS_ID_PUBLISH", "DAYS_LAST_PHONE_CHANGE")
_AMOUNTS = ("AMT_GOODS_PRICE", "AMT_CREDIT", "AMT_ANNUITY")
_SCORES = ("EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3")
_FILE = "AMT_REQ_CREDIT_BUREAU_YEAR"
# Balanced, so that amounts do not drift over many nights.
_FACTORS = (0.7, 0.8, 0.9, 1.1, 1.25, 1.4)


def _floats(frame: pl.DataFrame, name: str) -> Array:
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _back_to_series(name: str, values: Array) -> pl.Series:
    return pl.Series(name, values, dtype=pl.Float64, nan_to_null=True)


def _one_day_later(frame: pl.DataFrame, back: Array) -> list[pl.Series]:
    later = []
    for name in _DAYS:
        days = _floats(frame, name)
        # The mark of people without a job is no number of days.
        later.append(_back_to_series(name, days - (back & (days <= 0))))
    return later


def _amounts_changed(rng: Generator, frame: pl.DataFrame, chosen: Array) -> list[pl.Series]:
    goods, credit, annuity = (_floats(frame, name) for name in _AMOUNTS)
    factor = np.take(_FACTORS, rng.integers(0, len(_FACTORS), len(chosen)))
    price = np.where(np.isnan(goods), credit, goods)
    new_price = _to_grid(price * factor, 4_500)
    factor = new_price / price
    wanted = (goods * factor, credit * factor, annuity * factor)
    return [
        _back_to_series(name, np.where(chosen, _to_grid(new, 4.5), old))
        for name, new, old in zip(_AMOUNTS, wanted, (goods, credit, annuity), strict=True)
    ]


def _scores_moved(rng: Generator, frame: pl.DataFrame, chosen: Array) -> list[pl.Series]:
    scores = np.column_stack([_floats(frame, name) for name in _SCORES])
    # The third score cannot arrive without the bureau's file.
    which = np.minimum(rng.integers(0, 3, len(chosen)), np.where(frame[_FILE].is_null(), 1, 2))
    safe = np.clip(scores, 1e-6, 1 - 1e-6)
    log_odds = np.log(safe / (1 - safe))
    known = ~np.isnan(log_odds)
    # A score that arrives resembles those that were there; one that moves stays near itself.
    others = np.where(known, log_odds, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    here = np.arange(len(chosen)), which
    moved = np.where(
        known[here],
        log_odds[here] + 0.35 * rng.standard_normal(len(chosen)),
        0.4 * others + 0.9 * rng.standard_normal(len(chosen)),
    )
    scores[here] = np.where(chosen, _sigmoid(moved), scores[here])
    return [_back_to_series(name, scores[:, position]) for position, name in enumerate(_SCORES)]
