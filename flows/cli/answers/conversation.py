"""What `--json` prints of reasons and of what is put in writing."""

from __future__ import annotations

from typing import Literal

from flows.cli.answers.base import Answer


class Reason(Answer):
    """One reason of the catalogue; R00 says that none may be told."""

    place: int
    """1 is the strongest."""
    reason_code: str
    advisor_en: str
    advisor_fr: str
    action_en: str | None
    """What the customer can do about it; empty where nothing honestly can be done."""
    action_fr: str | None
    feature: str | None
    """The one that counts most in the reason."""
    score_points: float | None
    """Beside accepted former customers near the line; never above 0."""


class CustomerReasons(Answer):
    """`reasons`: why an application is not accepted, or what weighs most against one that is."""

    customer_id: int
    run_id: int
    decision: str
    is_recorded: bool
    """Whether the night kept them; else they were worked out now, by the same rules."""
    lines: list[Reason]


class Lettered(Answer):
    """`letter`: the page that was written, or the folder of many."""

    outcome: Literal["written"]
    run_id: int
    kind: Literal["sheet", "decision"]
    language: Literal["en", "fr"]
    letters: int
    customer_id: int | None = None
    """Absent with --all-refused."""
    file: str | None = None
    """Absent with --all-refused."""
    folder: str | None = None
    """Only with --all-refused."""


class Reported(Answer):
    """`report`: the report that was written, and on which model."""

    outcome: Literal["written"]
    run_id: int
    model_id: int
    language: Literal["en", "fr"]
    file: str
