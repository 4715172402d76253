"""What commands tell people: nights, models, what `up` has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from db import registry
from flows.operations import schedule
from flows.services import prefect
from flows.settings import Settings
from scoring.features import by_name
from scoring.policy import CONTRACT_TYPE, Line, Policy

if TYPE_CHECKING:
    from flows.operations.customer_reasons import CustomerReasons
    from flows.steps.run_policy import Moves

    # At run time it would bring Numba into every command.
    from scoring.simulation import LineOption


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
        f"{moved_text(night.moved)}"
        f"Busy seconds per stage (check, score and load overlap): {stages}"
    )


def moved_text(moved: Moves | None) -> str:
    """What another policy than the one of the run before has moved, for people; nothing where it is the same."""
    if moved is None:
        return ""
    told = [f"{line['customers']:,} from {line['previous']} to {line['decision']}" for line in moved.lines]
    return (
        f"Policy {moved.policy_id} decided, and no longer policy {moved.previous_policy_id}. It moved"
        f" {'; '.join(told) if told else 'nobody'}.\n"
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


def line_text(policy: Policy) -> str:
    """What may not score, and where the line is, for people."""
    barred = ", ".join(by_name()[name].label_en for name in policy.barred)
    scoring = f"May not score: {barred}." if barred else "Every feature may score."
    if policy.line is None:
        decided = ", ".join(f"{band.band} from {band.minimum_score} {band.decision}" for band in policy.bands)
        return f"{scoring}\nBands of the score decide: {decided}."
    lines = [("", policy.line.limits())]
    for category in by_name()[CONTRACT_TYPE].categories:
        if category.code in policy.line.by_contract_type:
            lines.append((f" for {category.label_en}", policy.line.limits(category.code)))
    told = [
        f"Accept{contract} under a default probability of {accept:.2%}"
        f"{f', decline from {decline:.2%} on, review between' if decline > accept else ', decline from there on'}."
        for contract, (accept, decline) in lines
    ]
    return "\n".join([scoring, *told])


def simulation_text(options: Sequence[LineOption], policy: Policy, figures: Line | None) -> str:
    """Lines and what they would do, for people: every second whole point, today's line and the best one."""
    shown = [
        option
        for option in options
        if option.is_current or option.is_best or round(option.threshold * 1000) % 20 == 0
    ]
    lines = ["accept under  accepted  of them default (95 %)      brings"]
    for option in shown:
        rate, low, high = (
            option.expected_default_rate, option.expected_default_rate_low, option.expected_default_rate_high,
        )  # fmt: skip
        default = "-" if rate is None else f"{rate:.1%} ({low:.1%} to {high:.1%})"
        profit = "-" if option.expected_profit is None else f"{option.expected_profit:+.4f}"
        marks = [
            *(["<- the policy"] if option.is_current else []),
            *(["<- brings most"] if option.is_best else []),
        ]
        lines.append(
            f"{option.threshold:>12.2%} {option.accepted_share:>9.1%}  {default:<24} {profit:>8}  {' '.join(marks)}"
        )
    used = figures or policy.line
    if used is None:
        lines.append("Name --gain and --loss, or put figures into the policy, to see what each line brings.")
    else:
        lines.append(
            f"Brings is per application, with a gain of {used.figures.gain:g} and a loss of {used.figures.loss:g};"
            f" a credit breaks even at a default probability of {used.figures.break_even:.2%}."
        )
    return "\n".join([*lines, "Counted on the former customers, each scored by a model that had not seen them."])


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


def reasons_text(customer_id: int, found: CustomerReasons, language: str) -> str:
    """The reasons of one applicant, and where they come from."""
    start = f"Customer {customer_id} in run {found.run_id}: {found.decision}."
    if found.is_recorded:
        lines = [f"{start} Why it is not accepted, as recorded:"]
    else:
        lines = [f"{start} What weighs most against it, worked out now:"]
    for line in found.lines:
        points = "" if line["score_points"] is None else f" ({line['score_points']:+.1f} points)"
        lines.append(f"{line['place']}. {line['reason_code']}{points} {line[f'advisor_{language}']}")
        if line[f"action_{language}"]:
            lines.append(f"   -> {line[f'action_{language}']}")
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
