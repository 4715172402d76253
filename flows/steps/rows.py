"""How scored applications become rows: the one place that knows both scoring's arrays and the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from db.application import APPLICATION_COLUMNS
from db.cohort import Bits, CohortRows, PlaceRows
from db.decisions.policies import PolicyRows
from db.lists import integer_lists
from db.models import (
    former_code,
    former_customer,
    new_customer,
    reason,
    score,
    shap_value,
    similar_customer,
    similar_member,
)
from db.runs.copy import Encoded, Masked, Values, encode, text_bytes
from db.runs.partitions import Staging
from db.runs.statistics import RunStatistics
from scoring import scorecard
from scoring.cohort import Cohorts, SlicedFeature, SortedPlaces
from scoring.contract import Applications, Violation
from scoring.feature_groups import computed_from, facts, feature_groups
from scoring.features import dictionary
from scoring.policy import DECISIONS, Policy, suggested_decisions
from scoring.preprocess import explained_features, feature_ids, feature_values
from scoring.reasons import reasons
from scoring.similar.codes import to_log_odds

if TYPE_CHECKING:
    # At run time it would bring LightGBM and scikit-learn into every command.
    from flows.steps.run_reasons import RunReasons
    from flows.steps.run_similar import Neighbourhoods
    from scoring.baseline import Baseline
    from scoring.batch import Scored
    from scoring.monitoring import Summary
    from scoring.similar.folds import Folds
    from scoring.similar.outcomes import Outcomes


def encode_scored(
    scored: Scored, policy: Policy, run_reasons: RunReasons | None = None, similar: Neighbourhoods | None = None
) -> tuple[Encoded, ...]:
    """One batch as rows of the run's tables."""
    return (
        encode(new_customer, application_columns(scored.applications)),
        encode(score, score_columns(scored, policy)),
        encode(shap_value, shap_columns(scored)),
        *([encode(reason, reason_columns(scored, run_reasons))] if run_reasons else []),
        *(encode_similar(scored, similar) if similar else ()),
    )


def encode_similar(scored: Scored, similar: Neighbourhoods) -> tuple[Encoded, Encoded]:
    """What became of the former customers who are most like each customer, and who they are."""
    members = {"customer_id": scored.applications.customer_id, "members": integer_lists(similar.members)}
    return (
        encode(similar_customer, similar_columns(scored, similar.outcomes)),
        encode(similar_member, members),
    )


def application_columns(applications: Applications) -> dict[str, Values]:
    """Customer id and the 120 columns as received, codes for categories; NaN becomes NULL."""
    columns: dict[str, Values] = {"customer_id": applications.customer_id}
    for position, (name, _) in enumerate(APPLICATION_COLUMNS):
        columns[name] = applications.values[:, position]
    return columns


def score_columns(scored: Scored, policy: Policy) -> dict[str, Values]:
    """One row per customer."""
    return {
        "customer_id": scored.applications.customer_id,
        "log_odds": scored.log_odds,
        "default_probability": scored.default_probability,
        "score": scored.score,
        "band": text_bytes([band.band for band in policy.bands])[scored.band_index],
        "decision": text_bytes(list(DECISIONS))[scored.decision_index],
        "percentile": scored.percentile,
    }


def shap_columns(scored: Scored) -> dict[str, Values]:
    """One row per customer and feature: customers in order, features in the dictionary's order."""
    customers, features = scored.contributions.shape
    values = scored.values
    codes = np.broadcast_to(scored.coded, values.shape)
    missing = np.isnan(values)
    return {
        "customer_id": np.repeat(scored.applications.customer_id, features),
        "feature_id": np.tile(feature_ids(), customers),
        "numeric_value": np.where(codes, np.nan, values).ravel(),
        "category_code": Masked(
            np.where(missing | ~codes, 0, values).astype(np.int16).ravel(), (missing | ~codes).ravel()
        ),
        "contribution": scored.contributions.astype(np.float32).ravel(),
        "rank": scored.rank.ravel(),
    }


def reason_columns(scored: Scored, run_reasons: RunReasons) -> dict[str, Values]:
    """The reasons of those who are not accepted, the strongest first."""
    found = reasons(
        run_reasons.rules, scored.contributions, scored.log_odds, run_reasons.base_value, scored.decision_index
    )
    codes = [each.code for each in run_reasons.rules.catalogue.reasons]
    return {
        "customer_id": scored.applications.customer_id[found.row],
        "place": found.place,
        "code": text_bytes(codes)[found.reason],
        "catalogue_id": run_reasons.catalogue_id,
        "feature_id": Masked(feature_ids()[found.feature], found.feature < 0),
        "log_odds": found.log_odds,
        "points": found.points,
    }


