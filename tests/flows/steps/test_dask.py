"""The night on two Dask worker processes: the same rows and values, and a killed worker costs a retry."""

from __future__ import annotations

import gzip
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from db.errors import AuditFailedError
from db.models import RUN_PARTITIONED
from db.runs import ledger
from db.runs.copy import Encoded
from db.runs.partitions import Staging, staging
from flows.files import applications
from flows.steps.run_policy import program_policy
from flows.steps.second_opinion import AUDITED_CUSTOMERS, sample_of
from scoring.batch import score_batch
from scoring.bundle import ModelBundle
from scoring.contract import Columns
from tests.flows.engines import Swapped


@pytest.fixture(scope="module")
def model(installation, files):
    from flows.training import training

    return training([files[0]])


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITLENS_DASK", "local:2")


def everything(installation, run_id: int) -> dict[str, list[tuple[object, ...]]]:
    """All rows of a run but for its number, in an order of their own."""
    return {
        table: installation.rows(
            f"SELECT md5((to_jsonb(t) - 'run_id')::text) FROM credit.{table} t WHERE run_id = {run_id} ORDER BY 1"
        )
        for table in ("new_customer", "score", "shap_value")
    }


def night_as_a_whole(installation, run_id: int) -> list[tuple[object, ...]]:
    """The numbers that the run wrote down about itself: sums of several chunks, in one order."""
    return [
        row
        for query in (
            "SELECT customers, mean_score, mean_default_probability, approval_rate, score_psi"
            " FROM credit.run_summary",
            "SELECT score, customers FROM credit.run_score",
            "SELECT feature_id, missing, unknown, mean_absolute_contribution, mean_contribution,"
            " mean_absolute_points, psi, coalesce(correlation, 9) FROM credit.run_feature",
            "SELECT feature_id, bin, customers, mean_contribution, mean_points, points_deviation"
            " FROM credit.run_feature_bin",
        )
        for row in installation.rows(f"{query} WHERE run_id = {run_id} ORDER BY 1, 2")
    ]


@pytest.fixture(scope="module")
def on_one_machine(installation, files, model):
    from flows.nightly import nightly

    return nightly(files[1])


@pytest.mark.usefixtures("two_workers")
def test_two_workers_write_the_same_rows_and_values_as_one_process(installation, files, on_one_machine) -> None:
    from flows.nightly import nightly

    night = nightly(files[1], force=True)
    assert night.run.customers == 300
    assert everything(installation, night.run.run_id) == everything(installation, on_one_machine.run.run_id)
    statistics = night_as_a_whole(installation, night.run.run_id)
    for found, expected in zip(statistics, night_as_a_whole(installation, on_one_machine.run.run_id), strict=True):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.usefixtures("two_workers")
def test_rejected_rows_are_counted_across_workers(installation, new_frame, on_one_machine) -> None:
    from flows.nightly import nightly

    cells = new_frame.select(pl.all().cast(pl.String))
    cells[4, "AMT_CREDIT"] = "1.234,56"
    cells[299, "SK_ID_CURR"] = cells[0, "SK_ID_CURR"]
    path = installation.folder / "broken-for-dask.csv"
    cells.write_csv(path)
    run = nightly(path).run
    assert (run.customers, run.rejected) == (298, 2)
    noted = installation.rows(
        f"SELECT row_number, rule FROM credit.rejected_application WHERE run_id = {run.run_id} ORDER BY 1"
    )
    assert noted == [(5, "type"), (300, "unique")]


