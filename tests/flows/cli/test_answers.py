"""What programs were promised of `--json` stays as it is, unless somebody means it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from flows.cli import answers
from flows.cli.main import app
from tests.flows.cli import json_schema


def commands_with_json(command: Any, name: str = "") -> Iterator[str]:
    if hasattr(command, "commands"):
        for part, one in command.commands.items():
            yield from commands_with_json(one, f"{name} {part}".strip())
    elif any("--json" in parameter.opts for parameter in command.params):
        yield name


def test_every_command_that_prints_json_has_a_model() -> None:
    assert sorted(commands_with_json(typer.main.get_command(app))) == sorted(answers.ANSWERS)


def test_the_models_are_what_the_schema_says() -> None:
    said = answers.SCHEMA.read_text(encoding="utf-8")
    assert said == json_schema.as_the_models_say(), (
        f"{answers.SCHEMA.name} is not what the models in flows/cli/answers say. Other programs rely on these"
        f" keys: rename and remove none. If the change is meant, write the file anew with `{json_schema.WRITE}`."
    )


def test_a_renamed_key_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Down(answers.Answer):
        watch: bool
        dashboards: bool
        schedule: bool
        prefect: bool
        database: bool

    monkeypatch.setitem(answers.ANSWERS, "down", Down)
    changed = json.loads(json_schema.as_the_models_say())
    assert changed != json.loads(answers.SCHEMA.read_text(encoding="utf-8"))
    assert "database" in changed["$defs"]["Down"]["required"]


@pytest.mark.parametrize("changes", [{"postgres": None}, {"postgresql": True}])
def test_an_answer_of_other_keys_is_no_answer(changes: dict[str, bool | None]) -> None:
    names = ("watch", "dashboards", "schedule", "prefect", "postgres")
    answer = {name: value for name, value in {**dict.fromkeys(names, True), **changes}.items() if value is not None}
    with pytest.raises(ValidationError):
        json_schema.checked("down", json.dumps(answer))


def test_a_sample_says_which_files_it_wrote(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sample", str(tmp_path), "--former", "20", "--new", "10", "--json"])
    files = json_schema.checked("sample", done.stdout)["files"]
    assert [Path(file).exists() for file in files] == [True, True]
    again = CliRunner().invoke(app, ["sample", str(tmp_path), "--former", "20", "--new", "10", "--json"])
    assert json_schema.checked("sample", again.stdout)["outcome"] == "refused"