def similar_columns(scored: Scored, similar: Outcomes) -> dict[str, Values]:
    """What became of the former customers who are most like each customer."""
    quartiles = zip(
        ("age", "income", "amount", "annuity_income"), similar.quarter.T, similar.three_quarters.T, strict=True
    )
    return {
        "customer_id": scored.applications.customer_id,
        "neighbours": similar.neighbours,
        "defaulted": similar.defaulted,
        "default_rate": similar.default_rate,
        "low": similar.lowest,
        "high": similar.highest,
        "model_probability": similar.default_probability,
        "distance": to_log_odds(similar.distance),
        **{
            f"{name}_{end}": each
            for name, *ends in quartiles
            for end, each in zip(("low", "high"), ends, strict=True)
        },
    }


def former_columns(former: Applications, log_odds: NDArray[np.float64]) -> dict[str, Values]:
    """Former customers with their outcome and out-of-fold score, shape (n,) each."""
    assert former.target is not None
    return {
        **application_columns(former),
        "target": former.target,
        "log_odds": log_odds,
        "default_probability": scorecard.default_probability(log_odds),
        "score": scorecard.score(log_odds),
    }


def code_columns(former: Applications, folds: Folds, rows: NDArray[np.intp]) -> dict[str, Values]:
    """What some former customers are compared by: the fold that each was held out of, and the codes, 16-bit."""
    codes = np.ascontiguousarray(folds.codes[rows].astype("<i2"))
    return {
        "customer_id": former.customer_id[rows],
        "fold": folds.fold[rows],
        "codes": codes.view(f"V{codes.shape[1] * codes.itemsize}")[:, 0],
    }


def load_former(
    staging: Staging,
    former: Applications,
    log_odds: NDArray[np.float64],
    folds: Folds | None = None,
    rows: int = 20_000,
) -> None:
    """COPY the former customers of one model, `rows` at a time; with `folds`, what finds similar ones too."""
    for start in range(0, len(former), rows):
        part = np.arange(start, min(start + rows, len(former)))
        staging.write(encode(former_customer, former_columns(former.take(part), log_odds[part])))
        if folds is not None:
            staging.write(encode(former_code, code_columns(former, folds, part)))


