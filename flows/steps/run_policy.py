"""The policy that a night decides by, and the one that the night before decided by where it is another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from db.decisions import policies
from db.decisions.policies import PolicyRecord
from db.runs import ledger
from scoring.errors import PolicyError
from scoring.policy import Policy, default_policy, moved_decisions, parse_policy

if TYPE_CHECKING:
    # At run time it would bring Numba into every command.
    from scoring.monitoring import Sums


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


@dataclass(frozen=True, slots=True)
class Moves:
    """How many customers a policy decides otherwise than the one of the run before would have.

    `lines` have the keys previous, decision and customers.
    """

    policy_id: int | None
    previous_policy_id: int | None
    lines: tuple[Mapping[str, Any], ...]


def moves(sums: Sums | None, decide: RunPolicy) -> Moves | None:
    """What the policy has moved; None where the run before was decided by the same one."""
    if decide.previous is None or sums is None:
        return None
    lines = tuple(asdict(line) for line in moved_decisions(sums.moved))
    return Moves(decide.policy_id, decide.previous_id, lines)


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
