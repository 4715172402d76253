"""The `creditlens` command."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from db import registry
from db.engine import parse_url, program_target
from flows import access, dashboards, dashboards_command, health, operating, services, sources, watching
from flows import schedule as scheduling
from flows.console import Exit, Json, answering, say
from flows.health import run_json
from flows.nights import accounted
from flows.preparing import prepare_database
from flows.progress import reporting
from flows.settings import Settings, SettingsError, load_settings
from scoring.errors import OutdatedArtefactError

log = logging.getLogger("creditlens")


app = typer.Typer(
    name="creditlens",
    help=(
        "Score every credit application each night, and explain every score.\n\n"
        "Start with [bold]creditlens up[/bold]; see what is published with [bold]creditlens status[/bold].\n\n"
        "Exit codes: 0 success, 1 failure, 2 input or usage refused, 3 another run is under way."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(dashboards_command.app)
app.add_typer(operating.app)
app.add_typer(access.app)

ApplicationsFile = Annotated[
    Path | None,
    typer.Option(
        "--applications",
        "-a",
        help="CSV (also gzipped) or Parquet file of new applications."
        " Default: application_test of CREDITLENS_DATA, or the synthetic ones.",
        show_default=False,
    ),
]


@app.command()
def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Then serve the schedule in this process, as a container does.")
    ] = False,
    with_dashboards: Annotated[
        bool | None,
        typer.Option(
            "--dashboards/--no-dashboards",
            help="Also set up the dashboards; the setting `dashboards` by default.",
            show_default=False,
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Set everything up and publish tonight's scores; run it again at any time, only what is missing is done.

    Starts Postgres and a Prefect server in the background, migrates, takes the data of CREDITLENS_DATA (synthetic
    applications without it), trains a model if there is none, runs the night, starts the nightly schedule, and
    sets up the dashboards.
    """
    settings = load_settings()
    with answering(json_output):
        log.info("Starting Postgres and bringing its schema up to date ...")
        prepare_database(settings)
        services.start_prefect(settings)
        former, applications = data_files(settings)
        log.info("Waiting for the Prefect server ...")
        services.wait_for_prefect(settings)
        services.use_prefect(settings, quiet=not foreground)
        with services.database(settings) as engine:
            trained = usable_model(engine)
        if trained is None:
            log.info("Training a model, as there is none to use; a few minutes with all former customers ...")
            trained = run_training(former, None)
        night = run_nightly(applications)
        if not foreground:
            scheduling.start_schedule(settings, applications)
            watching.start_watch(settings)
    if not json_output:
        typer.echo(summary(settings, night, trained))
    answer = {"outcome": night.outcome, **run_json(night.run)}
    problem = None
    if settings.dashboards if with_dashboards is None else with_dashboards:
        problem = dashboards_command.beside_the_night(settings, answer, json_output)
    if json_output:
        say(json_output, answer, "")
    if foreground:
        with answering(json_output):
            serve_schedule(settings, applications)
    if problem:
        raise typer.Exit(Exit.FAILED)


@app.command()
def down(json_output: Json = False) -> None:
    """Stop watch, dashboards, schedule, Prefect server and embedded Postgres; nothing that they hold is lost."""
    settings = load_settings()
    with answering(json_output):
        stopped = {
            "watch": watching.watch_service(settings).stop(),
            "dashboards": dashboards.server(settings).stop(),
            "schedule": scheduling.schedule_service(settings).stop(),
            "prefect": services.prefect_server(settings).stop(),
            "postgres": settings.database_url is None and settings.embedded().stop(),
        }
        names = [name for name, ran in stopped.items() if ran]
        say(json_output, stopped, f"Stopped: {', '.join(names)}." if names else "Nothing was running.")


@app.command()
def status(json_output: Json = False) -> None:
    """What is published, how old it is, whether the services run, how long the disk lasts.

    Exit code 1 if something is not healthy: nothing published or too old, the last night or run refused or failed,
    the database, the schedule or the watch down, the schedule paused, the disk too full for a night.
    """
    settings = load_settings()
    with answering(json_output):
        found = health.status_json(settings)
        say(json_output, found, health.status_text(found))
    if not found["healthy"]:
        raise typer.Exit(Exit.FAILED)


