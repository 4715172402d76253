"""Broken files by the thousand: a night whose every row is accounted for, or a refusal in one sentence."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

from db.application import APPLICATION_COLUMNS
from flows.files import applications as application_files
from flows.settings import Settings
from flows.steps import chunks
from flows.steps.rows import encode_scored, rejection_rows
from flows.steps.run_policy import program_policy
from scoring.batch import Scored
from scoring.bundle import ModelBundle
from scoring.errors import ScoringError
from scoring.policy import default_policy
from scoring.training import Trained
from tests.faults import broken_files, oracle
from tests.faults.broken_files import File
from tests.faults.conftest import Site

FILES, FILES_OF_A_PART = 2_000, 250
WHOLE_NIGHTS = 60
MEMORY_GROWTH_MB = 400


def score_file(
    path: Path, bundle: ModelBundle, options: Settings
) -> tuple[application_files.Survey, chunks.Tally, list[Scored]]:
    """What a night does with a file, without Prefect and without the database."""
    from flows.nightly import survey_input

    survey = survey_input.fn(path, options)
    tally = chunks.Tally()
    pipeline = chunks.scoring_pipeline(
        survey,
        bundle,
        program_policy(),
        tally,
        None,
        threads=1,
        take_sample=lambda scored: scored,
        require=lambda: chunks.require_few_rejected(tally, survey, options),
    )
    scored = list(pipeline)
    chunks.require_known_values(tally, survey, options)
    application_files.require_unchanged(survey)
    for batch in scored:
        encode_scored(batch, default_policy())
    rejection_rows(tally.violations)
    return survey, tally, scored


def cells(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column, bytes of a text that are not UTF-8 as escapes."""
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        plain = column.combine_chunks()
        plain = plain.dictionary_decode() if pa.types.is_dictionary(plain.type) else plain
        read = plain.cast(pa.large_binary()).to_pylist()
        return [None if cell is None else cell.decode("utf-8", "backslashreplace") for cell in read]


def expected_of(file: File, path: Path, first_chunk: int) -> oracle.Expected:
    if file.name.endswith(".parquet"):
        table = parquet.read_table(path)
        return oracle.expected(
            table.column_names, [list(row) for row in zip(*map(cells, table.columns), strict=True)]
        )
    return oracle.read_csv(file.plain, first_chunk)


def hold_against_the_file(
    file: File,
    path: Path,
    survey: application_files.Survey,
    tally: chunks.Tally,
    scored: list[Scored],
    base_value: float,
) -> None:
    """Every row of the file is accepted with exactly its own numbers, or rejected with a reason."""
    expected = expected_of(file, path, survey.chunks[0].rows)
    assert survey.rows == tally.customers + tally.rejected == len(expected.rows)
    accepted = {}
    for batch in scored:
        applications = batch.applications
        for row, customer, values in zip(
            applications.row_number.tolist(), applications.customer_id.tolist(), applications.values, strict=True
        ):
            accepted[row] = (customer, values)
        assert np.isfinite(batch.contributions).all()
        total = base_value + batch.contributions.sum(axis=1)
        np.testing.assert_allclose(total, batch.log_odds, atol=1e-8)
        assert ((batch.score >= 0) & (batch.score <= 100)).all()
    explained = {violation.row_number for violation in tally.violations}
    assert explained == set(range(1, survey.rows + 1)) - set(accepted)
    assert expected.sound <= set(accepted), "A sound row was refused"
    ids = [customer for customer, _ in accepted.values()]
    assert len(set(ids)) == len(ids)
    for row, (customer, values) in accepted.items():
        due = expected.rows[row - 1]
        assert due is not None, f"Row {row} breaks a rule and was accepted"
        assert customer == due[0]
        assert np.array_equal(values, np.array(due[1]), equal_nan=True), f"Row {row} was read wrong"


