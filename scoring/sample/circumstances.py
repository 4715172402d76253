"""How applicants apply, and the building they live in."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from scoring.sample.draw import NORMAL_POINTS, NORMAL_SHARES, YEAR, Array, Columns, chance, is_any, pick
from scoring.sample.vocabulary import BUILDING

# ------------------------------------------------------------------ how they apply

_WEEKDAYS = (0.165, 0.175, 0.168, 0.164, 0.163, 0.112, 0.053)
_HOURS = (13.6, 12.1, 10.5)


def contact(rng: Generator, known: Columns) -> Columns:
    """How and when they applied, and how they can be reached."""
    rows = len(known["_age"])
    hour = np.take(_HOURS, known["REGION_RATING_CLIENT"] - 1) + 3.1 * rng.standard_normal(rows)
    same_phone = 3.15 * rng.weibull(1.25, rows) * np.exp(0.16 * known["_score_2"])
    new_phone = chance(rng, 0.125, rows)
    return {
        "WEEKDAY_APPR_PROCESS_START": pick(rng, rows, _WEEKDAYS),
        "HOUR_APPR_PROCESS_START": np.clip(np.rint(hour), 0, 23),
        "DAYS_LAST_PHONE_CHANGE": np.where(new_phone, 0.0, -np.floor(np.minimum(same_phone, 11.7) * YEAR)),
        "FLAG_MOBIL": ~chance(rng, 3e-6, rows),
        "FLAG_CONT_MOBILE": chance(rng, 0.998, rows),
        "FLAG_PHONE": chance(rng, 0.28, rows),
        "FLAG_EMAIL": chance(rng, 0.057, rows),
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


def documents(rng: Generator, known: Columns) -> Columns:
    """Which documents they handed in."""
    rows = len(known["_age"])
    kind = np.where(is_any(known, "NAME_CONTRACT_TYPE", "Revolving loans"), 2, known["_idle"].astype(np.int64))
    main = np.take(_MAIN_DOCUMENTS, pick(rng, rows, _MAIN_DOCUMENT_SHARES, kind))
    flags: Columns = {f"FLAG_DOCUMENT_{number}": main == number for number in _MAIN_DOCUMENTS[1:]}
    for number, share in _OTHER_DOCUMENTS.items():
        flags[f"FLAG_DOCUMENT_{number}"] = chance(rng, share, rows)
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


def building(rng: Generator, known: Columns) -> Columns:
    """Measures of the building they live in, each as average, most frequent value and median."""
    rows = len(known["_age"])
    by_region = np.take(_DOCUMENTED, known["REGION_RATING_CLIENT"] - 1)
    share = by_region * np.take(_HOUSING_DOCUMENTED, known["NAME_HOUSING_TYPE"])
    # Half of the buildings are not in the register: the measures are drawn for the others only.
    documented = np.flatnonzero(chance(rng, share, rows))
    rating = known["REGION_RATING_CLIENT"][documented]
    average = _measures(rng, rating)
    record = rng.standard_normal(len(documented))

    def everywhere(values: Array, missing: float) -> Array:
        column = np.full(rows, missing)
        column[documented] = values
        return column

    columns: Columns = {}
    for measure, (threshold, mode, median, smallest, step) in BUILDING.items():
        values = average[measure].copy()
        values[0.9 * record + 0.436 * rng.standard_normal(len(record)) < threshold] = np.nan
        columns[f"{measure}_AVG"] = everywhere(np.round(values, 4), np.nan)
        for kind, factor, uneven in (("MODE", mode, 0.08), ("MEDI", median, 0.03)):
            part = np.where(chance(rng, uneven, len(record)), rng.uniform(smallest, 1, len(record)), 1.0)
            counted = np.clip(np.rint(values * part / step) * step * factor, 0, 1)
            columns[f"{measure}_{kind}"] = everywhere(np.round(counted, 4), np.nan)
    total = average["LIVINGAREA"] * np.exp(-0.07 + 0.15 * rng.standard_normal(len(record)))
    total[chance(rng, 0.002, len(record))] = np.nan
    columns["TOTALAREA_MODE"] = everywhere(np.round(np.clip(total, 0, 1), 4), np.nan)
    for name, codes in _construction(rng, average["FLOORSMAX"], record).items():
        columns[name] = everywhere(codes, -1).astype(np.int64)
    return columns


def _measures(rng: Generator, rating: Array) -> Columns:
    """Averages in 0..1 of the buildings' measures; they all follow from height and width."""
    rows = len(rating)
    height, width = rng.standard_normal((2, rows))
    bounds = np.interp(np.cumsum(_FLOOR_SHARES)[:-1], NORMAL_SHARES, NORMAL_POINTS)
    floors = _FLOORS[np.searchsorted(bounds, np.take((0.75, -0.10, -0.20), rating - 1) + height)]
    entrances = _ENTRANCE_COUNTS[pick(rng, rows, _ENTRANCE_SHARES)]
    size = 1.15 * np.log((floors + 1) / 5) + 0.60 * np.log(np.maximum(entrances, 1) / 4)

    def area(centre: float, slope: float, spread: float, zeros: float = 0.003) -> Array:
        values = np.exp(centre + slope * size + spread * rng.standard_normal(rows) + 0.25 * width)
        return np.where(chance(rng, zeros, rows), 0.0, np.clip(values, 0, 1))

    apartments = area(-2.52, 0.90, 0.36)
    old = np.clip(0.0184 - 0.004 * height + 0.0068 * rng.standard_normal(rows), 0.0005, 0.07)
    begin = np.where(chance(rng, 0.002, rows), 0.0, 1 - old)
    # Lifts are built from the sixth floor up, one or two for each entrance.
    lifts = np.clip(0.04 * np.rint(entrances * rng.uniform(0.6, 2.0, rows)), 0, 1)
    shops = chance(rng, 0.5, rows)
    return {
        "APARTMENTS": apartments,
        "BASEMENTAREA": area(-2.55, 0.55, 0.50, zeros=0.10),
        "YEARS_BEGINEXPLUATATION": begin,
        "YEARS_BUILD": np.clip(1 - 13.6 * old, 0, 1),
        "COMMONAREA": area(-3.8, 0.85, 0.95, zeros=0.09),
        "ELEVATORS": np.where(floors > 4, lifts, 0.0),
        "ENTRANCES": entrances / 29,
        "FLOORSMAX": floors / 24,
        "FLOORSMIN": np.where(chance(rng, 0.85, rows), np.minimum(floors + 1, 24), floors // 2) / 24,
        "LANDAREA": area(-2.95, 0.40, 0.85, zeros=0.12),
        "LIVINGAPARTMENTS": np.clip(apartments * np.exp(-0.15 + 0.10 * rng.standard_normal(rows)), 0, 1),
        "LIVINGAREA": np.clip(apartments * np.exp(-0.10 + 0.30 * rng.standard_normal(rows)), 0, 1),
        "NONLIVINGAPARTMENTS": shops * area(-5.1, 0.15, 1.2, zeros=0.17),
        "NONLIVINGAREA": np.where(shops | chance(rng, 0.16, rows), area(-3.9, 0.20, 1.35), 0.0),
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
        "FONDKAPREMONT_MODE": pick(rng, rows, (0.77, 0.118, 0.06, 0.052)),
        "HOUSETYPE_MODE": pick(rng, rows, _HOUSES, storeys),
        "WALLSMATERIAL_MODE": pick(rng, rows, _WALLS, storeys),
        "EMERGENCYSTATE_MODE": chance(rng, np.take(_EMERGENCIES, storeys), rows).astype(np.int64),
    }
    for name, threshold in _CONSTRUCTION_MISSING.items():
        columns[name][0.8 * record + 0.6 * rng.standard_normal(rows) < threshold] = -1
    return columns
