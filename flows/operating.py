"""Commands for those who operate an installation and answer for it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from db import pointer, runs, schema
from flows import backups, services
from flows.console import Json, answering, say
from flows.settings import load_settings

app = typer.Typer()

By = Annotated[
    str | None,
    typer.Option("--by", help="Who asked for it, for the record; the user of this computer by default."),
]


def somebody(by: str | None) -> str:
    """Whom the record names: who was given, or the user of this computer."""
    return by or getpass.getuser()


@app.command()
def publish(
    run_id: Annotated[int, typer.Argument(help="A published run whose details are kept, see `run_history`.")],
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

    A night may run meanwhile. The file holds personal data and no passwords; those are in secrets.json of the state
    folder, to be kept elsewhere: without them, a restored installation makes new ones.
    """
    settings = load_settings()
    with answering(json_output):
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
    force: Annotated[bool, typer.Option(help="Replace everything that the database holds.")] = False,
    json_output: Json = False,
) -> None:
    """Bring a backup back into an empty database, whole or not at all, and compare it with what was saved."""
    settings = load_settings()
    with answering(json_output):
        found = backups.bring_back(settings, file.absolute(), force=force)
        text = (
            f"Restored {found['rows']:,} rows of {found['tables']} tables, saved {found['created_at']}, "
            f" in {found['seconds']} s; rows, checksums, {found['roles']} roles and {found['grants']} grants are"
            " as saved."
        )
        say(json_output, found, text)