@app.command()
def nightly(
    applications: ApplicationsFile = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The date that the scores are of; today by default."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Publish again even if input and model are unchanged.")] = False,
    json_output: Json = False,
) -> None:
    """Check, score, explain and publish one file of applications: the whole of it, or nothing."""
    settings = load_settings()
    with answering(json_output), accounted(settings):
        file = applications or data_files(settings, make=False)[1]
        services.use_prefect(settings)
        night = run_nightly(file, as_of.date() if as_of else None, force)
        answer = {"outcome": night.outcome, **run_json(night.run)}
        say(json_output, answer, night_text(night))


@app.command()
def train(
    former: Annotated[
        list[Path] | None,
        typer.Option(
            "--former",
            "-f",
            help="File of former customers with TARGET; may be given several times."
            " Default: application_train of CREDITLENS_DATA, or the synthetic ones.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=0, max=1000, help="Random search trials beside the default parameters (setting: trials)."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Train a model on former customers and make it the current one; the next night uses it."""
    settings = load_settings()
    with answering(json_output):
        files = former or data_files(settings, make=False)[0]
        services.use_prefect(settings)
        record = run_training(files, trials)
        answer = {"model_id": record.model_id, "training_rows": record.training_rows}
        answer |= {name: record.metrics[name] for name in ("auc", "gini", "ks", "brier")}
        say(json_output, answer, f"{search_text(record)}\n{model_text(record)}")


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Folder for application_train.csv and application_test.csv.")],
    former: Annotated[int, typer.Option(min=1, help="Former customers, with outcome.")] = 307_511,
    new: Annotated[int, typer.Option(min=1, help="New customers.")] = 48_744,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    json_output: Json = False,
) -> None:
    """Write synthetic applications with the real columns and plausible values."""
    from flows.samples import write_sample

    with answering(json_output), reporting(quiet=json_output):
        files = write_sample(folder, former=former, new=new, seed=seed)
        say(json_output, {"files": [str(file) for file in files]}, "Written: " + ", ".join(map(str, files)))


@app.command()
def schedule(applications: ApplicationsFile = None) -> None:
    """Serve the nightly schedule in the foreground (settings: cron, time_zone), until it is stopped."""
    settings = load_settings()
    with answering(False):
        file = applications or data_files(settings, make=False)[1]
        services.start_prefect(settings)
        services.wait_for_prefect(settings)
        services.use_prefect(settings, quiet=False)
        serve_schedule(settings, file)


@app.command()
def watch() -> None:
    """Tell by webhook or e-mail of nights that are missing and of a schedule that stands still, until stopped.

    `creditlens up` starts one in the background where the settings (notify_url, notify_email) name somebody; with
    `up --foreground` or `schedule` it is to be started beside them.
    """
    settings = load_settings()
    with answering(False):
        watching.run(settings)


@app.command()
def migrate(
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Also where another installation, whose state folder is gone, used the database: its passwords are"
            " replaced by those of this one.",
        ),
    ] = False,
    json_output: Json = False,
) -> None:
    """Start Postgres if it is ours and bring its schema, dictionary, roles and grants up to date."""
    settings = load_settings()
    with answering(json_output):
        revision = prepare_database(settings, take_over=take_over)
        say(json_output, {"revision": revision}, f"The database is at revision {revision}.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sql(context: typer.Context) -> None:
    """Open psql as the reader, or pass arguments on to it: [dim]creditlens sql -c 'SELECT ...'[/dim]."""
    settings = load_settings()
    with answering(False):
        from db import clients

        url = parse_url(services.reader_url(settings))
        command = [str(clients.psql(url)), program_target(url), *context.args]
        done = subprocess.run(command, env={**os.environ, "PGPASSWORD": url.password or ""}, check=False)
    raise typer.Exit(done.returncode)


# --- what the commands share ----------------------------------------------------------------------------------


def serve_schedule(settings: Settings, applications: Path) -> None:
    """Serve the schedule until this process is ended."""
    log.info("Scoring %s at %r, %s time. Stop with Ctrl+C.", applications, settings.cron, settings.time_zone)
    scheduling.serve(settings, applications)


def data_files(settings: Settings, *, make: bool = True) -> tuple[list[Path], Path]:
    """Files of former customers and the file of new ones: the settings' folder, or synthetic ones."""
    folder = settings.data or settings.state / "data"
    if settings.data is None and make and not (folder / "application_test.csv").exists():
        from flows.samples import write_sample

        with reporting():
            write_sample(folder, former=settings.synthetic_former, new=settings.synthetic_new)
    return sources.find(folder, "application_train"), sources.find(folder, "application_test")[0]


def usable_model(engine: Engine) -> registry.ModelRecord | None:
    """The current model, unless there is none or it is of another version of this program."""
    from scoring.bundle import ModelBundle

    record = registry.current_model(engine)
    if record is None:
        return None
    try:
        ModelBundle.from_bytes(*registry.artefact(engine, record.model_id))
    except OutdatedArtefactError as error:
        log.warning("Model %s cannot be used: %s", record.model_id, error)
        return None
    return record


def run_nightly(applications: Path, as_of: date | None = None, force: bool = False) -> Any:
    """The nightly flow, with progress."""
    from flows.nightly import nightly as flow

    with reporting():
        return flow(applications, as_of, force)


def run_training(files: list[Path], trials: int | None) -> registry.ModelRecord:
    """The training flow, with progress."""
    from flows.training import training as flow

    with reporting():
        return flow(files, trials)


def night_text(night: Any) -> str:
    """How a night ended, for people."""
    run = night.run
    if night.outcome == "unchanged":
        return (
            f"Unchanged: this input was scored by this model in run {run.run_id} of {run.as_of};"
            " --force publishes it again."
        )
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in run.stage_seconds.items())
    late = "" if night.is_current else " It is of an older date: in history, not what readers see first."
    return (
        f"Published run {run.run_id} of {run.as_of} by model {run.model_id}:"
        f" {run.customers:,} customers scored and explained, {run.rejected:,} rows rejected,"
        f" {run.unknown_categories:,} unknown categories, in {run.seconds:.1f} s.{late}\n"
        f"Busy seconds per stage (check, score and load overlap): {stages}"
    )


