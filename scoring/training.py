"""Training: parameters searched and validated by cross-validation, the model refitted on all former customers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from scoring.baseline import Baseline
from scoring.bundle import ModelBundle
from scoring.calibration import calibration, recalibrated
from scoring.contract import Applications
from scoring.costs import FOLDS, PolicyCosts
from scoring.errors import TrainingError
from scoring.explanation.engine import engine
from scoring.explanation.lightgbm_text import parse_model
from scoring.explanation.treeshap import TreeShap
from scoring.fairness import groups
from scoring.fitting import Fitter, Limits, dataset, folds, subsample
from scoring.missing import with_missing_ways
from scoring.policy import Policy, default_policy
from scoring.preprocess import Preprocessing, explained_features
from scoring.scorecard import default_probability, exact_score, quantiles, score
from scoring.similar.folds import Folds, HeldOut

SEARCH_FOLDS = 3
SEARCH_ROWS = 40_000
COST_ROWS = 40_000
MINIMUM_ROWS = 200
MINIMUM_DEFAULTS = 20
MAXIMUM_TREES = 1500
PATIENCE = 60
INDIFFERENT_AUC = 0.001

# Found by random search on real applications. Beside other depths, on the same folds, depth 3 is the cheapest to
# explain of those that do not differ from the best; the README has the figures.
DEFAULT_PARAMETERS: Mapping[str, float | int] = {
    "learning_rate": 0.03,
    "max_depth": 3,
    "num_leaves": 8,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.7,
    "lambda_l2": 20.0,
}
# What every search tries first: the defaults, and what they would gain by trees as LightGBM grows them by itself.
_STATED = (DEFAULT_PARAMETERS, {**DEFAULT_PARAMETERS, "max_depth": -1, "num_leaves": 31})

Progress = Callable[[str, int, int], None]


def no_progress(_stage: str, _done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle and what the models of the folds say of the former customers, in the order they were given.

    Attributes
    ----------
    out_of_fold_log_odds: shape (n,).
    folds: the models and the contributions, to find the former customers who are like an applicant.
    """

    bundle: ModelBundle
    out_of_fold_log_odds: NDArray[np.float64]
    folds: Folds


