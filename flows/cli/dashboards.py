"""The command `creditlens dashboards`, and how `creditlens up` tells of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from db.errors import DRIVER_ERRORS, DatabaseError
from flows import signals
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.operations.prepare import prepare_database
from flows.services import superset
from flows.services.processes import ServiceError
from flows.settings import Settings, SettingsError, load_settings

app = typer.Typer()


@app.command("dashboards")
def dashboards_(
    force: Annotated[bool, typer.Option("--force", help="Set them up again even if nothing has changed.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Serve them in this process, as a container does.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Set up the dashboards, serve them, and print their address, users and passwords.

    Charts and dashboards that are not part of this version are removed. Edits made in the browser are undone when a
    file of this version has changed, or with --force. Run `make superset` once before.
    """
    settings = load_settings()
    with answering(json_output):
        prepare_database(settings)
        if foreground:
            superset.serve(settings)
        found = superset.set_up(settings, force=force)
        say(json_output, answers.Dashboards, as_json(found), as_text(found))


def beside_the_night(settings: Settings, answer: dict[str, Any], json_output: bool) -> str | None:
    """Set the dashboards up for `creditlens up`, whose night is published whatever becomes of them.

    Adds them to its answer, or why there are none, which is also returned.
    """
    try:
        with signals.raised():
            found = superset.set_up(settings)
    except (DatabaseError, ServiceError, SettingsError, *DRIVER_ERRORS, OSError, KeyboardInterrupt) as error:
        problem = str(error) or "interrupted"
        answer["dashboards"] = {"outcome": "failed", "message": problem}
        typer.echo(f"creditlens: The night is published; the dashboards are not there: {problem}", err=True)
        return problem
    answer["dashboards"] = as_json(found)
    if not json_output:
        typer.echo("\n" + as_text(found))
    return None


def as_json(found: superset.Dashboards) -> dict[str, Any]:
    """The dashboards, as other programs rely on it."""
    return {
        "outcome": "set up" if found.provisioned else "unchanged",
        "url": found.url,
        "users": found.users,
        "seconds": round(found.seconds, 1),
        "warnings": list(found.warnings),
    }


def as_text(found: superset.Dashboards) -> str:
    """The dashboards, for people: address, users, passwords, and what each user may do."""
    done = f"set up in {found.seconds:.0f} s" if found.provisioned else "unchanged"
    users = [f"  {user:<12}{found.users[user]}  {may}" for user, may in found.rights.items()]
    return "\n".join([f"Dashboards:   {found.url}  ({done}); sign in as", *users])
