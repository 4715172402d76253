"""What is done to the chunks of a file, wherever it is done, and what is counted on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine

from db.runs import ledger
from db.runs.copy import Encoded
from db.runs.partitions import Staging
from flows.files import applications
from flows.settings import Settings
from flows.steps.rows import encode_scored, rejection_rows
from flows.steps.run_policy import RunPolicy
from flows.steps.run_reasons import RunReasons
from flows.steps.run_similar import Neighbourhoods, RunSimilar, with_neighbourhoods
from flows.steps.stages import Pipeline
from flows.steps.what_if_rows import encode_what_if, prepare_search
from scoring.batch import Scored, score_batch
from scoring.bundle import ModelBundle
from scoring.contract import Checked, Violation, check_rows
from scoring.errors import ScoringError
from scoring.features import by_name
from scoring.monitoring import Sums
from scoring.what_if.search import WhatIf

log = logging.getLogger("creditlens")

# Written down per run in full; beyond that, one of each rejected row, so that no rejection is unexplained.
KEPT_VIOLATIONS = 10_000
# Fewer unknown values than this say nothing of a whole column.
FEW_UNKNOWN = 10


_Key = TypeVar("_Key")


class RejectedShareError(ScoringError):
    """More rows broke the contract than the settings allow."""


class UnknownValuesError(ScoringError):
    """Hardly any value of a category column is one that the dictionary knows."""


@dataclass
class Tally:
    """What has come through the contract so far, sums over what was made of it, and a random sample of that."""

    sample: list[Scored] = field(default_factory=list)
    sums: Sums | None = None
    engine_error: Future[float] | None = None
    customers: int = 0
    rejected: int = 0
    violations: list[Violation] = field(default_factory=list)
    unknown: dict[tuple[str, str], int] = field(default_factory=dict)
    respelt: dict[tuple[str, str], int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)

    def add(self, checked: Checked) -> None:
        """Count one chunk."""
        self.merge(
            Tally(
                customers=len(checked.accepted),
                rejected=checked.rejected,
                violations=list(checked.violations),
                unknown=dict(checked.unknown),
                respelt=dict(checked.respelt),
                given=dict(checked.given),
            )
        )

    def merge(self, other: Tally) -> None:
        """Count what another tally has counted."""
        self.sample += other.sample
        if other.sums is not None:
            self.sums = other.sums if self.sums is None else self.sums + other.sums
        self.customers += other.customers
        self.rejected += other.rejected
        self.violations += (
            other.violations
            if len(self.violations) + len(other.violations) <= KEPT_VIOLATIONS
            else list({violation.row_number: violation for violation in reversed(other.violations)}.values())[::-1]
        )
        _add_up(self.unknown, other.unknown)
        _add_up(self.respelt, other.respelt)
        _add_up(self.given, other.given)


def _add_up(counts: dict[_Key, int], more: Mapping[_Key, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count


def record_input(engine: Engine, run_id: int, tally: Tally) -> None:
    """Write down in the ledger what was read, accepted and rejected so far."""
    ledger.record_input(
        engine, run_id, rejection_rows(tally.violations), tally.unknown,
        accepted=tally.customers, rejected=tally.rejected,
    )  # fmt: skip


def scoring_pipeline(
    survey: applications.Survey,
    bundle: ModelBundle,
    decide: RunPolicy,
    tally: Tally,
    tables: Staging | None,
    *,
    threads: int,
    take_sample: Callable[[Scored], Scored],
    reasons: RunReasons | None = None,
    similar: RunSimilar | None = None,
    require: Callable[[], None] = lambda: None,
) -> Pipeline:
    """The survey's chunks through check, score and load, stages that overlap; what comes through is in `tally`.

    Parameters
    ----------
    decide: the policy of the run, and the one before.
    tables: where the rows go; None counts and loads nothing.
    take_sample: which of a chunk's rows the audit will look at.
    reasons: what reasons are given by; None gives none, and searches no offers.
    similar: who applicants are compared with; None compares with nobody.
    require: called after each check; raises if the run is not to go on.
    """

    def score(checked: Checked) -> Scored:
        tally.add(checked)
        require()
        scored = score_batch(bundle, checked.accepted, policy=decide.policy, threads=threads)
        sums = Sums.of(scored, bundle.baseline, bundle.base_value, before=decide.previous)
        tally.merge(Tally(sample=[take_sample(scored)], sums=sums))
        return scored

    stages: dict[str, Callable[[Any], Any]] = {
        "check": partial(check_chunk, applications.Reader(survey)),
        "score": score,
    }
    if tables is not None:
        search = None if reasons is None else prepare_search(bundle, decide.policy)

        def encode(each: tuple[Scored, Neighbourhoods | None, WhatIf | None]) -> tuple[Encoded, ...]:
            scored, neighbourhoods, offers = each
            rows = encode_scored(scored, decide.policy, reasons, neighbourhoods)
            return rows if offers is None else (*rows, *encode_what_if(scored, offers))

        def what_if(
            each: tuple[Scored, Neighbourhoods | None],
        ) -> tuple[Scored, Neighbourhoods | None, WhatIf | None]:
            return *each, None if search is None else search.run(each[0], threads=threads)

        stages |= {
            "similar": partial(with_neighbourhoods, similar),
            "what if": what_if,
            "encode": encode,
            "load": tables.write_all,
        }
    return Pipeline(survey.chunks, stages)


def check_chunk(reader: applications.Reader, chunk: applications.Chunk, *, labelled: bool = False) -> Checked:
    """Read one chunk and hold it against the contract."""
    frame, malformed = reader.read(chunk)
    return check_rows(
        frame,
        first_row=chunk.first_row,
        labelled=labelled,
        duplicates=reader.survey.duplicates,
        malformed=malformed,
        decimal_comma=reader.survey.decimal_comma,
    )


def require_few_rejected(tally: Tally, survey: applications.Survey, settings: Settings) -> None:
    """Raise RejectedShareError as soon as more rows are rejected than the settings allow."""
    if tally.rejected > settings.rejected_share * survey.rows:
        raise RejectedShareError(_too_many_rejected(tally, survey, settings.rejected_share))


def require_known_values(tally: Tally, survey: applications.Survey, settings: Settings) -> list[str]:
    """Raise UnknownValuesError for a column of which more values are unknown than the settings allow.

    What is read in spite of its spelling is told in the log, and returned.
    """
    unknown: dict[str, int] = {}
    for (column, _), count in tally.unknown.items():
        unknown[column] = unknown.get(column, 0) + count
    for column, count in unknown.items():
        given = tally.given.get(column, 0)
        if count >= FEW_UNKNOWN and count > settings.unknown_share * given:
            examples = [value for name, value in tally.unknown if name == column][:3]
            known = [category.value for category in by_name()[column].categories]
            raise UnknownValuesError(
                f"{survey.path}: of {given:,} values of {column}, {count:,} are unknown, such as"
                f" {_listed(examples)}; known are {_listed(known[:3])}{' and others' if len(known) > 3 else ''}"
                f" (CREDITLENS_UNKNOWN_SHARE allows {settings.unknown_share:.0%})."
            )
    respelt: dict[str, tuple[str, int]] = {}
    for (column, value), count in tally.respelt.items():
        respelt[column] = (value, respelt.get(column, (value, 0))[1] + count)
    notes = [
        f"{survey.path}: {count:,} values of {column} are spelt otherwise, such as {value!r}, and are read all the"
        " same."
        for column, (value, count) in respelt.items()
    ]
    for note in notes:
        log.warning("%s", note)
    return notes


def _listed(values: Sequence[str]) -> str:
    return ", ".join(map(repr, values))


def _too_many_rejected(tally: Tally, survey: applications.Survey, allowed: float) -> str:
    first = tally.violations[0]
    return (
        f"{survey.path}: {tally.rejected:,} of the first {tally.customers + tally.rejected:,} rows break the"
        f" contract, more than the allowed {allowed:.1%} of {survey.rows:,}. First: row {first.row_number},"
        f" {first.column_name}, rule {first.rule!r}, value {first.value!r}. See reporting.rejected_row."
    )