@pytest.mark.timeout(1800)
def test_whole_nights_with_broken_files_publish_the_files_own_numbers_or_refuse(
    site: Site, tmp_path: Path, seed: int, everything: bool
) -> None:
    ended: Counter[str] = Counter()
    started = time.monotonic()

    @hypothesis_seed(seed)
    @settings(
        max_examples=WHOLE_NIGHTS if everything else WHOLE_NIGHTS // 10,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(file=broken_files.files, share=st.sampled_from(("0.01", "1.0", "1.0")))
    def check(file: File, share: float) -> None:
        path = tmp_path / file.name
        path.write_bytes(file.content)
        before = site.reader.run_id
        night = site.night(path, "--force", CREDITLENS_REJECTED_SHARE=share, CREDITLENS_CHUNK_ROWS="7")
        code = night.wait()
        outcome = str(night.answer["outcome"])
        ended[outcome] += 1
        assert "Traceback" not in night.errors and "panicked" not in night.errors, night.errors
        assert (code, outcome) in {(0, "published"), (2, "refused")}, night.errors
        if outcome == "refused":
            assert is_a_sentence(str(night.answer["message"]))
            assert site.reader.run_id == before
        else:
            hold_the_tables_against_the_file(site, file, path, int(str(night.answer["run_id"])))

    check()
    print(f"{sum(ended.values())} whole nights in {time.monotonic() - started:.0f} s: {dict(ended)}")


def hold_the_tables_against_the_file(site: Site, file: File, path: Path, run_id: int) -> None:
    """What was written is what stands in the file, as precisely as the columns are."""
    due = expected_of(file, path, 7)
    owner = site.installation
    columns = [("customer_id", ""), *APPLICATION_COLUMNS]
    names = ", ".join(f'"{name}"' for name, _ in columns)
    written = {
        row[0]: row[1:] for row in owner.rows(f"SELECT {names} FROM credit.new_customer WHERE run_id = {run_id}")
    }
    rejected = {row for (row,) in owner.rows(
        f"SELECT DISTINCT row_number FROM credit.rejected_application WHERE run_id = {run_id}"
    )}  # fmt: skip
    accepted = set(range(1, len(due.rows) + 1)) - rejected
    assert due.sound <= accepted
    assert len(accepted) == len(written)
    for row in accepted:
        expected = due.rows[row - 1]
        assert expected is not None
        customer, values = expected
        found = np.array([math.nan if value is None else value for value in written[customer]], dtype=float)
        np.testing.assert_array_equal(found, values)


def is_a_sentence(message: str) -> bool:
    return bool(message) and "\n" not in message and len(message) < 1_000 and message.rstrip().endswith((".", '"'))


@pytest.mark.timeout(3600)
def test_any_broken_file_ends_in_an_explained_night_or_in_a_sentence(
    prefect_api: str,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    everything: bool,
) -> None:
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / "state"))
    ended: Counter[str] = Counter()
    process = psutil.Process()
    memory: list[int] = []
    started = time.monotonic()

    @hypothesis_seed(seed)
    @settings(
        max_examples=FILES if everything else FILES_OF_A_PART,
        deadline=None,
        database=None,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        file=broken_files.files,
        chunk_rows=st.sampled_from((1, 3, 7, 100)),
        share=st.sampled_from((0.01, 0.3, 1.0, 1.0)),
    )
    def check(file: File, chunk_rows: int, share: float) -> None:
        path = tmp_path / file.name
        path.write_bytes(file.content)
        options = Settings(chunk_rows=chunk_rows, rejected_share=share)
        refused: Exception | None = None
        try:
            survey, tally, scored = score_file(path, trained.bundle, options)
        except (application_files.SourceError, ScoringError) as refusal:
            refused = refusal
            ended[type(refusal).__name__] += 1
        else:
            hold_against_the_file(file, path, survey, tally, scored, trained.bundle.base_value)
            ended["published, some rows rejected" if tally.rejected else "published"] += 1
        finally:
            for leftover in (tmp_path / "state" / "scratch").glob("*"):
                leftover.unlink()
        assert refused is None or is_a_sentence(str(refused)), str(refused)
        memory.append(process.memory_info().rss)

    check()
    grown = (max(memory) - memory[min(50, len(memory) - 1)]) / 2**20
    print(f"{sum(ended.values())} files in {time.monotonic() - started:.0f} s: {dict(ended)};", end=" ")
    print(f"memory at most {max(memory) / 2**20:.0f} MB, grown by {grown:.0f} MB since the 50th file")
    assert grown < MEMORY_GROWTH_MB
    assert ended["published"] and ended["published, some rows rejected"] and ended["SourceError"]
