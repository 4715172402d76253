"""Commands for those who operate an installation and answer for it."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from db import schema
from db.errors import RefusedError
from db.runs import ledger, pointer
from flows import signals
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.operations import backups, secrets
from flows.services import database
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
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        moved = pointer.move(engine, run_id, by=somebody(by))
        seen, newest = ledger.get(engine, run_id), pointer.newest(engine)
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
            answers.Published,
            answer,
            f"Readers see run {run_id} of {seen.as_of}, before it run {moved.from_run_id}.{behind}",
        )


@app.command()
def withdraw(
    run_id: Annotated[int, typer.Argument(help="Number of a published run; reporting.run_history lists them.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it.")],
    by: By = None,
    json_output: Json = False,
) -> None:
    """Take a published run out of every history, such as one of a wrong date; this cannot be undone.

    The ledger keeps the run and the reason. If readers see it, they go back to the run before it.
    """
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        if not reason.strip():
            raise RefusedError("Say why with --reason: the ledger keeps it.")
        seen = ledger.get(engine, pointer.withdraw(engine, run_id, by=somebody(by), reason=reason.strip()))
        answer = {"outcome": "withdrawn", "run_id": run_id, "published_run_id": seen.run_id}
        say(
            json_output,
            answers.Withdrawn,
            answer,
            f"Run {run_id} is withdrawn. Readers see run {seen.run_id} of {seen.as_of}.",
        )


@app.command("rotate-secrets")
def rotate_secrets(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names in secrets.json, such as analyst or user_advisor (default: all that can be)."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Replace passwords and keys by new ones, and set them wherever they are used.

    No night may be under way. The dashboards are away for a minute, and people sign in anew, with a new password if
    theirs was replaced. A session of psql or of another program goes on until it ends. A copy of secrets.json in
    another place has to be made anew. The key by which erased people are known stays.
    """
    settings = load_settings()
    with answering(json_output):
        again = "run `creditlens up`, which sets what is in secrets.json"
        with signals.leaving(again):
            done = secrets.rotate(settings, names or ())
        text = (
            f"Replaced {len(done['rotated'])} secrets: {', '.join(done['rotated'])}.\n"
            f"Kept: {secrets.KEPT}, as {secrets.WHY_KEPT}.\n"
            f"Put a new copy of {done['file']} in another place."
        )
        if any(name.startswith(secrets.USER) for name in done["rotated"]) and done["dashboards"]:
            text += "\n`creditlens dashboards` prints the new passwords of the dashboards."
        say(json_output, answers.SecretsRotated, done, text)


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
        with signals.leaving("no backup was written"):
            saved = backups.save(settings, file.absolute())
        text = (
            f"Saved {saved['rows']:,} rows of {saved['tables']} tables"
            f"{' and the database of Superset' if saved['superset'] else ''} in {saved['file']},"
            f" {saved['bytes'] / 1e6:,.1f} MB, in {saved['seconds']} s."
        )
        say(json_output, answers.Saved, saved, text)


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
            f"Restored {found['rows']:,} rows of {found['tables']} tables, saved {found['created_at']},"
            f" in {found['seconds']} s; rows, checksums, {found['roles']} roles and {found['grants']} grants are"
            f" as saved.\n{erasures_text(found)}"
        )
        text = "\n".join([text, *found["warnings"]])
        say(json_output, answers.Restored, found, text)


def erasures_text(found: dict[str, Any]) -> str:
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