def model_text(record: registry.ModelRecord) -> str:
    """A model, for people."""
    quality = record.metrics
    return (
        f"Model {record.model_id}, trained on {record.training_rows:,} former customers; out of fold:"
        f" AUC {quality['auc']:.4f}, Gini {quality['gini']:.4f}, KS {quality['ks']:.4f},"
        f" Brier {quality['brier']:.4f}"
    )


def search_text(record: registry.ModelRecord) -> str:
    """What the search tried: AUC against depth and leaves, with what explaining costs beside it."""
    lines = ["     AUC   depth  leaves  trees  cost of explaining a row (additions)"]
    for trial in record.metrics["search"]:
        parameters = trial["parameters"]
        depth = parameters["max_depth"] if parameters["max_depth"] > 0 else "any"
        lines.append(
            f"{'->' if trial['chosen'] else '  '} {trial['auc']:.4f} {depth:>5}"
            f" {parameters['num_leaves']:>7} {parameters['trees']:>6} {trial['explanation_cost']:>8,}"
        )
    return "\n".join([*lines, "Chosen (->) is the cheapest to explain of those that do not differ from the best."])


def summary(settings: Settings, night: Any, record: registry.ModelRecord) -> str:
    """What `up` has done, and how to look at it."""
    return "\n".join(
        [
            model_text(record),
            night_text(night),
            "",
            "Look at it:   creditlens sql -c 'SELECT * FROM reporting.customer LIMIT 5'",
            "State:        creditlens status",
            f"Prefect:      {(services.prefect_url(settings) or 'no server').removesuffix('/api')}",
            "Stop:         creditlens down",
        ]
    )


def main() -> None:
    """Entry point of the `creditlens` command."""
    # On our own logger, not the root: what libraries log is Prefect's to sort.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        app()
    except SettingsError as error:
        typer.echo(f"creditlens: {error}", err=True)
        sys.exit(Exit.REFUSED)


if __name__ == "__main__":
    main()
