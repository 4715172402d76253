"""All tables of schema `credit`: one MetaData, one naming convention.

`new_customer`, `score`, `shap_value`, `reason`, `what_if_summary`, `what_if`, `similar_customer` and
`similar_member` are partitioned by run, `former_customer` and `former_code` by model: a run or a model is loaded
into tables of its own, attached, and later detached, as a whole. What a table is for everything else (whether it
holds people and where, who may write it) it says in its `info`, see db.about.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import BIT, INT8MULTIRANGE, JSONB
from sqlalchemy.schema import SchemaItem

from db.about import Holds, about, info, partitioned
from db.application import APPLICATION_COLUMNS

SCHEMA = "credit"
REPORTING = "reporting"
# What no backup holds and no reader may see: the key that says who looks, and the revision of the schema.
PRIVATE = "creditlens_private"
VERSION_TABLE = "schema_version"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)

RUN_STATUSES = ("running", "published", "refused", "failed", "withdrawn")
MODEL_STAGES = ("candidate", "current", "retired")
SEVERITIES = ("fail", "warn")
DIRECTIONS = ("rises", "falls")
WHAT_IF_OUTCOMES = ("found", "none", "revolving", "no_annuity", "no_duration")
HUMAN_DECISIONS = ("accept", "refuse", "accept_other_terms")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _finite(column: str) -> CheckConstraint:
    # `x >= 0` lets NaN and Infinity pass; a range closed on both sides with NaN ordered last does not.
    return CheckConstraint(f"{column} > '-Infinity' AND {column} < 'Infinity'", name=f"{column}_finite")


def _probability(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} BETWEEN 0 AND 1", name=f"{column}_range")


def _application_columns() -> list[Column[float | int]]:
    return [Column(name, kind) for name, kind in APPLICATION_COLUMNS]


def _timestamp(name: str, **options: object) -> Column[object]:
    return Column(name, DateTime(timezone=True), **options)  # type: ignore[arg-type]


def _partitioned_by(key: str, *analysed: str, **more_people: Holds) -> dict[str, Any]:
    """Options of a table of customers that is loaded, attached and dropped by run or model."""
    people = {"customer_id": Holds.NUMBER, **more_people}
    return {
        "postgresql_partition_by": f"LIST ({key})",
        "info": info(people=people, limited=True, partitioned_by=key, analysed=(key, *analysed)),
    }


feature_group = Table(
    "feature_group",
    metadata,
    Column("group_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    info=info(jobs="read"),
    comment="Features that say the same thing in other words; the number is the lowest feature_id among them",
)

feature = Table(
    "feature",
    metadata,
    Column("feature_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
    Column("origin", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("unit_en", Text, nullable=False),
    Column("unit_fr", Text, nullable=False),
    Column("display_scale", Double, nullable=False),
    Column("display_decimals", SmallInteger, nullable=False),
    Column("actionable", Boolean, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    Column("description_en", Text, nullable=False),
    Column("description_fr", Text, nullable=False),
    # Deferred: a dictionary that has other groups is written table by table.
    Column(
        "group_id",
        SmallInteger,
        ForeignKey(feature_group.c.group_id, deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    # Features that are computed from one another have the same number, the lowest feature_id among them.
    Column("fact_id", SmallInteger, nullable=False),
    Column("computed_from", ARRAY(SmallInteger), nullable=False),
    info=info(jobs="read"),
    comment="The feature dictionary: what each column means, in words and units",
)

feature_category = Table(
    "feature_category",
    metadata,
    Column("feature_id", SmallInteger, ForeignKey(feature.c.feature_id, ondelete="CASCADE"), primary_key=True),
    Column("code", SmallInteger, primary_key=True, autoincrement=False),
    Column("value", Text, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    UniqueConstraint("feature_id", "value"),
    info=info(jobs="read"),
    comment="Codes of categories and flags; code 0 of a category is a value that the dictionary does not know",
)

suggested_decision = Table(
    "suggested_decision",
    metadata,
    Column("decision", Text, primary_key=True),
    Column("place", SmallInteger, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    info=info(jobs="read"),
    comment="What can be suggested for an application, in words; the first place is the best for who asks",
)

policy = Table(
    "policy",
    metadata,
    Column("policy_id", Integer, Identity(), primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("name_fr", Text, nullable=False),
    _timestamp("set_at", nullable=False, server_default=func.clock_timestamp()),
    Column("set_by", Text, nullable=False),
    Column("by_program", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("review_four_eyes", Boolean, nullable=False, server_default=true()),
    Column("review_days", SmallInteger, nullable=False, server_default="30"),
    CheckConstraint("review_days BETWEEN 1 AND 365", name="review_days_range"),
    info=info(people={"reason": Holds.MENTIONS}, jobs="read"),
    comment="Every version of the lender's policy: its file, who put it in force, when and why; the newest holds",
)

policy_feature = Table(
    "policy_feature",
    metadata,
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("may_score", Boolean, nullable=False),
    Column("may_be_told", Boolean, nullable=False),
    Column("direction", Text),
    Column("because_en", Text),
    Column("because_fr", Text),
    _one_of("direction", DIRECTIONS),
    CheckConstraint("may_score OR NOT may_be_told", name="told_may_score"),
    info=info(jobs="read"),
    comment="What a policy says of each feature: whether it may score and be told, and which way its risk may go",
)

score_band = Table(
    "score_band",
    metadata,
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), primary_key=True),
    Column("band", Text, primary_key=True),
    Column("minimum_score", SmallInteger, nullable=False),
    # Empty where the lender's figures decide.
    Column("decision", Text),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    UniqueConstraint("policy_id", "minimum_score"),
    info=info(jobs="read"),
    comment="A policy's bands of the score, and the decision that each of them suggests",
)

policy_line = Table(
    "policy_line",
    metadata,
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), primary_key=True),
    Column("contract_type", SmallInteger, primary_key=True, autoincrement=False),
    Column("gain", Double, nullable=False),
    Column("loss", Double, nullable=False),
    Column("accept_below", Double, nullable=False),
    Column("decline_from", Double, nullable=False),
    CheckConstraint("gain > 0 AND loss > 0", name="figures_positive"),
    CheckConstraint("accept_below BETWEEN 0 AND decline_from AND decline_from <= 1", name="limits_in_order"),
    info=info(jobs="read"),
    comment="The lender's figures of a policy that decides by them, by code of the contract type; 0 is all others",
)

model_version = Table(
    "model_version",
    metadata,
    Column("model_id", Integer, Identity(), primary_key=True),
    _timestamp("trained_at", nullable=False, server_default=func.now()),
    Column("stage", Text, nullable=False),
    Column("training_rows", Integer, nullable=False),
    Column("training_sha256", Text, nullable=False),
    Column("base_value", Double, nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("metrics", JSONB, nullable=False),
    Column("feature_set", JSONB, nullable=False),
    Column("artefact_sha256", Text, nullable=False, unique=True),
    Column("artefact", LargeBinary, nullable=False),
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), nullable=False),
    _one_of("stage", MODEL_STAGES),
    _finite("base_value"),
    Index("ix_model_version_current", "stage", unique=True, postgresql_where=text("stage = 'current'")),
    comment="Every trained model with its artefact; at most one is current",
)

scoring_run = Table(
    "scoring_run",
    metadata,
    Column("run_id", Integer, Identity(), primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("model_id", Integer, ForeignKey(model_version.c.model_id), nullable=False),
    Column("source_name", Text, nullable=False),
    Column("source_sha256", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("customers", Integer),
    Column("rejected", Integer),
    Column("unknown_categories", Integer),
    Column("stage_seconds", JSONB, nullable=False, server_default="{}"),
    Column("message", Text),
    _timestamp("started_at", nullable=False, server_default=func.clock_timestamp()),
    _timestamp("finished_at"),
    _timestamp("published_at"),
    _timestamp("retired_at"),
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), nullable=False),
    _one_of("status", RUN_STATUSES),
    CheckConstraint(
        "(status IN ('published', 'withdrawn')) = (published_at IS NOT NULL)", name="published_has_time"
    ),
    CheckConstraint("customers >= 0 AND rejected >= 0", name="counts_not_negative"),
    Index(None, "source_sha256", "model_id"),
    Index(None, "as_of"),
    info=info(people={"message": Holds.MENTIONS, "source_name": Holds.NAMES}),
    comment="The ledger: one row for every run that was opened, whatever became of it",
)

published_run = Table(
    "published_run",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id), nullable=False),
    CheckConstraint("singleton", name="one_row"),
    comment="The one run that readers see",
)

run_withdrawal = Table(
    "run_withdrawal",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id), primary_key=True),
    _timestamp("withdrawn_at", nullable=False, server_default=func.clock_timestamp()),
    Column("withdrawn_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    info=info(people={"reason": Holds.MENTIONS}, jobs="read"),
    comment="Published runs that nobody is to read any more: by whom, when and why",
)

pointer_move = Table(
    "pointer_move",
    metadata,
    Column("move_id", Integer, Identity(), primary_key=True),
    _timestamp("moved_at", nullable=False, server_default=func.clock_timestamp()),
    Column("moved_by", Text, nullable=False),
    Column("from_run_id", Integer, ForeignKey(scoring_run.c.run_id), nullable=False),
    Column("to_run_id", Integer, ForeignKey(scoring_run.c.run_id), nullable=False),
    CheckConstraint("from_run_id <> to_run_id", name="really_moved"),
    info=info(jobs="nothing"),
    comment="When somebody moved readers to another run by hand, who, and from where to where",
)

privacy_request = Table(
    "privacy_request",
    metadata,
    Column("request_id", Integer, Identity(), primary_key=True),
    _timestamp("requested_at", nullable=False, server_default=func.clock_timestamp()),
    Column("requested_by", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("customer_hash", Text, nullable=False),
    _timestamp("completed_at"),
    _one_of("kind", ("export", "erase")),
    Index(None, "customer_hash"),
    info=info(jobs="nothing"),
    comment="Requests of customers about their own data; whose is told by a keyed hash of the id only",
)

portfolio_state = Table(
    "portfolio_state",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("limited", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    _timestamp("changed_at", nullable=False, server_default=func.clock_timestamp()),
    Column("changed_by", Text, nullable=False),
    CheckConstraint("singleton", name="one_row"),
    info=info(jobs="read"),
    comment="Whether advisors see their own customers only; the version counts every change of who sees whom",
)

advisor_portfolio = Table(
    "advisor_portfolio",
    metadata,
    Column("assignment_id", Integer, Identity(), primary_key=True),
    Column("username", Text, nullable=False),
    Column("customer_id", Integer),
    Column("region_rating", SmallInteger),
    _timestamp("assigned_at", nullable=False, server_default=func.clock_timestamp()),
    Column("assigned_by", Text, nullable=False),
    CheckConstraint("num_nonnulls(customer_id, region_rating) = 1", name="one_of_two"),
    UniqueConstraint("username", "customer_id"),
    UniqueConstraint("username", "region_rating"),
    Index(None, "customer_id"),
    info=info(people={"customer_id": Holds.NUMBER}, jobs="read"),
    comment="Which advisor has which customers: one by one, or all of tonight's with a rating of their region",
)

customer_region = Table(
    "customer_region",
    metadata,
    Column("region_rating", SmallInteger, primary_key=True, autoincrement=False),
    Column("customers", INT8MULTIRANGE, nullable=False),
    info=info(people={"customers": Holds.RANGES}, jobs="read"),
    comment="The customers of the published run by the rating of their region, as ranges of numbers, while advisors"
    " see their own customers only",
)

former_customer = Table(
    "former_customer",
    metadata,
    Column("model_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("target", SmallInteger, nullable=False),
    *_application_columns(),
    Column("log_odds", REAL, nullable=False),
    Column("default_probability", REAL, nullable=False),
    Column("score", SmallInteger, nullable=False),
    CheckConstraint("target IN (0, 1)", name="target_known"),
    _finite("log_odds"),
    _probability("default_probability"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score_range"),
    **_partitioned_by("model_id", "customer_id", "target", "score"),
    comment="Former customers with their outcome and out-of-fold score: each scored by a model that never saw them",
)

former_code = Table(
    "former_code",
    metadata,
    Column("model_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("fold", SmallInteger, nullable=False),
    Column("codes", LargeBinary, nullable=False),
    CheckConstraint("fold BETWEEN 0 AND 127", name="fold_range"),
    **_partitioned_by("model_id", "customer_id"),
    comment="What moves each former customer's log-odds, by the model of the fold that never saw them: 16-bit whole"
    " numbers, the lower byte first, of 1/2048 of log-odds, in the order of the explained features",
)

former_distribution = Table(
    "former_distribution",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("mean", Double),
    Column("quantiles", ARRAY(Double)),
    _one_of("outcome", ("all", "repaid", "defaulted")),
    info=info(sums_up_former_customers=True),
    comment="Per numeric feature and outcome: mean and 1,001 exact quantiles of the former customers",
)

former_category = Table(
    "former_category",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("category_code", SmallInteger, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("defaulted", Integer, nullable=False),
    info=info(sums_up_former_customers=True),
    comment="Per category: how many former customers, and how many of them defaulted; code -1 is missing",
)

former_risk = Table(
    "former_risk",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("group_kind", Text, primary_key=True),
    Column("group_code", SmallInteger, primary_key=True, autoincrement=False),
    Column("contract_type", SmallInteger, primary_key=True, autoincrement=False),
    Column("risk", SmallInteger, primary_key=True, autoincrement=False),
    Column("customers", Integer, nullable=False),
    Column("defaulted", Integer, nullable=False),
    _one_of("group_kind", ("all", "gender", "age")),
    CheckConstraint("risk BETWEEN 0 AND 999", name="risk_range"),
    info=info(sums_up_former_customers=True),
    comment="Former customers by group, contract and default probability out of fold, in thousandths rounded down",
)

# Bits of former customers stand in the order of their values of one feature, see scoring.cohort. Digits of sorted
# values, and the members of rare options, compress to a fraction.
cohort_option = Table(
    "cohort_option",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("attribute", Text, primary_key=True),
    Column("code", SmallInteger, primary_key=True, autoincrement=False),
    Column("value", Text),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    Column("repaid", Integer, nullable=False),
    Column("defaulted", Integer, nullable=False),
    info=info(sums_up_former_customers=True),
    comment="What former customers can be filtered by: categories and bands, in order; code 0 is everybody",
)

cohort_feature = Table(
    "cohort_feature",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("ord", SmallInteger, nullable=False),
    Column("origin", Double, nullable=False),
    Column("per_unit", Double, nullable=False),
    Column("bits", SmallInteger, nullable=False),
    Column("exact", Boolean, nullable=False),
    CheckConstraint("bits BETWEEN 1 AND 31", name="bits_range"),
    CheckConstraint("per_unit > 0 AND per_unit < 'Infinity'", name="per_unit_range"),
    info=info(sums_up_former_customers=True),
    comment="Features as whole numbers in their order: value = (origin + code) / per_unit; feature 0 is the score",
)

cohort_member = Table(
    "cohort_member",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("target", SmallInteger, primary_key=True),
    Column("attribute", Text, primary_key=True),
    Column("code", SmallInteger, primary_key=True),
    Column("members", BIT(varying=True), nullable=False),
    ForeignKeyConstraint(
        ["model_id", "feature_id"],
        [cohort_feature.c.model_id, cohort_feature.c.feature_id],
        ondelete="CASCADE",
        name="fk_cohort_member_feature",
    ),
    CheckConstraint("target IN (0, 1)", name="target_known"),
    info=info(sums_up_former_customers=True),
    comment="Per feature, outcome and option a bitmap of who has the option, in the order of the feature's values",
)

cohort_slice = Table(
    "cohort_slice",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("target", SmallInteger, primary_key=True),
    Column("slice", SmallInteger, primary_key=True),
    Column("bits", BIT(varying=True), nullable=False),
    ForeignKeyConstraint(
        ["model_id", "feature_id"],
        [cohort_feature.c.model_id, cohort_feature.c.feature_id],
        ondelete="CASCADE",
        name="fk_cohort_slice_feature",
    ),
    CheckConstraint("target IN (0, 1)", name="target_known"),
    info=info(sums_up_former_customers=True),
    comment="Per feature and outcome a bitmap of everybody (slice 0) and one per digit of the codes, highest first",
)

cohort_bin = Table(
    "cohort_bin",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("bin", SmallInteger, primary_key=True),
    Column("first_code", BigInteger, nullable=False),
    Column("last_code", BigInteger, nullable=False),
    Column("lower", Double),
    Column("upper", Double),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    Column("repaid_before", Integer, nullable=False),
    Column("repaid", Integer, nullable=False),
    Column("defaulted_before", Integer, nullable=False),
    Column("defaulted", Integer, nullable=False),
    ForeignKeyConstraint(
        ["model_id", "feature_id"],
        [cohort_feature.c.model_id, cohort_feature.c.feature_id],
        ondelete="CASCADE",
        name="fk_cohort_bin_feature",
    ),
    info=info(sums_up_former_customers=True),
    comment="Bars of each feature's histogram, each an interval of places; the outer ones are open",
)

# Not limited to a viewer's own customers: no reader may see it, and cohorts count everybody.
cohort_place = Table(
    "cohort_place",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("target", SmallInteger, nullable=False),
    Column("places", ARRAY(Integer), nullable=False),
    CheckConstraint("target IN (0, 1)", name="target_known"),
    info=info(people={"customer_id": Holds.NUMBER}, sums_up_former_customers=True),
    comment="At which bit each former customer stands in the bitmaps of each feature, in the features' order,"
    " from 1; 0 without a value",
)

new_customer = Table(
    "new_customer",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    *_application_columns(),
    **_partitioned_by("run_id", "customer_id"),
    comment="Applications as received, one partition per run",
)


def _score_columns() -> list[SchemaItem]:
    return [
        Column("log_odds", Double, nullable=False),
        Column("default_probability", Double, nullable=False),
        Column("score", SmallInteger, nullable=False),
        Column("band", Text, nullable=False),
        Column("decision", Text, nullable=False),
        Column("percentile", REAL, nullable=False),
        _finite("log_odds"),
        _probability("default_probability"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score_range"),
        CheckConstraint("percentile BETWEEN 0 AND 100", name="percentile_range"),
    ]


score = Table(
    "score",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    *_score_columns(),
    **_partitioned_by("run_id", "customer_id", "score", "band"),
    comment="One score per customer and run whose details are retained",
)

# A partition for each night for ever would make every look-up plan over all of them.
past_score = Table(
    "past_score",
    metadata,
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id), primary_key=True, autoincrement=False),
    *_score_columns(),
    Index(None, "run_id"),
    info=info(people={"customer_id": Holds.NUMBER}, limited=True),
    comment="The scores of runs whose details were dropped, kept for ever",
)

shap_value = Table(
    "shap_value",
    metadata,
    Column("run_id", Integer, nullable=False),
    Column("customer_id", Integer, nullable=False),
    Column("feature_id", SmallInteger, nullable=False),
    Column("numeric_value", Double),
    Column("category_code", SmallInteger),
    Column("contribution", REAL, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Index(None, "customer_id"),
    **_partitioned_by("run_id", "customer_id", "feature_id"),
    comment="Contribution of each feature to each log-odds of default, long format, one partition per run",
)

reason_catalogue = Table(
    "reason_catalogue",
    metadata,
    Column("catalogue_id", Integer, Identity(), primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("text", Text, nullable=False),
    _timestamp("added_at", nullable=False, server_default=func.clock_timestamp()),
    comment="Every version of the catalogue of reasons that a run has used; the newest is the program's",
)

reason_text = Table(
    "reason_text",
    metadata,
    Column("catalogue_id", Integer, ForeignKey(reason_catalogue.c.catalogue_id), primary_key=True),
    Column("code", Text, primary_key=True),
    Column("feature_ids", ARRAY(SmallInteger), nullable=False),
    # All empty where there are no words: then the reason is never told.
    Column("refusal_en", Text),
    Column("refusal_fr", Text),
    Column("advisor_en", Text),
    Column("advisor_fr", Text),
    Column("action_en", Text),
    Column("action_fr", Text),
    CheckConstraint(
        "num_nonnulls(refusal_en, refusal_fr, advisor_en, advisor_fr) IN (0, 4)", name="told_in_both_languages"
    ),
    CheckConstraint("num_nonnulls(action_en, action_fr) IN (0, 2)", name="action_in_both_languages"),
    comment="The reasons of each catalogue: the features that each gathers, and its words; never changed",
)

reason_reference = Table(
    "reason_reference",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id), primary_key=True),
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), primary_key=True),
    Column("rule", Text, nullable=False),
    Column("customers", Integer, nullable=False),
    Column("mean_contributions", JSONB, nullable=False),
    CheckConstraint("customers > 0", name="customers_positive"),
    comment="Whom those who are not accepted are compared with: mean contributions, by name of the feature, of"
    " former customers who would be accepted and are near the line",
)

# No key to the catalogue's tables: attaching a partition would lock them.
reason = Table(
    "reason",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("catalogue_id", Integer, nullable=False),
    # These three are empty where no reason may be told.
    Column("feature_id", SmallInteger),
    Column("log_odds", Double),
    Column("points", Double),
    CheckConstraint("place BETWEEN 1 AND 4", name="place_range"),
    CheckConstraint("num_nonnulls(feature_id, log_odds, points) IN (0, 3)", name="all_or_nothing"),
    CheckConstraint("log_odds > 0 AND log_odds < 'Infinity'", name="log_odds_positive"),
    CheckConstraint("points > '-Infinity' AND points <= 0", name="points_not_positive"),
    **_partitioned_by("run_id", "customer_id", "code"),
    comment="Why an application was not accepted: its reasons, the strongest first, one partition per run",
)

what_if_summary = Table(
    "what_if_summary",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("outcome", Text, nullable=False),
    # What the application implies; empty where nothing was searched.
    Column("asked_duration", SmallInteger),
    Column("monthly_rate", Double),
    # The accepted offer that changes least; empty where there is none.
    Column("duration", SmallInteger),
    Column("amount", Double),
    Column("annuity", Double),
    Column("default_probability", Double),
    Column("score", SmallInteger),
    _one_of("outcome", WHAT_IF_OUTCOMES),
    CheckConstraint("num_nonnulls(asked_duration, monthly_rate) IN (0, 2)", name="terms_whole"),
    CheckConstraint(
        "num_nonnulls(duration, amount, annuity, default_probability, score)"
        " = CASE outcome WHEN 'found' THEN 5 ELSE 0 END",
        name="offer_where_found",
    ),
    **_partitioned_by("run_id", "customer_id", "outcome"),
    comment="What would get a yes, of those who are not accepted: what the search found, and the nearest offer",
)

what_if = Table(
    "what_if",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("duration", SmallInteger, primary_key=True, autoincrement=False),
    Column("amount", Double, primary_key=True, autoincrement=False),
    Column("annuity", Double, nullable=False),
    Column("default_probability", Double, nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("decision", Text, nullable=False),
    Column("is_grid", Boolean, nullable=False),
    Column("is_frontier", Boolean, nullable=False),
    Column("is_asked", Boolean, nullable=False),
    CheckConstraint("duration BETWEEN 1 AND 600", name="duration_range"),
    CheckConstraint("amount > 0 AND amount < 'Infinity'", name="amount_positive"),
    CheckConstraint("annuity > 0 AND annuity < 'Infinity'", name="annuity_positive"),
    _probability("default_probability"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score_range"),
    **_partitioned_by("run_id", "customer_id"),
    comment="Offers of amount and duration scored for those who are not accepted, one partition per run",
)

similar_customer = Table(
    "similar_customer",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    Column("neighbours", SmallInteger, nullable=False),
    Column("defaulted", SmallInteger, nullable=False),
    Column("default_rate", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("model_probability", Double, nullable=False),
    Column("distance", Double, nullable=False),
    # Empty where fewer than 20 of the neighbours have a value.
    Column("age_low", Double),
    Column("age_high", Double),
    Column("income_low", Double),
    Column("income_high", Double),
    Column("amount_low", Double),
    Column("amount_high", Double),
    Column("annuity_income_low", Double),
    Column("annuity_income_high", Double),
    CheckConstraint("neighbours BETWEEN 20 AND 1000", name="neighbours_range"),
    CheckConstraint("defaulted BETWEEN 0 AND neighbours", name="defaulted_range"),
    CheckConstraint(
        "0 <= low AND low <= default_rate AND default_rate <= high AND high <= 1", name="interval_in_order"
    ),
    _probability("model_probability"),
    CheckConstraint("distance >= 0 AND distance < 'Infinity'", name="distance_finite"),
    **_partitioned_by("run_id", "customer_id", "defaulted"),
    comment="What became of the former customers who are most like an applicant: counts and quartiles of a group of"
    " at least 20, never who they are, one partition per run",
)

similar_member = Table(
    "similar_member",
    metadata,
    Column("run_id", Integer, primary_key=True, autoincrement=False),
    Column("customer_id", Integer, primary_key=True, autoincrement=False),
    # By number, so that nothing says who of them is nearest.
    Column("members", ARRAY(Integer), nullable=False),
    CheckConstraint("cardinality(members) BETWEEN 20 AND 1000", name="members_range"),
    **_partitioned_by("run_id", "customer_id", members=Holds.LISTS),
    comment="Who the former customers are whom similar_customer counts: for cohorts to be counted by, for no"
    " reader; one partition per run",
)

rejected_application = Table(
    "rejected_application",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), nullable=False),
    Column("row_number", Integer, nullable=False),
    Column("customer_id", Text),
    Column("column_name", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("value", Text),
    Index(None, "run_id", "row_number"),
    info=info(people={"customer_id": Holds.REFUSED, "value": Holds.REFUSED}, limited=True),
    comment="Why a row of the input was not scored, one line per broken rule",
)

unknown_category = Table(
    "unknown_category",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("column_name", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("customers", Integer, nullable=False),
    info=info(people={"value": Holds.RECEIVED}),
    comment="Category values of a run that the dictionary does not know; scored as unknown",
)

run_chunk = Table(
    "run_chunk",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("first_row", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    comment="Chunks of a distributed run that are loaded: written with the chunk's rows, so that a retry adds none",
)

run_check = Table(
    "run_check",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("severity", Text, nullable=False),
    Column("observed", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    _one_of("severity", SEVERITIES),
    comment="What the audit of a run looked at, and what it saw",
)

feature_bin = Table(
    "feature_bin",
    metadata,
    Column("model_id", Integer, ForeignKey(model_version.c.model_id, ondelete="CASCADE"), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("bin", SmallInteger, primary_key=True),
    Column("minimum", Double),
    Column("maximum", Double),
    Column("customers", Integer, nullable=False),
    comment="Bins of a feature's values, and how many of the model's former customers were in each; -1 is missing",
)

run_summary = Table(
    "run_summary",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("mean_score", Double, nullable=False),
    Column("mean_default_probability", Double, nullable=False),
    Column("approval_rate", Double, nullable=False),
    Column("score_psi", Double),
    # Empty for runs of before version 0.4.
    Column("groups", JSONB),
    # Empty where the run before had the same policy.
    Column("decisions_moved", JSONB),
    _probability("mean_default_probability"),
    _probability("approval_rate"),
    comment="A run as a whole, kept for ever: means, approval rate, drift of its scores, groups, what policy moved",
)

run_score = Table(
    "run_score",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("score", SmallInteger, primary_key=True, autoincrement=False),
    Column("band", Text, nullable=False),
    Column("decision", Text, primary_key=True),
    Column("customers", Integer, nullable=False),
    CheckConstraint("score BETWEEN 0 AND 100", name="score_range"),
    comment="How many customers of a run have each score and decision, and the band that it meant, kept for ever",
)

run_feature = Table(
    "run_feature",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("unknown", Integer, nullable=False),
    Column("mean_absolute_contribution", Double, nullable=False),
    Column("mean_contribution", Double, nullable=False),
    Column("mean_absolute_points", Double, nullable=False),
    Column("psi", Double),
    Column("correlation", Double),
    CheckConstraint("correlation BETWEEN -1 AND 1", name="correlation_range"),
    comment="Each feature over a run, kept for ever: missing values, importance, drift, direction",
)

run_feature_bin = Table(
    "run_feature_bin",
    metadata,
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id, ondelete="CASCADE"), primary_key=True),
    Column("feature_id", SmallInteger, primary_key=True),
    Column("bin", SmallInteger, primary_key=True),
    Column("customers", Integer, nullable=False),
    Column("mean_contribution", Double, nullable=False),
    Column("mean_points", Double, nullable=False),
    Column("points_deviation", Double, nullable=False),
    comment="Each bin of a feature over a run, kept for ever: how many customers, and what it did to their scores",
)

decision_ground = Table(
    "decision_ground",
    metadata,
    Column("code", Text, primary_key=True),
    Column("place", SmallInteger, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("label_fr", Text, nullable=False),
    Column("offered", Boolean, nullable=False, server_default=true()),
    info=info(jobs="read"),
    comment="The grounds that a person may give for a decision, in words; one no longer offered is kept",
)

# At the end of a transaction: erasing a person removes rows table by table.
_LATER: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}

decision = Table(
    "decision",
    metadata,
    Column("decision_id", Integer, Identity(), primary_key=True),
    Column("customer_id", Integer, nullable=False),
    Column("run_id", Integer, ForeignKey(scoring_run.c.run_id), nullable=False),
    Column("model_id", Integer, nullable=False),
    Column("policy_id", Integer, ForeignKey(policy.c.policy_id), nullable=False),
    Column("recommendation", Text, nullable=False),
    Column("default_probability", Double, nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("band", Text, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    Column("catalogue_id", Integer),
    Column("decision", Text, nullable=False),
    # In the units of the application file; the duration in months.
    Column("amount", Double),
    Column("duration", SmallInteger),
    # Of terms that are an offer of the run's what-if; none where a person made up the terms.
    Column("annuity", Double),
    Column("reason_code", Text, ForeignKey(decision_ground.c.code), nullable=False),
    Column("note", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    _timestamp("decided_at", nullable=False, server_default=func.clock_timestamp()),
    Column("supersedes", Integer, ForeignKey("credit.decision.decision_id", **_LATER), unique=True),
    _one_of("decision", HUMAN_DECISIONS),
    CheckConstraint(
        "(decision = 'accept_other_terms') = (amount IS NOT NULL AND duration IS NOT NULL)"
        " AND num_nonnulls(amount, duration) <> 1",
        name="terms_of_other_terms",
    ),
    CheckConstraint("amount > 0 AND amount < 'Infinity'", name="amount_positive"),
    CheckConstraint("duration BETWEEN 1 AND 600", name="duration_range"),
    CheckConstraint(
        "annuity IS NULL OR (decision = 'accept_other_terms' AND annuity > 0 AND annuity < 'Infinity')",
        name="annuity_of_an_offer",
    ),
    _probability("default_probability"),
    CheckConstraint("length(note) <= 4000", name="note_length"),
    CheckConstraint("decided_by <> ''", name="decided_by_somebody"),
    Index(None, "customer_id"),
    # Of two who decide first at once, one is.
    Index("uq_decision_first", "customer_id", unique=True, postgresql_where=text("supersedes IS NULL")),
    info=info(people={"customer_id": Holds.NUMBER, "note": Holds.MENTIONS}, jobs="read", limited=True),
    comment="What people decided, with what was on their screen; a correction supersedes, nothing is changed",
)

review = Table(
    "review",
    metadata,
    Column("review_id", Integer, Identity(), primary_key=True),
    Column("customer_id", Integer, nullable=False),
    Column("decision_id", Integer, ForeignKey(decision.c.decision_id, **_LATER), nullable=False),
    Column("point_of_view", Text, nullable=False),
    _timestamp("asked_at", nullable=False, server_default=func.clock_timestamp()),
    Column("recorded_by", Text, nullable=False),
    _timestamp("due_at", nullable=False),
    Column("four_eyes", Boolean, nullable=False),
    CheckConstraint("length(point_of_view) BETWEEN 1 AND 8000", name="point_of_view_length"),
    CheckConstraint("due_at > asked_at", name="due_later"),
    Index(None, "customer_id"),
    Index(None, "decision_id"),
    info=info(people={"customer_id": Holds.NUMBER, "point_of_view": Holds.MENTIONS}, jobs="read", limited=True),
    comment="Reviews of a decision that customers asked for, with their point of view in their own words",
)

review_conclusion = Table(
    "review_conclusion",
    metadata,
    Column("review_id", Integer, ForeignKey(review.c.review_id, **_LATER), primary_key=True, autoincrement=False),
    Column("customer_id", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("concluded_by", Text, nullable=False),
    _timestamp("concluded_at", nullable=False, server_default=func.clock_timestamp()),
    Column("decision_id", Integer, ForeignKey(decision.c.decision_id, **_LATER), unique=True),
    _one_of("outcome", ("upheld", "changed")),
    CheckConstraint("(outcome = 'changed') = (decision_id IS NOT NULL)", name="changed_by_a_decision"),
    CheckConstraint("length(note) BETWEEN 1 AND 4000", name="note_length"),
    Index(None, "customer_id"),
    info=info(people={"customer_id": Holds.NUMBER, "note": Holds.MENTIONS}, jobs="read", limited=True),
    comment="How reviews ended, and the decision that superseded the one that was looked at again",
)

PARTITIONED = partitioned(metadata.tables.values())
RUN_PARTITIONED = partitioned(PARTITIONED, "run_id")


def partition_name(table: Table, key: int) -> str:
    """The name of a table's partition for one run (or model, for former customers), without schema."""
    by = about(table).partitioned_by
    assert by is not None
    return f"{table.name}_{by[0]}{key:08d}"
