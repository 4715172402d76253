"""The policy's commands as they are typed, and the night that decides by what they set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scoring.policy import default_policy
from tests.flows.cli.json_schema import checked
from tests.flows.cli.test_operations import command
from tests.installation import Installation
from tests.scoring.test_policy import by_figures

TEN_TO_ONE = "line: {gain: 1, loss: 10}\n"


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A policy that decides by a loss of ten gains."""
    path = tmp_path / "mine.yaml"
    path.write_text(by_figures(TEN_TO_ONE).text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(installation: Installation, files: tuple[Path, Path]) -> Path:
    """The file of new customers, whom a first night has scored."""
    from flows.nightly import nightly
    from flows.training import training

    training([files[0]])
    nightly(files[1])
    return files[1]


@pytest.mark.parametrize("name", ["show", "check", "set", "history", "simulate"])
def test_every_command_explains_itself(name: str) -> None:
    done = command("policy", name, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 8


def test_what_show_prints_can_be_put_in_force_again(installation: Installation, tmp_path: Path) -> None:
    shown = command("policy", "show")
    assert shown.returncode == 0, shown.stderr
    (tmp_path / "same.yaml").write_text(shown.stdout, encoding="utf-8")
    done = command("policy", "set", str(tmp_path / "same.yaml"), "--reason", "no change", "--json")
    assert done.returncode == 0, done.stderr
    answer = checked("policy set", done.stdout)
    assert (answer["outcome"], answer["sha256"]) == ("unchanged", default_policy().sha256)
    assert command("policy", "show", "--default").stdout == shown.stdout


def test_check_says_what_a_policy_would_do_and_names_the_line_of_what_is_wrong(policy_file: Path) -> None:
    good = command("policy", "check", str(policy_file))
    assert good.returncode == 0, good.stderr
    assert "Accept under a default probability of 9.09%" in good.stdout
    policy_file.write_text(policy_file.read_text(encoding="utf-8").replace("gain: 1", "gain: 0"), encoding="utf-8")
    bad = command("policy", "check", str(policy_file), "--json")
    assert bad.returncode == 2
    message = checked("policy check", bad.stdout)["message"]
    last = len(policy_file.read_text(encoding="utf-8").splitlines())
    assert message == f"{policy_file} line {last}: gain is 0; it must be more than 0."
    assert "Traceback" not in bad.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"[" * 100_000])