def test_a_file_is_spread_over_tasks_of_consecutive_chunks() -> None:
    from flows.steps.dask import CHUNKS_PER_TASK, TASKS_AT_LEAST, parts

    def bounds(chunks: int) -> list[tuple[int, int]]:
        survey = applications.Survey(
            path=Path("a.csv"),
            kind="csv",
            files=(),
            sha256="",
            header=(),
            columns=Columns({}, (), ()),
            rows=10 * chunks,
            chunks=tuple(applications.Chunk(10 * chunk + 1, 10, 0, 0) for chunk in range(chunks)),
            duplicates=np.arange(3, 10 * chunks, 10),
        )
        found = parts(survey)
        assert [chunk for part in found for chunk in part.chunks] == list(survey.chunks)
        assert [row for part in found for row in part.duplicates] == survey.duplicates.tolist()
        return [(len(part.chunks), len(part.duplicates)) for part in found]

    assert bounds(1) == [(1, 1)]
    assert len(bounds(12)) == TASKS_AT_LEAST
    assert max(bounds(1_000)) == (CHUNKS_PER_TASK, CHUNKS_PER_TASK)


def test_the_sample_for_the_audit_does_not_grow_with_the_chunks(trained, new) -> None:
    scored = score_batch(trained.bundle, new)
    assert len(sample_of(scored, 1, 1).score) == AUDITED_CUSTOMERS
    assert len(sample_of(scored, 1, 119).score) == 1


