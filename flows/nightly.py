"""The nightly scoring flow: check, score, explain, load, audit, publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

from prefect import flow
from sqlalchemy import Engine

from db import registry, schema
from db.errors import BusyError, DatabaseError
from db.models import RUN_PARTITIONED
from db.runs import audit as run_audit
from db.runs import audit_reasons, audit_similar, ledger, statistics
from db.runs.audit_what_if import audit_what_if
from db.runs.partitions import staging
from flows import signals
from flows.alerts import notify
from flows.alerts.last_night import accounted, date_of, started_by_the_clock, state_if_cancelled
from flows.archives.write import before_they_are_dropped
from flows.artifacts.night import ShownNight
from flows.artifacts.progress import progress_in_prefect
from flows.artifacts.server import left_in_prefect
from flows.files import applications as application_files
from flows.progress import reporter
from flows.services import logs
from flows.services.database import database
from flows.settings import Settings, load_settings
from flows.steps import empty_columns, night_date, night_size
from flows.steps.chunks import Tally, record_input, require_few_rejected, require_known_values, scoring_pipeline
from flows.steps.dask import score_on_dask
from flows.steps.recovery import closed_on_error, recover, scratch_removed
from flows.steps.retries import io_task, pure_task
from flows.steps.rows import run_statistics
from flows.steps.run_policy import Moves, RunPolicy, moves, run_policy
from flows.steps.run_reasons import RunReasons, run_reasons
from flows.steps.run_similar import RunSimilar, compared_again, run_similar
from flows.steps.second_opinion import sample_of, second_opinion, start_second_opinion
from scoring.bundle import ModelBundle
from scoring.errors import PolicyError
from scoring.features import by_name
from scoring.monitoring import summarise
from scoring.preprocess import feature_ids

log = logging.getLogger("creditlens")

Outcome = Literal["published", "unchanged"]
# How long a night of the schedule waits for its turn, and between two tries; in seconds.
_PATIENCE, _PAUSE = 15 * 60, 0.5
# What somebody is told of a night that is published and does not look right.
_EVENTS = {night_size.CHECK: "night_small", empty_columns.CHECK: "night_columns", night_date.CHECK: "night_ahead"}


class NoModelError(DatabaseError):
    """There is no trained model yet."""


@dataclass(frozen=True, slots=True)
class Night:
    """How a night ended: the run that is published, and whether this night published it.

    `warnings` say what does not look right, `notes` what was read in spite of how it is written. `moved` is what
    another policy than the one of the run before has moved, None where it is the same.
    """

    outcome: Outcome
    run: ledger.Run
    is_current: bool
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    moved: Moves | None = None


@io_task
def survey_input(applications: Path, settings: Settings) -> application_files.Survey:
    """Look the file over: digest, rows, chunks, duplicate ids."""
    survey = application_files.survey(
        applications, chunk_rows=settings.chunk_rows, scratch=settings.state / "scratch"
    )
    for note in survey.notes:
        log.warning("%s", note)
    return survey


@io_task
def load_model(engine: Engine) -> tuple[int, ModelBundle]:
    """The current model, compared with its SHA-256 before anything reads it."""
    record = registry.current_model(engine)
    if record is None:
        raise NoModelError("There is no trained model; run `creditlens train` (or `creditlens up`).")
    return record.model_id, ModelBundle.from_bytes(*registry.artefact(engine, record.model_id))


@io_task
def load_policy(engine: Engine) -> RunPolicy:
    """The policy in force, and the one that the run which readers see was decided by."""
    return run_policy(engine)


def require_obedient(model_id: int, bundle: ModelBundle, decide: RunPolicy) -> None:
    """Raise PolicyError if the model may use what the policy in force bars."""
    if barred := bundle.bars(decide.policy):
        labels = ", ".join(by_name()[name].label_en for name in barred)
        raise PolicyError(
            f"Policy {decide.policy_id} bars {labels}, which model {model_id} may use; run `creditlens train`."
        )


@io_task
def load_reasons(
    engine: Engine, model_id: int, bundle: ModelBundle, decide: RunPolicy, settings: Settings
) -> RunReasons:
    """The catalogue of reasons, and whom those who are not accepted are compared with."""
    return run_reasons(engine, model_id, bundle, decide, threads=settings.threads)


@io_task
def load_similar(engine: Engine, model_id: int, bundle: ModelBundle, settings: Settings) -> RunSimilar | None:
    """The former customers whom applicants are compared with; None, and a word in the log, for an older model."""
    return run_similar(engine, model_id, bundle, threads=settings.threads)


@io_task
def open_run(
    engine: Engine,
    lock: ledger.Lock,
    survey: application_files.Survey,
    model_id: int,
    as_of: date,
    policy_id: int | None,
) -> int:
    """A row in the ledger; the same one if it is tried again after an answer that was lost."""
    # While the lock is held, an open run is ours.
    lock.require_held()
    return ledger.running(engine) or ledger.open_run(
        engine,
        as_of=as_of,
        model_id=model_id,
        source_name=survey.path.name,
        source_sha256=survey.sha256,
        policy_id=policy_id,
    )


@pure_task
def score_explain_load(
    engine: Engine,
    run_id: int,
    survey: application_files.Survey,
    bundle: ModelBundle,
    decide: RunPolicy,
    reasons: RunReasons,
    similar: RunSimilar | None,
    settings: Settings,
) -> tuple[Tally, dict[str, float]]:
    """Stream the file through check, score and load, in one transaction; counts and seconds per stage."""
    tally = Tally()
    try:
        with staging(engine, RUN_PARTITIONED, run_id) as tables:
            pipeline = scoring_pipeline(
                survey,
                bundle,
                decide,
                tally,
                tables,
                threads=settings.threads,
                take_sample=partial(sample_of, run_id=run_id, chunks=len(survey.chunks)),
                reasons=reasons,
                similar=similar,
                require=lambda: require_few_rejected(tally, survey, settings),
            )
            # Closed before the transaction ends, whatever ends it: its threads write with the same connection.
            with closing(iter(pipeline)) as loaded:
                for chunk, _ in zip(survey.chunks, loaded, strict=True):
                    reporter().update("score", chunk.first_row + chunk.rows - 1, survey.rows)
            start_second_opinion(tally, bundle, settings)
            with timed(pipeline.seconds, "index"):
                tables.index()
            committing = time.perf_counter()
        pipeline.seconds["commit"] = round(time.perf_counter() - committing, 3)
    finally:
        record_input(engine, run_id, tally)
    return tally, pipeline.seconds


@io_task
def compare_size(
    engine: Engine, run_id: int, survey: application_files.Survey, settings: Settings
) -> night_size.Usual | None:
    """What earlier nights had; raise if the file is smaller than the settings allow."""
    usual = night_size.usual(engine, run_id)
    night_size.require_large_enough(usual, survey, settings)
    return usual


@pure_task
def audit(
    engine: Engine,
    run_id: int,
    tally: Tally,
    bundle: ModelBundle,
    basis: audit_reasons.ReasonsOfRun,
    similar: RunSimilar | None,
    more: Sequence[ledger.Check | None] = (),
) -> list[ledger.Check]:
    """Compare what was written with what should have been; raise if it differs, or return what is a warning."""
    checks = run_audit.audit(
        engine,
        run_id,
        customers=tally.customers,
        feature_ids=feature_ids().tolist(),
        base_value=bundle.base_value,
    )
    checks += audit_reasons.audit_reasons(engine, run_id, basis)
    checks += audit_what_if(engine, run_id, basis.policy_id)
    checks += audit_similar.audit_similar(
        engine, run_id, customers=tally.customers if similar else 0, again=compared_again(similar, tally.sample)
    )
    checks.append(second_opinion(tally))
    checks += [check for check in (*more, empty_columns.check_of(tally, bundle.baseline)) if check]
    ledger.record_checks(engine, run_id, checks)
    run_audit.require_passed(checks)
    return [check for check in checks if not check.passed]


@io_task
def publish(
    engine: Engine, run_id: int, tally: Tally, bundle: ModelBundle, decide: RunPolicy, seconds: dict[str, float]
) -> bool:
    """Write down what the night looks like as a whole, attach the run, then move the readers' pointer."""
    with timed(seconds, "statistics"):
        summary = summarise(tally.sums, bundle.baseline, decide.policy) if tally.sums else None
        if summary:
            statistics.record(engine, run_id, run_statistics(summary, decide.previous_id))
    return ledger.publish(
        engine,
        run_id,
        customers=tally.customers,
        rejected=tally.rejected,
        unknown_categories=sum(tally.unknown.values()),
        stage_seconds=seconds,
    )


