"""Where applicants live, who they are and what they do."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scoring.sample.draw import YEAR, Array, Columns, chance, is_any, pick
from scoring.sample.vocabulary import OCCUPATIONS, ORGANISATIONS, TRADES

NOT_EMPLOYED = 365_243
"""What DAYS_EMPLOYED says for people without a job: a thousand years ahead."""

_ADULT = 18

# ------------------------------------------------------------------ where they live

_RATING_SHARES = (0.11, 0.74, 0.15)
# Sizes of the regions of each rating; the best rated are the two big cities and their surroundings.
_REGION_SIZES = (
    np.array([0.0035, 0.0117, 0.0326, 0.0462, 0.0725]),
    np.round(np.geomspace(0.0025, 0.0358, 54), 6),
    np.round(np.geomspace(0.0013, 0.0207, 20), 6),
)


def region(rng: Generator, rows: int) -> Columns:
    """Rating and size of the region, and the rating of the city in it."""
    rating = pick(rng, rows, _RATING_SHARES) + 1
    size = np.empty(rows)
    for number, sizes in enumerate(_REGION_SIZES, start=1):
        here = rating == number
        # More people apply where more people live.
        size[here] = sizes[pick(rng, int(here.sum()), sizes**0.9)]
    # A city may be rated better than the region around it.
    gain = pick(rng, rows, [(1, 0, 0), (0.993, 0.007, 0), (0.914, 0.075, 0.011)], rating - 1)
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


def people(rng: Generator, rows: int) -> Columns:
    """Age, gender, education, family and housing, and the papers they show."""
    age = np.interp(rng.random(rows), np.cumsum((0, *_AGE_SHARES)), _AGE_EDGES)
    band = np.clip(age // 5 - 4, 0, 9).astype(np.int64)
    gender = np.where(chance(rng, 1.3e-5, rows), 2, chance(rng, np.take(_MEN, band), rows))
    by_gender = np.concatenate([_FAMILY, _FAMILY * _WIDOWERS])
    family = pick(rng, rows, by_gender, band + 10 * (gender == 1))
    known: Columns = {
        "_age": age,
        "_band": band,
        "DAYS_BIRTH": -np.floor(age * YEAR).astype(np.int64),
        "CODE_GENDER": gender,
        "NAME_EDUCATION_TYPE": pick(rng, rows, _EDUCATION, band),
        "NAME_FAMILY_STATUS": family,
        "CNT_CHILDREN": _children(rng, band, family),
        "NAME_TYPE_SUITE": pick(rng, rows, _COMPANY) - 1,
    }
    known["NAME_HOUSING_TYPE"] = _housing(rng, band, family)
    adults = np.where(is_any(known, "NAME_FAMILY_STATUS", "Married", "Civil marriage"), 2.0, 1.0)
    # Nobody can count the adults of a household whose status is not known.
    adults[is_any(known, "NAME_FAMILY_STATUS", "Unknown")] = np.nan
    known["CNT_FAM_MEMBERS"] = known["CNT_CHILDREN"] + adults
    return known | _papers(rng, age)


def _children(rng: Generator, band: Array, family: Array) -> Array:
    expected = np.take(_CHILDREN, band) * np.take(_CHILDREN_BY_FAMILY, family)
    many = chance(rng, 4e-4, len(band)) * rng.geometric(0.4, len(band))
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
    return pick(rng, len(band), by_status, band + 10 * (family == 0))


def _papers(rng: Generator, age: Array) -> Columns:
    rows = len(age)
    registered = rng.beta(1.1, 2.4, rows) * age
    # Passports are renewed at 20 and at 45, and were all replaced once some 13 years ago.
    renewed = np.where(age >= 45, age - 45, age - 20)
    issued = np.minimum(renewed, 12.3 + 1.2 * rng.standard_normal(rows))
    issued = issued * np.where(chance(rng, 0.3, rows), rng.random(rows), 1 - 0.12 * rng.random(rows))
    return {
        "DAYS_REGISTRATION": -np.floor(registered * YEAR),
        "DAYS_ID_PUBLISH": -np.floor(np.maximum(issued, 0) * YEAR).astype(np.int64),
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


def work(rng: Generator, known: Columns) -> Columns:
    """Source of income, employer's sector and occupation, and for how long."""
    age, band = known["_age"], known["_band"]
    rows = len(age)
    man = is_any(known, "CODE_GENDER", "M")
    graduate = is_any(known, "NAME_EDUCATION_TYPE", "Higher education", "Academic degree")
    retired = chance(rng, np.where(man, np.take(_PENSION_MEN, band), np.take(_PENSION_WOMEN, band)), rows)
    job = pick(rng, rows, _JOBS, man + 2 * graduate)
    job = np.where(retired, 3, job + (job > 2))
    idle = np.isin(job, (3, 4))
    organisation, occupation = _employer(rng, job, man, graduate)
    work: Columns = {
        "_idle": idle,
        "NAME_INCOME_TYPE": job,
        "ORGANIZATION_TYPE": np.where(idle, len(ORGANISATIONS), organisation),
        "OCCUPATION_TYPE": np.where(idle | (occupation == len(OCCUPATIONS) - 1), -1, occupation),
        "FLAG_EMP_PHONE": ~idle,
        "FLAG_WORK_PHONE": ~idle & chance(rng, 0.245, rows),
    }
    # Most people change jobs every few years, so older ones have spent a smaller part of their adult life in
    # the present one; people stay longest with the state, and a few for life.
    adult = -known["DAYS_BIRTH"] - _ADULT * YEAR
    part = rng.beta(1.05 + 0.25 * (job == 2), np.interp(age, (21, 32, 60), (1.75, 2.1, 3.4)))
    for_life = chance(rng, 0.06, rows)
    part[for_life] = rng.beta(6, 1.5, int(for_life.sum()))
    employed = np.maximum(np.floor(part * adult), 1)
    work["DAYS_EMPLOYED"] = np.where(idle, NOT_EMPLOYED, -employed).astype(np.int64)
    return work