@pytest.fixture
def opened(installation, files, model) -> Iterator[tuple[int, applications.Survey]]:
    """A run whose tables are made and empty, and its file."""
    survey = applications.survey(files[1], chunk_rows=100, scratch=installation.settings.state / "scratch")
    run_id = ledger.open_run(
        installation.engine, as_of=date(2030, 1, 1), model_id=model.model_id, source_name="a", source_sha256="a"
    )
    with staging(installation.engine, RUN_PARTITIONED, run_id):
        pass
    yield run_id, survey
    ledger.close_unpublished(installation.engine, run_id, status="failed", message="A test's.")


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first rows of the chunks that tasks have claimed, one a try."""
    claim, tried = ledger.claim_chunk, []

    def noted(stage: Staging, run_id: int, first_row: int, rows: int) -> bool:
        tried.append(first_row)
        return claim(stage, run_id, first_row, rows)

    monkeypatch.setattr(ledger, "claim_chunk", noted)
    return tried


def test_wrong_input_is_not_tried_again(installation, opened, model, attempts: list[int]) -> None:
    from flows.steps.dask import score_and_load

    run_id, survey = opened
    changed = installation.folder / "changed.csv"
    content = survey.path.read_bytes()
    start = survey.chunks[1].start
    changed.write_bytes(
        content[:start] + content[start : start + 1_000].replace(b"1", b"2") + content[start + 1_000 :]
    )
    part = elsewhere(replace(survey, chunks=survey.chunks[1:2]), changed)
    with pytest.raises(applications.SourceError, match=r"changed\.csv was changed while it was read"):
        score_and_load(run_id, model.model_id, program_policy(), part, 3, 1)
    assert attempts == [101]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_worker_that_sees_another_file_under_the_path_refuses_it(
    installation, opened, model, new_frame, tmp_path: Path, kind: str
) -> None:
    from flows.steps.dask import score_and_load

    run_id, _ = opened
    mine, theirs = tmp_path / f"mine.{kind}", tmp_path / f"theirs.{kind}"
    for path, frame in ((mine, new_frame), (theirs, new_frame.with_columns(pl.col("AMT_CREDIT") + 1.0))):
        if kind == "parquet":
            frame.write_parquet(path)
        else:
            content = frame.write_csv().encode()
            path.write_bytes(gzip.compress(content) if kind == "csv.gz" else content)
    survey = elsewhere(applications.survey(mine, chunk_rows=100, scratch=tmp_path / "scratch"), theirs)
    if kind == "csv.gz":
        # As on another machine: the unpacked copy is not there.
        survey = elsewhere(survey, theirs, readable=tmp_path / "no-copy")
    with pytest.raises(applications.SourceError, match=rf"theirs\.{kind} (is not the file that|was changed)"):
        score_and_load(run_id, model.model_id, program_policy(), survey, 3, 1)


def elsewhere(survey: applications.Survey, path: Path, readable: Path | None = None) -> applications.Survey:
    """The survey as a worker gets it, to which another file is under the path."""
    (file,) = survey.files
    return replace(survey, path=path, files=(replace(file, path=path, readable=readable or path, opened=None),))


def test_a_lost_connection_costs_a_retry(
    installation, opened, model, attempts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.steps.dask import score_and_load

    run_id, survey = opened
    write, lost = Staging.write_all, []

    def lose_once(stage: Staging, tables: Iterable[Encoded]) -> int:
        if not lost:
            lost.append(stage.connection.info.backend_pid)
            installation.value(f"SELECT pg_terminate_backend({lost[0]}, 5000)")
        return write(stage, tables)

    monkeypatch.setattr(Staging, "write_all", lose_once)
    assert score_and_load(run_id, model.model_id, program_policy(), survey, 3, 1).customers == 300
    assert attempts == [1, 1]
    assert installation.value(f"SELECT count(*) FROM credit.score_r{run_id:08d}") == 300


def test_a_worker_that_cannot_see_the_flows_unpacked_copy_unpacks_the_file_for_itself(
    installation, opened, files, model, on_one_machine
) -> None:
    from flows.steps.dask import parts, score_and_load

    run_id, _ = opened
    packed = installation.folder / "for-other-machines.csv.gz"
    packed.write_bytes(gzip.compress(files[1].read_bytes()))
    survey = applications.survey(packed, chunk_rows=100, scratch=installation.folder / "scratch-of-the-flow")
    # As on another machine: the file is there, the copy is not.
    survey.files[0].readable.unlink()
    for part in parts(survey):
        assert (
            score_and_load(run_id, model.model_id, program_policy(), part, len(survey.chunks), 1).customers == 100
        )
    query = "SELECT customer_id, log_odds FROM credit.{} ORDER BY 1"
    found = installation.rows(query.format(f"score_r{run_id:08d}"))
    assert found == installation.rows(query.format(f"score WHERE run_id = {on_one_machine.run.run_id}"))
    assert list((installation.settings.state / "scratch").glob("*")) == []


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_worker_without_the_file_says_so_and_does_not_try_again(
    installation, opened, files, model, attempts: list[int], suffix: str
) -> None:
    from flows.steps.dask import score_and_load

    run_id, survey = opened
    nowhere = Path("/nowhere/applications" + suffix)
    part = replace(elsewhere(survey, nowhere), kind="parquet" if "p" in suffix else "csv")
    with pytest.raises(applications.SourceError, match=f"{nowhere} is not there on .*; each worker needs the file"):
        score_and_load(run_id, model.model_id, program_policy(), part, 3, 1)
    assert attempts == []


def dask_workers() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "spawn_main" in command:
            found.append(process)
    return found


def loading(installation, worker: psutil.Process) -> int:
    """Bytes of tables that the worker's open transaction has written to, 0 without one that has claimed a chunk."""
    try:
        ports = {connection.laddr.port for connection in worker.net_connections() if connection.raddr}
    except psutil.Error:
        return 0
    rows = installation.rows(
        "SELECT pg_relation_size(part.relation) FROM pg_stat_activity AS a"
        " JOIN pg_locks AS claim ON claim.pid = a.pid AND claim.relation = 'credit.run_chunk'::regclass"
        " JOIN pg_locks AS part ON part.pid = a.pid AND part.mode = 'RowExclusiveLock'"
        " JOIN pg_class AS c ON c.oid = part.relation AND c.relname LIKE 'shap_value_r%'"
        f" WHERE claim.mode = 'RowExclusiveLock' AND a.client_port = ANY(ARRAY[{','.join(map(str, ports)) or 0}])"
    )
    return sum(int(str(size)) for (size,) in rows)


