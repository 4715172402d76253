"""The operators' page is walked: its commands run in order on a small installation, and print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main

from db import schema
from db.server.embedded import free_port
from flows.cli.main import app
from flows.settings import Settings
from tests.test_architecture import PROJECT

PAGE = PROJECT / "flows" / "OPERATIONS.md"
# What the page's commands were run in.
FOLDER = "/srv/creditlens"
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
# The commands that serve or ask something that the page tells of in words.
ELSEWHERE = {
    "sample",
    "schedule",
    "watch",
    "sql",
    "dashboards",
    "letter",
    "report",
    "reasons",
    "access-log",
    "policy",
}


@dataclass(frozen=True)
class Step:
    """A command of the page, its exit code, and the lines that it is said to print."""

    command: str
    code: int
    printed: tuple[str, ...]


def steps() -> list[Step]:
    found = []
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            command, _, comment = command.partition("  # exit code ")
            found.append(Step(command, int(comment or 0), tuple(line for line in lines if line.strip() != "...")))
    return found


STEPS = steps()


def shape(line: str) -> tuple[str, ...]:
    """The words of a line: figures, dates and times are another every time."""
    return tuple(re.findall(r"[A-Za-zé_/]{4,}", re.sub(r"\b\d{1,2} [A-Z][a-z]{2}\b", "", line)))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder without anything, and the settings of a small installation in it."""
    folder = tmp_path_factory.mktemp("operate")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CREDITLENS", "PREFECT"))}
    kept.pop("DATABASE_URL", None)
    settings = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "CREDITLENS_STATE": str(folder / "state"),
        "CREDITLENS_SYNTHETIC_FORMER": "1000",
        "CREDITLENS_SYNTHETIC_NEW": "300",
        "CREDITLENS_TRIALS": "1",
        "CREDITLENS_THREADS": "1",
        "CREDITLENS_PREFECT_PORT": str(free_port(None)),
        "CREDITLENS_DASHBOARDS": "false",
    }
    yield folder, settings
    subprocess.run([sys.executable, "-m", "flows.cli", "down"], env=settings, cwd=PROJECT, check=False)


def test_every_command_of_the_page_exists_and_those_that_it_leaves_out_are_known() -> None:
    commands = set(typer.main.get_command(app).commands)
    told = set(re.findall(r"\bcreditlens ([a-z][\w-]*)", PAGE.read_text(encoding="utf-8"))) & commands
    run = {step.command.split()[1] for step in STEPS}
    assert run <= commands
    assert commands - run - ELSEWHERE == {"export"} and {"dashboards", "policy"} <= told


def test_every_setting_of_the_page_exists() -> None:
    named = set(re.findall(r"CREDITLENS_(\w+)", PAGE.read_text(encoding="utf-8")))
    assert {name.lower() for name in named} - set(Settings.model_fields) == set()


def test_the_revision_of_the_page_is_the_newest() -> None:
    assert set(re.findall(r"revision (\d{4})", PAGE.read_text(encoding="utf-8"))) == {schema.head()}


def test_every_secret_of_the_page_can_be_rotated_and_none_is_missing() -> None:
    from flows.operations import secrets

    section = PAGE.read_text(encoding="utf-8").split("## Rotate secrets")[1].split("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", table)) == set(secrets.known())


@pytest.mark.timeout(1800)
def test_its_commands_run_in_order_and_print_what_the_page_says(environment: tuple[Path, dict[str, str]]) -> None:
    folder, settings = environment
    assert len(STEPS) >= 18
    for step in STEPS:
        done = subprocess.run(
            step.command, shell=True, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, check=False, timeout=900,
        )  # fmt: skip
        assert done.returncode == step.code, f"{step.command}\n{done.stdout}"
        printed = {shape(line) for line in done.stdout.replace(str(folder), FOLDER).splitlines()}
        missing = [line for line in step.printed if shape(line) not in printed]
        assert missing == [], f"{step.command}\n{done.stdout}"
