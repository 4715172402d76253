"""The commands for a person's rights: export and erase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows import signals
from flows.cli import answers
from flows.cli.console import Exit, Json, answering, say
from flows.cli.operations import By, somebody
from flows.privacy import erase as erasure
from flows.privacy import export as exports
from flows.privacy.page import LANGUAGES
from flows.settings import load_settings

app = typer.Typer()

CustomerId = Annotated[int, typer.Argument(help="Application number of the person.", min=0, max=2**31 - 1)]


@app.command()
def export(
    customer_id: CustomerId,
    folder: Annotated[Path, typer.Argument(help="Folder for the JSON file and the pages.", file_okay=False)],
    language: Annotated[
        Literal["en", "fr", "both"], typer.Option(help="Language of the pages; `both` writes one of each.")
    ] = "both",
    by: By = None,
    json_output: Json = False,
) -> None:
    """Write everything that is stored about one person, from every run: JSON, and pages to read or print.

    The request is recorded: who made it, when, and for whom, by a keyed hash.
    """
    settings = load_settings()
    with answering(json_output):
        languages = [known for known in LANGUAGES if language in {known, "both"}]
        found = exports.export(settings, customer_id, folder.absolute(), by=somebody(by), languages=languages)
        text = f"Nothing is held about customer {customer_id}; the request is recorded."
        if found["files"]:
            text = (
                f"Held about customer {customer_id}: {found['applications']} applications, {found['scores']}"
                f" scores, {found['contributions']} contributions, {found['rejected']} refused rows,"
                f" {found['former']} past credits, {found['assignments']} assignments to advisors,"
                f" {found['decisions']} decisions of people, {found['reviews']} reviews, {found['archived']} nights"
                f" in archives, {found['looks']} looks in the dashboards.\nWritten: " + ", ".join(found["files"])
            )
        if found["archives_not_searched"]:
            text += "\nCould not be searched: " + ", ".join(found["archives_not_searched"])
        say(json_output, answers.Exported, found, text)


@app.command()
def erase(
    customer_id: CustomerId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: By = None,
    json_output: Json = False,
) -> None:
    """Remove every trace of one person, search every store that can be reached, and name those that cannot.

    This cannot be undone. Input files that are not ours are named and left alone; backups hold the person until
    they expire, and a restore erases again. The request is recorded by a keyed hash of the number, in the database
    and in the state folder. Exit code 1 if anything is left.
    """
    settings = load_settings()
    with answering(json_output):
        if not yes:
            traces = erasure.search(settings, customer_id)
            for place, count in traces.found.items():
                typer.echo(f"{count:>8,}  {place}", err=True)
            for store in traces.not_searched:
                typer.echo(f"Not searched: {store.store} ({store.why}).", err=True)
            if not typer.confirm(f"Erase customer {customer_id} for good?", err=True):
                typer.echo("creditlens: nothing was erased.", err=True)
                raise typer.Exit(Exit.REFUSED)
        with signals.leaving("the erasure is not complete, ask for it again"):
            done = erasure.erase(settings, customer_id, by=somebody(by))
        say(json_output, answers.Erased, done, erased_text(customer_id, done))


def erased_text(customer_id: int, done: dict[str, Any]) -> str:
    """What an erasure did, for people."""
    lines = [f"{count:>8,}  {place}" for place, count in done["removed"].items()] or ["Nothing was held."]
    lines.append(f"Searched again: no trace of {customer_id} is left in")
    lines += [f"  {store['store']}: {store['looked_at']}" for store in done["searched"]]
    lines.append("Not searched, so nothing is known of")
    lines += [f"  {store['store']}: {store['why']}; {store['to_do']}" for store in done["not_searched"]]
    if done["vacuumed"]:
        lines.append(f"Vacuumed {len(done['vacuumed'])} tables; the server's log of changes is recycled by itself.")
    if done["files_not_ours"]:
        lines.append(
            "These files hold the person still and are not ours to change; the next run that reads them brings the"
            " person back: " + ", ".join(done["files_not_ours"])
        )
    lines.append(
        "Backups made before hold the person until they expire; restoring one here erases the person again."
    )
    return "\n".join(lines)
