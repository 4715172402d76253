"""Explanations at full size: `TreeShap` beside LightGBM's predict and pred_contrib, and woodelf.

The data are made here and unkind to the engine: 230 columns with the shapes of an application's (half of them
continuous with many missing values, one-hot columns, small counts), but nearly independent, so that the trees
use many different columns and rows share few outcomes. All contenders get the same rows and the same number
of threads (woodelf has only one, and is held against one thread of ours), take turns, and the medians are
compared. LightGBM's contributions are linear in rows and are measured on a stated sample and scaled.

What depends on the model alone is done once a process by the engine and in every call by woodelf, so the two are
compared with the preparation on both sides (from the booster to the contributions), which the goal is about, and
with it on neither (of woodelf, the time for all rows less that for ten). Against LightGBM, which prepares nothing,
the engine's preparation is not counted and stands in a row of its own.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import woodelf
from numpy.typing import NDArray

from scoring.explanation.lightgbm_text import parse_model
from scoring.explanation.treeshap import TreeShap
from tests.benchmarks.measure import NEW_CUSTOMERS, Result, at_least, at_most, machine, table

TRAINING_ROWS = 20_000
CONTRIB_SAMPLE = 1_000
THREADS = 2
ROUNDS = 7
SLOW_ROUNDS = 2
FEW_ROWS = 10
N_CONTINUOUS, N_ONE_HOT, N_COLUMNS = 150, 10, 230
COMMON = {"objective": "binary", "learning_rate": 0.02, "min_data_in_leaf": 30, "lambda_l2": 10.0, "seed": 1}
COMMON |= {"bagging_fraction": 0.8, "bagging_freq": 1, "verbose": -1, "num_threads": THREADS}
MODELS = {
    "800 trees, 24 leaves, depth 6": (800, {"num_leaves": 24, "max_depth": 6, "feature_fraction": 0.3}),
    "1000 trees, 31 leaves, any depth": (1000, {"num_leaves": 31, "max_depth": -1, "feature_fraction": 0.6}),
}

Rows = NDArray[np.float32]


def applications(n: int, seed: int) -> tuple[Rows, NDArray[np.int8]]:
    """Rows (n, 230) and outcomes (n,), about 8 % of them 1."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(3)  # what the columns are like must not depend on the seed
    traits = rng.normal(size=(n, 12))

    def mix(share: float) -> NDArray[np.float64]:
        weights = shape.normal(size=12) * (shape.random(12) < share)
        return np.asarray(traits @ weights / max(1e-9, float(np.linalg.norm(weights))))

    columns: list[NDArray[Any]] = []
    for _ in range(N_CONTINUOUS):
        values = mix(0.25) + rng.normal(size=n) * shape.uniform(0.3, 1.5)
        values = np.exp(0.6 * values) if shape.random() < 0.4 else values
        values = np.round(values, int(shape.integers(1, 6)))
        values[rng.random(n) < shape.choice([0.0, 0.0, 0.1, 0.2, 0.5, 0.65])] = np.nan
        columns.append(values)
    for _ in range(N_ONE_HOT):
        levels = int(shape.integers(3, 8))
        score = 0.8 * mix(1.0) + 0.8 * rng.normal(size=n)
        level = np.clip((score + 2) * levels / 4, 0, levels - 1).astype(int)
        columns += [level == i for i in range(levels)]
    while len(columns) < N_COLUMNS:
        columns.append(rng.poisson(np.exp(np.clip(mix(0.3), -3, 2))))
    x = np.stack(columns, axis=1).astype(np.float32)

    known = np.nan_to_num(x[:, :N_CONTINUOUS])
    known = (known - known.mean(axis=0)) / (known.std(axis=0) + 1e-9)
    weights = shape.normal(size=N_CONTINUOUS) * (shape.random(N_CONTINUOUS) < 0.4)
    risk = 0.15 * known @ weights + 0.5 * np.sin(2 * known[:, 3]) * known[:, 5]
    risk += 0.4 * (known[:, 10] > 0) * (known[:, 20] < 0.3)
    return x, (rng.random(n) < 1 / (1 + np.exp(2.6 - risk))).astype(np.int8)