def train(
    former: Applications,
    *,
    policy: Policy | None = None,
    trials: int = 8,
    threads: int = 1,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Trained:
    """Search, validate and fit a model on former customers.

    Parameters
    ----------
    former: labelled applications, shape (n,).
    policy: what the model is held to: it never asks for what may not score, and keeps the directions. The one that
        comes with the program by default.
    trials: trials beside the default parameters, the first without a limit of depth, the others at random; 0 uses
        the defaults as they are.
    progress: called with a stage's name, steps done and steps in all.

    Raises TrainingError if there are too few former customers, or too few of either outcome.
    """
    policy = policy or default_policy()
    target = _target(former)
    preprocessing = Preprocessing.fit(former.values)
    matrix = preprocessing.transform(former.values)
    limits = Limits.of(policy, preprocessing)
    limits.blank(matrix)
    fitter = Fitter(threads, seed, limits.directions)
    tried = search(
        matrix, target, trials=trials, threads=threads, seed=seed, directions=limits.directions, progress=progress
    )
    parameters = tried[0]["parameters"]
    together = preprocessing.missing_together
    held_out = HeldOut(matrix, preprocessing.groups, len(explained_features()), threads=threads)
    found, fold_aucs = _out_of_fold(fitter, held_out, matrix, target, together, parameters, progress)
    judged = calibration(found, target, [held for _, held in folds(target, FOLDS, seed + 1)])
    progress("refit", 0, 1)
    text = _fit(fitter, matrix, target, together, parameters)
    if judged.applied:
        text = recalibrated(text, judged.applied)
    progress("refit", 1, 1)
    rows = subsample(len(former), COST_ROWS, seed)
    costs = PolicyCosts(policy, preprocessing, former.values[rows], target[rows], parameters, threads, seed)
    log_odds = judged.log_odds
    kept = held_out.folds()
    bundle = ModelBundle(
        booster_text=text,
        preprocessing=preprocessing,
        base_value=engine(text, preprocessing.groups, len(explained_features())).base_value,
        parameters=parameters,
        metrics={
            **metrics(target, log_odds),
            "groups": groups(former, log_odds, policy),
            "fold_auc": fold_aucs,
            "search": tried,
            "recalibration": judged.to_json(target),
            "policy": {
                "sha256": policy.sha256,
                "barred": list(policy.barred),
                **costs.measured(progress),
            },
        },
        reference_log_odds=tuple(quantiles(log_odds)),
        baseline=Baseline.fit(former.values, log_odds),
        policy={
            "sha256": policy.sha256,
            "barred": list(policy.barred),
            "directions": dict(policy.directions),
        },
        training={"rows": len(former), "seed": seed, "lightgbm": lightgbm.__version__},
        fold_boosters=kept.boosters,
    )
    return Trained(bundle, log_odds, kept)


def search(
    matrix: NDArray[np.float32],
    target: NDArray[np.int8],
    *,
    trials: int,
    threads: int,
    seed: int,
    directions: tuple[int, ...] = (),
    progress: Progress = no_progress,
) -> list[dict[str, Any]]:
    """Random search by cross-validated AUC with early stopping; what was tried, the chosen trial first.

    At most 40,000 rows are used: enough to rank parameters, and the final validation uses them all. Beside the
    AUC of each trial stands what its explanations cost. Chosen is the cheapest of those that do not differ from
    the best, see `does_not_differ`; the others follow by AUC. `directions` are those of `scoring.fitting.Limits`.
    """
    rows = subsample(len(target), SEARCH_ROWS, seed)
    matrix, target = matrix[rows], target[rows]
    fitter = Fitter(threads, seed, directions)
    tried: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        progress("search", trial.number, trials + 1)
        parameters = dict(_STATED[trial.number] if trial.number < len(_STATED) else _draw(trial))
        tried.append(_search_trial(fitter, matrix, target, parameters))
        return float(tried[-1]["auc"])

    # It would print the traceback of whatever ends a trial, which our callers tell in a sentence.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed))
    study.optimize(objective, n_trials=trials + 1)
    progress("search", trials + 1, trials + 1)
    tried.sort(key=lambda trial: -trial["auc"])
    equals = [trial for trial in tried if does_not_differ(trial["auc"], tried[0]["auc"])]
    chosen = min(equals, key=lambda trial: trial["explanation_cost"])
    return [{**chosen, "chosen": True}, *({**trial, "chosen": False} for trial in tried if trial is not chosen)]


def does_not_differ(auc: float, best: float) -> bool:
    """Whether a model's cross-validated AUC is as good as the best one's, for all that matters.

    Trials are compared on the same folds, where the difference of two depths varies by 0.003 to 0.005 from fold
    to fold, and AUC itself by 0.017 (7,000 real applications). A thousandth is less than one search can tell: the
    rule bounds what is given away for cheaper explanations. The one-standard-error rule (Breiman et al. 1984,
    "Classification and Regression Trees", section 3.4.3) would allow ten times as much at 7,000 rows: tried on
    real applications, it gave away 0.005 of AUC out of fold.
    """
    return best - auc <= INDIFFERENT_AUC


def metrics(target: NDArray[np.int8], log_odds: NDArray[np.float64]) -> dict[str, Any]:
    """How well log-odds tell defaulters: AUC, Gini, KS, Brier score, calibration, gains by decile, scores.

    KS is the largest distance between the two outcomes' cumulative distributions; a gain is the share of all
    defaults found among the riskiest rows so far, and lift the default rate of a decile as a multiple of that of
    everybody. Scores are counted with the defaults among them.
    """
    probability, exact, scores = default_probability(log_odds), exact_score(log_odds), score(log_odds)
    auc = float(roc_auc_score(target, log_odds))
    false_positive, true_positive, _ = roc_curve(target, log_odds)
    riskiest_first = np.argsort(-log_odds, kind="stable")
    deciles = np.array_split(riskiest_first, 10)
    found = np.cumsum([int(target[rows].sum()) for rows in deciles])
    return {
        "auc": auc,
        "gini": 2 * auc - 1,
        "ks": float(np.max(true_positive - false_positive)),
        "brier": float(brier_score_loss(target, probability)),
        "default_rate": float(target.mean()),
        "mean_score": float(exact.mean()),
        "calibration": [
            {
                "bin": position + 1,
                "customers": len(rows),
                "mean_probability": float(probability[rows].mean()),
                "default_rate": float(target[rows].mean()),
            }
            for position, rows in enumerate(reversed(deciles))
        ],
        "gains": [
            {
                "decile": position + 1,
                "customers": len(rows),
                "defaulted": int(target[rows].sum()),
                "default_rate": float(target[rows].mean()),
                "lift": float(target[rows].mean() / max(target.mean(), 1e-9)),
                "share_of_customers": (position + 1) / 10,
                "share_of_defaults": float(found[position] / max(1, found[-1])),
                "minimum_score": float(exact[rows].min()),
                "maximum_score": float(exact[rows].max()),
            }
            for position, rows in enumerate(deciles)
        ],
        "scores": [
            {
                "score": int(value),
                "customers": int((scores == value).sum()),
                "defaulted": int(target[scores == value].sum()),
            }
            for value in np.unique(scores)
        ],
    }


def _target(former: Applications) -> NDArray[np.int8]:
    if former.target is None:
        raise TrainingError("Former customers need their outcome, the column TARGET.")
    defaults = int(former.target.sum())
    repaid = len(former) - defaults
    if len(former) < MINIMUM_ROWS or min(defaults, repaid) < MINIMUM_DEFAULTS:
        raise TrainingError(
            f"{len(former)} former customers with {defaults} defaults are too few to train on;"
            f" at least {MINIMUM_ROWS} with {MINIMUM_DEFAULTS} of either outcome are needed."
        )
    return former.target


def _draw(trial: optuna.Trial) -> dict[str, float | int]:
    depth = trial.suggest_int("max_depth", 2, 6)
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.1, log=True),
        "max_depth": depth,
        "num_leaves": trial.suggest_int("num_leaves", depth + 1, min(2**depth, 31)),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 300, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 0.8),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
    }


