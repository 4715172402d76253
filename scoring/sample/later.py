"""The same applications one night later."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.random import Generator

from scoring.sample.draw import Array, sigmoid, to_grid

_DAYS = ("DAYS_BIRTH", "DAYS_EMPLOYED", "DAYS_REGISTRATION", "DAYS_ID_PUBLISH", "DAYS_LAST_PHONE_CHANGE")
_AMOUNTS = ("AMT_GOODS_PRICE", "AMT_CREDIT", "AMT_ANNUITY")
_SCORES = ("EXT_SOURCE_1", "EXT_SOURCE_2", "EXT_SOURCE_3")
_FILE = "AMT_REQ_CREDIT_BUREAU_YEAR"
# Balanced, so that amounts do not drift over many nights.
_FACTORS = (0.7, 0.8, 0.9, 1.1, 1.25, 1.4)


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
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 <= changed_share <= 1:
        raise ValueError(f"changed_share must be between 0 and 1, got {changed_share}")
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
    new_price = to_grid(price * factor, 4_500)
    factor = new_price / price
    wanted = (goods * factor, credit * factor, annuity * factor)
    return [
        _back_to_series(name, np.where(chosen, to_grid(new, 4.5), old))
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
    scores[here] = np.where(chosen, sigmoid(moved), scores[here])
    return [_back_to_series(name, scores[:, position]) for position, name in enumerate(_SCORES)]
