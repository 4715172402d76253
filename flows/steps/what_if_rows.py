"""What would get a yes, as rows of the run's tables."""

from __future__ import annotations

import numpy as np

from db.models import what_if, what_if_summary
from db.runs.copy import Encoded, Masked, Values, encode, text_bytes
from scoring.batch import Scored
from scoring.bundle import ModelBundle
from scoring.policy import DECISIONS, Policy
from scoring.what_if.grid import Grid
from scoring.what_if.search import ACCEPTED, OUTCOMES, Search, WhatIf

# What fits a customer's page, and half as much to store as the finer grid.
GRID = Grid(amounts=7, durations=6)


def prepare_search(bundle: ModelBundle, policy: Policy) -> Search:
    """The search of a night: whole amounts, and a grid that fits a page."""
    return Search.prepare(bundle, policy, grid=GRID)


def encode_what_if(scored: Scored, result: WhatIf) -> tuple[Encoded, ...]:
    """The offers of a batch, and a line for everybody in it who is not accepted."""
    return (
        encode(what_if_summary, summary_columns(scored, result)),
        encode(what_if, offer_columns(scored, result)),
    )


def summary_columns(scored: Scored, result: WhatIf) -> dict[str, Values]:
    """One row per applicant who is not accepted, with the nearest offer where there is one."""
    rows = np.flatnonzero(result.outcome != ACCEPTED)
    nearest = result.nearest[rows]
    none = nearest < 0
    offers = result.offers
    # Where there is no offer at all, one is made up, which the masks hide.
    at = np.where(none, len(offers.row), nearest)
    return {
        "customer_id": scored.applications.customer_id[rows],
        "outcome": text_bytes(OUTCOMES)[result.outcome[rows]],
        "asked_duration": Masked(result.duration[rows], result.duration[rows] == 0),
        "monthly_rate": result.monthly_rate[rows],
        "duration": Masked(np.append(offers.duration, 0)[at], none),
        "amount": np.append(offers.amount, np.nan)[at],
        "annuity": np.append(offers.annuity, np.nan)[at],
        "default_probability": np.append(offers.default_probability, np.nan)[at],
        "score": Masked(np.append(offers.score, 0)[at], none),
    }


def offer_columns(scored: Scored, result: WhatIf) -> dict[str, Values]:
    """One row per offer: the cells of the heat map, the frontier, and what was asked for."""
    offers = result.offers
    return {
        "customer_id": scored.applications.customer_id[offers.row],
        "duration": offers.duration,
        "amount": offers.amount,
        "annuity": offers.annuity,
        "default_probability": offers.default_probability,
        "score": offers.score,
        "decision": text_bytes(list(DECISIONS))[offers.decision_index],
        "is_grid": offers.is_grid,
        "is_frontier": offers.is_frontier,
        "is_asked": offers.is_asked,
    }
