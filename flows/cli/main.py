"""The `creditlens` command."""

from __future__ import annotations

import logging
import os
import sys
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from db import registry
from db.decisions import policies
from db.engine import parse_url, program_target
from flows import signals
from flows.alerts.last_night import accounted
from flows.cli import access, answers, archive, dashboards, letters, operations, policy, privacy, reasons
from flows.cli.console import Exit, Json, answering, as_json, say
from flows.cli.wording import calibration_text, model_text, night_text, policy_text, search_text, summary
from flows.files import applications as application_files
from flows.installation import private
from flows.operations import metrics, preflight
from flows.operations import schedule as scheduling
from flows.operations import status as status_report
from flows.operations import watch as watching
from flows.operations.prepare import prepare_database
from flows.operations.status import run_json
from flows.progress import reporting
from flows.services import database, prefect, superset
from flows.settings import Settings, SettingsError, load_settings
from flows.steps import night_date
from flows.steps.run_policy import policy_of
from scoring.errors import OutdatedArtefactError
from scoring.features import by_name

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


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"creditlens {version('creditlens')}")
        raise typer.Exit


@app.callback()
def creditlens(
    shown: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None: ...


app.add_typer(dashboards.app)
app.add_typer(operations.app)
app.add_typer(privacy.app)
app.add_typer(access.app)
app.add_typer(policy.app, name="policy")
app.add_typer(reasons.app)
app.add_typer(letters.app)
app.add_typer(archive.app)

ApplicationsFile = Annotated[
    Path | None,
    typer.Option(
        "--applications",
        "-a",
        help="File of new applications: CSV (also .gz or .zip) or Parquet (also a folder of parts)."
        " Default: application_test of CREDITLENS_DATA, or the synthetic ones.",
        show_default=False,
    ),
]


@app.command()
def up(
    foreground: Annotated[
        bool,
        typer.Option("--foreground", help="At the end, serve the schedule in this process, as a container does."),
    ] = False,
    with_dashboards: Annotated[
        bool | None,
        typer.Option(
            "--dashboards/--no-dashboards",
            help="Also set up the dashboards (default: the setting CREDITLENS_DASHBOARDS).",
            show_default=False,
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Set everything up and publish tonight's scores. Run it again at any time: it does only what is missing.

    It first checks settings, folders, ports, memory and disk. Then it starts Postgres and a Prefect server in the
    background, brings the schema up to date, reads the data in CREDITLENS_DATA (or makes synthetic applications),
    trains a model if there is none, scores the night, starts the nightly schedule, and sets up the dashboards.
    """
    settings = load_settings()
    with_dashboards = settings.dashboards if with_dashboards is None else with_dashboards
    again = "run `creditlens up` again, it does what is still to be done"
    with answering(json_output), signals.leaving(again):
        if foreground:
            # Told at once, not after a night.
            with scheduling.alone(settings):
                pass
        require_ready(settings, with_dashboards)
        log.info("Starting Postgres and bringing its schema up to date ...")
        prepare_database(settings)
        scheduling.stop_outdated_prefect(settings)
        prefect.start_prefect(settings)
        former, applications = data_files(settings)
        log.info("Waiting for the Prefect server ...")
        prefect.wait_for_prefect(settings)
        prefect.use_prefect(settings, quiet=not foreground)
        with database.database(settings) as engine:
            trained = usable_model(engine)
        if trained is None:
            log.info("Training a model, as there is none to use; a few minutes with all former customers ...")
            trained = run_training(former, None)
        night = run_nightly(applications)
        answer = night_json(night) | {"model": model_json(trained), "prefect_url": prefect.prefect_url(settings)}
        problem = None
        if not foreground:
            problem = scheduling.beside_the_night(settings, applications, answer)
            watching.start_watch(settings)
    if not json_output:
        typer.echo(summary(settings, night, trained, answer.get("next_night")))
    if with_dashboards:
        problem = dashboards.beside_the_night(settings, answer, json_output) or problem
    if json_output:
        say(json_output, answers.Up, answer, "")
    if foreground:
        with answering(json_output), scheduling.alone(settings):
            serve_schedule(settings, applications)
    if problem:
        raise typer.Exit(Exit.FAILED)


@app.command()
def down(json_output: Json = False) -> None:
    """Stop what `up` started: watch, dashboards, schedule, Prefect server and Postgres. No data are lost."""
    settings = load_settings()
    with answering(json_output):
        stopped = {
            "watch": watching.watch_service(settings).stop(),
            "dashboards": superset.server(settings).stop(),
            "schedule": scheduling.schedule_service(settings).stop(),
            "prefect": prefect.prefect_server(settings).stop(),
            "postgres": settings.database_url is None and settings.embedded().stop(),
        }
        names = [name for name, ran in stopped.items() if ran]
        text = f"Stopped: {', '.join(names)}." if names else "Nothing was running."
        say(json_output, answers.Down, stopped, text)


@app.command()
def status(
    json_output: Json = False,
    prometheus: Annotated[
        bool,
        typer.Option("--prometheus", help="Print metrics in the text format of Prometheus."),
    ] = False,
) -> None:
    """Show what is published, how old it is, which services run, and how long the disk will last.

    The exit code is 1 if something is wrong: nothing is published, or it is too old; the last night was refused or
    failed; the database, the schedule or the watch is down; the schedule is paused; no night is planned, or one at
    another time than the settings ask for; a service wrote errors into its log within a day; the disk is too full.
    """
    settings = load_settings()
    with answering(json_output):
        if json_output and prometheus:
            raise SettingsError("Choose one of --json and --prometheus.")
        found = status_report.status_json(settings)
        if prometheus:
            typer.echo(metrics.exposition(found), nl=False)
        else:
            say(json_output, answers.Status, found, status_report.status_text(found))
    if not found["healthy"]:
        raise typer.Exit(Exit.FAILED)


@app.command()
def nightly(
    applications: ApplicationsFile = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Date of the scores (default: today)."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even if neither input nor model has changed.")
    ] = False,
    ahead_because: Annotated[
        str | None,
        typer.Option(help="Reason for a date after tomorrow, which is refused without one; recorded with the run."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Check, score, explain and publish one file of applications; if anything fails, publish nothing."""
    settings = load_settings()
    day = as_of.date() if as_of else None
    with answering(json_output):
        # Mistyped, it is no night that went wrong.
        night_date.require_date(day, settings, ahead_because)
        with accounted(settings):
            file = applications or data_files(settings, make=False)[1]
            prefect.use_prefect(settings)
            night = run_nightly(file, day, force, ahead_because)
        say(json_output, answers.Night, night_json(night), night_text(night))


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
        typer.Option(
            min=0,
            max=1000,
            help="Random trials beside the default parameters (default: the setting CREDITLENS_TRIALS).",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Train a model on former customers and make it the current one; the next night uses it."""
    settings = load_settings()
    with answering(json_output):
        files = former or data_files(settings, make=False)[0]
        prefect.use_prefect(settings)
        record = run_training(files, trials)
        text = "\n".join([search_text(record), policy_text(record), calibration_text(record), model_text(record)])
        say(json_output, answers.Trained, model_json(record) | training_json(record), text)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Folder for application_train.csv and application_test.csv.")],
    former: Annotated[int, typer.Option(min=1, help="Former customers, with outcome.")] = 307_511,
    new: Annotated[int, typer.Option(min=1, help="New customers.")] = 48_744,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the files that are there.")] = False,
    json_output: Json = False,
) -> None:
    """Write synthetic applications with the real columns and plausible values.

    Applications that are in the folder already are not replaced without --force.
    """
    from flows.files.samples import write_sample

    with answering(json_output), reporting(quiet=json_output), private.as_the_user_wants():
        files = write_sample(folder.expanduser(), former=former, new=new, seed=seed, force=force)
        written = [str(file) for file in files]
        say(json_output, answers.Sample, {"files": written}, "Written: " + ", ".join(written))


@app.command()
def schedule(applications: ApplicationsFile = None) -> None:
    """Run the nightly schedule in the foreground until it is stopped (CREDITLENS_CRON, CREDITLENS_TIME_ZONE)."""
    settings = load_settings()
    with answering(False), scheduling.alone(settings):
        file = applications or data_files(settings, make=False)[1]
        if scheduling.schedule_service(settings).pid() is None:
            # Not by the one that `up` has just started beside a server that it has looked at.
            scheduling.stop_outdated_prefect(settings)
        prefect.start_prefect(settings)
        prefect.wait_for_prefect(settings)
        prefect.use_prefect(settings, quiet=False)
        serve_schedule(settings, file)


@app.command()
def watch() -> None:
    """Report by webhook or e-mail when a night is missing or the schedule has stopped; runs until it is stopped.

    `creditlens up` starts it in the background if CREDITLENS_NOTIFY_URL or CREDITLENS_NOTIFY_EMAIL is set. Start it
    yourself if you use `up --foreground` or `schedule`.
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
    """Bring the schema, dictionary, roles and grants of the database up to date; starts the embedded Postgres."""
    settings = load_settings()
    with answering(json_output):
        revision = prepare_database(settings, take_over=take_over)
        say(json_output, answers.Migrated, {"revision": revision}, f"The database is at revision {revision}.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sql(context: typer.Context) -> None:
    """Open psql with the read-only role; arguments go to psql: [dim]creditlens sql -c 'SELECT ...'[/dim]."""
    settings = load_settings()
    with answering(False):
        from db.server import clients

        url = parse_url(database.reader_url(settings))
        command = [str(clients.psql(url)), program_target(url), *context.args]
        private.leave_to_the_user()
        # In our place: Ctrl+C, a closed terminal and the exit code are psql's own.
        os.execve(command[0], command, {**os.environ, "PGPASSWORD": url.password or ""})


def require_ready(settings: Settings, with_dashboards: bool) -> None:
    """Look at everything that may be wrong before anything is started. Raises SettingsError or SourceError."""
    problems = preflight.problems(os.environ, dashboards=with_dashboards)
    if problems:
        raise SettingsError(" ".join(problems))
    if settings.data is not None:
        data_files(settings, make=False)


def serve_schedule(settings: Settings, applications: Path) -> None:
    """Serve the schedule until this process is ended."""
    log.info("Scoring %s at %r, %s time. Stop with Ctrl+C.", applications, settings.cron, settings.time_zone)
    scheduling.serve(settings, applications)


def data_files(settings: Settings, *, make: bool = True) -> tuple[list[Path], Path]:
    """Files of former customers and the file of new ones: the settings' folder, or synthetic ones."""
    folder = settings.data or settings.state / "data"
    if settings.data is None and make and not (folder / "application_test.csv").exists():
        from flows.files.samples import write_sample

        with reporting():
            write_sample(folder, former=settings.synthetic_former, new=settings.synthetic_new)
    if settings.data is None and not folder.exists():
        raise SettingsError(
            "There are no applications yet: run `creditlens up`, which makes synthetic ones, or name a folder with"
            " application_train and application_test in CREDITLENS_DATA."
        )
    return application_files.find(folder, "application_train"), application_files.find(folder, "application_test")[
        0
    ]


def usable_model(engine: Engine) -> registry.ModelRecord | None:
    """The current model, unless there is none or it is of another version, or may use what the policy bars."""
    from scoring.bundle import ModelBundle

    record = registry.current_model(engine)
    if record is None:
        return None
    try:
        bundle = ModelBundle.from_bytes(*registry.artefact(engine, record.model_id))
    except OutdatedArtefactError as error:
        log.warning("Model %s cannot be used: %s", record.model_id, error)
        return None
    if barred := bundle.bars(policy_of(policies.current(engine))):
        labels = ", ".join(by_name()[name].label_en for name in barred)
        log.warning("Model %s may use %s, which the policy bars by now.", record.model_id, labels)
        return None
    return record


def run_nightly(
    applications: Path, as_of: date | None = None, force: bool = False, ahead_because: str | None = None
) -> Any:
    """The nightly flow, with progress."""
    from flows.nightly import nightly as flow

    with reporting():
        return flow(applications, as_of, force, ahead_because)


def run_training(files: list[Path], trials: int | None) -> registry.ModelRecord:
    """The training flow, with progress."""
    from flows.training import training as flow

    with reporting():
        return flow(files, trials)


def night_json(night: Any) -> dict[str, Any]:
    """How a night ended, as other programs rely on it."""
    return {
        "outcome": night.outcome,
        **run_json(night.run),
        "unknown_categories": night.run.unknown_categories,
        "stage_seconds": dict(night.run.stage_seconds),
        "is_current": night.is_current,
        "warnings": list(night.warnings),
        "notes": list(night.notes),
        "policy_id": night.run.policy_id,
        "decisions_moved": None if night.moved is None else list(night.moved.lines),
    }


def model_json(record: registry.ModelRecord) -> dict[str, Any]:
    """A model, as other programs rely on it."""
    quality = {name: record.metrics[name] for name in ("auc", "gini", "ks", "brier")}
    return {"model_id": record.model_id, "training_rows": record.training_rows, **quality}


def training_json(record: registry.ModelRecord) -> dict[str, Any]:
    """What a training found out beside the model's quality, as other programs rely on it."""
    policy, calibration = record.metrics["policy"], record.metrics["recalibration"]
    return {
        "search": record.metrics["search"],
        **{name: policy[name] for name in ("exclusions", "all_exclusions", "directions")},
        "calibration": {name: calibration[name] for name in answers.Calibration.model_fields},
    }


def main() -> None:
    """Run one command."""
    private.close_new_files()
    # On our own logger, not the root: what libraries log is Prefect's to sort.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        app()
    except SettingsError as error:
        if "--json" in sys.argv:
            typer.echo(as_json(answers.Failure(outcome="refused", message=str(error))))
        typer.echo(f"creditlens: {error}", err=True)
        sys.exit(Exit.REFUSED)