@io_task
def retire(engine: Engine, settings: Settings) -> list[str]:
    """Drop the details of runs beyond the retention, once they are archived if that is wanted; what went wrong."""
    beyond = ledger.beyond_retention(engine, retained_runs=settings.retained_runs)
    failed = before_they_are_dropped(settings, engine, beyond)
    retired = ledger.retire(engine, retained_runs=settings.retained_runs, keep=failed)
    if retired:
        log.info("Details of older runs dropped: %s", ", ".join(map(str, retired)))
    return [
        f"Run {run_id} could not be archived in {settings.archive} and keeps its details: {why}"
        for run_id, why in failed.items()
    ]


@flow(name="nightly", validate_parameters=False)
def nightly(
    applications: Path, as_of: date | None = None, force: bool = False, ahead_because: str | None = None
) -> Night:
    """Score tonight's applications and publish them whole, or not at all.

    Parameters
    ----------
    applications: file with the columns of Home Credit's `application_test`.
    as_of: the date that the scores are of; by default today in the lender's time zone, and where the clock started
        the night the date of the last night that was due.
    force: publish anew even if the same input was already scored by the same model.
    ahead_because: why a date after tomorrow is right; without a reason such a date is refused.
    """
    settings = load_settings()
    logs.bound_all(settings)
    try:
        return score_and_publish(settings, Path(applications), as_of, force=force, ahead_because=ahead_because)
    except signals.EndedBySignal as error:
        if state := state_if_cancelled(error):
            return state  # type: ignore[no-any-return]
        raise


