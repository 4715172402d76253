"""Data scientists get the night's own numbers as pandas and shap know them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from scoring.batch import score_batch
from scoring.contract import Applications
from scoring.errors import ColumnsError, RejectedRowsError
from scoring.features import by_name
from scoring.frames import applications, explain
from scoring.training import Trained

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def frame(new_frame: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(new_frame.to_dict(as_series=False))


def test_a_frame_is_scored_as_the_file_is(trained: Trained, frame: pd.DataFrame, new: Applications) -> None:
    explanation = explain(trained.bundle, frame)
    scored = score_batch(trained.bundle, new)
    assert np.array_equal(explanation.values, scored.contributions)
    total = explanation.base_values + explanation.values.sum(axis=1)
    assert np.allclose(total, scored.log_odds, rtol=0, atol=1e-9)


def test_values_are_told_in_labels_and_units_of_both_languages(trained: Trained, frame: pd.DataFrame) -> None:
    one = frame.head(1).assign(AMT_ANNUITY=np.nan, DAYS_BIRTH=-12_000, CODE_GENDER="F", AMT_CREDIT=450_000.0)
    for language, texts in (
        ("en", {"DAYS_BIRTH": "32.9 years", "AMT_ANNUITY": "not given", "CODE_GENDER": "Woman"}),
        ("fr", {"DAYS_BIRTH": "32,9\u00a0ans", "AMT_ANNUITY": "non renseigné", "CODE_GENDER": "Femme"}),
    ):
        explanation = explain(trained.bundle, one, language=language)
        for name, text in texts.items():
            feature = by_name()[name]
            at = list(explanation.feature_names).index(feature.label_en if language == "en" else feature.label_fr)
            assert explanation.display_data[0, at] == text
    ages = explanation.data[0, list(explanation.feature_names).index(by_name()["DAYS_BIRTH"].label_fr)]
    assert ages == pytest.approx(32.9, abs=0.05)


def test_a_row_that_breaks_the_contract_is_named_or_left_out(frame: pd.DataFrame) -> None:
    spoilt = frame.copy()
    spoilt.loc[2, "AMT_CREDIT"] = np.inf
    with pytest.raises(RejectedRowsError, match=r"1 of 300 rows break the contract\. First: row 3, AMT_CREDIT"):
        applications(spoilt)
    kept = applications(spoilt, rejected="drop")
    assert len(kept) == 299 and spoilt["SK_ID_CURR"][2] not in kept.customer_id


def test_a_missing_column_is_named(frame: pd.DataFrame) -> None:
    with pytest.raises(ColumnsError, match="Column AMT_CREDIT is missing"):
        applications(frame.drop(columns="AMT_CREDIT"))


def test_shaps_own_plots_take_it(trained: Trained, frame: pd.DataFrame, tmp_path: Path) -> None:
    # In a process of its own: what matplotlib and shap warn of is not ours.
    (tmp_path / "model.json").write_bytes(trained.bundle.to_bytes())
    frame.to_csv(tmp_path / "applications.csv", index=False)
    program = """
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import shap
from scoring.bundle import ModelBundle, digest
from scoring.frames import explain

artefact = open("model.json", "rb").read()
explanation = explain(ModelBundle.from_bytes(artefact, digest(artefact)), pd.read_csv("applications.csv"))
for name, plot in (("waterfall", lambda: shap.plots.waterfall(explanation[0], show=False)),
                   ("beeswarm", lambda: shap.plots.beeswarm(explanation, show=False))):
    plot()
    plt.savefig(f"{name}.png", bbox_inches="tight")
    plt.close()
"""
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "MPLCONFIGDIR": str(tmp_path)},
        check=True,
        timeout=240,
    )
    for name in ("waterfall", "beeswarm"):
        assert (tmp_path / f"{name}.png").stat().st_size > 20_000
