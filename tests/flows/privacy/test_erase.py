"""A customer's copy and erasure: everything that is held, and then nothing, in every store."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest
from sqlalchemy import text

from db.access.roles import DASHBOARD
from db.engine import psql_url
from db.errors import BusyError
from db.people import copy as people_copy
from db.people import rows as people_rows
from db.runs import ledger
from flows.privacy import erase, export, record
from flows.privacy.page import LANGUAGES, by, render
from flows.privacy.stores.cached_answers import answers_about
from flows.privacy.stores.database import describe_former
from tests import portfolio
from tests.faults import broken_files
from tests.installation import Installation

NEW, OTHER = 500_005, 500_006


@pytest.fixture(scope="module")
def nights(installation: Installation, files: tuple[Path, Path], new_frame: pl.DataFrame) -> list[int]:
    """A model, and three nights: the customer is refused in one of them, the first one's details are dropped."""
    from flows.nightly import nightly
    from flows.training import training

    training([files[0]])
    made = [nightly(files[1]).run.run_id]
    for factor in (1.1, 1.2):
        file = installation.folder / f"night-{factor}.csv"
        changed = new_frame.with_columns(pl.col("AMT_CREDIT") * factor)
        changed.write_csv(file)
        made.append(nightly(file).run.run_id)
    assert ledger.retire(installation.engine, retained_runs=2) == made[:1]
    refused = installation.folder / "refused.csv"
    lines = new_frame.write_csv().splitlines()
    lines[5] = lines[5].replace("Cash loans", "").replace("Revolving loans", "")
    assert lines[5].startswith(f"{NEW},")
    refused.write_text("\n".join(lines) + "\n")
    made.append(nightly(refused).run.run_id)
    return made


@pytest.fixture(scope="module")
def former_id(installation: Installation) -> int:
    """A former customer in the middle of those who defaulted."""
    return int(
        str(
            installation.value(
                "SELECT customer_id FROM credit.former_customer WHERE target = 1"
                " ORDER BY customer_id OFFSET 20 LIMIT 1"
            )
        )
    )


