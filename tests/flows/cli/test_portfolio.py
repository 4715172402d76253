"""`creditlens portfolio`: switching, assigning by hand and by file, and saying who has whom."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.access import portfolios
from flows.cli.console import Exit
from flows.cli.main import app
from tests.flows.cli.json_schema import checked
from tests.installation import Installation


def run(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["portfolio", *map(str, arguments), "--json"])
    assert done.exit_code == Exit.SUCCESS, done.output
    return checked(f"portfolio {arguments[0]}", done.stdout)


def test_switching_is_idempotent_and_says_by_whom(installation: Installation) -> None:
    assert run("list") == {"portfolios": "off", "assignments": []}
    first = run("on", "--by", "ada")
    assert (first["portfolios"], first["limited"], first["changed_by"]) == ("on", True, "ada")
    assert run("on", "--by", "bob") == first
    limited = installation.rows("SELECT relname FROM pg_class WHERE relrowsecurity")
    assert {name for (name,) in limited} == {table.name for table in portfolios.LIMITED}
    assert run("off")["portfolios"] == "off"
    assert installation.value("SELECT count(*) FROM pg_class WHERE relrowsecurity") == 0


def test_assigning_by_hand_and_taking_away(installation: Installation) -> None:
    assert run("assign", "ada", "-c", 500_001, "-c", 500_002, "-r", 2) == {"assigned": 3, "already": 0}
    assert run("assign", "ada", "-c", 500_001) == {"assigned": 0, "already": 1}
    found = {(one["customer_id"], one["region_rating"]) for one in run("list", "ada")["assignments"]}
    assert found == {(500_001, None), (500_002, None), (None, 2)}
    assert run("unassign", "ada", "-c", 500_001, "-r", 2) == {"unassigned": 2}
    assert run("unassign", "ada", "--all") == {"unassigned": 1}


def test_a_file_of_assignments_is_taken_whole_and_comes_out_as_it_went_in(
    installation: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "portfolio.csv"
    file.write_text(
        "\ufeffusername,customer_id,region_rating\nada,500001,\nbob,,3\nada,500002,\n", encoding="utf-8"
    )
    assert run("assign", "--file", file) == {"assigned": 3, "already": 0}
    assert run("assign", "--file", file) == {"assigned": 0, "already": 3}
    done = CliRunner().invoke(app, ["portfolio", "list"])
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["username"], row["customer_id"], row["region_rating"]) for row in rows] == [
        ("ada", "500001", ""),
        ("ada", "500002", ""),
        ("bob", "", "3"),
    ]
    again = tmp_path / "again.csv"
    again.write_text(done.stdout)
    assert run("assign", "--file", again) == {"assigned": 0, "already": 3}
    for user in ("ada", "bob"):
        run("unassign", user, "--all")


BROKEN = {
    "no such column": "user,customer_id\nada,1\n",
    "no number": "username,customer_id\nada,500001\nada,x\n",
    "both": "username,customer_id,region_rating\nada,500001,2\n",
    "no name": "username,customer_id\n,500001\n",
    "too large": "username,customer_id\nada,99999999999\n",
    "no such region": "username,region_rating\nada,40000\n",
    "another encoding": "username,customer_id\nada\udcff,500001\n",
    "a NUL": "username,customer_id\nada\0,500001\n",
    "empty": "",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_cannot_be_read_whole_is_refused_whole(
    installation: Installation, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "broken.csv"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    done = CliRunner().invoke(app, ["portfolio", "assign", "--file", str(file)])
    assert done.exit_code == Exit.REFUSED
    assert str(file) in done.stderr
    assert installation.value("SELECT count(*) FROM credit.advisor_portfolio") == 0


@pytest.mark.parametrize("arguments", [["assign"], ["assign", "ada"], ["unassign", "ada"]])
def test_nothing_named_is_refused(installation: Installation, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["portfolio", *arguments]).exit_code == Exit.REFUSED
