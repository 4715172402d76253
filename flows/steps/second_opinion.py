"""A random sample of the night, explained a second time by LightGBM itself."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from db.runs.audit import at_most
from db.runs.ledger import Check
from flows.settings import Settings
from flows.steps.chunks import Tally
from scoring.batch import Scored
from scoring.bundle import ModelBundle

# Customers of a run whose explanation is computed a second time, by LightGBM itself.
AUDITED_CUSTOMERS = 64
ENGINE_TOLERANCE = 1e-5


def sample_of(scored: Scored, run_id: int, chunks: int) -> Scored:
    """Some random rows of one of a run's `chunks`, for the audit; the same for the same run."""
    if not len(scored.score):
        return scored
    seed = [run_id, int(scored.applications.row_number[0])]
    rows = np.random.default_rng(seed).permutation(len(scored.score))
    return scored.take(rows[: max(1, AUDITED_CUSTOMERS // chunks)])


def start_second_opinion(tally: Tally, bundle: ModelBundle, settings: Settings) -> None:
    """Hold the sample against LightGBM's own contributions, in the background while Postgres is busy."""
    background = ThreadPoolExecutor(1)
    tally.engine_error = background.submit(engine_error, bundle, tally.sample, settings.threads)
    background.shutdown(wait=False)


def second_opinion(tally: Tally) -> Check:
    """What came of `start_second_opinion`: the check fails for a difference, a NaN, or if nobody was compared."""
    assert tally.engine_error is not None
    check = at_most("engine_error", tally.engine_error.result(), ENGINE_TOLERANCE)
    if tally.customers and not any(len(scored.score) for scored in tally.sample):
        return replace(check, observed="unknown (no customer was explained twice)", passed=False)
    return check


def engine_error(bundle: ModelBundle, sample: Sequence[Scored], threads: int) -> float:
    """Largest difference in log-odds, over a sample, between our contributions and LightGBM's own.

    NaN if anything compared is NaN, and 0 for a sample of nobody.
    """
    worst = [0.0]
    for scored in sample:
        matrix = bundle.preprocessing.transform(scored.applications.values)
        log_odds, contributions = bundle.reference_engine.explain(matrix, threads=threads)
        worst += [
            np.max(np.abs(contributions - scored.contributions), initial=0.0),
            np.max(np.abs(log_odds - scored.log_odds), initial=0.0),
        ]
    # Python's max would pass over a NaN.
    return float(np.max(worst))
