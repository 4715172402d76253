"""What `--json` prints of the lender's policies."""

from __future__ import annotations

from typing import Literal

from pydantic import RootModel

from flows.cli.answers.base import Answer, Moment


class PolicyVersion(Answer):
    """A version of the lender's policy."""

    policy_id: int | None
    """Empty for the one that comes with the program."""
    sha256: str
    """Of its file."""
    name_en: str | None = None
    name_fr: str | None = None
    set_at: Moment | None = None
    set_by: str | None = None
    reason: str | None = None
    is_current: bool | None = None
    """Whether the next night decides by it."""


class PolicyShown(PolicyVersion):
    """`policy show`: a version with its file."""

    text: str


class PolicyChecked(Answer):
    """`policy check`: what a policy that is not used would do."""

    sha256: str
    barred: list[str]
    """Features that may not score."""
    directions: dict[str, Literal["rises", "falls"]]
    decides_by: Literal["scores", "figures"]
    accept_below: float | None
    """Default probability; empty where scores decide."""
    decline_from: float | None


class PolicySet(PolicyVersion):
    """`policy set`: the version that is in force now."""

    outcome: Literal["set", "unchanged"]
    needs_training: bool
    """Whether the next night is refused until a model is trained by it."""


class PolicyHistory(Answer):
    """`policy history`: every version, the newest first."""

    policies: list[PolicyVersion]


class LineOption(Answer):
    """What accepting everybody under a default probability would do, counted on former customers."""

    threshold: float
    accepted_share: float
    expected_default_rate: float | None
    """Of those accepted, with both ends of its 95 % interval; empty where nobody would be."""
    expected_default_rate_low: float | None
    expected_default_rate_high: float | None
    expected_profit: float | None
    """Per application, in the unit of the lender's figures; empty without figures."""
    is_current: bool
    is_best: bool


class PolicySimulated(RootModel[list[LineOption]]):
    """`policy simulate`: a list of lines, the lowest first."""
