"""`creditlens train` says what the policy costs and whether probabilities are what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from db import registry
from flows.cli.main import app
from flows.cli.wording import calibration_text
from scoring.policy import default_policy
from scoring.sample import applications
from tests.flows.cli import json_schema


@pytest.fixture(scope="module")
def former_file(installation) -> Path:
    path: Path = installation.folder / "few.csv"
    applications(600, seed=1, labelled=True).write_csv(path)
    return path


def test_the_answer_has_the_policys_costs_and_the_calibration(installation, former_file: Path) -> None:
    done = CliRunner().invoke(app, ["train", "-f", str(former_file), "--json"])
    answer = json_schema.checked("train", done.stdout)
    assert [each["feature"] for each in answer["exclusions"]] == list(default_policy().barred)
    assert answer["directions"]["auc_cost_se"] > 0
    assert answer["calibration"]["slope_low"] < answer["calibration"]["slope"] < answer["calibration"]["slope_high"]


def test_people_read_the_same_in_a_short_table(installation, former_file: Path) -> None:
    done = CliRunner().invoke(app, ["train", "-f", str(former_file)])
    assert done.exit_code == 0, done.output
    said = done.stdout
    assert "What keeping these out of the score costs in AUC (on 600 customers):" in said
    cost = r" +-?0\.\d{4} ± 0\.\d{4}"
    for label in ("Gender", "Family status"):
        assert re.search(rf"^  {label}{cost}  the others tell it with AUC 0\.\d\d$", said, re.MULTILINE), said
    assert re.search(rf"^  All of them{cost}$", said, re.MULTILINE)
    assert re.search(r"^What the policy's directions cost in AUC: -?0\.\d{4} ± 0\.\d{4}$", said, re.MULTILINE)
    slope = r"-?\d+\.\d\d \(-?\d+\.\d\d to -?\d+\.\d\d\)"
    done_to_it = "(kept as they are|recalibrated)"
    assert re.search(rf"^Calibration slope {slope}; probabilities are {done_to_it},", said, re.MULTILINE), said
    assert max(map(len, said.splitlines())) <= 120


def test_a_slope_that_cannot_be_told_is_said_to_be_so(installation, former_file: Path) -> None:
    record = registry.current_model(installation.engine)
    assert record is not None
    untold = {"slope": None, "ece": 0.004, "recalibrated": False}
    record.metrics["recalibration"].update(untold)
    assert calibration_text(record).startswith("Calibration slope cannot be told; probabilities are kept")