@pytest.mark.usefixtures("two_workers")
def test_a_worker_killed_in_the_middle_costs_a_retry_and_no_duplicate(
    installation, new_frame, on_one_machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.nightly import nightly

    many = pl.concat([new_frame.with_columns(pl.col("SK_ID_CURR") + 1_000 * copy) for copy in range(40)])
    path = installation.folder / "many.csv"
    many.write_csv(path)
    monkeypatch.setenv("CREDITLENS_CHUNK_ROWS", "600")
    killed: list[tuple[int, int]] = []

    def kill_while_loading() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            for worker in dask_workers():
                if loading(installation, worker):
                    # Stopped first: what is uncommitted now was uncommitted when the worker died.
                    os.kill(worker.pid, signal.SIGSTOP)
                    time.sleep(0.2)
                    uncommitted = loading(installation, worker)
                    os.kill(worker.pid, signal.SIGKILL if uncommitted else signal.SIGCONT)
                    if uncommitted:
                        killed.append((worker.pid, uncommitted))
                        break
            time.sleep(0.01)

    killer = threading.Thread(target=kill_while_loading)
    killer.start()
    night = nightly(path)
    killer.join()
    assert len(killed) == 1, "a worker was killed with rows that were copied and not committed"
    assert night.outcome == "published"
    assert night.run.customers == 12_000
    run_id = night.run.run_id
    assert installation.value(f"SELECT count(*) FROM credit.shap_value WHERE run_id = {run_id}") == 12_000 * 128
    assert installation.value(f"SELECT count(*) FROM credit.score WHERE run_id = {run_id}") == 12_000
    loaded = installation.rows(f"SELECT count(*), sum(rows) FROM credit.run_chunk WHERE run_id = {run_id}")
    assert loaded == [(8, 12_000)]
    # Each customer is a copy of one whom a single process has scored: every value is the same.
    for table, key in (("score", ()), ("shap_value", ("feature_id",)), ("new_customer", ())):
        wrong = installation.value(
            f"SELECT count(*) FROM (SELECT *, 500001 + (customer_id - 500001) % 1000 AS original"
            f" FROM credit.{table} WHERE run_id = {run_id}) AS v LEFT JOIN credit.{table} AS o"
            f" ON o.run_id = {on_one_machine.run.run_id} AND o.customer_id = v.original"
            + "".join(f" AND o.{column} = v.{column}" for column in key)
            + " WHERE o.customer_id IS NULL OR to_jsonb(v) - ARRAY['run_id', 'customer_id', 'original']"
            " IS DISTINCT FROM to_jsonb(o) - ARRAY['run_id', 'customer_id']"
        )
        assert wrong == 0, table


@pytest.mark.usefixtures("two_workers")
def test_too_many_rejected_rows_refuse_the_run(installation, new_frame, on_one_machine) -> None:
    from flows.nightly import nightly
    from flows.steps.chunks import RejectedShareError

    before = ledger.published(installation.engine)
    path = installation.folder / "too-broken-for-dask.csv"
    new_frame.with_columns(pl.lit(-1.0).alias("AMT_CREDIT")).write_csv(path)
    with pytest.raises(RejectedShareError):
        nightly(path)
    assert ledger.published(installation.engine) == before
    last = ledger.latest(installation.engine)
    assert last is not None
    assert last.status == "refused"


@pytest.mark.usefixtures("two_workers")
def test_what_workers_explained_is_held_against_lightgbm_too(
    installation, files, on_one_machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.nightly import nightly

    before = ledger.published(installation.engine)
    # Workers are processes of their own, so here it is the second opinion that takes one feature for another.
    second_opinion = ModelBundle.reference_engine.func
    monkeypatch.setattr(ModelBundle, "reference_engine", property(lambda bundle: Swapped(second_opinion(bundle))))
    with pytest.raises(AuditFailedError, match="nothing was published: engine_error is"):
        nightly(files[1], force=True)
    assert ledger.published(installation.engine) == before