def _employer(rng: Generator, job: Array, man: Array, graduate: Array) -> tuple[Array, Array]:
    weight, state, commercial, men = np.array([row[:4] for row in ORGANISATIONS.values()]).T
    # By Bayes: how likely the kind of employment and the gender are in each organisation.
    kinds = np.array([1 - state - commercial, commercial, state]) * weight
    table = np.concatenate([kinds * (1 - men), kinds * men])
    organisation = pick(rng, len(job), table, np.where(job < 3, job, 0) + 3 * man)

    trade = np.array([TRADES.index(row[4]) for row in ORGANISATIONS.values()])[organisation]
    by_trade = np.array([row[0] for row in OCCUPATIONS.values()]).T
    men, graduates = np.array([row[1:3] for row in OCCUPATIONS.values()]).T
    by_gender = np.concatenate([by_trade * (1 - men) / 0.63, by_trade * men / 0.37])
    by_all = np.concatenate([by_gender * (1 - graduates) / 0.74, by_gender * graduates / 0.26])
    return organisation, pick(rng, len(job), by_all, trade + len(TRADES) * (man + 2 * graduate))


def workplace(rng: Generator, known: Columns) -> Columns:
    """Registered, living and working places: two of them differ, or all three, or none."""
    idle = known["_idle"]
    rows = len(idle)
    moved = chance(rng, np.where(idle, 0.004, 0.022), rows)
    commutes = ~idle & chance(rng, 0.048, rows)
    back = moved & commutes & chance(rng, 0.15, rows)
    # Another region is another city too.
    moved_city = moved | chance(rng, np.where(idle, 0.024, 0.077), rows)
    commutes_city = ~idle & (commutes | chance(rng, np.where(moved_city, 0.15, 0.18), rows))
    elsewhere = ~idle & (moved | commutes) & ~back
    back_city = moved_city & commutes_city & ~elsewhere & chance(rng, 0.4, rows)
    return {
        "REG_REGION_NOT_LIVE_REGION": moved,
        "REG_REGION_NOT_WORK_REGION": elsewhere,
        "LIVE_REGION_NOT_WORK_REGION": commutes,
        "REG_CITY_NOT_LIVE_CITY": moved_city,
        "REG_CITY_NOT_WORK_CITY": ~idle & (moved_city | commutes_city) & ~back_city,
        "LIVE_CITY_NOT_WORK_CITY": commutes_city,
    }
