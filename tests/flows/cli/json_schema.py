"""The JSON Schema of what `--json` prints, made from the models; run as a program, it writes the file anew."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from flows.cli import answers

FILE = answers.SCHEMA
WRITE = "python -m tests.flows.cli.json_schema"


def as_the_models_say() -> str:
    """The content of the file: every model, and by command which of them it prints."""
    models = dict.fromkeys([answers.Failure, *answers.ANSWERS.values()])
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What creditlens prints with --json, by command",
        "type": "object",
        "properties": {
            command: {"anyOf": [{"$ref": f"#/$defs/{model.__name__}"}, {"$ref": "#/$defs/Failure"}]}
            for command, model in answers.ANSWERS.items()
        },
        "additionalProperties": False,
        **schema,
    }
    return json.dumps(schema, indent=1) + "\n"


def checked(command: str, printed: str) -> dict[str, Any]:
    """The answer that a command printed, which must be one of those that programs were promised."""
    answer: dict[str, Any] = json.loads(printed)
    try:
        answers.ANSWERS[command].model_validate_json(printed, strict=True)
    except ValidationError:
        # A command that could not do its work says so instead.
        if set(answer) != {"outcome", "message"}:
            raise
        answers.Failure.model_validate_json(printed, strict=True)
    return answer


if __name__ == "__main__":
    FILE.write_text(as_the_models_say(), encoding="utf-8")
