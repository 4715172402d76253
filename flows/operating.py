"""Commands for those who operate an installation and answer for it."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from db import pointer, runs, schema
from flows import services
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
