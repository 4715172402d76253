"""Why one applicant is not accepted, as recorded; or what weighs most against one who is, worked out when asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from db.decisions import policies
from db.decisions import reasons as kept
from db.errors import RefusedError
from flows.steps.run_policy import policy_of
from flows.steps.run_reasons import as_reference
from scoring.feature_groups import feature_groups
from scoring.preprocess import explained_features
from scoring.reason_catalogue import parse
from scoring.reasons import ReasonRules, reasons


@dataclass(frozen=True, slots=True)
class CustomerReasons:
    """The reasons of an applicant of the published run, the strongest first.

    Attributes
    ----------
    is_recorded: whether they are the night's records; else they were worked out now, by the same rules.
    lines: place, reason_code, advisor_en, advisor_fr, action_en, action_fr, feature and score_points of each.
    """

    run_id: int
    decision: str
    is_recorded: bool
    lines: tuple[dict[str, Any], ...]


def customer_reasons(engine: Engine, customer_id: int) -> CustomerReasons:
    """The reasons of one applicant; RefusedError for an unknown one, or for a run from before there were any."""
    found = kept.explained(engine, customer_id)
    if found is None:
        raise RefusedError(f"Customer {customer_id} is not in the published run.")
    if found.decision != "accept":
        lines = kept.recorded(engine, customer_id)
        if not lines:
            raise _kept_none(found)
        return CustomerReasons(found.run_id, found.decision, True, tuple(lines))
    return CustomerReasons(found.run_id, found.decision, False, tuple(_worked_out(engine, found)))


def _kept_none(found: kept.Explained) -> RefusedError:
    return RefusedError(
        f"Run {found.run_id} kept no reasons: it was made before version 0.4. The next night has them."
    )


def _worked_out(engine: Engine, found: kept.Explained) -> list[dict[str, Any]]:
    row = kept.reference(engine, model_id=found.model_id, policy_id=found.policy_id)
    if row is None or found.catalogue_id is None:
        raise _kept_none(found)
    policy = policy_of(policies.get(engine, found.policy_id))
    catalogue = parse(kept.catalogue_text(engine, found.catalogue_id), feature_groups())
    names = [feature.name for feature in explained_features()]
    worked = reasons(
        ReasonRules(catalogue, as_reference(row), policy.tellable, policy.reasons),
        np.array([[found.contributions[name] for name in names]]),
        np.array([found.log_odds]),
        found.base_value,
        np.array([1], dtype=np.intp),
    )
    lines = []
    for place, position, feature, points in zip(
        worked.place, worked.reason, worked.feature, worked.points, strict=True
    ):
        reason = catalogue.reasons[position]
        lines.append(
            {
                "place": int(place),
                "reason_code": reason.code,
                "advisor_en": reason.advisor_en,
                "advisor_fr": reason.advisor_fr,
                "action_en": reason.action_en or None,
                "action_fr": reason.action_fr or None,
                "feature": names[feature] if feature >= 0 else None,
                "score_points": float(points) if np.isfinite(points) else None,
            }
        )
    return lines