def former_distributions(former: Applications) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the features of former customers look like, for comparison with a new one.

    Returns per numeric feature and outcome the mean and 1,001 quantiles (raw units, in the
    direction that people are shown), and per category or flag
    code (-1 = missing) how many there are and how many of them defaulted.
    """
    assert former.target is not None
    values, coded = feature_values(former.values)
    defaulted = former.target == 1
    outcomes = {"all": np.ones_like(defaulted), "repaid": ~defaulted, "defaulted": defaulted}
    distributions: list[dict[str, Any]] = []
    categories: list[dict[str, Any]] = []
    for position, feature in enumerate(explained_features()):
        column = values[:, position]
        if coded[position]:
            codes = np.where(np.isnan(column), -1, column).astype(int)
            for code in np.unique(codes):
                members = codes == code
                categories.append(
                    {
                        "feature_id": feature.feature_id,
                        "category_code": int(code),
                        "customers": int(members.sum()),
                        "defaulted": int((members & defaulted).sum()),
                    }
                )
            continue
        for outcome, rows in outcomes.items():
            group = column[rows]
            present = group[np.isfinite(group)]
            distributions.append(
                {
                    "feature_id": feature.feature_id,
                    "outcome": outcome,
                    "customers": len(group),
                    "missing": len(group) - len(present),
                    "mean": float(present.mean()) if len(present) else None,
                    "quantiles": list(scorecard.quantiles(group, mirrored=feature.display_scale < 0)) or None,
                }
            )
    return distributions, categories


def cohort_rows(cohorts: Cohorts) -> CohortRows:
    """Former customers as bitmaps, as rows of the tables of cohorts; the bitmaps are made as they are read."""
    return CohortRows(
        customer_id=cohorts.customer_id,
        target=cohorts.target,
        options=[asdict(option) for option in cohorts.options],
        features=[
            {"feature_id": feature.feature_id, "ord": feature.ord, **asdict(feature.grid)}
            for feature in cohorts.features
        ],
        places=(_place_rows(feature, *places, len(cohorts.target)) for feature, places in cohorts.places()),
    )


def _place_rows(feature: SlicedFeature, repaid: SortedPlaces, defaulted: SortedPlaces, people: int) -> PlaceRows:
    key = feature.feature_id
    standing = np.zeros(people, np.int32)
    for places in (repaid, defaulted):
        standing[places.rows] = np.arange(1, len(places.rows) + 1)
    return PlaceRows(
        bins=[
            {
                "feature_id": key,
                **asdict(bar),
                "repaid_before": of_repaid[0],
                "repaid": of_repaid[1],
                "defaulted_before": of_defaulted[0],
                "defaulted": of_defaulted[1],
            }
            for bar, of_repaid, of_defaulted in zip(feature.bins, repaid.bins, defaulted.bins, strict=True)
        ],
        members=[
            (key, places.outcome, attribute, code, Bits(bitmap.data, bitmap.length))
            for places in (repaid, defaulted)
            for (attribute, code), bitmap in places.members.items()
        ],
        slices=[
            (key, places.outcome, number, Bits(bitmap.data, bitmap.length))
            for places in (repaid, defaulted)
            for number, bitmap in enumerate(places.slices)
        ],
        standing=standing,
    )


def bin_rows(baseline: Baseline) -> list[dict[str, Any]]:
    """The bins of a model and how its former customers spread over them, as rows of `feature_bin`."""
    return [asdict(line) for line in baseline.lines()]


def run_statistics(summary: Summary, previous_policy: int | None = None) -> RunStatistics:
    """A night as a whole as rows of its tables; a number that there is none of becomes NULL.

    `previous_policy` is the number of the policy that the run before was decided by, where it was another one.
    """
    whole = {each.name: getattr(summary, each.name) for each in fields(summary)}
    lists = {name: [_known(asdict(line)) for line in whole.pop(name)] for name in ("scores", "features", "bins")}
    whole["groups"] = [asdict(group) for group in summary.groups]
    moved = [asdict(line) for line in whole.pop("moved")]
    whole["decisions_moved"] = (
        None if previous_policy is None else {"previous_policy_id": previous_policy, "moved": moved}
    )
    return RunStatistics(summary=_known(whole), **lists)


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def dictionary_rows() -> tuple[list[dict[str, Any]], ...]:
    """The dictionary as rows of `feature`, `feature_category`, `suggested_decision` and `feature_group`."""
    ids = {feature.name: feature.feature_id for feature in dictionary()}
    group_of = {name: group.group_id for group in feature_groups() for name in group.members}
    features, categories = [], []
    for feature in dictionary():
        row = asdict(feature)
        for name in ("categories", "nullable", "minimum", "maximum", "missing_code"):
            del row[name]
        row["group_id"] = group_of[feature.name]
        row["fact_id"] = ids[facts()[feature.name]]
        row["computed_from"] = [ids[name] for name in computed_from().get(feature.name, ())]
        features.append(row)
        categories += [{"feature_id": feature.feature_id, **asdict(category)} for category in feature.categories]
    groups = [asdict(group) for group in feature_groups()]
    for group in groups:
        del group["members"]
    return features, categories, suggested_decisions(), groups


def policy_rows(policy: Policy) -> PolicyRows:
    """A policy as rows of its tables."""
    ids = {feature.name: feature.feature_id for feature in explained_features()}
    features = []
    for position, (name, feature_id) in enumerate(ids.items()):
        rule = policy.features.get(name)
        features.append(
            {
                "feature_id": feature_id,
                "may_score": name not in policy.barred,
                "may_be_told": bool(policy.tellable[position]),
                "direction": policy.directions.get(name),
                "because_en": rule.because_en if rule else None,
                "because_fr": rule.because_fr if rule else None,
            }
        )
    lines = []
    if policy.line:
        for code in (0, *policy.line.by_contract_type):
            limits = dict(zip(("accept_below", "decline_from"), policy.line.limits(code), strict=True))
            lines.append({"contract_type": code, **asdict(policy.line.figures_of(code)), **limits})
    return PolicyRows(
        sha256=policy.sha256,
        text=policy.text,
        name_en=policy.name_en,
        name_fr=policy.name_fr,
        features=features,
        bands=[asdict(band) for band in policy.bands],
        lines=lines,
        review_four_eyes=policy.review.four_eyes,
        review_days=policy.review.days,
    )


def rejection_rows(violations: Sequence[Violation]) -> list[Mapping[str, Any]]:
    """Violations as rows of `rejected_application`."""
    return [asdict(violation) for violation in violations]
