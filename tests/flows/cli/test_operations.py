"""The operators' commands as they are typed: answers, exit codes, one sentence for what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from flows.alerts import last_night
from flows.operations import status
from tests.db import ledger
from tests.flows.cli.json_schema import checked
from tests.installation import Installation


def command(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        env=dict(os.environ), input=answer, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nights(installation: Installation) -> list[int]:
    model_id = ledger.new_model(installation.engine)
    return [
        ledger.night(installation.engine, model_id, day=ledger.DAY + timedelta(days=day), sha256=str(day) * 64)
        for day in range(2)
    ]


@pytest.mark.parametrize("name", ["publish", "withdraw", "backup", "restore", "export", "erase"])
def test_every_command_explains_itself(name: str) -> None:
    done = command(name, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 8


def test_publish_says_where_readers_are_and_refuses_in_one_sentence(
    installation: Installation, nights: list[int]
) -> None:
    done = command("publish", str(nights[0]), "--by", "olga", "--json")
    assert done.returncode == 0, done.stderr
    answer = checked("publish", done.stdout)
    assert (answer["run_id"], answer["from_run_id"], answer["moved_by"]) == (nights[0], nights[1], "olga")
    again = command("publish", str(nights[0]))
    assert again.returncode == 2
    assert "already" in again.stderr and "Traceback" not in again.stderr


def test_a_date_after_tomorrow_is_refused_before_anything_is_done(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    done = command("nightly", "--as-of", "2062-11-29", "--applications", str(tmp_path / "none.csv"), "--json")
    assert done.returncode == 2
    assert "2062-11-29 is after tomorrow" in checked("nightly", done.stdout)["message"]
    # Whoever mistypes a date is no night that went wrong.
    assert last_night.last(installation.settings) is None


def test_withdrawing_a_run_takes_readers_back_and_says_so(installation: Installation, nights: list[int]) -> None:
    model_id = ledger.new_model(installation.engine, "w")
    wrong = ledger.night(installation.engine, model_id, day=date(2062, 11, 29), sha256="w" * 64)
    on_time = ledger.night(installation.engine, model_id, day=installation.settings.today(), sha256="x" * 64)
    (problem,) = (one for one in status.status_json(installation.settings)["problems"] if "history" in one)
    assert f"Run {on_time} of" in problem and f"readers see run {wrong} of 2062-11-29" in problem
    unexplained = command("withdraw", str(wrong))
    assert unexplained.returncode == 2 and "--reason" in unexplained.stderr
    done = command("withdraw", str(wrong), "--reason", "a wrong date", "--by", "olga", "--json")
    assert done.returncode == 0, done.stderr
    answer = checked("withdraw", done.stdout)
    assert (answer["run_id"], answer["published_run_id"]) == (wrong, on_time)
    problems = status.status_json(installation.settings)["problems"]
    assert not [one for one in problems if "history" in one or "2062" in one]
    again = command("withdraw", str(wrong), "--reason", "again")
    assert again.returncode == 2 and "withdrawn" in again.stderr and "Traceback" not in again.stderr


def test_a_backup_restores_by_force_only(installation: Installation, nights: list[int], tmp_path: Path) -> None:
    file = tmp_path / "all.backup"
    assert "rows of" in command("backup", str(file)).stdout
    refused = command("restore", str(file), "--json")
    assert refused.returncode == 2
    assert "--force" in checked("restore", refused.stdout)["message"]


def test_erasing_asks_first_and_says_what_it_did(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    asked = command("erase", "7", answer="n\n")
    assert asked.returncode == 2
    assert "credit.shap_value.customer_id" in asked.stderr
    exported = command("export", "7", str(tmp_path / "copy"), "--language", "fr", "--json")
    assert len(checked("export", exported.stdout)["files"]) == 2
    done = command("erase", "7", answer="y\n")
    assert done.returncode == 0, done.stderr
    assert "no trace of 7 is left" in done.stdout and "until they expire" in done.stdout
    assert "Not searched" in done.stdout and "the log of the Postgres server" in done.stdout
    nothing = command("export", "7", str(tmp_path / "none"), "--json")
    assert checked("export", nothing.stdout)["outcome"] == "nothing"
