"""What `--json` prints of publications, secrets and backups."""

from __future__ import annotations

from typing import Literal

from flows.cli.answers.base import Answer, Moment


class Published(Answer):
    """`publish`: what readers see now and saw before."""

    outcome: Literal["published"]
    run_id: int
    as_of: Moment
    from_run_id: int
    moved_at: Moment
    moved_by: str
    newest_run_id: int


class Withdrawn(Answer):
    """`withdraw`: the run that nobody reads any more, and the one that readers see now."""

    outcome: Literal["withdrawn"]
    run_id: int
    published_run_id: int


class SecretsRotated(Answer):
    """`rotate-secrets`: names of those that were replaced, and of those that were not, with the reason."""

    rotated: list[str]
    kept: dict[str, str]
    file: str
    """Where the new ones stand; a copy of it in another place has to be made anew."""
    dashboards: str | None
    """Their address, if they were served before."""


class Contents(Answer):
    """What a backup holds."""

    file: str
    created_at: Moment
    revision: str | None
    tables: int
    rows: int
    superset: bool
    """Whether Superset's own database is in it."""
    seconds: float


class Saved(Contents):
    """`backup`: the file that was written."""

    outcome: Literal["saved"]
    bytes: int


class Restored(Contents):
    """`restore`: what came back, and what is known of people who were erased since."""

    outcome: Literal["restored"]
    roles: int
    grants: int
    warnings: list[str]
    """What of the backup did not come back."""
    erased_again: int
    """How many people came back and were erased again."""
    erasures_known: bool
    """Whether the record knows of every erasure since the backup was made."""
    erasures_unknown_from: Moment | None
    erasures_unknown_until: Moment | None