def _search_trial(
    fitter: Fitter, matrix: NDArray[np.float32], target: NDArray[np.int8], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """AUC of each fold, the mean number of trees at which early stopping left off, and what explaining costs."""
    aucs, trees, costs = [], [], []
    for fit, held in folds(target, SEARCH_FOLDS, fitter.seed):
        booster = lightgbm.train(
            fitter.parameters(parameters),
            dataset(matrix[fit], target[fit]),
            num_boost_round=MAXIMUM_TREES,
            valid_sets=[dataset(matrix[held], target[held])],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        aucs.append(float(roc_auc_score(target[held], fitter.log_odds(booster, matrix[held]))))
        trees.append(booster.best_iteration)
        costs.append(explanation_cost(booster.model_to_string(num_iteration=booster.best_iteration)))
    return {
        "auc": float(np.mean(aucs)),
        "fold_auc": aucs,
        "explanation_cost": round(float(np.mean(costs))),
        "parameters": {**parameters, "trees": max(1, round(float(np.mean(trees))))},
    }


def explanation_cost(booster_text: str) -> int:
    """How many numbers the engine adds up to explain one row, the same on every machine.

    For large batches its running time is proportional to this: 0.51 to 0.65 ns for each and row were measured on
    models of depth 2 to unlimited and 4 to 127 leaves.
    """
    return TreeShap(parse_model(booster_text)).additions


def _out_of_fold(
    fitter: Fitter,
    held_out: HeldOut,
    matrix: NDArray[np.float32],
    target: NDArray[np.int8],
    together: Sequence[NDArray[np.intp]],
    parameters: Mapping[str, Any],
    progress: Progress,
) -> tuple[NDArray[np.float64], list[float]]:
    log_odds = np.empty(len(target))
    aucs = []
    for number, (fit, held) in enumerate(folds(target, FOLDS, fitter.seed + 1)):
        progress("validate", number, FOLDS)
        text = _fit(fitter, matrix[fit], target[fit], together, parameters)
        log_odds[held] = held_out.explain(text, held)
        aucs.append(float(roc_auc_score(target[held], log_odds[held])))
    progress("validate", FOLDS, FOLDS)
    return log_odds, aucs


def _fit(
    fitter: Fitter,
    matrix: NDArray[np.float32],
    target: NDArray[np.int8],
    together: Sequence[NDArray[np.intp]],
    parameters: Mapping[str, Any],
) -> str:
    """LightGBM's text of a model that knows a way for every value that may be missing."""
    booster = fitter.fit(matrix, target, parameters)
    return with_missing_ways(booster.model_to_string(num_iteration=-1), matrix, together, seed=fitter.seed)
