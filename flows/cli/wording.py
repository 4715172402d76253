"""What commands tell people: nights, models, what `up` has done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db import registry
from flows.operations import schedule
from flows.services import prefect
from flows.settings import Settings
from scoring.features import by_name


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


def policy_text(record: registry.ModelRecord) -> str:
    """What the policy costs in AUC, rule by rule."""
    policy = record.metrics["policy"]
    rows = [(by_name()[each["feature"]].label_en, each) for each in policy["exclusions"]]
    if len(rows) > 1:
        rows.append(("All of them", policy["all_exclusions"]))
    lines = [f"  {label:<30} {_cost(each)}  {_guess(each)}".rstrip() for label, each in rows]
    if lines:
        lines.insert(0, f"What keeping these out of the score costs in AUC (on {policy['rows']:,} customers):")
    lines.append(f"What the policy's directions cost in AUC: {_cost(policy['directions']).strip()}")
    return "\n".join(lines)


def calibration_text(record: registry.ModelRecord) -> str:
    """Whether probabilities are what they say, and what was done about it."""
    found = record.metrics["recalibration"]
    slope = "cannot be told"
    if found["slope"] is not None:
        slope = f"{found['slope']:.2f} ({found['slope_low']:.2f} to {found['slope_high']:.2f})"
    done = "recalibrated" if found["recalibrated"] else "kept as they are"
    return (
        f"Calibration slope {slope}; probabilities are {done}, and {100 * found['ece']:.1f} % from the default"
        " rates on average"
    )


def _cost(cost: Mapping[str, float]) -> str:
    return f"{cost['auc_cost']:>7.4f} ± {cost['auc_cost_se']:.4f}"


def _guess(exclusion: Mapping[str, Any]) -> str:
    auc = exclusion.get("guessed_auc")
    return "" if auc is None else f"the others tell it with AUC {auc:.2f}"


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
