"""The command that says why: the reasons of one applicant."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from db import schema
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.cli.wording import reasons_text
from flows.operations.customer_reasons import customer_reasons
from flows.services import database
from flows.settings import load_settings

app = typer.Typer()


@app.command("reasons")
def reasons(
    customer_id: Annotated[int, typer.Argument(help="Application number.", min=0, max=2**31 - 1)],
    language: Annotated[Literal["en", "fr"], typer.Option(help="Language of the reasons.")] = "en",
    json_output: Json = False,
) -> None:
    """Print why an application is not accepted, as the night recorded it.

    Of one that is accepted: what weighs most against it, worked out now by the same rules.
    """
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        found = customer_reasons(engine, customer_id)
        answer = {"customer_id": customer_id, **asdict(found)}
        say(json_output, answers.CustomerReasons, answer, reasons_text(customer_id, found, language))
