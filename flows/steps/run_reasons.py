"""What a night gives reasons by: the catalogue, and whom those who are not accepted are compared with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from db.decisions import reasons as kept
from db.errors import DatabaseError
from db.runs.audit_reasons import ReasonsOfRun
from flows.steps.run_policy import RunPolicy
from scoring.features import by_name
from scoring.policy import Policy
from scoring.reason_catalogue import ReasonCatalogue, reason_catalogue
from scoring.reasons import SMALLEST, ReasonRules, Reference, acceptance_line, choose

if TYPE_CHECKING:
    # At run time it would bring Numba into every command.
    from scoring.bundle import ModelBundle


@dataclass(frozen=True, slots=True)
class RunReasons:
    """What the reasons of a run depend on besides its rows; `catalogue_id` is the catalogue's number."""

    catalogue_id: int
    rules: ReasonRules
    base_value: float

    def basis(self, model_id: int, decide: RunPolicy) -> ReasonsOfRun:
        """The same for the audit, which works the reasons out anew."""
        assert decide.policy_id is not None
        return ReasonsOfRun(
            model_id, decide.policy_id, self.catalogue_id, self.base_value, self.rules.most, SMALLEST
        )


def run_reasons(
    engine: Engine, model_id: int, bundle: ModelBundle, decide: RunPolicy, *, threads: int = 1
) -> RunReasons:
    """The program's catalogue, and the reference of this model and policy, made where there is none yet.

    Repeating it changes nothing.
    """
    assert decide.policy_id is not None
    catalogue = reason_catalogue()
    catalogue_id = kept.keep_catalogue(
        engine, sha256=catalogue.sha256, text=catalogue.text, reasons=reason_rows(catalogue)
    )
    key = {"model_id": model_id, "policy_id": decide.policy_id}
    if kept.reference(engine, **key) is None:
        made = make_reference(engine, model_id, bundle, decide.policy, threads=threads)
        content = json.loads(made.to_json())
        row = kept.ReferenceRow(content["rule"], content["rows"], content["mean_contributions"])
        kept.keep_reference(engine, row, **key)
    found = kept.reference(engine, **key)
    assert found is not None
    rules = ReasonRules(catalogue, as_reference(found), decide.policy.tellable, decide.policy.reasons)
    return RunReasons(catalogue_id, rules, bundle.base_value)


def as_reference(row: kept.ReferenceRow) -> Reference:
    """The reference of a row. Raises ArtefactError for that of another feature list."""
    return Reference.from_json(
        json.dumps({"mean_contributions": row.mean_contributions, "rows": row.customers, "rule": row.rule})
    )


def make_reference(
    engine: Engine, model_id: int, bundle: ModelBundle, policy: Policy, *, threads: int = 1
) -> Reference:
    """What the model says of its former customers who would be accepted and are near the line.

    Who they are is decided out of fold.
    """
    former = kept.former_risks(engine, model_id)
    if not len(former.customer_id):
        raise DatabaseError(
            f"Model {model_id} has no former customers any more, whom those who are not accepted could be compared"
            " with; run `creditlens train`."
        )
    decisions = policy.decision_index(former.score, former.default_probability, former.contract_type)
    rows, rule = choose(former.log_odds, decisions == 0, acceptance_line(policy, former.contract_type))
    values = kept.former_values(engine, model_id, former.customer_id[rows])
    _, contributions = bundle.engine.explain(bundle.preprocessing.transform(values), threads=threads)
    return Reference.of(np.ascontiguousarray(contributions), rule)


def reason_rows(catalogue: ReasonCatalogue) -> list[dict[str, Any]]:
    """A catalogue as rows of `reason_text`, without its number; no words are NULL."""
    rows = []
    for reason in catalogue.reasons:
        row = {name: text or None for name, text in asdict(reason).items() if name != "features"}
        row["feature_ids"] = [by_name()[name].feature_id for name in reason.features]
        rows.append(row)
    return rows
