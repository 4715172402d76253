"""What nights and trainings leave in a real Prefect server; one that does not answer costs nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from flows import signals
from flows.alerts import last_night
from flows.artifacts.server import Server
from flows.artifacts.words import number, plain, words
from flows.installation import identity
from flows.progress import Reporter
from flows.settings import Settings
from scoring.errors import ScoringError
from tests.installation import Installation


@pytest.fixture(scope="module")
def model(installation: Installation, files: tuple[Path, Path]) -> Any:
    from flows.training import training

    return training([files[0]])


@pytest.fixture
def nightly(model: Any) -> Any:
    from flows.nightly import nightly

    assert model
    return nightly


def artifacts(prefect_api: str, installation: Installation, key: str) -> list[dict[str, Any]]:
    """All artifacts of this key and installation, the newest first."""
    name = identity.of(installation.settings.state).name
    wanted = {"artifacts": {"key": {"any_": [f"{key}-{name}"]}}, "sort": "CREATED_DESC"}
    answer = httpx.post(f"{prefect_api}/artifacts/filter", json=wanted)
    assert answer.status_code == 200
    return list(answer.json())


def progress(prefect_api: str, installation: Installation, kind: str, stage: str) -> dict[str, Any]:
    name = identity.of(installation.settings.state).name
    return httpx.get(f"{prefect_api}/artifacts/{kind}-progress-{name}-{stage}/latest").json()


def test_a_night_leaves_its_page_its_checks_and_how_far_it_was(
    prefect_api: str, installation: Installation, files: tuple[Path, Path], new_frame: pl.DataFrame, nightly: Any
) -> None:
    file = installation.folder / "a|b `c` <night>.csv"
    lines = new_frame.write_csv().splitlines()
    lines[7] = lines[7].replace("Cash loans", "").replace("Revolving loans", "")
    file.write_text("\n".join(lines) + "\n")
    night = nightly(file)
    [page, *_] = artifacts(prefect_api, installation, "night")
    text = page["data"]
    assert page["type"] == "markdown" and page["flow_run_id"]
    assert f"# Night of {night.run.as_of}" in text and "**Outcome**: Published." in text
    assert f"| Run | {night.run.run_id} |\n| --- | --- |" in text
    assert "| Customers scored | 299 |" in text and "| Rows rejected | 1 |" in text
    assert "| NAME\\_CONTRACT\\_TYPE | required | 1 |" in text
    assert "a\\|b \\`c\\` \\<night\\>.csv" in text
    for stage in night.run.stage_seconds:
        assert f"| {stage} | " in text
    checks = installation.rows(f"SELECT name, passed FROM credit.run_check WHERE run_id = {night.run.run_id}")
    assert f"| Checks | {sum(bool(passed) for _, passed in checks)} passed, " in text
    [table, *_] = artifacts(prefect_api, installation, "night-checks")
    assert table["type"] == "table"
    assert {row["Check"] for row in json.loads(table["data"])} == {name for name, _ in checks}
    bar = progress(prefect_api, installation, "night", "score")
    assert (bar["type"], bar["data"]) == ("progress", 100.0)
    assert bar["description"] == "Applications scored: 300 of 300"
    assert bar["flow_run_id"] == page["flow_run_id"] == table["flow_run_id"]


def test_drift_is_told_as_the_views_have_it(
    prefect_api: str, installation: Installation, files: tuple[Path, Path], nightly: Any
) -> None:
    night = nightly(files[1])
    [page, *_] = artifacts(prefect_api, installation, "night")
    psi = float(
        str(installation.value(f"SELECT score_psi FROM credit.run_summary WHERE run_id = {night.run.run_id}"))
    )
    assert f"| Score | {psi:.4f} |" in page["data"]
    rows = installation.rows(
        "SELECT f.label_en, r.psi FROM credit.run_feature AS r JOIN credit.feature AS f USING (feature_id)"
        f" WHERE r.run_id = {night.run.run_id} AND r.psi IS NOT NULL ORDER BY r.psi DESC LIMIT 1"
    )
    assert f"| {plain(rows[0][0])} | {float(str(rows[0][1])):.4f} |" in page["data"]


def test_unchanged_and_refused_nights_and_those_of_older_dates_leave_a_page_too(
    prefect_api: str, installation: Installation, files: tuple[Path, Path], new_frame: pl.DataFrame, nightly: Any
) -> None:
    nightly(files[1])
    nightly(files[1])
    assert "**Outcome**: Unchanged" in artifacts(prefect_api, installation, "night")[0]["data"]
    broken = installation.folder / "broken.csv"
    new_frame.with_columns(pl.lit("").alias("NAME_CONTRACT_TYPE")).write_csv(broken)
    with pytest.raises(ScoringError):
        nightly(broken)
    refused = artifacts(prefect_api, installation, "night")[0]["data"]
    assert "**Outcome**: Refused" in refused and "**Why**: " in refused
    assert "| NAME\\_CONTRACT\\_TYPE | required |" in refused
    missing = installation.folder / "missing.csv"
    new_frame.drop("AMT_CREDIT").write_csv(missing)
    with pytest.raises(ScoringError):
        nightly(missing)
    without_run = artifacts(prefect_api, installation, "night")[0]["data"]
    assert without_run.startswith("# Night without a run") and "AMT\\_CREDIT" in without_run
    late = installation.folder / "late.csv"
    new_frame.with_columns(pl.col("AMT_CREDIT") * 1.01).write_csv(late)
    nightly(late, date(2020, 1, 1))
    assert "readers still see the newer night" in artifacts(prefect_api, installation, "night")[0]["data"]


def test_a_training_leaves_the_models_figures_and_its_search(
    prefect_api: str, installation: Installation, model: Any
) -> None:
    [page, *_] = artifacts(prefect_api, installation, "training")
    assert f"# Model {model.model_id}" in page["data"] and f"| AUC | {model.metrics['auc']:.4f} |" in page["data"]
    assert "What the policy costs" in page["data"]
    [table, *_] = artifacts(prefect_api, installation, "training-search")
    rows = json.loads(table["data"])
    assert len(rows) == len(model.metrics["search"]) and rows[0]["Taken"] == "yes"
    assert progress(prefect_api, installation, "training", "read")["data"] == 100.0


def test_the_page_is_in_the_language_of_the_dashboards_and_links_to_them(
    prefect_api: str,
    installation: Installation,
    files: tuple[Path, Path],
    nightly: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CREDITLENS_SUPERSET_LOCALE", "fr")
    monkeypatch.setenv("CREDITLENS_DASHBOARDS_URL", "https://scores.example.org/")
    nightly(files[1], force=True)
    text = artifacts(prefect_api, installation, "night")[0]["data"]
    assert "# Nuit du " in text and "**Résultat**: Publiée." in text
    assert "](https://scores.example.org/superset/dashboard/portfolio-fr/)" in text
    assert re.search(r"\| Accord proposé \| \d+,\d % \|", text)
    [table, *_] = artifacts(prefect_api, installation, "night-checks")
    assert {"Contrôle", "Réussi", "Constaté", "Attendu"} <= json.loads(table["data"])[0].keys()


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"


def test_a_server_that_does_not_answer_is_asked_once_and_fails_nothing(
    deaf: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(deaf, "00000000-0000-0000-0000-000000000000", seconds=0.2)
    started = time.monotonic()
    with caplog.at_level("WARNING", logger="creditlens"):
        assert server.create("markdown", "night", "# Night", "") is None
        assert server.create("markdown", "night", "# Night", "") is None
        # Bars and pages of one run ask by servers of their own.
        other = Server(deaf, server.flow_run_id, seconds=30)
        assert other.create("markdown", "night", "# Night", "") is None
    assert time.monotonic() - started < 2
    assert [record.message for record in caplog.records if "did not take" in record.message] != []
    assert len([record for record in caplog.records if "did not take" in record.message]) == 1


def test_a_night_goes_on_where_prefect_takes_no_artifacts(
    installation: Installation,
    files: tuple[Path, Path],
    nightly: Any,
    deaf: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.artifacts import server as artifact_server

    monkeypatch.setattr(artifact_server, "PATIENCE_SECONDS", 0.2)
    real = artifact_server.of_this_run

    def elsewhere(_error: BaseException | None = None) -> Server | None:
        found = real()
        return found and Server(deaf, found.flow_run_id, seconds=0.2)

    for module in ("night", "progress"):
        monkeypatch.setattr(f"flows.artifacts.{module}.of_this_run", elsewhere)
    assert nightly(files[1], force=True).outcome == "published"


def test_a_night_that_is_ended_while_it_shows_itself_was_published(
    installation: Installation, files: tuple[Path, Path], nightly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.artifacts import server as artifact_server

    real = artifact_server.of_this_run
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def end_who_asks() -> None:
            with listening.accept()[0] as asking:
                # A signal in the middle of connecting would leave a socket that nobody has yet.
                asking.recv(1)
                os.kill(os.getpid(), signal.SIGTERM)

        def elsewhere(_error: BaseException | None = None) -> Server | None:
            found = real()
            return found and Server(f"http://127.0.0.1:{listening.getsockname()[1]}/api", found.flow_run_id)

        monkeypatch.setattr("flows.artifacts.night.of_this_run", elsewhere)
        threading.Thread(target=end_who_asks, daemon=True).start()
        with pytest.raises(signals.EndedBySignal, match="was published before"), last_night.accounted(Settings()):
            nightly(files[1], force=True)
    noted = last_night.last(Settings())
    assert noted is not None and noted.good
    newest = "SELECT status FROM credit.scoring_run ORDER BY run_id DESC LIMIT 1"
    assert installation.value(newest) == "published"


def test_progress_waits_for_nobody_and_sends_at_most_one_state_a_second(prefect_api: str, deaf: str) -> None:
    from flows.artifacts.progress import PrefectReporter

    class Counting(Server):
        calls = 0

        def _ask(self, *_: object) -> Any:
            Counting.calls += 1
            return {"id": "one"}

    passed_on: list[int] = []

    class Other(Reporter):
        def update(self, *said: Any) -> None:
            passed_on.append(said[1])

    counted = PrefectReporter(Other(), Counting(deaf, "x"), "night-progress-x", "en")
    started = time.monotonic()
    for done in range(10_000):
        counted.update("score", done, 10_000)
    took = time.monotonic() - started
    counted.close()
    assert len(passed_on) == 10_000 and took < 1
    assert Counting.calls <= 3 + took
    silent = PrefectReporter(Other(), Server(deaf, "x", seconds=0.3), "night-progress-x", "en")
    silent.update("score", 1, 2)
    started = time.monotonic()
    silent.close()
    assert time.monotonic() - started < 2


def test_every_text_is_there_in_both_languages_with_the_same_places() -> None:
    english, french = words("en"), words("fr")
    assert all(english.values()) and all(french.values())
    for key, text in english.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", french[key])), key


def test_numbers_and_texts_are_written_as_they_stand() -> None:
    assert number(1234567.891, 1) == "1,234,567.9"
    assert number(1234.5, 1, language="fr") == "1\u202f234,5"
    assert plain("<script>|[x](http://y)\n#") == "\\<script\\>\\|\\[x\\](http&#58;//y) \\#"
