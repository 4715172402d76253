"""The training flow: read former customers, search, validate, fit, register, load, promote."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import flow
from sqlalchemy import Engine

from db import registry, runs, schema
from flows import endings, sources
from flows.chunks import RejectedShareError
from flows.loading import bin_rows, cohort_rows, former_distributions, load_former
from flows.nightly import recover, scratch_removed
from flows.progress import reporter
from flows.services import database
from flows.settings import Settings, load_settings
from flows.tasks import io_task, pure_task
from scoring.bundle import digest
from scoring.cohort import cohorts
from scoring.contract import Applications, check_columns, check_rows
from scoring.model import Trained, train

log = logging.getLogger("creditlens")


@dataclass(frozen=True, slots=True)
class Former:
    """Former customers as read, and one digest over all their files."""

    applications: Applications
    sha256: str
    rejected: int


@io_task
def read_former(files: Sequence[Path], settings: Settings) -> Former:
    """All former customers of the files that keep the contract; an id that stands twice counts once."""
    parts: list[Applications] = []
    digests: list[str] = []
    rejected = rows = 0
    for path in files:
        survey = sources.survey(path, chunk_rows=settings.chunk_rows, scratch=settings.state / "scratch")
        check_columns(survey.header, labelled=True)
        digests.append(survey.sha256)
        rows += survey.rows
        for chunk, frame, malformed in sources.batches(survey):
            checked = check_rows(
                frame,
                first_row=chunk.first_row,
                labelled=True,
                duplicates=survey.duplicates,
                malformed=malformed,
            )
            rejected += checked.rejected
            parts.append(checked.accepted)
            for violation in checked.violations[:5]:
                log.warning(
                    "%s, row %s: %s breaks %r with %r",
                    path.name, violation.row_number, violation.column_name, violation.rule, violation.value,
                )  # fmt: skip
            reporter().update("read", chunk.first_row + chunk.rows - 1, survey.rows)
    if rejected > settings.rejected_share * rows:
        raise RejectedShareError(
            f"{rejected:,} of {rows:,} former customers break the contract, more than the allowed"
            f" {settings.rejected_share:.1%}; nothing was trained."
        )
    everybody = Applications.concatenate(parts)
    _, first = np.unique(everybody.customer_id, return_index=True)
    combined = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Former(everybody.take(np.sort(first)), combined, rejected)


@pure_task
def fit(former: Former, trials: int, settings: Settings) -> Trained:
    """Search, validate out of fold, refit on everybody."""
    return train(former.applications, trials=trials, threads=settings.threads, progress=reporter().update)


@io_task
def register(engine: Engine, former: Former, trained: Trained) -> int:
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
    )


@io_task
def load_and_promote(engine: Engine, model_id: int, former: Former, trained: Trained) -> None:
    """Load the former customers with this model's scores, and make the model the current one."""
    if not registry.has_former_customers(engine, model_id):
        # Of an attempt whose answer was lost; promoted ones are left alone.
        registry.drop_unpromoted(engine, model_id)
        with registry.former_customers(engine, model_id) as tables:
            load_former(tables, former.applications, trained.out_of_fold_log_odds)
            tables.index()
    distributions, categories = former_distributions(former.applications)
    registry.promote(
        engine,
        model_id,
        distributions=distributions,
        categories=categories,
        cohorts=cohort_rows(cohorts(former.applications, trained.out_of_fold_log_odds)),
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
    with (
        endings.raised(),
        endings.leaving("the current model is the one before"),
        database(settings, writer=True) as engine,
        runs.exclusive(engine),
        scratch_removed(settings),
    ):
        schema.require_current(engine)
        recover(engine)
        former = read_former([Path(file) for file in former_files], settings)
        trained = fit(former, settings.trials if trials is None else trials, settings)
        model_id = register(engine, former, trained)
        load_and_promote(engine, model_id, former, trained)
        record = registry.model(engine, model_id)
        assert record is not None
        return record
