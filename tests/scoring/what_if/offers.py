"""What the tests of the search share: policies, models that see the amounts, offers put back into their rows."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
from numpy.typing import NDArray

from scoring.batch import Scored, score_batch
from scoring.bundle import ModelBundle
from scoring.contract import Applications
from scoring.features import input_features
from scoring.policy import Figures, Line, Policy, WhatIfLimits, default_policy
from scoring.what_if.search import Offers

COLUMN = {feature.name: position for position, feature in enumerate(input_features())}


def strict_policy(
    gain: float = 1.0,
    loss: float = 15.0,
    limits: WhatIfLimits | None = None,
    by_type: dict[int, Figures] | None = None,
) -> Policy:
    """Accepts under a default probability of gain / (gain + loss)."""
    line = Line(Figures(gain, loss), by_type or {}, 0.0)
    return replace(default_policy(), line=line, what_if=limits or default_policy().what_if)


def with_trees(bundle: ModelBundle, former: Applications, seed: int, trees: int, leaves: int) -> ModelBundle:
    """The bundle with trees without constraints, on an outcome that goes up and down with the amounts."""
    rng = np.random.default_rng(seed)
    matrix = bundle.preprocessing.transform(former.values)
    amount, annuity, goods, income = (
        former.values[:, COLUMN[name]]
        for name in ("AMT_CREDIT", "AMT_ANNUITY", "AMT_GOODS_PRICE", "AMT_INCOME_TOTAL")
    )
    moved = np.column_stack([amount, annuity, amount / goods, amount / income, annuity / income, amount / annuity])
    waves = np.sin(np.nan_to_num(np.log(moved)) * rng.uniform(2, 12, 6) + rng.uniform(0, 6, 6)) @ rng.normal(size=6)
    target = waves + rng.normal(size=len(waves)) > 1.0
    parameters = {
        "objective": "binary", "verbosity": -1, "num_leaves": leaves, "min_data_in_leaf": 5, "seed": seed,
        "feature_fraction": 0.9, "learning_rate": 0.3, "num_threads": 1, "deterministic": True,
    }  # fmt: skip
    booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, target.astype(int)), trees)
    return replace(bundle, booster_text=booster.model_to_string())


def as_applications(scored: Scored, offers: Offers) -> Applications:
    """Each offer as the application that would ask for it."""
    moved = scored.applications.take(offers.row.astype(np.intp))
    values = moved.values.copy()
    values[:, COLUMN["AMT_CREDIT"]] = offers.amount
    values[:, COLUMN["AMT_ANNUITY"]] = offers.annuity
    return Applications(moved.customer_id, values, None, moved.row_number)


def smaller(applications: Applications, divisor: float) -> Applications:
    """The same people with a divisor's part of all amounts, in whole units; annuities in cents."""
    values = applications.values.copy()
    for name in ("AMT_CREDIT", "AMT_INCOME_TOTAL", "AMT_GOODS_PRICE"):
        values[:, COLUMN[name]] = np.ceil(values[:, COLUMN[name]] / divisor)
    values[:, COLUMN["AMT_ANNUITY"]] = np.maximum(1.0, np.round(values[:, COLUMN["AMT_ANNUITY"]] / divisor, 2))
    return replace(applications, values=values)


def scored(bundle: ModelBundle, applications: Applications) -> Scored:
    return score_batch(bundle, applications)


def logits(bundle: ModelBundle, applications: Applications) -> NDArray[np.float64]:
    """LightGBM's own log-odds."""
    booster = lightgbm.Booster(model_str=bundle.booster_text)
    matrix = bundle.preprocessing.transform(applications.values)
    return np.asarray(booster.predict(matrix, raw_score=True, num_threads=1))