def test_the_copy_holds_every_run_and_every_contribution(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    found = export.export(installation.settings, NEW, tmp_path, by="petra", languages=LANGUAGES)
    retained = [int(str(run_id)) for (run_id,) in installation.rows(
        "SELECT run_id FROM credit.scoring_run WHERE status = 'published' AND retired_at IS NULL ORDER BY 1"
    )]  # fmt: skip
    held_in = len([run_id for run_id in retained if run_id != nights[-1]])
    assert (found["applications"], found["scores"]) == (held_in, 3)
    assert found["contributions"] == held_in * 128
    assert found["rejected"] == 1
    assert [Path(file).stat().st_mode & 0o777 for file in found["files"]] == [0o600] * 3
    document = json.loads((tmp_path / f"customer-{NEW}.json").read_text())
    assert {row["run_id"] for row in document["scores"]} == set(nights[:3])
    credit = [row for row in document["applications"] if row["column_name"] == "AMT_CREDIT"]
    assert len(credit) == held_in
    assert float(credit[0]["value"]) == installation.value(
        f"SELECT amt_credit FROM credit.new_customer WHERE customer_id = {NEW} AND run_id = {credit[0]['run_id']}"
    )
    assert re.fullmatch(r"[\d,]+ .+", credit[0]["value_en"])
    for run_id, rows in by(document["contributions"], "run_id"):
        score = next(row for row in document["scores"] if row["run_id"] == run_id)
        total = score["base_value"] + sum(row["contribution"] for row in rows)
        assert total == pytest.approx(score["log_odds"], abs=1e-4)
        assert document["rejected"][0]["customer_id"] == str(NEW)


def test_the_pages_are_readable_in_both_languages_and_need_nothing_else(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    export.export(installation.settings, NEW, tmp_path, by="petra", languages=LANGUAGES)
    for language, words in (("en", "Score points"), ("fr", "Points de score")):
        page = (tmp_path / f"customer-{NEW}.{language}.html").read_text()
        assert words in page
        assert page.count("<tr>") > 2 * 128 + 2 * 120
        assert not re.search(r"(src|href)=|https?://|<script|\{\w+\}", page)
    assert "Montant du crédit" in page


def test_a_file_cannot_smuggle_markup_into_the_page() -> None:
    row = {"as_of": date(2026, 1, 1), "run_id": 1, "source_name": "<script>", "row_number": 1, "column_name": "X",
           "rule": "number", "value": "<img src=x onerror=alert(1)>"}  # fmt: skip
    nothing: dict[str, list[dict[str, object]]] = {
        "scores": [], "contributions": [], "applications": [], "former": [], "requests": [], "rejected": [row]
    }  # fmt: skip
    page = render(1, datetime.now(UTC), nothing, "en", retained_runs=7)
    assert "<script" not in page and "<img" not in page


@pytest.mark.parametrize("formula", broken_files.FORMULAS)
def test_a_formula_is_text_in_the_page_and_as_it_was_written_in_the_json_file(
    installation: Installation, nights: list[int], tmp_path: Path, formula: str
) -> None:
    """Of a real refused row; whoever copies the page's table into a spreadsheet pastes no formula."""
    customer = 777_001
    with installation.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO credit.rejected_application VALUES (:run, 9, :id, 'amt_credit', 'type', :value)"),
            {"run": nights[-1], "id": str(customer), "value": formula},
        )
    try:
        export.export(installation.settings, customer, tmp_path, by="petra", languages=LANGUAGES)
    finally:
        with installation.engine.begin() as connection:
            connection.execute(text("DELETE FROM credit.rejected_application WHERE row_number = 9"))
    document = json.loads((tmp_path / f"customer-{customer}.json").read_text())
    assert [row["value"] for row in document["rejected"]] == [formula]
    for language in LANGUAGES:
        page = (tmp_path / f"customer-{customer}.{language}.html").read_text()
        cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", page, re.DOTALL)]
        assert f"'{formula}" in cells
        assert not [cell for cell in cells if re.match(r"\s*[=+@-]", cell)]


def test_signed_points_stay_numbers_in_the_page(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    export.export(installation.settings, NEW, tmp_path, by="petra", languages=["en"])
    page = (tmp_path / f"customer-{NEW}.en.html").read_text()
    assert re.search(r"<td>-\d+\.\d\d</td>", page) and re.search(r"<td>\+\d+\.\d\d</td>", page)
    assert not [cell for cell in re.findall(r"<td>(.*?)</td>", page) if html.unescape(cell).startswith("'")]


def test_a_former_customers_outcome_is_in_the_copy(
    installation: Installation, nights: list[int], former_id: int, tmp_path: Path
) -> None:
    found = export.export(installation.settings, former_id, tmp_path, by="petra", languages=["fr"])
    assert (found["former"], found["applications"], len(found["files"])) == (1, 0, 2)
    assert "difficultés de paiement" in (tmp_path / f"customer-{former_id}.fr.html").read_text()


def test_an_unknown_id_gives_no_file_and_is_recorded_by_a_keyed_hash(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "none"
    assert export.export(installation.settings, 42, folder, by="petra", languages=["en"])["outcome"] == "nothing"
    assert not folder.exists()
    hashed = record.customer_hash(installation.settings, 42)
    assert people_rows.requests(installation.engine, hashed)[0]["requested_by"] == "petra"
    assert hashed != people_rows.keyed_hash("another key", 42)
    assert installation.value("SELECT count(*) FROM credit.privacy_request WHERE customer_hash = '42'") == 0


def test_the_copy_says_which_advisors_have_the_customer(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    rating = installation.value(f"SELECT region_rating_client FROM credit.new_customer WHERE customer_id = {OTHER}")
    assert isinstance(rating, int)
    portfolio.assign(installation.engine, "alice", customers=[OTHER], by="olga")
    portfolio.assign(installation.engine, "bob", regions=[rating], by="olga")
    portfolio.assign(installation.engine, "carol", regions=[rating % 3 + 1], customers=[NEW], by="olga")
    found = export.export(installation.settings, OTHER, tmp_path, by="petra", languages=LANGUAGES)
    assert found["assignments"] == 2
    document = json.loads((tmp_path / f"customer-{OTHER}.json").read_text())
    assert [(row["username"], row["region_rating"], row["assigned_by"]) for row in document["assignments"]] == [
        ("alice", None, "olga"), ("bob", rating, "olga")
    ]  # fmt: skip
    page = (tmp_path / f"customer-{OTHER}.en.html").read_text()
    assert "<td>alice</td><td>alone</td>" in page and "carol" not in page


def test_the_copy_says_that_nobody_can_have_looked_where_there_are_no_dashboards(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    found = export.export(installation.settings, OTHER, tmp_path, by="petra", languages=["en"])
    assert (found["looks"], found["looks_not_told"]) == (0, "looks_none")
    assert "No dashboards are set up here" in (tmp_path / f"customer-{OTHER}.en.html").read_text()


def plant(installation: Installation, customer_id: int) -> None:
    """The id in every kind of file of ours, and in a message of the ledger."""
    state = installation.settings.state
    for folder in ("data", "scratch", "superset/cache"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    row = f"{customer_id},Cash loans\n"
    (state / "data" / "application_test.csv").write_text(
        "SK_ID_CURR,NAME_CONTRACT_TYPE\n1,Cash loans\n" + row + "0" + row
    )
    (state / "scratch" / "unpacked.csv").write_text(row)
    (state / "schedule.log").write_text(f"row of {customer_id} refused\nrow of 9{customer_id} refused\n")
    (state / "superset" / "cache" / "result").write_bytes(f"WHERE customer_id = {customer_id}".encode())
    (state / "mine.txt").write_text(f"call {customer_id}")
    with installation.engine.begin() as connection:
        connection.execute(
            text("UPDATE credit.scoring_run SET message = :said WHERE run_id = 1"),
            {"said": f"Something about {customer_id}."},
        )


def test_erasing_leaves_no_trace_in_any_store_and_nothing_else_changes(
    installation: Installation, nights: list[int], files: tuple[Path, Path]
) -> None:
    plant(installation, NEW)
    before = erase.search(installation.settings, NEW)
    for place in ("new_customer", "score", "shap_value", "past_score", "rejected_application", "scoring_run",
                  "application_test.csv", "unpacked.csv", "schedule.log", "cache/result"):  # fmt: skip
        assert [name for name in before.found if place in name], (place, before.found)
    others = f"SELECT count(*), sum(contribution::numeric) FROM credit.shap_value WHERE customer_id <> {NEW}"
    untouched = installation.rows(others)
    done = erase.erase(installation.settings, NEW, by="petra")
    assert done["removed"]["shap_value"] >= 128
    assert done["cached_results_dropped"] == 1
    assert done["files_not_ours"] == [str(installation.settings.state / "mine.txt")]
    assert erase.search(installation.settings, NEW).found == {}
    assert installation.rows(others) == untouched
    assert erase.search(installation.settings, OTHER).found != {}
    state = installation.settings.state
    assert (state / "data" / "application_test.csv").read_text() == "SK_ID_CURR,NAME_CONTRACT_TYPE\n1,Cash loans\n"
    assert (state / "schedule.log").read_text() == f"row of xxxxxx refused\nrow of 9{NEW} refused\n"
    assert (
        installation.value("SELECT message FROM credit.scoring_run WHERE run_id = 1") == "Something about erased."
    )
    (requests,) = installation.rows("SELECT kind, requested_by, completed_at IS NOT NULL, customer_hash"
                                    " FROM credit.privacy_request WHERE kind = 'erase'")  # fmt: skip
    assert requests[:3] == ("erase", "petra", True)
    assert str(NEW) not in str(requests[3])
    everything = people_copy.everything(installation.engine, NEW)
    assert not any(everything.values())


def test_an_erasure_says_where_it_looked_and_where_it_could_not(
    installation: Installation, nights: list[int]
) -> None:
    """This installation uses a server and a Prefect that are not its own, as in containers."""
    done = erase.erase(installation.settings, 4_242_424, by="petra")
    said = " ".join(store["store"] for store in done["searched"])
    assert str(installation.engine.url.database) in said and str(installation.settings.state) in said
    unknown = {store["store"]: store for store in done["not_searched"]}
    assert "the log of the Postgres server" in unknown and "backups made before" in unknown
    (prefect,) = [name for name in unknown if "Prefect" in name]
    assert "http://127.0.0.1" in prefect and "prefect" not in said.lower()
    assert all(store["why"] and store["to_do"] for store in unknown.values())


def test_a_number_that_is_something_else_stays_in_the_ledger_and_in_files(
    installation: Installation, nights: list[int]
) -> None:
    state = installation.settings.state
    (state / "superset" / "scripts").mkdir(parents=True, exist_ok=True)
    kept = {
        state / "superset" / "configuration.json": '{"port": 5432}',
        state / "superset" / "scripts" / "page.js": "x = 5432;",
        state / "prefect.port": "5432",
        state / "night.json": '{"ended_at": "2026-11-25T09:42:42.005432+00:00", "message": "5,432 rows, run 5432"}',
    }
    for path, content in kept.items():
        path.write_text(content)
    with installation.engine.begin() as connection:
        connection.execute(
            text("UPDATE credit.scoring_run SET message = 'Run 5432 had 5,432 rows in 54.32 s.',"
                 " source_name = 'sample_5432.csv', source_sha256 = repeat('a5432b', 10) || 'abcd'"
                 " WHERE run_id = 1")
        )  # fmt: skip
        connection.execute(
            text("INSERT INTO credit.unknown_category VALUES (1, 'ORGANIZATION_TYPE', 'Trade: type 5432', 1),"
                 " (1, 'ORGANIZATION_TYPE', '5432', 1)")
        )  # fmt: skip
    columns = "SELECT run_id, message, source_name, source_sha256 FROM credit.scoring_run ORDER BY 1"
    before = installation.rows(columns)
    done = erase.erase(installation.settings, 5432, by="petra")
    assert done["removed"] == {"unknown_category": 1}
    assert installation.rows(columns) == before
    assert {path: path.read_text() for path in kept} == kept
    assert installation.rows("SELECT value FROM credit.unknown_category") == [("Trade: type 5432",)]


def test_an_answer_that_was_in_flight_does_not_stay(
    installation: Installation, nights: list[int], reader_passwords: dict[str, str]
) -> None:
    """The query began before the person was erased, and its answer is filed after all answers were dropped."""
    cache = installation.settings.state / "superset" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    customer = int(str(installation.value("SELECT max(customer_id) FROM credit.score")))

    address = psql_url(installation.engine.url.set(username=DASHBOARD, password=reader_passwords[DASHBOARD]))
    with psycopg.connect(address) as connection:
        connection.execute("SELECT 1")

        def file_it() -> None:
            time.sleep(3)
            connection.rollback()
            time.sleep(0.5)
            (cache / "late").write_bytes(b"customer_id" + customer.to_bytes(8, "little"))

        thread = threading.Thread(target=file_it)
        thread.start()
        erase.erase(installation.settings, customer, by="petra")
        assert not thread.is_alive()
        assert not (cache / "late").exists()
    (cache / "later").write_bytes(b"customer_id" + customer.to_bytes(8, "little"))
    assert answers_about(installation.settings, customer) == [cache / "later"]
    assert str(cache / "later") in erase.search(installation.settings, customer).found


def described(installation: Installation) -> dict[str, list[tuple[object, ...]]]:
    """What is said of the former customers as a whole."""
    return {
        table: installation.rows(f"SELECT t::text FROM credit.{table} AS t ORDER BY 1")
        for table in ("former_distribution", "former_category", "cohort_option", "cohort_feature", "cohort_member",
                      "cohort_slice", "cohort_bin")
    }  # fmt: skip


def decoded(installation: Installation, feature_id: int, target: int) -> list[float]:
    """The values that a feature's bitmaps stand for, in their order."""
    slices = installation.rows(
        f"SELECT bits::text FROM credit.cohort_slice WHERE feature_id = {feature_id} AND target = {target}"
        " AND slice > 0 ORDER BY slice"
    )
    digits = np.array([[int(bit) for bit in str(value)] for (value,) in slices])
    codes = (digits * 2 ** np.arange(len(digits) - 1, -1, -1)[:, None]).sum(axis=0)
    ((origin, per_unit),) = installation.rows(
        f"SELECT origin, per_unit FROM credit.cohort_feature WHERE feature_id = {feature_id}"
    )
    return [(float(str(origin)) + code) / float(str(per_unit)) for code in codes.tolist()]


def test_a_former_customer_goes_from_every_bitmap_and_quantile_too(
    installation: Installation, nights: list[int], former_id: int
) -> None:
    trained = described(installation)
    with installation.engine.begin() as connection:
        describe_former(connection, 1)
    # What is said anew of the same people is the same, but for scores that are stored in single precision.
    again = described(installation)
    for table in ("former_distribution", "former_category", "cohort_option"):
        assert again[table] == trained[table]
    credit = int(str(installation.value("SELECT feature_id FROM credit.feature WHERE name = 'AMT_CREDIT'")))
    values = "SELECT amt_credit FROM credit.former_customer WHERE target = 1 ORDER BY 1"
    before = [row[0] for row in installation.rows(values)]
    assert decoded(installation, credit, 1) == pytest.approx(before)
    his = installation.value(f"SELECT amt_credit FROM credit.former_customer WHERE customer_id = {former_id}")
    erase.erase(installation.settings, former_id, by="petra")
    left = [row[0] for row in installation.rows(values)]
    assert sorted([*left, his], key=float) == before
    assert decoded(installation, credit, 1) == pytest.approx(left)
    everybody = "SELECT repaid, defaulted FROM credit.cohort_option WHERE attribute = 'age' AND code = 0"
    assert installation.rows(everybody) == installation.rows(
        "SELECT count(*) FILTER (WHERE target = 0), count(*) FILTER (WHERE target = 1) FROM credit.former_customer"
    )
    assert described(installation)["former_distribution"] != trained["former_distribution"]


def test_nobody_is_erased_while_a_run_is_under_way(installation: Installation, nights: list[int]) -> None:
    with ledger.exclusive(installation.engine), pytest.raises(BusyError):
        erase.erase(installation.settings, OTHER, by="petra")
    assert erase.search(installation.settings, OTHER).found


def test_an_erasure_that_was_killed_before_it_scrubbed_is_finished_by_the_next(
    installation: Installation, nights: list[int]
) -> None:
    bounds = installation.value(
        "SELECT histogram_bounds::text FROM pg_stats WHERE schemaname = 'credit' AND attname = 'customer_id'"
        f" AND tablename = 'score_r{nights[-1]:08d}'"
    )
    sampled = max(int(number) for number in str(bounds).strip("{}").split(","))
    people_rows.erase(installation.engine, sampled, describe=describe_former)
    assert erase.search(installation.settings, sampled).found["planner statistics"]
    done = erase.erase(installation.settings, sampled, by="petra")
    assert f"score_r{nights[-1]:08d}" in done["vacuumed"]
    assert erase.search(installation.settings, sampled).found == {}


def test_samples_of_an_analyze_that_began_before_a_killed_erasure_go_with_the_next(
    installation: Installation, nights: list[int]
) -> None:
    """As autovacuum may run one, or what a killed restore leaves running in the server."""
    table = f"score_r{nights[-1]:08d}"
    highest = int(str(installation.value(f"SELECT max(customer_id) FROM credit.{table}")))
    with psycopg.connect(psql_url(installation.engine.url)) as other:
        other.execute(
            "SELECT pg_clear_attribute_stats('credit', tablename, attname, false) FROM pg_stats"
            " WHERE schemaname = 'credit' AND attname = 'customer_id'"
        )
        other.commit()
        other.execute(f"ANALYZE credit.{table}")
        # One without customers and without rows: there are no samples to take away.
        other.execute("ANALYZE credit.run_withdrawal")
        people_rows.erase(installation.engine, highest, describe=describe_former)
        assert erase.search(installation.settings, highest).found == {}
        again = threading.Thread(target=erase.erase, args=(installation.settings, highest), kwargs={"by": "petra"})
        again.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
        deadline = time.monotonic() + 10
        with psycopg.connect(psql_url(installation.engine.url), autocommit=True) as onlooker:
            while onlooker.execute(waiting, [f"credit.{table}"]).fetchone() == (0,) and time.monotonic() < deadline:
                time.sleep(0.02)
        other.commit()
    again.join()
    assert erase.search(installation.settings, highest).found == {}
