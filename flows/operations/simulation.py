"""What a line between decisions would do, counted on the former customers of the current model."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Engine

from db import registry
from db.errors import RefusedError
from scoring.policy import Line, Policy
from scoring.simulation import FormerRisk, LineOption, simulate


def simulate_line(engine: Engine, policy: Policy, figures: Line | None = None) -> list[LineOption]:
    """What each line would do; raises RefusedError before the first training."""
    record = registry.current_model(engine)
    if record is None:
        raise RefusedError(
            "There is no trained model to simulate with; run `creditlens train` (or `creditlens up`)."
        )
    found = np.array(registry.former_outcomes(engine, record.model_id), dtype=np.float64).reshape(-1, 3)
    return simulate(FormerRisk(found[:, 0], found[:, 1] == 1, found[:, 2]), policy, figures)
