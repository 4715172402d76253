"""What `--json` prints: a model for each command. Other programs rely on these keys, so that none may go.

Their JSON Schema is json_schema.json beside this module; a test compares it with the models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, RootModel

SCHEMA = Path(__file__).with_name("json_schema.json")
# A date or a time, as text.
Moment = Annotated[str, BeforeValidator(str)]
OnOff = Literal["on", "off"]


class Answer(BaseModel):
    """An object without any key that is not named here."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Failure(Answer):
    """What a command prints instead of its answer when it could not do what it was asked for."""

    outcome: Literal["failed", "refused", "busy"]
    message: str


# --- nights and models ----------------------------------------------------------------------------------------


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


# --- the installation -----------------------------------------------------------------------------------------


class Dashboards(Answer):
    """`dashboards`: where they are, and who signs in with which password."""

    outcome: Literal["set up", "unchanged"]
    url: str
    users: dict[str, str]
    """Password by user."""
    seconds: float
    warnings: list[str]


class Schedule(Answer):
    """What became of the schedule."""

    outcome: Literal["started", "unchanged", "restarted", "not restarted"]
    message: str | None = None
    """Why no night will start; absent where one will."""


class Up(Night):
    """`up`: tonight's run, and all that was set up around it."""

    model: Model
    prefect_url: str | None
    schedule: Schedule | None = None
    """Absent with --foreground."""
    next_night: NextNight | None = None
    """Absent with --foreground."""
    dashboards: Dashboards | Failure | None = None
    """Absent without dashboards."""


class Down(Answer):
    """`down`: what of it had been running."""

    watch: bool
    dashboards: bool
    schedule: bool
    prefect: bool
    postgres: bool


class LastRun(Answer):
    """The newest run of the ledger, whatever became of it."""

    run_id: int
    status: Literal["running", "published", "refused", "failed", "withdrawn"]
    message: str | None
    accepted: int | None
    rejected: int | None


class LastNight(Answer):
    """How the last night ended, also one that came to no run."""

    ended_at: Moment
    outcome: str
    message: str | None


class ServiceErrors(Answer):
    """Errors in the log of a service that nobody expects."""

    service: str
    count: int
    first: str
    at: str | None
    log: str


class Disk(Answer):
    """Sizes in bytes, and how long they may go on growing at a run a day."""

    database_bytes: int
    run_bytes: int | None
    """Details of one kept run; null before the first."""
    retained_runs: int
    daily_bytes: int | None
    """What a night adds once as many runs are kept as may be."""
    free_bytes: int | None
    """Null for a server elsewhere."""
    days_until_full: int | None


class Status(Answer):
    """`status`: what is published, what runs, and what is wrong."""

    database_url: str | None
    """The reader's address, password included; null while the database does not answer."""
    published: Run | None
    """What readers see."""
    published_at: Moment | None
    age_hours: float | None
    """Since the newest publication."""
    newest_run_id: int | None
    last_run: LastRun | None
    last_night: LastNight | None
    dashboards_url: str | None
    prefect_url: str | None
    schedule_pid: int | None
    schedule: Literal[
        "off", "starting", "active", "stopped", "unserved", "paused", "inactive", "missing", "no server", "unknown",
        "unplanned", "different", "refused",
    ]  # fmt: skip
    next_night: NextNight | None
    watch_pid: int | None
    errors: list[ServiceErrors]
    disk: Disk | None
    healthy: bool
    """Whether there are no problems; the exit code is 1 if there are."""
    problems: list[str]
    """A sentence for everything that is not as it should be."""
    notes: list[str]
    """What is worth knowing and nobody's fault."""
    message: str | None
    """All problems in one text; null where there are none."""


class Migrated(Answer):
    """`migrate`: the schema's revision now."""

    revision: str | None


class Sample(Answer):
    """`sample`: the files that were written."""

    files: list[str]


# --- operators ------------------------------------------------------------------------------------------------


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


# --- people ---------------------------------------------------------------------------------------------------


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


# --- policies -------------------------------------------------------------------------------------------------


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


# --- reasons --------------------------------------------------------------------------------------------------


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


# --- in writing -----------------------------------------------------------------------------------------------


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


# By command; each may print a Failure instead.
ANSWERS: dict[str, type[BaseModel]] = {
    "up": Up,
    "down": Down,
    "status": Status,
    "nightly": Night,
    "train": Trained,
    "sample": Sample,
    "migrate": Migrated,
    "dashboards": Dashboards,
    "publish": Published,
    "withdraw": Withdrawn,
    "rotate-secrets": SecretsRotated,
    "archive": Archived,
    "backup": Saved,
    "restore": Restored,
    "export": Exported,
    "erase": Erased,
    "portfolio on": Portfolios,
    "portfolio off": Portfolios,
    "portfolio assign": Assigned,
    "portfolio unassign": Unassigned,
    "portfolio list": Assignments,
    "access-log": AccessLog,
    "reasons": CustomerReasons,
    "letter": Lettered,
    "report": Reported,
    "policy show": PolicyShown,
    "policy check": PolicyChecked,
    "policy set": PolicySet,
    "policy history": PolicyHistory,
    "policy simulate": PolicySimulated,
}
