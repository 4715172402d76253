"""What `--json` prints of people, of who may see them and who looked at them."""

from __future__ import annotations

from typing import Literal

from flows.cli.answers.base import Answer, Moment, OnOff


class ArchivedNight(Answer):
    """A night in an archive."""

    run_id: int
    as_of: Moment
    outcome: Literal["archived", "unchanged"]
    details: bool
    """Whether it has more than scores; those of nights whose details were dropped before are all there is."""
    rows: int
    bytes: int


class Archived(Answer):
    """`archive`: the nights that are in the archive now, of those that were asked for."""

    outcome: Literal["archived", "unchanged"]
    folder: str
    nights: list[ArchivedNight]
    erased_again: int
    """Rows of people who were erased while the archive could not be reached, removed now."""
    seconds: float


class Exported(Answer):
    """`export`: the files that were written, and how much is held of what."""

    outcome: Literal["exported", "nothing"]
    files: list[str]
    applications: int
    scores: int
    contributions: int
    rejected: int
    former: int
    assignments: int
    decisions: int
    reviews: int
    archived: int
    """Nights in archives that have the person."""
    archives_not_searched: list[str]
    """Archives that could not be opened."""
    looks: int
    looks_not_told: Literal["looks_none", "looks_unreached"] | None
    """Why it is not known who looked at the person; null where it is."""


class Searched(Answer):
    """A store that was looked into for what is left."""

    store: str
    looked_at: str


class NotSearched(Answer):
    """A store that could not be looked into."""

    store: str
    why: str
    to_do: str


class Erased(Answer):
    """`erase`: what was removed, and where was looked for what is left."""

    outcome: Literal["erased"]
    request_id: int
    removed: dict[str, int]
    """Rows, texts or mentions, by table or file."""
    vacuumed: list[str]
    cached_results_dropped: int
    files_not_ours: list[str]
    """Files that hold the person still."""
    searched: list[Searched]
    not_searched: list[NotSearched]


class Portfolios(Answer):
    """`portfolio on` and `portfolio off`: whether advisors see their own customers only."""

    portfolios: OnOff
    limited: bool
    version: int
    """Counts every change of who sees whom."""
    changed_at: Moment
    changed_by: str


class Assigned(Answer):
    """`portfolio assign`: how many assignments are new, and how many there were already."""

    assigned: int
    already: int


class Unassigned(Answer):
    """`portfolio unassign`: how many assignments were taken away."""

    unassigned: int


class Assignment(Answer):
    """One customer, or all of tonight's with a rating of their region, assigned to an advisor."""

    username: str
    customer_id: int | None
    region_rating: int | None
    assigned_at: Moment
    assigned_by: str


class Assignments(Answer):
    """`portfolio list`: all of them, or one advisor's."""

    portfolios: OnOff
    assignments: list[Assignment]


class Look(Answer):
    """That somebody looked at a customer, a list, or asked in SQL."""

    looked_at: Moment
    username: str | None
    kind: str
    customer_id: int | None
    dashboard: str | None
    chart: str | None
    dataset: str | None
    cached: bool | None
    detail: str | None
    customer_in_detail: list[int]


class AccessLog(Answer):
    """`access-log`: who looked at whom, the newest first."""

    rows: list[Look]
