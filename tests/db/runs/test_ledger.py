"""The ledger: a run is published whole or not at all, and what a killed one leaves is put right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from db.access import roles
from db.engine import driver, make_engine, transaction
from db.errors import AuditFailedError, BusyError
from db.models import RUN_PARTITIONED
from db.runs import audit
from db.runs import ledger as run_ledger
from db.runs.copy import encode
from db.runs.partitions import attach, partitions, staging
from tests import portfolio
from tests.db import ledger


@pytest.fixture
def fresh(new_database: Callable[[], Engine]) -> Engine:
    return new_database()


def visible(engine: Engine) -> tuple[int, int, int]:
    """What a reader counts: customers, scores of the published run, contributions."""
    with engine.connect() as connection:
        return tuple(
            connection.execute(
                text(
                    "SELECT (SELECT count(*) FROM credit.new_customer WHERE run_id = p.run_id),"
                    " (SELECT count(*) FROM credit.score WHERE run_id = p.run_id),"
                    " (SELECT count(*) FROM credit.shap_value WHERE run_id = p.run_id)"
                    " FROM credit.published_run p"
                )
            ).one_or_none()
            or (0, 0, 0)
        )


def seen_by_a_reader(connection: Connection) -> tuple[int, int, int]:
    """The same as a reader sees it: customers, scores, contributions, in one statement."""
    return tuple(
        connection.execute(
            text(
                "SELECT (SELECT count(*) FROM reporting.application), (SELECT count(*) FROM reporting.customer),"
                " (SELECT count(*) FROM reporting.customer_explanation)"
            )
        ).one()
    )


def tables_of_runs(engine: Engine) -> list[tuple[str, int, bool]]:
    with run_ledger.connect(engine) as connection:
        return sorted(partitions(driver(connection)))


def test_readers_see_nothing_of_a_run_until_it_is_published_and_then_all(fresh: Engine) -> None:
    run_id = ledger.open_run(fresh, ledger.new_model(fresh))
    ledger.load(fresh, run_id)
    assert visible(fresh) == (0, 0, 0)
    assert run_ledger.published(fresh) is None
    assert ledger.publish(fresh, run_id) is True
    assert visible(fresh) == (3, 3, 9)
    published = run_ledger.published(fresh)
    assert published is not None
    assert (published.run_id, published.customers, published.status) == (run_id, 3, "published")


def test_a_failing_load_leaves_no_table(fresh: Engine) -> None:
    run_id = ledger.open_run(fresh, ledger.new_model(fresh))

    def fail_in_the_middle() -> None:
        with staging(fresh, RUN_PARTITIONED, run_id) as stage:
            stage.write(encode(RUN_PARTITIONED[0], ledger.tables()["new_customer"]))
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail_in_the_middle()
    assert tables_of_runs(fresh) == []


def test_a_sound_run_passes_the_audit(fresh: Engine) -> None:
    run_id = ledger.open_run(fresh, ledger.new_model(fresh))
    ledger.load(fresh, run_id)
    checks = ledger.look(fresh, run_id)
    assert [check.name for check in checks if not check.passed] == []
    audit.require_passed(checks)


CORRUPTIONS = {
    "a contribution that does not add up": (
        {"shap_value.contribution": np.full(9, 0.1, dtype=np.float32)},
        "additivity_error",
    ),
    "a contribution that is infinite": (
        {"shap_value.contribution": np.array([np.inf] + [0] * 8, dtype=np.float32)},
        "contributions_not_finite",
    ),
    "a score of another probability": ({"score.score": np.array([1, 2, 3])}, "scores_not_of_their_probability"),
    "a probability of other log-odds": (
        {"score.default_probability": np.array([0.5, 0.5, 0.5])},
        "probability_error",
    ),
    "a feature explained twice": (
        {"shap_value.feature_id": np.array([1, 1, 121, 1, 2, 121, 1, 2, 121])},
        "explanations_incomplete",
    ),
    "contributions of somebody else": (
        {"shap_value.customer_id": np.repeat(np.array([7, 8, 10], dtype=np.int32), 3)},
        "customers_explained",
    ),
    "applications of somebody else": (
        {"new_customer.customer_id": np.array([7, 8, 10], dtype=np.int32)},
        "applications_scored",
    ),
}


@pytest.mark.parametrize(("changes", "name"), CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
def test_the_audit_finds(engine: Engine, changes: dict[str, object], name: str) -> None:
    run_id = ledger.open_run(engine, ledger.new_model(engine))
    ledger.load(engine, run_id, changes)
    checks = ledger.look(engine, run_id)
    assert name in [check.name for check in checks if not check.passed]
    with pytest.raises(AuditFailedError, match=f"nothing was published: .*{name} is .* expected"):
        audit.require_passed(checks)


def test_the_audit_finds_a_customer_who_was_accepted_and_not_loaded(engine: Engine) -> None:
    run_id = ledger.open_run(engine, ledger.new_model(engine))
    ledger.load(engine, run_id)
    failed = [check.name for check in ledger.look(engine, run_id, customers=4) if not check.passed]
    assert {"scores_loaded", "applications_loaded", "customers_explained"} <= set(failed)


def test_a_failed_run_keeps_its_reason_and_nothing_else_and_the_old_run_stays(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    old = ledger.night(fresh, model_id)
    run_id = ledger.open_run(fresh, model_id, sha256="1" * 64)
    ledger.load(fresh, run_id)
    run_ledger.close_unpublished(fresh, run_id, status="failed", message="The audit failed.")
    assert run_ledger.get(fresh, run_id).message == "The audit failed."
    assert {key for _, key, _ in tables_of_runs(fresh)} == {old}
    published = run_ledger.published(fresh)
    assert published is not None
    assert published.run_id == old


def test_publishing_again_after_a_lost_answer_changes_nothing_and_closing_does_not_undo_it(fresh: Engine) -> None:
    run_id = ledger.night(fresh, ledger.new_model(fresh))
    before = run_ledger.get(fresh, run_id)
    assert ledger.publish(fresh, run_id) is True
    run_ledger.close_unpublished(fresh, run_id, status="failed", message="The answer was lost.")
    assert run_ledger.get(fresh, run_id) == before
    assert visible(fresh) == (3, 3, 9)


def test_an_interrupted_run_is_closed_and_its_tables_dropped(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    old = ledger.night(fresh, model_id)
    orphan = ledger.open_run(fresh, model_id, sha256="1" * 64)
    ledger.load(fresh, orphan)
    assert run_ledger.recover(fresh) == [orphan]
    assert run_ledger.get(fresh, orphan).status == "failed"
    assert {key for _, key, _ in tables_of_runs(fresh)} == {old}
    assert run_ledger.recover(fresh) == []


def test_a_run_that_was_killed_between_attaching_and_moving_the_pointer_is_put_right(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    old = ledger.night(fresh, model_id)
    killed = ledger.open_run(fresh, model_id, sha256="1" * 64)
    ledger.load(fresh, killed)
    with run_ledger.transaction(fresh) as connection:
        attach(driver(connection), RUN_PARTITIONED, killed)
    assert visible(fresh) == (3, 3, 9)
    assert run_ledger.recover(fresh) == [killed]
    assert {key for _, key, _ in tables_of_runs(fresh)} == {old}
    assert visible(fresh) == (3, 3, 9)


def test_a_second_run_is_told_busy_at_once_and_the_lock_ends_with_its_session(fresh: Engine) -> None:
    with run_ledger.exclusive(fresh):
        started = time.monotonic()
        with pytest.raises(BusyError, match="under way"), run_ledger.exclusive(fresh):
            pass
        assert time.monotonic() - started < 5
        with fresh.connect() as connection:
            # What a killed process leaves: its session ends, and the lock with it.
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                )
            )
            connection.commit()
        time.sleep(0.2)
        with run_ledger.exclusive(fresh):
            pass


def test_a_late_run_of_an_older_date_is_history_and_the_pointer_stays(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    current = ledger.night(fresh, model_id)
    late = ledger.open_run(fresh, model_id, day=ledger.DAY - timedelta(days=1), sha256="2" * 64)
    ledger.load(fresh, late)
    assert ledger.publish(fresh, late) is False
    published = run_ledger.published(fresh)
    assert published is not None
    assert published.run_id == current
    assert run_ledger.get(fresh, late).status == "published"


def test_a_corrected_file_of_the_same_date_takes_over(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    ledger.night(fresh, model_id)
    corrected = ledger.night(fresh, model_id, sha256="3" * 64)
    published = run_ledger.published(fresh)
    assert published is not None
    assert published.run_id == corrected


def test_the_same_input_and_model_are_recognised_by_digest(fresh: Engine) -> None:
    first, second = ledger.new_model(fresh), ledger.new_model(fresh, "b")
    run_id = ledger.night(fresh, first, sha256="4" * 64)

    def found(**changes: object) -> int | None:
        known = {"source_sha256": "4" * 64, "model_id": first, "as_of": None, **changes}
        run = run_ledger.find_unchanged(fresh, **known)  # type: ignore[arg-type]
        return run.run_id if run else None

    assert found() == run_id
    assert found(as_of=ledger.DAY) == run_id
    assert found(source_sha256="5" * 64) is None
    assert found(model_id=second) is None
    assert found(as_of=ledger.DAY + timedelta(days=1)) is None


def test_retiring_drops_details_and_keeps_scores_ledger_and_the_runs_in_use(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    nights = [ledger.night(fresh, model_id, day=date(2026, 3, day), sha256=f"{day:064d}") for day in range(1, 6)]
    assert sorted(run_ledger.retire(fresh, retained_runs=2)) == nights[:3]
    kept = {(name, key) for name, key, attached in tables_of_runs(fresh) if attached}
    assert {key for name, key in kept if name == "shap_value"} == set(nights[3:])
    assert {key for name, key in kept if name == "score"} == set(nights[3:])
    with fresh.connect() as connection:
        history = connection.scalars(
            text("SELECT run_id FROM reporting.score_history WHERE customer_id = 7 ORDER BY run_id")
        ).all()
    assert history == nights
    assert visible(fresh) == (3, 3, 9)
    assert run_ledger.retire(fresh, retained_runs=2) == []
    assert run_ledger.recover(fresh) == []
    assert visible(fresh) == (3, 3, 9)


def test_retiring_takes_offers_and_similar_customers_along_and_leaves_what_people_decided(fresh: Engine) -> None:
    model_id = ledger.new_model(fresh)
    offers = ("what_if", "what_if_summary", "similar_customer", "similar_member")
    nights = []
    for day in (1, 2, 3):
        nights.append(ledger.night(fresh, model_id, day=date(2026, 3, day), sha256=f"{day:064d}"))
        with transaction(fresh) as connection:
            for table, values in zip(
                offers,
                (
                    "36, 312000, 9876.54, 0.05, 95, 'accept', true, true, false",
                    "'found', 48, 0.01, 36, 312000, 9876.54, 0.05, 95",
                    "200, 31, 0.155, 0.111, 0.212, 0.17, 1.5",
                    "ARRAY(SELECT generate_series(1, 200))",
                ),
                strict=True,
            ):
                connection.execute(text(f"INSERT INTO credit.{table} VALUES ({nights[-1]}, 7, {values})"))
            if day == 1:
                portfolio.decide(connection, [7])
    assert run_ledger.retire(fresh, retained_runs=2) == nights[:1]
    with fresh.connect() as connection:
        for table in offers:
            kept = connection.scalars(text(f"SELECT run_id FROM credit.{table} ORDER BY 1")).all()
            assert kept == nights[1:], table
        decided = connection.execute(text("SELECT run_id, as_of, decision, score FROM reporting.decision")).all()
        asked = connection.scalars(text("SELECT point_of_view FROM reporting.review")).all()
    assert [tuple(row)[:3] for row in decided] == [(nights[0], date(2026, 3, 1), "refuse")]
    assert asked == ["Please look again."]


@pytest.fixture
def reader(fresh: Engine, reader_passwords: dict[str, str]) -> Iterator[Engine]:
    """The database as an analyst sees it."""
    engine = make_engine(fresh.url.set(username=roles.ANALYST, password=reader_passwords[roles.ANALYST]))
    yield engine
    engine.dispose()


def test_publishing_does_not_wait_for_a_reader_and_new_readers_do_not_wait_for_it(
    fresh: Engine, reader: Engine
) -> None:
    model_id = ledger.new_model(fresh)
    ledger.night(fresh, model_id)
    run_id = ledger.open_run(fresh, model_id, sha256="6" * 64)
    ledger.load(fresh, run_id)
    stop = threading.Event()

    def keep_reading() -> tuple[set[tuple[int, int, int]], float]:
        seen, longest = set(), 0.0
        while not stop.is_set():
            started = time.monotonic()
            with reader.connect() as connection:
                seen.add(seen_by_a_reader(connection))
            longest = max(longest, time.monotonic() - started)
        return seen, longest

    with ThreadPoolExecutor(1) as background, reader.connect() as long_reader:
        assert seen_by_a_reader(long_reader) == (3, 3, 9)
        reading = background.submit(keep_reading)
        started = time.monotonic()
        ledger.publish(fresh, run_id)
        took = time.monotonic() - started
        assert seen_by_a_reader(long_reader) == (3, 3, 9)
        time.sleep(0.1)
        stop.set()
        seen, longest = reading.result()
    assert seen == {(3, 3, 9)}
    assert took < 2
    assert longest < 1


def test_a_query_that_is_being_planned_while_a_run_is_published_sees_a_whole_run(
    fresh: Engine, reader: Engine
) -> None:
    """Its plan knows the partitions there were, so its snapshot must not know a pointer that came later."""
    model_id = ledger.new_model(fresh)
    ledger.night(fresh, model_id)
    run_id = ledger.open_run(fresh, model_id, sha256="7" * 64)
    ledger.load(fresh, run_id)
    with fresh.begin() as connection:
        # The planner calls a stable function for its estimates, after it has looked at the partitions.
        connection.execute(
            text(
                "CREATE FUNCTION reporting.slowly(lowest integer) RETURNS integer LANGUAGE plpgsql STABLE AS"
                " 'BEGIN PERFORM pg_sleep(0.3); RETURN lowest; END'"
            )
        )
        connection.execute(text("GRANT EXECUTE ON FUNCTION reporting.slowly TO PUBLIC"))

    def read() -> int:
        with reader.connect() as connection:
            query = "SELECT count(*) FROM reporting.customer_explanation WHERE customer_id > reporting.slowly(0)"
            return connection.execute(text(query)).scalar_one()

    with ThreadPoolExecutor(1) as background:
        reading = background.submit(read)
        time.sleep(0.2)
        ledger.publish(fresh, run_id)
        assert not reading.done()
        assert reading.result() == 9
