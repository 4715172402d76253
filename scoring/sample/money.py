"""What applicants earn, own and borrow, and what the bureaus know of them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scoring.sample.draw import NORMAL_POINTS, NORMAL_SHARES, Array, Columns, chance, is_any, pick, sigmoid, to_grid
from scoring.sample.vocabulary import ENQUIRIES

# ------------------------------------------------------------------ what they earn, own and borrow


def income(rng: Generator, known: Columns) -> Columns:
    """Income, stated in round numbers; `_income` is its place on a normal scale."""
    rows = len(known["_age"])
    log_income = (
        11.75
        + 0.17 * is_any(known, "CODE_GENDER", "M")
        + 0.24 * is_any(known, "NAME_EDUCATION_TYPE", "Higher education", "Academic degree")
        + np.take((0.33, 0.0, -0.06), known["REGION_RATING_CLIENT"] - 1)
        - 0.16 * known["_idle"]
        + 0.10 * is_any(known, "NAME_INCOME_TYPE", "Commercial associate")
        + 0.26 * is_any(known, "OCCUPATION_TYPE", "Managers", "IT staff", "Realty agents")
        + 0.08 * is_any(known, "OCCUPATION_TYPE", "Drivers", "High skill tech staff", "Accountants")
        - 0.14 * is_any(known, "OCCUPATION_TYPE", "Cleaning staff", "Low-skill Laborers", "Medicine staff")
        + 0.39 * rng.standard_t(14, rows)
    )
    exact = np.clip(np.exp(log_income), 25_650, 9_000_000)
    # People state their income in round numbers, and the rounder the higher it is.
    unit = np.take((45_000.0, 22_500.0, 4_500.0, 450.0), pick(rng, rows, (0.24, 0.43, 0.30, 0.03)))
    unit = np.where(exact < 2 * unit, np.minimum(unit, 4_500.0), unit)
    return {"AMT_INCOME_TOTAL": to_grid(exact, unit), "_income": (log_income - 11.9) / 0.48}


_CARS = (0.0, 0.25, 0.50, 0.48, 0.38, 0.15, 0.05, -0.20, -0.35, -0.75)


def belongings(rng: Generator, known: Columns) -> Columns:
    """Home and car."""
    band, income = known["_band"], known["_income"]
    rows = len(band)
    man = is_any(known, "CODE_GENDER", "M")
    couple = is_any(known, "NAME_FAMILY_STATUS", "Married", "Civil marriage")
    driver = is_any(known, "OCCUPATION_TYPE", "Drivers")
    car = -1.85 + 1.35 * man + np.take(_CARS, band) + 0.40 * income + 0.45 * couple + 0.60 * driver
    has_car = chance(rng, sigmoid(car), rows)
    worn = rng.gamma(1.8, 6.1, rows) * np.exp(-0.30 * income)
    # 64 and 65 stand for cars of unknown age.
    unknown = chance(rng, 0.043, rows)
    car_age = np.where(unknown, rng.integers(64, 66, rows), np.minimum(np.floor(worn), 63))
    house = chance(rng, np.interp(known["_age"], (20, 30, 48, 69), (0.58, 0.62, 0.75, 0.76)), rows)
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


def loan(rng: Generator, known: Columns, revolving_share: float) -> Columns:
    """Type of the loan, price of the goods, credit and annuity."""
    rows = len(known["_age"])
    # Cards go to younger people, and with them their share must come out right on average.
    young = np.interp(known["_age"], (20, 45, 69), (1.5, 1.0, 0.46))
    revolving = chance(rng, revolving_share + revolving_share * (1 - revolving_share) * (young - 1), rows)
    wish = rng.standard_normal(rows)
    size = 0.30 * known["_income"] + 0.65 * wish
    # Nobody lends without limit, so the large are closer together than the small.
    cash = _cash_loan(rng, 13.05 + np.where(size > 0, 0.84, 1.08) * size, known)
    limit = np.exp(12.45 + 0.20 * known["_income"] + 0.38 * wish)
    limit = to_grid(np.clip(limit, 135_000, 1_350_000), np.where(limit < 300_000, 22_500, 67_500))
    card = (limit, limit, 0.05 * limit)
    goods, credit, annuity = (np.where(revolving, *both) for both in zip(card, cash, strict=True))
    # Only a card has no price of goods to tell.
    goods[revolving & chance(rng, 0.009, rows)] = np.nan
    annuity[chance(rng, 1e-4, rows)] = np.nan
    return {
        "NAME_CONTRACT_TYPE": revolving.astype(np.int64),
        "AMT_GOODS_PRICE": goods,
        "AMT_CREDIT": credit,
        "AMT_ANNUITY": annuity,
    }


def _cash_loan(rng: Generator, log_goods: Array, known: Columns) -> tuple[Array, Array, Array]:
    rows = len(log_goods)
    wanted = np.clip(np.exp(log_goods), 40_500, 4_050_000)
    unit = np.take((225_000.0, 45_000.0, 22_500.0, 4_500.0), pick(rng, rows, (0.33, 0.30, 0.07, 0.30)))
    goods = to_grid(wanted, np.where(wanted < unit, 4_500.0, unit))
    insurance = _INSURANCE * _INSURANCE_STEPS[pick(rng, rows, _INSURANCE_SHARES)]
    credit = np.minimum(to_grid(goods * (1 + insurance), 4.5), 4_050_000)
    # Bigger loans run longer and cost less, more income pays back sooner, and so must the oldest.
    size = (log_goods - 13.0) / 0.72
    patience = 0.82 * size - 0.34 * known["_income"] + 0.62 * rng.standard_normal(rows)
    patience -= 0.35 * (known["_age"] > 62)
    bounds = np.interp(np.cumsum(_TERM_SHARES)[:-1], NORMAL_SHARES, NORMAL_POINTS)
    term = _TERMS[np.searchsorted(bounds, patience)]
    cheapness = 0.35 * size + 0.94 * rng.standard_normal(rows)
    rate = _YEARLY_RATES[np.searchsorted((-1.5, -0.8, 0.0, 0.8, 1.4), -cheapness)] / 12
    annuity = to_grid(credit * rate / (1 - (1 + rate) ** -term), 4.5)
    return goods, credit, annuity


# ------------------------------------------------------------------ what the bureaus know

# The external scores at the shares of `NORMAL_SHARES`.
_SCORE_1 = (
    0.014, 0.082, 0.157, 0.219, 0.301, 0.373, 0.444, 0.506, 0.571, 0.637, 0.703, 0.774, 0.822, 0.878, 0.96,
)  # fmt: skip
_SCORE_2 = (
    0.0001, 0.034, 0.144, 0.228, 0.349, 0.443, 0.511, 0.563, 0.605, 0.643, 0.68, 0.72, 0.748, 0.784, 0.855,
)  # fmt: skip
_SCORE_3 = (
    0.0005, 0.065, 0.153, 0.223, 0.326, 0.405, 0.469, 0.524, 0.581, 0.635, 0.688, 0.746, 0.785, 0.833, 0.896,
)  # fmt: skip


def scores(rng: Generator, known: Columns) -> Columns:
    """Three scores that see the same creditworthiness, each with an error and an angle of its own."""
    rows = len(known["_age"])
    age = (known["_age"] - 43.8) / 11.9
    graduate = is_any(known, "NAME_EDUCATION_TYPE", "Higher education", "Academic degree") - 0.24
    worth, own_1, own_2, own_3 = rng.standard_normal((4, rows))
    man = is_any(known, "CODE_GENDER", "M") - 0.34
    first = 0.17 + 0.56 * age + 0.38 * worth - 0.45 * man + 0.20 * graduate + 0.68 * own_1
    region = known["REGION_RATING_CLIENT"] - 2.04
    second = 0.42 * worth - 0.55 * region + 0.10 * age + 0.12 * known["_income"] + 0.30 * graduate
    second += 0.82 * own_2
    third = 0.42 * worth + 0.22 * age + 0.88 * own_3
    # The third score is made from the bureau's file: without a file, neither it nor the enquiries exist.
    no_file = chance(rng, np.interp(known["_age"], (20, 30, 69), (0.26, 0.13, 0.125)), rows)
    missing_1 = chance(rng, np.interp(known["_age"], (20, 40, 69), (0.38, 0.48, 0.86)), rows)
    missing_2 = chance(rng, 0.0022, rows)
    missing_3 = no_file | chance(rng, 0.067, rows)
    return {
        "_score_1": first,
        "_score_2": second,
        "_score_3": third,
        "_no_file": no_file,
        "EXT_SOURCE_1": np.where(missing_1, np.nan, np.interp(first, NORMAL_POINTS, _SCORE_1)),
        "EXT_SOURCE_2": np.where(missing_2, np.nan, np.interp(second, NORMAL_POINTS, _SCORE_2)),
        "EXT_SOURCE_3": np.where(missing_3, np.nan, np.interp(third, NORMAL_POINTS, _SCORE_3)),
    }


# Shape and mean of the number of enquiries in each span, and the most that is seen.
_ENQUIRY_COUNTS = (
    (0.5, 0.0064, 4), (0.1, 0.0070, 9), (0.6, 0.034, 8), (0.35, 0.27, 27), (1.2, 0.27, 19), (2.4, 1.95, 25),
)  # fmt: skip


def enquiries(rng: Generator, known: Columns) -> Columns:
    """How often others asked the bureau about them; missing without a bureau's file."""
    rows = len(known["_age"])
    counts: Columns = {}
    for span, (shape, mean, most) in zip(ENQUIRIES, _ENQUIRY_COUNTS, strict=True):
        count = np.minimum(rng.negative_binomial(shape, shape / (shape + mean), rows), most)
        counts[f"AMT_REQ_CREDIT_BUREAU_{span}"] = np.where(known["_no_file"], np.nan, count)
    return counts


def social_circle(rng: Generator, known: Columns) -> Columns:
    """People around them who were late, of those observed."""
    rows = len(known["_age"])
    observed = np.minimum(rng.negative_binomial(0.45, 0.243, rows), 40)
    observed_60 = rng.binomial(observed, 0.99)
    # Friends resemble each other.
    rate = np.clip(rng.beta(1.0, 8.0, rows) * np.exp(-0.25 * known["_score_3"]), 0, 1)
    late = rng.binomial(observed, rate)
    late_60 = np.minimum(rng.binomial(late, 0.69), observed_60)
    nothing = np.where(chance(rng, 0.0034, rows), np.nan, 0.0)
    return {
        "OBS_30_CNT_SOCIAL_CIRCLE": observed + nothing,
        "DEF_30_CNT_SOCIAL_CIRCLE": late + nothing,
        "OBS_60_CNT_SOCIAL_CIRCLE": observed_60 + nothing,
        "DEF_60_CNT_SOCIAL_CIRCLE": late_60 + nothing,
    }