def test_a_file_that_is_no_policy_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    done = command("policy", "check", str(tmp_path / "odd.yaml"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "odd.yaml" in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = command("policy", "set", str(tmp_path / "none.yaml"), "--reason", "a try")
    assert done.returncode != 0
    assert "none.yaml" in done.stderr and "Traceback" not in done.stderr


def test_the_next_night_decides_by_the_policy_that_was_set_and_says_who_moved(
    installation: Installation, trained: Path, policy_file: Path
) -> None:
    before = dict(installation.rows("SELECT customer_id, decision FROM reporting.customer"))
    done = command("policy", "set", str(policy_file), "--reason", "our figures", "--by", "olga", "--json")
    assert done.returncode == 0, done.stderr
    answer = checked("policy set", done.stdout)
    assert (answer["outcome"], answer["set_by"], answer["reason"]) == ("set", "olga", "our figures")
    assert not answer["needs_training"]
    # Nothing moves before the night.
    assert dict(installation.rows("SELECT customer_id, decision FROM reporting.customer")) == before
    night = command("nightly", "--applications", str(trained), "--json")
    assert night.returncode == 0, night.stderr
    told = checked("nightly", night.stdout)
    assert (told["outcome"], told["policy_id"]) == ("published", answer["policy_id"])
    rows = installation.rows("SELECT customer_id, default_probability, decision, policy_id FROM reporting.customer")
    assert {row[3] for row in rows} == {answer["policy_id"]}
    for _, probability, decision, _ in rows:
        assert decision == ("accept" if float(str(probability)) < 1 / 11 else "decline")
    after = {row[0]: row[2] for row in rows}
    moved: dict[tuple[object, object], int] = {}
    for customer, decision in after.items():
        if before[customer] != decision:
            key = (before[customer], decision)
            moved[key] = moved.get(key, 0) + 1
    assert {(each["previous"], each["decision"]): each["customers"] for each in told["decisions_moved"]} == moved
    assert moved
    stored = installation.value(
        f"SELECT decisions_moved FROM credit.run_summary WHERE run_id = {int(told['run_id'])}"
    )
    assert stored == {"previous_policy_id": answer["policy_id"] - 1, "moved": told["decisions_moved"]}
    (policy,) = installation.rows(
        "SELECT policy_id, set_by, decides_by, accept_below_probability FROM reporting.policy WHERE is_published"
    )
    assert policy == (answer["policy_id"], "olga", "figures", pytest.approx(1 / 11))
    again = command("nightly", "--applications", str(trained), "--json")
    assert checked("nightly", again.stdout)["outcome"] == "unchanged"


def test_history_lists_every_version(installation: Installation, trained: Path, policy_file: Path) -> None:
    command("policy", "set", str(policy_file), "--reason", "our figures")
    done = command("policy", "history", "--json")
    assert done.returncode == 0, done.stderr
    found = checked("policy history", done.stdout)["policies"]
    assert [policy["is_current"] for policy in found] == [True] + [False] * (len(found) - 1)
    assert found[-1]["sha256"] == default_policy().sha256
    shown = command("policy", "show", str(found[-1]["policy_id"]))
    assert shown.stdout == default_policy().text
    assert command("policy", "show", "999").returncode == 1


def test_simulate_shows_todays_line_and_the_one_that_brings_most(
    installation: Installation, trained: Path, policy_file: Path
) -> None:
    done = command("policy", "simulate", str(policy_file), "--json")
    assert done.returncode == 0, done.stderr
    checked("policy simulate", done.stdout)
    options = json.loads(done.stdout)
    (current,) = [option for option in options if option["is_current"]]
    assert current["threshold"] == pytest.approx(1 / 11)
    (best,) = [option for option in options if option["is_best"]]
    assert best["expected_profit"] == max(option["expected_profit"] for option in options)
    former = installation.rows("SELECT default_probability, target FROM credit.former_customer ORDER BY 1")
    under = [target for probability, target in former if float(str(probability)) < 1 / 11]
    assert current["accepted_share"] == pytest.approx(len(under) / len(former))
    assert current["expected_default_rate"] == pytest.approx(sum(int(str(one)) for one in under) / len(under))
    text = command("policy", "simulate", str(policy_file), "--gain", "1", "--loss", "4")
    assert "<- the policy" in text.stdout and "breaks even at a default probability of 20.00%" in text.stdout
    odd = command("policy", "simulate", "--gain", "1")
    assert odd.returncode == 2 and "--loss" in odd.stderr


def test_the_policy_tab_counts_as_simulate_does(
    installation: Installation, trained: Path, policy_file: Path
) -> None:
    command("policy", "set", str(policy_file), "--reason", "our figures")
    options = json.loads(command("policy", "simulate", "--json").stdout)
    by_threshold = {round(option["threshold"], 4): option for option in options}
    rows = installation.rows(
        "SELECT threshold, accepted_share, default_rate, expected_profit FROM reporting.policy_simulation"
        " WHERE group_kind = 'all' ORDER BY threshold"
    )
    assert len(rows) == 100
    for threshold, share, rate, profit in rows:
        option = by_threshold[round(float(str(threshold)), 4)]
        assert share == pytest.approx(100 * option["accepted_share"])
        assert profit == pytest.approx(option["expected_profit"])
        if rate is not None:
            assert rate == pytest.approx(100 * option["expected_default_rate"])
    marked = installation.rows(
        "SELECT threshold FROM reporting.policy_simulation WHERE group_kind = 'all' AND is_current"
    )
    assert marked == [(pytest.approx(0.09),)]
