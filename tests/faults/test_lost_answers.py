"""A connection that is lost right after a COMMIT: what was committed is known, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import psql_url
from scoring.sample import applications
from tests.faults.conftest import Site
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def proxy(site: Site) -> Iterator[Proxy]:
    port = site.installation.engine.url.port
    assert port is not None
    made = Proxy(port)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.close()
    thread.join()


def through(site: Site, proxy: Proxy) -> dict[str, str]:
    """The environment of a command whose way to Postgres is the proxy."""
    url = site.installation.engine.url.set(host="127.0.0.1", port=proxy.port)
    return {"CREDITLENS_DATABASE_URL": psql_url(url), "CREDITLENS_RETAINED_RUNS": "2"}


def newest(site: Site) -> int:
    return int(site.installation.value("SELECT coalesce(max(run_id), 0) FROM credit.scoring_run"))  # type: ignore[call-overload]


# By the task whose answer is lost, a statement that only its transaction has.
OF_A_NIGHT = {
    "the run is opened": r"INSERT INTO credit\.scoring_run",
    "killed runs are closed": r"The run was interrupted|SET status=.*WHERE credit\.scoring_run\.status",
    "statistics are written": r"INSERT INTO credit\.run_summary",
    "partitions are attached": r"ATTACH PARTITION",
    "readers are moved": r"INSERT INTO credit\.published_run",
    "older runs are retired": r"INSERT INTO credit\.past_score",
}


@pytest.mark.parametrize("statement", OF_A_NIGHT.values(), ids=OF_A_NIGHT.keys())
def test_a_night_goes_on_after_the_answer_to_a_commit_was_lost(site: Site, proxy: Proxy, statement: str) -> None:
    while site.installation.value("SELECT count(*) FROM credit.scoring_run WHERE retired_at IS NULL") < 2:  # type: ignore[operator]
        night = site.night(site.files[0], "--force")
        assert night.wait() == 0, night.errors
    before = newest(site)
    proxy.lose(statement)
    night = site.night(site.files[0], "--force", **through(site, proxy))
    assert night.wait() == 0, night.errors
    assert proxy.lost.is_set()
    assert "Traceback" not in night.errors
    rows = site.installation.rows(
        f"SELECT status, customers, run_id FROM credit.scoring_run WHERE run_id > {before} ORDER BY run_id"
    )
    assert [row[:2] for row in rows] == [("published", 2_000)]
    assert site.reader.run_id == rows[0][2]
    assert site.reader.look().customers == (2_000,) * 3
    assert site.reader.repeated_scores() == 0
    kept = site.installation.rows(
        "SELECT run_id FROM credit.scoring_run WHERE status = 'published' AND retired_at IS NULL ORDER BY 1"
    )
    tables = site.installation.rows(
        "SELECT DISTINCT right(relname, 8)::int FROM pg_class WHERE relkind = 'r' AND relname ~ '_r[0-9]{8}$'"
        " AND relnamespace = 'credit'::regnamespace ORDER BY 1"
    )
    assert tables == kept


OF_TRAINING = {
    "the model is registered": r"INSERT INTO credit\.model_version",
    "former customers are loaded": r'COPY "credit"\."former_customer_m',
    "the model becomes the current one": r"INSERT INTO credit\.former_distribution",
}


@pytest.mark.parametrize("statement", OF_TRAINING.values(), ids=OF_TRAINING.keys())
def test_training_goes_on_after_the_answer_to_a_commit_was_lost(
    site: Site, proxy: Proxy, tmp_path: Path, statement: str
) -> None:
    file = tmp_path / "application_train.csv"
    # Of other customers each time, whose model is another one.
    seed = 100 + list(OF_TRAINING.values()).index(statement)
    applications(800, seed=seed, labelled=True).write_csv(file)
    models = site.installation.value("SELECT count(*) FROM credit.model_version")
    proxy.lose(statement)
    training = site.start("train", "--former", str(file), "--trials", "0", "--json", **through(site, proxy))
    assert training.wait() == 0, training.errors
    assert proxy.lost.is_set()
    model_id = training.answer["model_id"]
    found = site.installation.rows(
        "SELECT model_id, (SELECT count(*) FROM credit.former_customer AS f WHERE f.model_id = m.model_id),"
        f" (SELECT count(*) FROM credit.model_version) - {models} FROM credit.model_version AS m"
        " WHERE stage = 'current'"
    )
    assert found == [(model_id, 800, 1)]
