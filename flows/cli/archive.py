"""The command that writes nights into an archive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import signals
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.operations.archive import archive_nights
from flows.progress import reporting
from flows.settings import load_settings

app = typer.Typer()


@app.command()
def archive(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of the archive, new or empty the first time (default: the setting CREDITLENS_ARCHIVE).",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Nights of dates before this one, instead.", show_default=False),
    ] = None,
    run: Annotated[
        list[int] | None,
        typer.Option("--run", help="This run, instead; may be given several times.", show_default=False),
    ] = None,
    json_output: Json = False,
) -> None:
    """Write nights beyond the retention as Parquet files that DuckDB, pandas and polars read.

    A night is there whole or not at all, and none is written over; run it again at any time. The files hold
    personal data: `creditlens erase` and `export` look into every archive. No night may be under way; one that the
    schedule starts meanwhile waits for the night that is being archived, and the others are refused: run it again.
    """
    settings = load_settings()
    with answering(json_output), reporting(quiet=json_output):
        with signals.leaving("nights that were not finished are not there; run it again"):
            done = archive_nights(
                settings,
                folder and folder.expanduser().absolute(),
                before=before and before.date(),
                run_ids=run or (),
            )
        say(json_output, answers.Archived, done, archived_text(done, before and before.date()))


def archived_text(done: dict[str, Any], before: date | None = None) -> str:
    """What is in an archive now, for people."""
    lines = [_line(night) for night in done["nights"]]
    if not lines and before:
        lines = [f"No night is of a date before {before}."]
    elif not lines:
        lines = ["No night is beyond the retention; name one with --run, or a date with --before."]
    if done["erased_again"]:
        lines.append(f"Removed {done['erased_again']:,} rows of people who were erased since they were archived.")
    return "\n".join([*lines, f"Archive: {done['folder']}"])


def _line(night: Mapping[str, Any]) -> str:
    size = f"{night['rows']:,} rows, {night['bytes'] / 1e6:,.1f} MB"
    only = "" if night["details"] else "; scores only, as its details had been dropped"
    return f"{night['outcome'].capitalize()}: run {night['run_id']} of {night['as_of']}, {size}{only}"
