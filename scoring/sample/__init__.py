"""Synthetic credit applications with the columns of Home Credit's files.

Home Credit's rows may not be passed on, so demonstrations, tests and benchmarks run on applications that are
drawn here. Shares, limits and correlations are rounded estimates from the public data; no row of it is used.
Themes build on each other: where the applicant lives, who they are, what they do, what they borrow, what the
bureaus know, the building they live in, and last whether they default.

Between the themes a column is a numpy array under its own name: a category is a position in `vocabulary.LEVELS`
(-1 if missing), a missing number is NaN. Names with a leading underscore are drawn, but are no column of the files.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.random import SeedSequence

from scoring.sample import applicant, circumstances, default, money
from scoring.sample.applicant import NOT_EMPLOYED
from scoring.sample.draw import Array, Columns
from scoring.sample.later import evolve
from scoring.sample.vocabulary import COLUMNS, DECIMAL, LEVELS

__all__ = ["NOT_EMPLOYED", "applications", "evolve", "portfolio_chunks"]


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


def _check(rows: int, seed: int, share: float) -> None:
    if rows < 0:
        raise ValueError(f"rows must be 0 or more, got {rows}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 <= share <= 1:
        raise ValueError(f"revolving_share must be between 0 and 1, got {share}")


def _draw(seed: SeedSequence, rows: int, first_id: int, labelled: bool, revolving: float) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    known: Columns = {"SK_ID_CURR": np.arange(first_id, first_id + rows)}
    known |= applicant.region(rng, rows)
    known |= applicant.people(rng, rows)
    known |= applicant.work(rng, known)
    known |= applicant.workplace(rng, known)
    known |= money.income(rng, known)
    known |= money.belongings(rng, known)
    known |= money.loan(rng, known, revolving)
    known |= money.scores(rng, known)
    known |= money.enquiries(rng, known)
    known |= money.social_circle(rng, known)
    known |= circumstances.contact(rng, known)
    known |= circumstances.documents(rng, known)
    known |= circumstances.building(rng, known)
    if labelled:
        # Last, so that asking for labels leaves every other draw alone.
        known |= default.target(rng, known)
    return pl.DataFrame([_series(name, known[name]) for name in COLUMNS if name != "TARGET" or labelled])


def _series(name: str, values: Array) -> pl.Series:
    if name in LEVELS:
        codes = pl.Series(np.where(values < 0, len(LEVELS[name]), values))
        return pl.Series(name, [*LEVELS[name], None], dtype=pl.String).gather(codes)
    if DECIMAL.fullmatch(name):
        # Adding zero turns the -0.0 of "today" into 0.0, which text and checksums tell apart.
        return pl.Series(name, values.astype(np.float64) + 0.0, dtype=pl.Float64, nan_to_null=True)
    return pl.Series(name, values.astype(np.int64), dtype=pl.Int64)
