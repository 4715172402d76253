"""What commands tell people: nights, models, what `up` has done."""

from __future__ import annotations

from typing import Any

from db import registry
from flows.operations import schedule
from flows.services import prefect
from flows.settings import Settings


def night_text(night: Any) -> str:
    """How a night ended, for people."""
    run = night.run
    if night.outcome == "unchanged":
        return (
            f"Unchanged: this input was scored by this model in run {run.run_id} of {run.as_of};"
            " --force publishes it again."
        )
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in run.stage_seconds.items())
    late = "" if night.is_current else " It is of an older date: in history, not what readers see first."
    return (
        f"Published run {run.run_id} of {run.as_of} by model {run.model_id}:"
        f" {run.customers:,} customers scored and explained, {run.rejected:,} rows rejected,"
        f" {run.unknown_categories:,} unknown categories, in {run.seconds:.1f} s.{late}\n"
        f"Busy seconds per stage (check, score and load overlap): {stages}"
    )


def model_text(record: registry.ModelRecord) -> str:
    """A model, for people."""
    quality = record.metrics
    return (
        f"Model {record.model_id}, trained on {record.training_rows:,} former customers; out of fold:"
        f" AUC {quality['auc']:.4f}, Gini {quality['gini']:.4f}, KS {quality['ks']:.4f},"
        f" Brier {quality['brier']:.4f}"
    )


def search_text(record: registry.ModelRecord) -> str:
    """What the search tried: AUC against depth and leaves, with what explaining costs beside it."""
    lines = ["     AUC   depth  leaves  trees  cost of explaining a row (additions)"]
    for trial in record.metrics["search"]:
        parameters = trial["parameters"]
        depth = parameters["max_depth"] if parameters["max_depth"] > 0 else "any"
        lines.append(
            f"{'->' if trial['chosen'] else '  '} {trial['auc']:.4f} {depth:>5}"
            f" {parameters['num_leaves']:>7} {parameters['trees']:>6} {trial['explanation_cost']:>8,}"
        )
    return "\n".join([*lines, "Chosen (->) is the cheapest to explain of those that do not differ from the best."])


def summary(settings: Settings, night: Any, record: registry.ModelRecord, next_night: dict[str, str] | None) -> str:
    """What `up` has done, and how to look at it."""
    return "\n".join(
        [
            model_text(record),
            night_text(night),
            *([f"Next night:   {schedule.next_night_line(next_night)}"] if next_night else []),
            "",
            "Look at it:   creditlens sql -c 'SELECT * FROM reporting.customer LIMIT 5'",
            "State:        creditlens status",
            f"Prefect:      {(prefect.prefect_url(settings) or 'no server').removesuffix('/api')}",
            "Stop:         creditlens down",
        ]
    )
