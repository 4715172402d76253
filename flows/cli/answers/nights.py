"""What `--json` prints of nights and models."""

from __future__ import annotations

from typing import Any, Literal

from flows.cli.answers.base import Answer, Moment


class Run(Answer):
    """A run of the ledger that was published."""

    run_id: int
    as_of: Moment
    """The date of its scores."""
    model_id: int
    customers: int | None
    rejected: int | None
    """Rows of the file that could not be scored."""
    seconds: float | None


class Moved(Answer):
    """How many customers a policy moved from one suggestion to another."""

    previous: str
    decision: str
    customers: int


class Night(Run):
    """`nightly`: how a night ended."""

    outcome: Literal["published", "unchanged"]
    unknown_categories: int | None
    """How many values the dictionary does not know."""
    stage_seconds: dict[str, float]
    """How long each stage was busy; stages overlap."""
    is_current: bool
    """Whether it is what readers see first; false for an older date."""
    warnings: list[str]
    notes: list[str]
    policy_id: int | None = None
    decisions_moved: list[Moved] | None = None
    """Whom another policy than that of the run before has moved; empty where the policy is the same."""


class Model(Answer):
    """A model, with its quality out of fold."""

    model_id: int
    training_rows: int
    auc: float
    gini: float
    ks: float
    brier: float


class Trial(Answer):
    """One choice of parameters that a training tried."""

    auc: float
    fold_auc: list[float]
    explanation_cost: int
    """Additions that explaining a row takes."""
    parameters: dict[str, Any]
    chosen: bool


class AucCost(Answer):
    """What a rule of the policy costs: AUC without it minus AUC with it, on the same folds."""

    auc_cost: float
    auc_cost_se: float
    """Standard error."""


class Exclusion(AucCost):
    """A feature that the policy keeps out of the score, and what that costs."""

    feature: str
    guessed_auc: float | None
    """How well the features that may score tell it, 0.5 for not at all; null where too few people have it."""


class Calibration(Answer):
    """What the out-of-fold probabilities say about themselves; slope and intercept as found."""

    slope: float | None
    """1 if log-odds are neither too extreme nor too timid; null where it cannot be told."""
    slope_low: float | None
    slope_high: float | None
    intercept: float | None
    ece: float
    """Mean distance of probability and default rate over tenths of the customers, after recalibration."""
    recalibrated: bool
    """Whether slope and intercept were applied to the model."""


class Trained(Model):
    """`train`: the new model, what its search tried, what the policy costs, and its calibration."""

    search: list[Trial]
    exclusions: list[Exclusion]
    all_exclusions: AucCost
    directions: AucCost
    calibration: Calibration


class NextNight(Answer):
    """When Prefect starts the next night."""

    at: Moment
    time_zone: str
