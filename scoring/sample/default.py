"""Whether they default."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scoring.sample.draw import Array, Columns, chance, is_any, sigmoid, years
from scoring.sample.vocabulary import OCCUPATIONS, ORGANISATIONS

# Set so that 8 % default.
_INTERCEPT = -2.22
_EDUCATION_RISK = (0.0, -0.50, -0.15, 0.30, -0.6)
_FAMILY_RISK = (0.0, 0.05, 0.12, 0.10, 0.0, 0.0)
_JOB_RISK = (0.0, -0.10, -0.20, -0.32, 0.8, -0.3, -0.8, 0.9)


def target(rng: Generator, known: Columns) -> Columns:
    """Payment difficulties: 1 for 8 % of the applicants, else 0."""
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
    return {"TARGET": chance(rng, sigmoid(log_odds), len(log_odds))}


def _score_risk(known: Columns) -> Array:
    first, second, third = known["_score_1"], known["_score_2"], known["_score_3"]
    # Two bad scores are worse than the sum of each.
    both = np.maximum(-second, 0) * np.maximum(-third, 0)
    risk: Array = -0.30 * first - 0.32 * second - 0.50 * third + 0.12 * both + 0.25 * known["_no_file"]
    return risk


def _person_risk(known: Columns) -> Array:
    man = is_any(known, "CODE_GENDER", "M")
    has_car = is_any(known, "FLAG_OWN_CAR", "Y")
    risk: Array = (
        0.01 * np.maximum(32 - known["_age"], 0)
        + 0.30 * man
        + np.take(_EDUCATION_RISK, known["NAME_EDUCATION_TYPE"])
        + np.take(_FAMILY_RISK, known["NAME_FAMILY_STATUS"])
        + 0.08 * np.minimum(known["CNT_CHILDREN"], 4)
        - 0.40 * has_car
        + 0.018 * np.where(has_car, np.minimum(np.nan_to_num(known["OWN_CAR_AGE"]), 25), 0)
        + 0.20 * is_any(known, "NAME_HOUSING_TYPE", "Rented apartment", "With parents")
        - 0.034 * years(known, "DAYS_ID_PUBLISH")
        - 0.012 * years(known, "DAYS_REGISTRATION")
        - 0.055 * years(known, "DAYS_LAST_PHONE_CHANGE")
    )
    return risk


def _work_risk(known: Columns) -> Array:
    idle = known["_idle"]
    employed = np.where(idle, 0.0, years(known, "DAYS_EMPLOYED"))
    organisation = np.array([row[5] for row in ORGANISATIONS.values()] + [0.0])
    occupation = np.array([row[3] for row in OCCUPATIONS.values()])
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
    revolving = is_any(known, "NAME_CONTRACT_TYPE", "Revolving loans")
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