def score_and_publish(
    settings: Settings, applications: Path, as_of: date | None, *, force: bool, ahead_because: str | None = None
) -> Night:
    """One night from the file to the readers' pointer."""
    work = signals.Work()
    with (
        signals.raised(),
        work.known(),
        # Whoever is to be told is told before Prefect's pages are, which may take seconds.
        left_in_prefect(ShownNight(), settings) as shown,
        accounted(settings),
        work.known(),
        progress_in_prefect(settings, "night"),
        database(settings, writer=True) as engine,
        shown.read_from(engine),
        lock_of_night(engine, wait_seconds=_PATIENCE if started_by_the_clock() else 0) as lock,
        scratch_removed(settings),
    ):
        seconds: dict[str, float] = {}
        night_date.require_date(as_of, settings, ahead_because)
        schema.require_current(engine)
        recover(engine)
        with timed(seconds, "survey"):
            survey = survey_input(applications, settings)
        with timed(seconds, "model"):
            model_id, bundle = load_model(engine)
            decide = load_policy(engine)
            require_obedient(model_id, bundle, decide)
        same = ledger.find_unchanged(
            engine, source_sha256=survey.sha256, model_id=model_id, as_of=as_of, policy_id=decide.policy_id
        )
        if same and not force:
            shown.run_id, shown.unchanged = same.run_id, True
            work.is_done(f"run {same.run_id} is of the same input")
            return Night("unchanged", same, is_current=True, notes=survey.notes)
        with closed_on_error(engine, seconds) as opened:
            date_of_scores = as_of or date_of(settings)
            run_id = open_run(engine, lock, survey, model_id, date_of_scores, decide.policy_id)
            opened.run_id = shown.run_id = run_id
            usual = compare_size(engine, run_id, survey, settings)
            reasons = load_reasons(engine, model_id, bundle, decide, settings)
            similar = load_similar(engine, model_id, bundle, settings)
            if settings.dask:
                tally, stage_seconds = score_on_dask(
                    engine, run_id, survey, model_id, bundle, decide, reasons, settings
                )
            else:
                tally, stage_seconds = score_explain_load(
                    engine, run_id, survey, bundle, decide, reasons, similar, settings
                )
            seconds |= stage_seconds
            notes = (*survey.notes, *require_known_values(tally, survey, settings))
            with timed(seconds, "audit"):
                size = night_size.size_check(usual, tally.customers, settings)
                dated = night_date.check_of(date_of_scores, settings, ahead_because)
                basis = reasons.basis(model_id, decide)
                failed = audit(engine, run_id, tally, bundle, basis, similar, (size, dated))
            application_files.require_unchanged(survey)
            lock.require_held()
            shown.is_current = is_current = publish(engine, run_id, tally, bundle, decide, seconds)
            work.is_done(f"run {run_id} was published before")
            warnings = warn(settings, run_id, failed)
            warnings += tell_of_archive(settings, retire(engine, settings))
            moved = moves(tally.sums, decide)
            return Night("published", ledger.get(engine, run_id), is_current, tuple(warnings), notes, moved)


@contextmanager
def lock_of_night(engine: Engine, *, wait_seconds: float) -> Iterator[ledger.Lock]:
    """The run lock, waited for: nobody starts a night of the schedule again that a night being archived kept out.

    It asks again and again rather than in one statement: that would keep a snapshot, and an erasure that it waits
    for could not clean the tables up.
    """
    until = time.monotonic() + wait_seconds
    with ExitStack() as held:
        while True:
            try:
                lock = held.enter_context(ledger.exclusive(engine))
                break
            except BusyError:
                if time.monotonic() >= until:
                    raise
            signals.check()
            time.sleep(_PAUSE)
        yield lock


def warn(settings: Settings, run_id: int, checks: Sequence[ledger.Check]) -> list[str]:
    """Tell of a night that is published and does not look right; what was told."""
    sentences = [night_size.warning(run_id, check) for check in checks]
    for check, sentence in zip(checks, sentences, strict=True):
        log.warning("%s", sentence)
        notify.tell(settings, _EVENTS.get(check.name, "night_checks"), sentence)
    return sentences


def tell_of_archive(settings: Settings, sentences: Sequence[str]) -> Sequence[str]:
    """Tell of nights that were to be archived and were not."""
    for sentence in sentences:
        log.warning("%s", sentence)
        notify.tell(settings, "archive_failed", sentence)
    return sentences


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note the block's wall seconds under `stage`."""
    signals.check()
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = round(time.perf_counter() - started, 3)
