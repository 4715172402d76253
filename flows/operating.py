"""Commands for those who operate an installation and answer for it."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from db import pointer, runs, schema
from flows import backups, endings, privacy, services
from flows import export as exports
from flows.console import Exit, Json, answering, say
from flows.settings import load_settings

app = typer.Typer()

By = Annotated[
    str | None,
    typer.Option("--by", help="Who asked for it; this is recorded (default: the user who runs the command)."),
]


def somebody(by: str | None) -> str:
    """Whom the record names: who was given, or the user of this computer."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):
        # In a container, a user may have no name.
        return f"user {os.getuid()}"


@app.command()
def publish(
    run_id: Annotated[
        int, typer.Argument(help="Number of a published run that is still kept; reporting.run_history lists them.")
    ],
    by: By = None,
    json_output: Json = False,
) -> None:
    """Move readers to another published run, back or forward, in one step; the next night publishes as usual."""
    settings = load_settings()
    with answering(json_output), services.database(settings) as engine:
        schema.require_current(engine)
        moved = pointer.move(engine, run_id, by=somebody(by))
        seen, newest = runs.get(engine, run_id), pointer.newest(engine)
        assert newest is not None
        answer = {
            "outcome": "published",
            "run_id": run_id,
            "as_of": seen.as_of.isoformat(),
            "from_run_id": moved.from_run_id,
            "moved_at": moved.moved_at.isoformat(),
            "moved_by": moved.moved_by,
            "newest_run_id": newest.run_id,
        }
        behind = (
            "" if newest.run_id == run_id else f" The newest published run is {newest.run_id} of {newest.as_of}."
        )
        say(
            json_output,
            answer,
            f"Readers see run {run_id} of {seen.as_of}, before it run {moved.from_run_id}.{behind}",
        )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.", dir_okay=False)],
    json_output: Json = False,
) -> None:
    """Save everything in one file: all data and models, roles and grants, Superset's own database.

    A night may run meanwhile. The file holds personal data, but no passwords: those are in secrets.json in the
    state folder. Keep a copy of secrets.json in another place, and, after each erasure, a new copy of
    erasures.jsonl. Without both, a restore cannot know whom to erase again.
    """
    settings = load_settings()
    with answering(json_output):
        with endings.leaving("no backup was written"):
            saved = backups.save(settings, file.absolute())
        text = (
            f"Saved {saved['rows']:,} rows of {saved['tables']} tables"
            f"{' and the database of Superset' if saved['superset'] else ''} in {saved['file']},"
            f" {saved['bytes'] / 1e6:,.1f} MB, in {saved['seconds']} s."
        )
        say(json_output, saved, text)


@app.command()
def restore(
    file: Annotated[
        Path, typer.Argument(help="A file that `creditlens backup` wrote.", exists=True, dir_okay=False)
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace everything that is in the database.")] = False,
    json_output: Json = False,
) -> None:
    """Restore a backup into an empty database, completely or not at all, and compare it with what was saved."""
    settings = load_settings()
    with answering(json_output):
        found = backups.bring_back(settings, file.absolute(), force=force)
        text = (
            f"Restored {found['rows']:,} rows of {found['tables']} tables, saved {found['created_at']}, "
            f" in {found['seconds']} s; rows, checksums, {found['roles']} roles and {found['grants']} grants are"
            f" as saved.\n{_erasures_text(found)}"
        )
        text = "\n".join([text, *found["warnings"]])
        say(json_output, found, text)


def _erasures_text(found: dict[str, Any]) -> str:
    """What a restore did about people who were erased after the backup was made."""
    again = f"Erased again, as they were erased after the backup was made: {found['erased_again']} customers."
    if found["erasures_known"]:
        return again
    until = found["erasures_unknown_until"]
    period = f"between {found['erasures_unknown_from']} and {until}" if until else "after the backup was made"
    return (
        f"{again}\nWhoever was erased {period} cannot be known: no record of it is in the state folder. These"
        " people are back; look into your own records of requests, and erase them again."
    )


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
        languages = [known for known in exports.LANGUAGES if language in {known, "both"}]
        found = exports.export(settings, customer_id, folder.absolute(), by=somebody(by), languages=languages)
        text = f"Nothing is held about customer {customer_id}; the request is recorded."
        if found["files"]:
            text = (
                f"Held about customer {customer_id}: {found['applications']} applications, {found['scores']}"
                f" scores, {found['contributions']} contributions, {found['rejected']} refused rows,"
                f" {found['former']} past credits, {found['assignments']} assignments to advisors, {found['looks']}"
                " looks in the dashboards.\nWritten: " + ", ".join(found["files"])
            )
        say(json_output, found, text)


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
            traces = privacy.search(settings, customer_id)
            for place, count in traces.found.items():
                typer.echo(f"{count:>8,}  {place}", err=True)
            for store in traces.not_searched:
                typer.echo(f"Not searched: {store.store} ({store.why}).", err=True)
            if not typer.confirm(f"Erase customer {customer_id} for good?", err=True):
                typer.echo("creditlens: nothing was erased.", err=True)
                raise typer.Exit(Exit.REFUSED)
        with endings.leaving("the erasure is not complete, ask for it again"):
            done = privacy.erase(settings, customer_id, by=somebody(by))
        say(json_output, done, erased_text(customer_id, done))


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
