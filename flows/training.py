"""The training flow: read former customers, search, validate, fit, register, load, promote."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prefect import flow
from sqlalchemy import Engine

from db import registry, schema
from db.decisions import policies
from db.runs import ledger
from flows import signals
from flows.artifacts.progress import progress_in_prefect
from flows.artifacts.server import left_in_prefect
from flows.artifacts.training import ShownTraining
from flows.files import applications as application_files
from flows.progress import reporter
from flows.services.database import database
from flows.settings import Settings, load_settings
from flows.steps.chunks import RejectedShareError, Tally, check_chunk, require_known_values
from flows.steps.recovery import recover, scratch_removed
from flows.steps.retries import io_task, pure_task
from flows.steps.rows import bin_rows, cohort_rows, former_distributions, load_former
from flows.steps.run_policy import policy_of
from scoring.bundle import digest
from scoring.cohort import cohorts
from scoring.contract import Applications
from scoring.policy import Policy
from scoring.simulation import risk_counts
from scoring.training import Trained, train

log = logging.getLogger("creditlens")


@dataclass(frozen=True, slots=True)
class Former:
    """Former customers as read, and one digest over all their files."""

    applications: Applications
    sha256: str
    rejected: int


@io_task
def read_former(files: Sequence[Path], settings: Settings) -> Former:
    """All former customers of the files that keep the contract.

    One who stands in several files counts once, by the first of them, and not at all if the outcomes differ; both
    are counted and told.
    """
    parts: list[Applications] = []
    read: list[application_files.Survey] = []
    broken: list[int] = []
    for path in files:
        survey, tally, accepted = _read_file(path, settings)
        read.append(survey)
        broken.append(tally.rejected)
        parts.append(accepted)
    everybody = Applications.concatenate(parts)
    file = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    kept, contradicting = _once(everybody, file, files)
    rejected = sum(broken) + contradicting
    rows = sum(survey.rows for survey in read)
    if rejected > settings.rejected_share * rows:
        of_each = "; ".join(
            f"{survey.path}: {count:,} of {survey.rows:,}"
            for survey, count in zip(read, broken, strict=True)
            if count
        )
        raise RejectedShareError(
            f"{rejected:,} of {rows:,} former customers break the contract"
            f" ({of_each}{'; ' if of_each and contradicting else ''}"
            f"{f'{contradicting:,} rows with two outcomes' if contradicting else ''}),"
            f" more than the allowed {settings.rejected_share:.1%}; nothing was trained."
        )
    digests = [survey.sha256 for survey in read]
    combined = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Former(everybody.take(kept), combined, rejected)


def _read_file(path: Path, settings: Settings) -> tuple[application_files.Survey, Tally, Applications]:
    """One file's survey, what was counted, and its accepted rows. Raises if it is not the same at the end."""
    scratch = settings.state / "scratch"
    survey = application_files.survey(path, chunk_rows=settings.chunk_rows, scratch=scratch, labelled=True)
    for note in survey.notes:
        log.warning("%s", note)
    reader, tally, parts = application_files.Reader(survey), Tally(), []
    for chunk in survey.chunks:
        checked = check_chunk(reader, chunk, labelled=True)
        tally.add(checked)
        parts.append(checked.accepted)
        for violation in checked.violations[:5]:
            log.warning(
                "%s, row %s: %s breaks %r with %r",
                path.name, violation.row_number, violation.column_name, violation.rule, violation.value,
            )  # fmt: skip
        reporter().update("read", chunk.first_row + chunk.rows - 1, survey.rows)
    require_known_values(tally, survey, settings)
    application_files.require_unchanged(survey)
    return survey, tally, Applications.concatenate(parts)


