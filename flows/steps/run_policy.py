"""The policy that a night decides by, and the one that the night before decided by where it is another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import Engine

from db import policies
from db.policies import PolicyRecord
from db.runs import ledger
from scoring.errors import PolicyError
from scoring.policy import Policy, default_policy, parse_policy


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What decides, and what decided before.

    Attributes
    ----------
    policy_id: the number of the version in force; None outside a database.
    previous, previous_id: of the run that readers see, None where it says the same.
    """

    policy_id: int | None
    policy: Policy
    previous_id: int | None = None
    previous: Policy | None = None


def program_policy() -> RunPolicy:
    """The program's own policy, for what has no database."""
    return RunPolicy(None, default_policy())


def policy_of(record: PolicyRecord) -> Policy:
    """What a version says, if it is what was put in force. Raises PolicyError if the database has another text."""
    if hashlib.sha256(record.text.encode()).hexdigest() != record.sha256:
        raise PolicyError(f"Policy {record.policy_id} was changed in the database; put a policy in force anew.")
    return parse_policy(record.text, f"policy {record.policy_id}")


def run_policy(engine: Engine) -> RunPolicy:
    """The policy in force, beside that of the run which readers see."""
    record = policies.current(engine)
    published = ledger.published(engine)
    if published is None or published.policy_id == record.policy_id:
        return RunPolicy(record.policy_id, policy_of(record))
    before = policies.get(engine, published.policy_id)
    if before.sha256 == record.sha256:
        return RunPolicy(record.policy_id, policy_of(record))
    return RunPolicy(record.policy_id, policy_of(record), before.policy_id, policy_of(before))
