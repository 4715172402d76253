"""The lender's policies: each version that was ever in force; the newest is the one that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select

from db.engine import connect, transaction
from db.errors import DatabaseError
from db.models import policy, policy_feature, policy_line, score_band


class NoPolicyError(DatabaseError):
    """There is no policy yet."""


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A version of the policy."""

    policy_id: int
    sha256: str
    text: str
    name_en: str
    name_fr: str
    set_at: datetime
    set_by: str
    by_program: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyRows:
    """What a policy says, as rows of its tables without the policy's number."""

    sha256: str
    text: str
    name_en: str
    name_fr: str
    features: Sequence[Mapping[str, Any]]
    bands: Sequence[Mapping[str, Any]]
    lines: Sequence[Mapping[str, Any]]
    review_four_eyes: bool = True
    review_days: int = 30


_COLUMNS = [policy.c[name] for name in PolicyRecord.__dataclass_fields__]
_NEWEST = select(*_COLUMNS).order_by(policy.c.policy_id.desc()).limit(1)


def current(engine: Engine) -> PolicyRecord:
    """The policy in force. Raises NoPolicyError in a database that was never prepared."""
    with connect(engine) as connection:
        row = connection.execute(_NEWEST).one_or_none()
    if row is None:
        raise NoPolicyError("There is no policy yet; run `creditlens up` or `creditlens migrate`.")
    return PolicyRecord(**row._mapping)


def get(engine: Engine, policy_id: int) -> PolicyRecord:
    """One version. Raises DatabaseError if there is none of this number."""
    with connect(engine) as connection:
        row = connection.execute(select(*_COLUMNS).where(policy.c.policy_id == policy_id)).one_or_none()
    if row is None:
        raise DatabaseError(f"There is no policy {policy_id}; `creditlens policy history` lists them.")
    return PolicyRecord(**row._mapping)


def history(engine: Engine) -> list[PolicyRecord]:
    """Every version, the newest first."""
    with connect(engine) as connection:
        rows = connection.execute(select(*_COLUMNS).order_by(policy.c.policy_id.desc()))
        return [PolicyRecord(**row._mapping) for row in rows]


def put_in_force(
    engine: Engine, rows: PolicyRows, *, by: str, reason: str, by_program: bool = False
) -> tuple[PolicyRecord, bool]:
    """Make the policy the one in force, unless it is already; it, and whether it was new.

    The next night decides by it. Two people at once follow one another.
    """
    with transaction(engine) as connection:
        connection.exec_driver_sql("LOCK TABLE credit.policy IN SHARE ROW EXCLUSIVE MODE")
        newest = connection.execute(_NEWEST).one_or_none()
        if newest is not None and newest.sha256 == rows.sha256:
            return PolicyRecord(**newest._mapping), False
        names = ("sha256", "text", "name_en", "name_fr", "review_four_eyes", "review_days")
        values = {name: getattr(rows, name) for name in names}
        created = connection.execute(
            insert(policy).values(**values, set_by=by, by_program=by_program, reason=reason).returning(*_COLUMNS)
        ).one()
        for table, lines in ((policy_feature, rows.features), (score_band, rows.bands), (policy_line, rows.lines)):
            if lines:
                connection.execute(insert(table), [{"policy_id": created.policy_id, **line} for line in lines])
        return PolicyRecord(**created._mapping), True


def follow_the_program(engine: Engine, rows: PolicyRows, *, version: str) -> bool:
    """Put the program's own policy in force where the lender has none of its own; whether that changed anything."""
    with connect(engine) as connection:
        newest = connection.execute(_NEWEST).one_or_none()
    if newest is not None and (not newest.by_program or newest.sha256 == rows.sha256):
        return False
    reason = f"The policy that comes with creditlens {version}."
    return put_in_force(engine, rows, by="creditlens", reason=reason, by_program=True)[1]
