"""Commands that decide who may see whom, and tell who looked at whom."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from db import schema
from db.access import portfolios
from db.engine import parse_url
from db.errors import RefusedError
from db.superset import access_log
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.cli.operations import By, somebody
from flows.files.spreadsheets import plain
from flows.services import database, superset
from flows.settings import load_settings

app = typer.Typer()
portfolio = typer.Typer(
    help="Assign customers to advisors, and choose whether advisors see only their own.", no_args_is_help=True
)
app.add_typer(portfolio, name="portfolio")

Username = Annotated[str, typer.Argument(help="User name in the dashboards, spelled exactly.")]
Customers = Annotated[
    list[int] | None, typer.Option("--customer", "-c", help="Application number; may be given several times.")
]
Regions = Annotated[
    list[int] | None,
    typer.Option(
        "--region", "-r", help="Rating of the customer's region: all of tonight's customers with it.", min=1, max=3
    ),
]


# --- portfolios -----------------------------------------------------------------------------------------------


@portfolio.command()
def on(by: By = None, json_output: Json = False) -> None:
    """Show each advisor only the customers assigned to them, whatever they open, export or ask for.

    Postgres itself enforces this. Analysts, operators and administrators still see all customers, and figures of a
    whole night still cover all customers.
    """
    _switch(True, by, json_output)


@portfolio.command()
def off(by: By = None, json_output: Json = False) -> None:
    """Show every customer to every advisor, which is the default. Assignments are kept."""
    _switch(False, by, json_output)


def _switch(limited: bool, by: str | None, json_output: bool) -> None:
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        portfolios.ensure_key(engine, settings.secrets()["viewer"])
        found = portfolios.switch(engine, limited=limited, by=somebody(by))
        answer = {"portfolios": "on" if limited else "off", **asdict(found)}
        text = "An advisor sees his own customers only" if limited else "Every advisor sees every customer"
        since = f"since {found.changed_at:%Y-%m-%d %H:%M} by {found.changed_by}"
        say(json_output, answers.Portfolios, answer, f"{text}, {since}.")


@portfolio.command()
def assign(
    username: Annotated[str | None, typer.Argument(help="User name in the dashboards, spelled exactly.")] = None,
    customers: Customers = None,
    regions: Regions = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="Instead: a CSV file with the columns username, and customer_id or region_rating.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    by: By = None,
    json_output: Json = False,
) -> None:
    """Assign customers, or all customers of a region, to an advisor. A file is taken completely or not at all."""
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        if file is not None:
            rows = read_assignments(file, somebody(by))
        elif username and (customers or regions):
            rows = portfolios.rows(username, customers=customers or (), regions=regions or (), by=somebody(by))
        else:
            raise RefusedError("Name a user and at least one --customer or --region, or a --file.")
        added = portfolios.assign_all(engine, rows)
        answer = {"assigned": added, "already": len(rows) - added}
        say(json_output, answers.Assigned, answer, f"Assigned: {added:,}; {len(rows) - added:,} were so already.")


@portfolio.command()
def unassign(
    username: Username,
    customers: Customers = None,
    regions: Regions = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is assigned to the advisor.")] = False,
    json_output: Json = False,
) -> None:
    """Take customers or a region away from an advisor."""
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        if not (customers or regions or everything):
            raise RefusedError("Name at least one --customer or --region, or --all.")
        removed = portfolios.unassign(
            engine, username, customers=customers or (), regions=regions or (), everything=everything
        )
        say(json_output, answers.Unassigned, {"unassigned": removed}, f"Taken away: {removed:,}.")


@portfolio.command("list")
def list_(
    username: Annotated[str | None, typer.Argument(help="One advisor; all of them by default.")] = None,
    json_output: Json = False,
) -> None:
    """Show whether portfolios are on, and which customers each advisor has, as CSV."""
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        found, state = portfolios.assignments(engine, username), portfolios.state(engine)
        if json_output:
            answer = {"portfolios": "on" if state.limited else "off", "assignments": [asdict(one) for one in found]}
            say(True, answers.Assignments, answer, "")
            return
        typer.echo(f"Portfolios are {'on' if state.limited else 'off'}.", err=True)
        _write_csv(list(portfolios.Assignment.__dataclass_fields__), [asdict(one) for one in found])


def read_assignments(file: Path, by: str) -> list[dict[str, Any]]:
    """Rows of a file of assignments. Raises RefusedError that names file, line and what is wrong."""
    try:
        return _read_assignments(file, by)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{file} is no CSV in UTF-8; nothing was assigned.") from error


def _read_assignments(file: Path, by: str) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        columns = set(reader.fieldnames or ())
        if "username" not in columns or not columns & {"customer_id", "region_rating"}:
            raise RefusedError(f"{file} needs the columns username, and customer_id or region_rating (or both).")
        rows = []
        for row in reader:
            username = (row["username"] or "").strip()
            values = {name: (row.get(name) or "").strip() for name in ("customer_id", "region_rating")}
            given = {name: value for name, value in values.items() if value}
            if (
                not username.isprintable()
                or not username
                or len(given) != 1
                or not all(map(_in_range, given, given.values()))
            ):
                raise RefusedError(
                    f"{file}, line {reader.line_num}: a user name and one whole number are due,"
                    " a customer_id or a region_rating; nothing was assigned."
                )
            numbers = {name: int(value) if value else None for name, value in values.items()}
            rows.append({"username": username, **numbers, "assigned_by": by})
    return rows


def _in_range(name: str, value: str) -> bool:
    lowest, highest = (1, 3) if name == "region_rating" else (0, 2**31 - 1)
    return value.isascii() and value.isdigit() and lowest <= int(value[:20]) <= highest


# --- who looked at whom ---------------------------------------------------------------------------------------


@app.command("access-log")
def access_log_(
    customer: Annotated[int | None, typer.Option(help="Only looks at this customer.", min=0)] = None,
    user: Annotated[str | None, typer.Option(help="Only what this user looked at.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only from this time on (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 10_000,
    json_output: Json = False,
) -> None:
    """List who looked at which customer in the dashboards, when and where: CSV, newest first.

    It includes exports, and views that came from a cache. It also includes what analysts asked in SQL; which
    customers that showed is not known for sure.
    """
    settings = load_settings()
    with answering(json_output):
        url = parse_url(superset.compliance_url(settings))
        rows = access_log.read(url, customer=customer, user=user, since=since, limit=limit)
        if json_output:
            say(True, answers.AccessLog, {"rows": rows}, "")
        else:
            _write_csv(list(access_log.COLUMNS), rows)


def _write_csv(columns: list[str], rows: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, columns)
    writer.writeheader()
    writer.writerows(
        {name: plain(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows
    )
