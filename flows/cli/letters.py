"""The commands that put things in writing: customer sheet, decision letter and model report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from db import schema
from db.errors import RefusedError
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.installation import atomic
from flows.letters.lender import read_lender
from flows.letters.words import Kind, Language
from flows.progress import reporting
from flows.services import database
from flows.settings import load_settings

app = typer.Typer()

OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="PDF file to write.", dir_okay=False, show_default=False)
]
InLanguage = Annotated[Language, typer.Option(help="Language of the document.")]
LenderFile = Annotated[
    Path | None,
    typer.Option(
        "--template",
        help="YAML file of the lender's name, address, signature and legal sentences."
        " Default: CREDITLENS_LETTER_TEMPLATE, or an example, which is no legal advice.",
        dir_okay=False,
        show_default=False,
    ),
]
# What `erase` cannot know of.
OURS_NO_MORE = (
    "What is printed holds personal data and is outside the state folder: `creditlens erase` does not know of it."
)


@app.command("letter")
def letter(
    customer_id: Annotated[
        int | None,
        typer.Argument(
            help="Application number; none with --all-refused.", min=0, max=2**31 - 1, show_default=False
        ),
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(help="`sheet` for the conversation with the customer, or `decision` for the letter."),
    ] = "sheet",
    language: InLanguage = "en",
    output: OutputFile = None,
    all_refused: Annotated[
        Path | None,
        typer.Option(
            "--all-refused",
            help="Write the decision letter of everybody whom the night suggests to decline into this folder.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    template: LenderFile = None,
    json_output: Json = False,
) -> None:
    """Write a page about an application of the published run as PDF, A4, from what the night recorded.

    The sheet says what is held, the score, its reasons and how to read it. The letter says the decision, how it
    was prepared, the principal reasons, what would change it, and how to ask for a person's review and for a
    correction. The same run gives the same bytes. Whatever is written is for its owner only.
    """
    # With the compiler and matplotlib's fonts, which no other command needs.
    from flows.letters import bulk, customer

    settings = load_settings()
    with answering(json_output), reporting(quiet=json_output), database.database(settings) as engine:
        if (customer_id is None) == (all_refused is None):
            raise RefusedError("Give an application number, or --all-refused with a folder.")
        schema.require_current(engine)
        lender = read_lender(template or settings.letter_template)
        run = customer.require_run(engine)
        answer = {"outcome": "written", "run_id": run.run_id, "language": language}
        if all_refused is not None:
            if output is not None:
                raise RefusedError("--all-refused writes many files; it takes no --output.")
            done = bulk.write_all(
                engine, run, all_refused.absolute(), "decision", language, lender, threads=settings.threads
            )
            answer |= {"kind": "decision", "folder": str(done.folder), "letters": done.letters}
            text = f"{done.letters:,} letters written into {done.folder} in {done.seconds:,.1f} s."
        else:
            assert customer_id is not None
            found = customer.require_customer(engine, customer_id, kind)
            path = (output or customer.file_name(customer_id, kind, language)).absolute()
            atomic.write(path, customer.letter(run, found, kind, language, lender), mode=bulk.PRIVATE)
            answer |= {"kind": kind, "customer_id": customer_id, "file": str(path), "letters": 1}
            text = f"Written: {path}."
        say(json_output, answers.Lettered, answer, f"{text}\n{OURS_NO_MORE}")


@app.command("report")
def report(
    output: OutputFile = None,
    language: InLanguage = "en",
    template: LenderFile = None,
    json_output: Json = False,
) -> None:
    """Write a report of several pages on the model of the published run as PDF, for validators and supervisors.

    It says what the model is for, its data and policy, what exclusions cost, performance with intervals,
    calibration, gains, groups, what counts, how stable the last nights were, and limits. The same run gives the
    same bytes.
    """
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        from flows.letters import bulk
        from flows.letters.report import report as model_report

        schema.require_current(engine)
        made = model_report(
            engine, language, read_lender(template or settings.letter_template), threads=settings.threads
        )
        path = (output or Path(f"model-{made.model_id}.{language}.pdf")).absolute()
        atomic.write(path, made.content, mode=bulk.PRIVATE)
        answer = {
            "outcome": "written", "run_id": made.run_id, "model_id": made.model_id, "language": language,
            "file": str(path),
        }  # fmt: skip
        say(json_output, answers.Reported, answer, f"Written: {path}.")