def _once(everybody: Applications, file: NDArray[np.intp], files: Sequence[Path]) -> tuple[NDArray[np.intp], int]:
    """The rows to train on, in order, and how many rows are left out because their outcomes contradict each other.

    Parameters
    ----------
    file: per row the file that it is from, shape (n,).
    """
    assert everybody.target is not None
    _, first, person, times = np.unique(
        everybody.customer_id, return_index=True, return_inverse=True, return_counts=True
    )
    defaults = np.bincount(person, weights=everybody.target)
    contradicting = (defaults > 0) & (defaults < times)
    if contradicting.any():
        one = int(np.flatnonzero(contradicting)[0])
        places = ", ".join(
            f"{everybody.target[row]} in {files[file[row]]}, row {everybody.row_number[row]:,}"
            for row in np.flatnonzero(person == one)[:3]
        )
        log.warning(
            "%s former customers have two outcomes and are left out; customer %s has TARGET %s.",
            f"{contradicting.sum():,}", everybody.customer_id[first[one]], places,
        )  # fmt: skip
    repeated = int((times[~contradicting] - 1).sum())
    if repeated:
        log.warning(
            "%s former customers stand in several of %s; the first row of each is used.",
            f"{repeated:,}", ", ".join(str(path) for path in files),
        )  # fmt: skip
    return np.sort(first[~contradicting]), int(times[contradicting].sum())


@pure_task
def fit(former: Former, policy: Policy, trials: int, settings: Settings) -> Trained:
    """Search, validate out of fold, refit on everybody, held to the lender's policy."""
    return train(
        former.applications,
        policy=policy,
        trials=trials,
        threads=settings.threads,
        progress=reporter().update,
    )


@io_task
def register(engine: Engine, former: Former, trained: Trained, policy_id: int) -> int:
    """Put the model into the registry as a candidate."""
    artefact = trained.bundle.to_bytes()
    return registry.register(
        engine,
        training_rows=len(former.applications),
        training_sha256=former.sha256,
        base_value=trained.bundle.base_value,
        parameters=trained.bundle.parameters,
        metrics=trained.bundle.metrics,
        feature_set=trained.bundle.feature_set,
        artefact=artefact,
        artefact_sha256=digest(artefact),
        bins=bin_rows(trained.bundle.baseline),
        policy_id=policy_id,
    )


@io_task
def load_and_promote(engine: Engine, model_id: int, former: Former, trained: Trained) -> None:
    """Load the former customers with this model's scores, and make the model the current one."""
    if not registry.has_former_customers(engine, model_id):
        # Of an attempt whose answer was lost; promoted ones are left alone.
        registry.drop_unpromoted(engine, model_id)
        with registry.former_customers(engine, model_id) as tables:
            load_former(tables, former.applications, trained.out_of_fold_log_odds, trained.folds)
            tables.index()
    distributions, categories = former_distributions(former.applications)
    registry.promote(
        engine,
        model_id,
        distributions=distributions,
        categories=categories,
        cohorts=cohort_rows(cohorts(former.applications, trained.out_of_fold_log_odds)),
        risks=risk_counts(former.applications, trained.out_of_fold_log_odds),
    )


@flow(name="training", validate_parameters=False)
def training(former_files: Sequence[Path], trials: int | None = None) -> registry.ModelRecord:
    """Train a model on former customers and make it the current one; tonight's run will use it.

    Parameters
    ----------
    former_files: files with the columns of Home Credit's `application_train`.
    trials: random search trials beside the default parameters; the setting by default.
    """
    settings = load_settings()
    work = signals.Work()
    with (
        signals.raised(),
        signals.leaving("the current model is the one before"),
        work.known(),
        left_in_prefect(ShownTraining(), settings) as shown,
        progress_in_prefect(settings, "training"),
        database(settings, writer=True) as engine,
        ledger.exclusive(engine),
        scratch_removed(settings),
    ):
        schema.require_current(engine)
        recover(engine)
        in_force = policies.current(engine)
        policy = policy_of(in_force)
        former = read_former([Path(file) for file in former_files], settings)
        trained = fit(former, policy, settings.trials if trials is None else trials, settings)
        model_id = register(engine, former, trained, in_force.policy_id)
        load_and_promote(engine, model_id, former, trained)
        work.is_done(f"model {model_id} had become the current one before")
        record = registry.model(engine, model_id)
        assert record is not None
        shown.record = record
        return record
