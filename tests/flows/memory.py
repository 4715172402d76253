"""Streams files through a night's stages into tables that nobody sees; prints the peak of memory after each.

A process of its own: the high-water mark of a process that has done other things says nothing.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from db import registry
from db.models import RUN_PARTITIONED
from db.runs import ledger
from db.runs.partitions import staging
from flows.files import applications
from flows.services.database import database
from flows.settings import load_settings
from flows.steps.chunks import Tally, scoring_pipeline
from flows.steps.run_policy import program_policy
from flows.steps.second_opinion import sample_of
from scoring.bundle import ModelBundle


def peak_mb() -> float:
    """The high-water mark of this process's resident memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main(files: list[str]) -> None:
    """Stream each of the files."""
    settings = load_settings()
    with database(settings, writer=True) as engine:
        record = registry.current_model(engine)
        assert record is not None
        bundle = ModelBundle.from_bytes(*registry.artefact(engine, record.model_id))
        for name in files:
            survey = applications.survey(
                Path(name), chunk_rows=settings.chunk_rows, scratch=settings.state / "scratch"
            )
            run_id = ledger.open_run(
                engine, as_of=settings.today(), model_id=record.model_id, source_name=name, source_sha256=name
            )
            tally = Tally()
            with staging(engine, RUN_PARTITIONED, run_id) as tables:
                take = partial(sample_of, run_id=run_id, chunks=len(survey.chunks))
                for _ in scoring_pipeline(
                    survey, bundle, program_policy(), tally, tables, threads=2, take_sample=take
                ):
                    pass
            ledger.close_unpublished(engine, run_id, status="failed", message="A test's.")
            print(tally.customers, peak_mb(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
