"""What a night looks like as a whole, written once: dashboards read it instead of adding up millions of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert

from db.engine import transaction
from db.models import feature_bin, run_feature, run_feature_bin, run_score, run_summary

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """Rows of one run without its number: one of `run_summary`, then by score, by feature, by bin."""

    summary: Row
    scores: Sequence[Row]
    features: Sequence[Row]
    bins: Sequence[Row]


def record(engine: Engine, run_id: int, statistics: RunStatistics) -> None:
    """Write down a run's statistics; repeating it replaces them. Readers see those of published runs only."""
    rows = {
        run_summary: [statistics.summary],
        run_score: statistics.scores,
        run_feature: statistics.features,
        run_feature_bin: statistics.bins,
    }
    with transaction(engine) as connection:
        for table, lines in rows.items():
            connection.execute(delete(table).where(table.c.run_id == run_id))
            if lines:
                connection.execute(insert(table), [{**line, "run_id": run_id} for line in lines])


def add_bins(connection: Connection, model_id: int, bins: Sequence[Row]) -> None:
    """Write down a new model's bins and how its former customers spread over them."""
    if bins:
        connection.execute(insert(feature_bin), [{**line, "model_id": model_id} for line in bins])
