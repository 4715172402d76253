"""Training, metrics, and bundles that are read only if they are what was registered."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from scoring.bundle import ModelBundle, digest
from scoring.contract import Applications, check_rows
from scoring.errors import ArtefactError, OutdatedArtefactError, TrainingError
from scoring.explanation.engine import engine
from scoring.preprocess import Preprocessing
from scoring.similar.codes import UNITS
from scoring.training import Trained, does_not_differ, explanation_cost, metrics, search, train


def test_the_model_tells_defaulters_from_others_out_of_fold(trained: Trained) -> None:
    quality = trained.bundle.metrics
    assert quality["auc"] > 0.65
    assert quality["gini"] == pytest.approx(2 * quality["auc"] - 1)
    assert 0 < quality["ks"] < 1
    assert 0 < quality["brier"] < quality["default_rate"] * (1 - quality["default_rate"])


def test_probabilities_are_calibrated_in_the_large(trained: Trained) -> None:
    calibration = trained.bundle.metrics["calibration"]
    assert sum(line["customers"] for line in calibration) == 2_000
    mean = np.average(
        [line["mean_probability"] for line in calibration], weights=[line["customers"] for line in calibration]
    )
    assert mean == pytest.approx(trained.bundle.metrics["default_rate"], abs=0.01)


def test_former_customers_are_explained_by_the_models_whose_log_odds_they_carry(
    trained: Trained, former: Applications
) -> None:
    folds, preprocessing = trained.folds, trained.bundle.preprocessing
    assert len(folds.boosters) == 5
    matrix = preprocessing.transform(former.values)
    for number, text in enumerate(folds.boosters):
        held = np.flatnonzero(folds.fold == number)
        model = engine(text, preprocessing.groups, folds.codes.shape[1])
        found = model.explain(matrix[held], threads=1)[0]
        # A recalibration, if there is one, is a line.
        line = np.polyfit(found, trained.out_of_fold_log_odds[held], 1)
        assert np.allclose(np.polyval(line, found), trained.out_of_fold_log_odds[held], atol=1e-9)
        assert trained.bundle.metrics["recalibration"]["recalibrated"] or np.allclose(line, [1, 0])
        added = model.base_value + folds.codes[held].sum(axis=1) / UNITS
        assert added == pytest.approx(found, abs=folds.codes.shape[1] / UNITS / 2)


def test_on_real_applications_the_auc_is_as_promised(real_data: Path | None, trained: Trained) -> None:
    if real_data is None:
        # Without them, the synthetic ones must at least be learned.
        assert trained.bundle.metrics["auc"] > 0.65
        return
    parts = [
        check_rows(pl.read_csv(real_data / name, infer_schema=False), first_row=1, labelled=True).accepted
        for name in ("application_train.csv", "application_train_more.csv")
    ]
    former = Applications.concatenate(parts)
    assert len(former) == 6_999
    quality = train(former, trials=0, threads=2).bundle.metrics
    assert quality["auc"] >= 0.755
    calibration = quality["recalibration"]
    assert calibration["slope_low"] < 1 < calibration["slope_high"]
    assert not calibration["recalibrated"]
    assert calibration["ece"] < 0.01


def test_perfect_and_useless_scores_have_the_metrics_they_should() -> None:
    target = np.tile(np.array([0, 1], dtype=np.int8), 500)
    perfect = metrics(target, np.where(target == 1, 5.0, -5.0))
    assert perfect["auc"] == perfect["gini"] == perfect["ks"] == 1
    assert perfect["gains"][4]["share_of_defaults"] == 1
    useless = metrics(target, np.zeros(1000))
    assert useless["auc"] == 0.5
    assert useless["ks"] == 0
    assert useless["brier"] == pytest.approx(0.25)


def test_search_tries_the_defaults_and_as_many_others_as_asked(former: Applications) -> None:
    matrix = Preprocessing.fit(former.values).transform(former.values[:800])
    assert former.target is not None
    tried = search(matrix, former.target[:800], trials=2, threads=2, seed=0)
    assert len(tried) == 3
    assert [trial["chosen"] for trial in tried] == [True, False, False]
    best = max(tried, key=lambda trial: trial["auc"])
    assert does_not_differ(tried[0]["auc"], best["auc"])
    for other in tried[1:]:
        equal = does_not_differ(other["auc"], best["auc"])
        assert not equal or other["explanation_cost"] >= tried[0]["explanation_cost"]


def test_a_search_that_is_interrupted_says_nothing_of_its_own(
    former: Applications, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(stage: str, done: int, total: int) -> None:
        if stage == "search":
            raise KeyboardInterrupt

    optuna = logging.getLogger("optuna")
    optuna.addHandler(caplog.handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(former, trials=0, threads=1, progress=interrupted)
    finally:
        optuna.removeHandler(caplog.handler)
    assert caplog.messages == []


def test_search_shows_what_depth_without_a_limit_would_give(former: Applications) -> None:
    matrix = Preprocessing.fit(former.values).transform(former.values[:800])
    assert former.target is not None
    tried = search(matrix, former.target[:800], trials=1, threads=2, seed=0)
    shapes = {(trial["parameters"]["max_depth"], trial["parameters"]["num_leaves"]) for trial in tried}
    assert shapes == {(3, 8), (-1, 31)}


def test_explaining_costs_more_with_more_and_deeper_trees(former: Applications) -> None:
    matrix = Preprocessing.fit(former.values).transform(former.values)

    def cost(leaves: int, trees: int) -> int:
        booster = lightgbm.train(
            {"objective": "binary", "num_leaves": leaves, "verbosity": -1},
            lightgbm.Dataset(matrix, former.target),
            trees,
        )
        return explanation_cost(booster.model_to_string())

    assert cost(4, 10) < cost(16, 10) < cost(16, 20)
    # Of a tree of four leaves: its score, and the features of three tests.
    assert cost(4, 10) <= (1 + 3) * 10


def test_what_explaining_costs_grows_with_the_leaves_as_the_work_does(former: Applications) -> None:
    matrix = Preprocessing.fit(former.values).transform(former.values)

    def cost(leaves: int) -> int:
        parameters = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 2, "verbosity": -1}
        booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, former.target), 10)
        return explanation_cost(booster.model_to_string())

    # A large tree is worked on in portions, each of which has its own part of what is added up. Measured: time
    # grew thirtyfold, the features that the trees use fivefold.
    assert cost(127) > 15 * cost(8)


def test_training_again_with_the_same_seed_gives_the_same_bytes(former: Applications, trained: Trained) -> None:
    again = train(former, trials=0, threads=2)
    assert digest(again.bundle.to_bytes()) == digest(trained.bundle.to_bytes())


def test_too_few_former_customers_are_refused(former: Applications) -> None:
    with pytest.raises(TrainingError, match="too few"):
        train(former.take(np.arange(50)))


def test_former_customers_without_outcome_are_refused(new: Applications) -> None:
    with pytest.raises(TrainingError, match="TARGET"):
        train(new)


def test_a_bundle_survives_the_round_trip(trained: Trained, new: Applications) -> None:
    artefact = trained.bundle.to_bytes()
    again = ModelBundle.from_bytes(artefact, digest(artefact))
    assert again.to_bytes() == artefact
    assert again.policy == trained.bundle.policy
    matrix = again.preprocessing.transform(new.values)
    np.testing.assert_array_equal(again.engine.explain(matrix, threads=1)[1],
                                  trained.bundle.engine.explain(matrix, threads=1)[1])  # fmt: skip


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("LightGBM saw an artefact that should have been refused")

    monkeypatch.setattr(lightgbm.Booster, "__init__", refuse)


@pytest.mark.usefixtures("no_parser")
def test_one_changed_byte_is_refused(trained: Trained) -> None:
    artefact = bytearray(trained.bundle.to_bytes())
    registered = digest(bytes(artefact))
    artefact[len(artefact) // 2] ^= 1
    with pytest.raises(ArtefactError, match="was changed"):
        ModelBundle.from_bytes(bytes(artefact), registered)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("artefact", [pickle.dumps({"format": "creditlens-model"}), b"[]", b"{}", b"\xff\xfe"])
def test_what_is_no_bundle_is_refused(artefact: bytes) -> None:
    with pytest.raises(ArtefactError):
        ModelBundle.from_bytes(artefact, digest(artefact))


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("key", ["features", "columns"])
def test_another_feature_list_is_refused(trained: Trained, key: str) -> None:
    content = json.loads(trained.bundle.to_bytes())
    content[key] = content[key][::-1]
    artefact = json.dumps(content).encode()
    with pytest.raises(ArtefactError, match="another feature list"):
        ModelBundle.from_bytes(artefact, digest(artefact))


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize(("version", "lacks"), [(1, ("baseline", "policy")), (3, ("policy",))])
def test_a_bundle_from_before_the_bins_or_the_policy_says_to_train_again(
    trained: Trained, version: int, lacks: tuple[str, ...]
) -> None:
    content = json.loads(trained.bundle.to_bytes())
    older = {name: value for name, value in content.items() if name not in lacks} | {"version": version}
    artefact = json.dumps(older).encode()
    with pytest.raises(OutdatedArtefactError, match=f"has version {version}, this program reads 4; train again"):
        ModelBundle.from_bytes(artefact, digest(artefact))