def _seconds(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def _woodelf(booster: lightgbm.Booster, frame: pd.DataFrame) -> object:
    explainer = woodelf.WoodelfExplainer(booster, feature_perturbation="tree_path_dependent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explainer.shap_values(frame, verbose=False)


def compare(name: str, booster: lightgbm.Booster, x: Rows) -> list[Result]:
    """Measures all contenders on one model."""
    text = booster.model_to_string()
    preparation = statistics.median(_seconds(lambda: TreeShap(parse_model(text))) for _ in range(3))
    shap = TreeShap(parse_model(text))
    sample = x[:CONTRIB_SAMPLE]
    frame = pd.DataFrame(x, columns=booster.feature_name())
    theirs = booster.predict(sample, pred_contrib=True, num_threads=THREADS)
    difference = float(np.abs(shap.explain(sample, threads=THREADS)[1] - theirs[:, :-1]).max())

    contenders = ("engine", "engine, one thread", "engine, prepared anew", "predict", "one row", "contrib")
    contenders += ("woodelf", "woodelf, few rows")
    seconds: dict[str, list[float]] = {contender: [] for contender in contenders}
    for i in range(ROUNDS):
        seconds["engine"].append(_seconds(lambda: shap.explain(x, threads=THREADS)))
        seconds["predict"].append(_seconds(lambda: booster.predict(x, raw_score=True, num_threads=THREADS)))
        seconds["one row"].append(_seconds(lambda: shap.explain(x[:1])))
        if i < SLOW_ROUNDS:
            contrib = _seconds(lambda: booster.predict(sample, pred_contrib=True, num_threads=THREADS))
            seconds["contrib"].append(contrib * len(x) / len(sample))
            seconds["woodelf"].append(_seconds(lambda: _woodelf(booster, frame)))
            seconds["woodelf, few rows"].append(_seconds(lambda: _woodelf(booster, frame[:FEW_ROWS])))
            seconds["engine, one thread"].append(_seconds(lambda: shap.explain(x, threads=1)))
            seconds["engine, prepared anew"].append(
                _seconds(lambda: TreeShap(parse_model(booster.model_to_string())).explain(x, threads=1))
            )
        print(f"  round {i + 1} of {ROUNDS}", flush=True)
    median = {contender: statistics.median(values) for contender, values in seconds.items()}
    engine = median["engine"]
    return [
        Result(f"{name}: explaining {len(x):,} rows", engine, "s"),
        Result(f"{name}: LightGBM predict, scores only", median["predict"], "s"),
        Result(f"{name}: LightGBM pred_contrib, {len(sample):,} rows, scaled", median["contrib"], "s"),
        Result(f"{name}: woodelf, one thread, preparing the model", median["woodelf"], "s"),
        at_least(f"{name}: pred_contrib / explaining", median["contrib"] / engine, "x", 30),
        at_most(f"{name}: explaining / predict", engine / median["predict"], "x", 3),
        at_least(
            f"{name}: woodelf / engine, one thread each, both preparing the model",
            median["woodelf"] / median["engine, prepared anew"],
            "x",
            4,
        ),
        Result(
            f"{name}: the same, neither preparing the model",
            (median["woodelf"] - median["woodelf, few rows"]) / median["engine, one thread"],
            "x",
        ),
        at_most(f"{name}: largest difference to pred_contrib, {len(sample):,} rows", difference, "log-odds", 1e-5),
        Result(f"{name}: preparing the model, once", preparation, "s"),
        Result(f"{name}: explaining a single row", 1000 * median["one row"], "ms"),
    ]


def run() -> Iterator[Result]:
    """Trains the models and measures the contenders."""
    train, outcome = applications(TRAINING_ROWS, seed=1)
    x, _ = applications(NEW_CUSTOMERS, seed=2)
    for name, (n_trees, params) in MODELS.items():
        print(f"Training {name} ...", flush=True)
        booster = lightgbm.train({**COMMON, **params}, lightgbm.Dataset(train, outcome), n_trees)
        yield from compare(name, booster, x)


def main() -> list[dict[str, Any]]:
    """Prints the table; returns the figures as dicts of name, value, unit, goal, met."""
    results = list(run())
    print(table(results))
    print("\nMeasured on", ", ".join(f"{key} {value}" for key, value in machine().items()))
    return [asdict(result) for result in results]


if __name__ == "__main__":
    main()
