"""The model report: what a validator or a supervisor asks for first, from recorded figures only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from db import registry
from db.decisions import reasons as former_customers
from db.decisions.model_report import Row, model_report, outcomes
from db.errors import RefusedError
from flows.letters.lender import Lender
from flows.letters.typesetting import pdf
from flows.letters.words import Language, day, number, percent, words
from scoring.bundle import ModelBundle
from scoring.intervals import Z, auc_interval
from scoring.preprocess import explained_features, feature_values

# Former customers in the drawings: enough to see the shape, few enough to draw.
SAMPLE = 2_000
_SWARM = 12
_DEPENDENCE = 4


@dataclass(frozen=True, slots=True)
class Report:
    """A report as PDF, and of what it is."""

    run_id: int
    model_id: int
    as_of: date
    content: bytes


def report(engine: Engine, language: Language, lender: Lender, *, threads: int) -> Report:
    """The report on the model of the published run; RefusedError before there is one."""
    found = model_report(engine)
    if not found["run"]:
        raise RefusedError("No run is published yet; `creditlens nightly` publishes one.")
    run, card = found["run"][0], found["card"][0]
    say = words("report", language)
    numbers, log_odds, target = outcomes(engine, int(run["model_id"]))
    data = _texts(found, language, say) | {
        "language": language,
        "say": say,
        "lender": {"name": lender.name},
        "notice": None,
        "performance": _performance(card, log_odds, target, language, say),
        **_tables(found, language),
        **_drawings(engine, found, numbers, language, say, threads),
    }
    return Report(run["run_id"], run["model_id"], run["as_of"], pdf("report.typ", data, run["as_of"]))


def _texts(found: Mapping[str, list[Row]], language: Language, say: Mapping[str, str]) -> dict[str, Any]:
    run, card, policy = found["run"][0], found["card"][0], found["policy"][0]
    names = {
        "version": version("creditlens"), "run": run["run_id"], "model": run["model_id"],
        "policy": run["policy_id"], "day": day(run["as_of"], language),
    }  # fmt: skip
    failed = ", ".join(row[f"check_{language}"] for row in found["warnings"])
    return {
        "title": say["title"],
        "subtitle": say["subtitle"].format(**names),
        "small_print": say["small_print"].format(**names),
        "data": say["data"].format(
            day=day(card["trained_at"].date(), language), rows=number(card["training_rows"], 0, language),
            rate=percent(card["former_default_rate"], 2, language),
        ),
        "shas": [card["training_sha256"], card["artefact_sha256"]],
        "parameters": ", ".join(f"{key} {value}" for key, value in sorted(card["parameters"].items())),
        "policy": say["policy"].format(
            policy=policy["policy_id"], name=policy[f"name_{language}"], by=policy["set_by"],
            day=day(policy["set_at"].date(), language), decides=policy[f"decides_by_{language}"],
        ),
        "exclusions_together": say["exclusions_together"].format(
            cost=card[f"exclusions_cost_{language}"], directions=card[f"directions_cost_{language}"]
        ),
        "folds": say["folds"].format(
            folds=" · ".join(number(auc, 4, language) for auc in card["metrics"].get("fold_auc", []))
        ),
        "calibration_text": say["calibration"].format(
            slope=card[f"slope_{language}"], intercept=card[f"intercept_{language}"],
            ece=number(card["calibration_difference"], 2, language), recalibrated=card[f"recalibrated_{language}"],
        ),
        "checks": say["checks"].format(checks=failed) if failed else say["checks_none"],
    }  # fmt: skip


def _performance(
    card: Row,
    log_odds: NDArray[np.float64],
    target: NDArray[np.float64],
    language: Language,
    say: Mapping[str, str],
) -> list[list[str]]:
    def ends(low: float, high: float) -> str:
        return f"{number(low, 4, language)} – {number(high, 4, language)}"

    auc = gini = brier = "–"
    # People who were erased since are missing, and so may be all who had one of the outcomes.
    if min(np.sum(target == 1), np.sum(target != 1)) >= 2:
        _, low, high = auc_interval(log_odds, target)
        auc, gini = ends(low, high), ends(2 * low - 1, 2 * high - 1)
        squares = (1 / (1 + np.exp(-log_odds)) - target) ** 2
        half = Z * float(squares.std(ddof=1)) / len(squares) ** 0.5
        brier = ends(card["brier"] - half, card["brier"] + half)
    rows = [("auc", auc), ("gini", gini), ("ks", "–"), ("brier", brier)]
    return [[say[name], number(card[name], 4, language), interval] for name, interval in rows]


def _tables(found: Mapping[str, list[Row]], language: Language) -> dict[str, Any]:
    def of(value: Any, decimals: int) -> str:
        return number(value, decimals, language)

    return {
        "bands": [
            [f"{row['band']} – {row[f'label_{language}']}", f"{row['minimum_score']}–{row['maximum_score']}",
             row[f"decision_{language}"] or "–"]
            for row in found["bands"]
        ],
        "lines": [
            [row[f"contract_type_{language}"], of(row["gain"], 2), of(row["loss"], 2),
             percent(row["accept_below_percent"], 2, language)]
            for row in found["lines"]
        ],
        "rules": [
            [row[f"feature_label_{language}"], row[f"may_score_{language}"], row[f"may_be_told_{language}"],
             row[f"risk_direction_{language}"], row[f"auc_cost_{language}"] or "–" if not row["may_score"] else "",
             of(row["guessed_auc"], 3) if not row["may_score"] else ""]
            for row in found["rules"]
        ],
        "calibration": [
            [float(row["mean_default_percent"]), float(row["default_rate"]), row["customers"]]
            for row in found["calibration"]
        ],
        "calibration_rows": [
            [str(row["bin"]), of(row["customers"], 0), of(row["mean_default_percent"], 2),
             of(row["default_rate"], 2)]
            for row in found["calibration"]
        ],
        "gains": [
            [float(row["customers_share"]), float(row["cumulative_defaults_share"])] for row in found["gains"]
        ],
        "gains_rows": [
            [str(row["decile"]), of(row["customers"], 0), of(row["default_rate"], 1), of(row["lift"], 2),
             of(row["cumulative_defaults_share"], 1)]
            for row in found["gains"]
        ],
        "groups": [
            [row[f"group_{language}"], of(row["customers"], 0), row[f"approval_{language}"],
             row[f"default_{language}"], row[f"repaid_declined_{language}"],
             row[f"difference_{language}"] if row["approval_difference"] is not None else "–"]
            for row in found["groups"]
        ],
        "importance": [
            {"label": row[f"label_{language}"], "points": float(row["mean_absolute_points"]),
             "text": f"{of(row['mean_absolute_points'], 2)} ({percent(row['share'], 1, language)})"}
            for row in found["importance"]
        ],
        "nights": [
            [row["as_of"].isoformat() if language == "en" else f"{row['as_of']:%d/%m/%Y}", of(row["customers"], 0),
             of(row["mean_score"], 1), of(row["approval_rate"], 1), of(row["rejected"], 0), of(row["psi"], 3),
             of(row["recent_psi"], 3), row[f"level_{language}"]]
            for row in found["nights"]
        ],
    }  # fmt: skip


def _drawings(
    engine: Engine,
    found: Mapping[str, list[Row]],
    numbers: NDArray[np.int64],
    language: Language,
    say: Mapping[str, str],
    threads: int,
) -> dict[str, Any]:
    """shap's plots of former customers, evenly spread over their numbers."""
    if not len(numbers):
        return {"beeswarm": None, "beeswarm_text": say["no_former"], "dependence": []}
    # Brings matplotlib's and shap's plotting, some seconds of import.
    from flows.letters import figures

    model_id = int(found["run"][0]["model_id"])
    chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(SAMPLE, len(numbers))).astype(np.intp))]
    bundle = ModelBundle.from_bytes(*registry.artefact(engine, model_id))
    raw = former_customers.former_values(engine, model_id, chosen)
    _, contributions = bundle.engine.explain(bundle.preprocessing.transform(raw), threads=threads)
    labels = {str(row["name"]): str(row[f"label_{language}"]) for row in found["features"]}
    names = [feature.name for feature in explained_features()]
    scales = {str(row["name"]): float(row["display_scale"] or 1) for row in found["features"]}
    values = feature_values(raw)[0] * np.array([scales[name] for name in names])
    counted = _strongest(contributions, names)
    drawn = [names.index(name) for name in counted]
    kinds = {str(row["name"]): row["kind"] for row in found["features"]}
    axes = {
        str(row["name"]): row[f"label_{language}"] + (f" ({unit})" if (unit := row[f"unit_{language}"]) else "")
        for row in found["features"]
    }
    dependence = []
    for position in [place for place in drawn if kinds[names[place]] not in ("category", "flag")][:_DEPENDENCE]:
        known = np.isfinite(values[:, position])
        label = axes[names[position]]
        drawing = figures.dependence(
            contributions[known, position], values[known, position], label, say["axis_short"]
        )
        dependence.append({"label": label, "svg": drawing})
    return {
        "beeswarm": figures.beeswarm(
            contributions[:, drawn], values[:, drawn], [labels[names[place]] for place in drawn], say["axis"],
            shown=len(drawn),
        ),
        "beeswarm_text": say["beeswarm"].format(sample=number(len(chosen), 0, language)),
        "dependence": dependence,
    }  # fmt: skip


def _strongest(contributions: NDArray[np.float64], names: Sequence[str]) -> list[str]:
    order = np.argsort(-np.abs(contributions).mean(axis=0), kind="stable")
    return [names[place] for place in order[:_SWARM]]
