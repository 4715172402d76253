"""Erasing people from stores that a team's installation has beside its state folder: Redis, Prefect's Postgres."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db.engine import psql_url
from flows.privacy.stores.base import NotSearched
from flows.privacy.stores.database import Database
from flows.privacy.stores.elsewhere import OtherPrefect
from flows.privacy.stores.prefect_postgres import PrefectPostgres
from flows.privacy.stores.shared_answers import SharedAnswers
from flows.privacy.stores.state_folder import InputFolder
from flows.privacy.stores.superset_database import SupersetDatabase
from flows.services import shared_answers
from flows.settings import Settings
from tests.redis_server import RedisServer, redis_server

CUSTOMER, OTHER = 500_031, 500_032


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis: RedisServer) -> Settings:
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("CREDITLENS_REDIS_URL", redis.url)
    redis.client().flushdb()
    return Settings()


def store(settings: Settings, engine: Engine) -> SharedAnswers:
    return SharedAnswers(settings, Database(settings, engine), SupersetDatabase(None))


def test_answers_that_speak_of_a_person_are_found_and_all_are_dropped(
    settings: Settings, redis: RedisServer, new_database: Callable[[], Engine]
) -> None:
    client = redis.client()
    answers = {
        "sql": pickle.dumps({"query": f"SELECT score FROM customer WHERE customer_id = {CUSTOMER}"}),
        "rows": b"\0" * 32 + b"customer_id" + CUSTOMER.to_bytes(8, "little"),
        "other": pickle.dumps({"query": f"SELECT score FROM customer WHERE customer_id = {OTHER}"}),
    }
    for name, content in answers.items():
        client.set(f"{shared_answers.ANSWERS}{name}", content)
    client.set("creditlens:login:192.0.2.1", "kept")
    asked = store(settings, new_database())
    assert asked.there() and asked.why_not() is None
    assert set(asked.find(CUSTOMER).places) == {
        f"Redis: {shared_answers.ANSWERS}{name}" for name in ("sql", "rows")
    }
    assert len(asked.places()) == 3
    assert asked.erase(CUSTOMER).dropped == 3
    assert asked.find(CUSTOMER).places == {} and asked.places() == []
    assert client.get("creditlens:login:192.0.2.1") == b"kept"


def test_a_redis_that_does_not_answer_is_named_without_its_password(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, new_database: Callable[[], Engine]
) -> None:
    away = RedisServer()
    monkeypatch.setenv("CREDITLENS_REDIS_URL", away.url)
    asked = store(Settings(), new_database())
    why = asked.why_not()
    assert isinstance(why, NotSearched) and "does not answer" in why.why
    assert away.password not in str(why)
    assert shared_answers.drop(Settings()) == 0


def test_without_a_redis_there_is_no_such_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, new_database: Callable[[], Engine]
) -> None:
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / "state"))
    asked = store(Settings(), new_database())
    assert not asked.there() and asked.why_not() is None and asked.places() == []


@pytest.fixture
def prefect_postgres(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, new_database: Callable[[], Engine]
) -> Iterator[tuple[Settings, Engine]]:
    """A database with one of Prefect's own tables: others need an extension that not every Postgres has."""
    from prefect.server.database.orm_models import Base

    engine = new_database()
    with engine.begin() as connection:
        Base.metadata.tables["log"].create(connection)
    monkeypatch.setenv("CREDITLENS_PREFECT_DATABASE_URL", psql_url(engine.url))
    return Settings(), engine


def test_a_person_is_taken_out_of_prefects_texts_and_the_rest_stays(
    prefect_postgres: tuple[Settings, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, engine = prefect_postgres
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    said = [f"customer {CUSTOMER} was refused", f"customer {OTHER} was refused", f"rows 1{CUSTOMER}"]
    with engine.begin() as connection:
        for message in said:
            connection.execute(
                text("INSERT INTO log (id, name, level, message, timestamp) VALUES (:id, 'n', 20, :said, now())"),
                {"id": uuid4(), "said": message},
            )
    asked = PrefectPostgres(settings)
    assert asked.there() and asked.why_not() is None
    # It is looked into, so nobody is sent there.
    assert not OtherPrefect(settings).there()
    assert list(asked.find(CUSTOMER).places.values()) == [1]
    assert sum(asked.erase(CUSTOMER).removed.values()) == 1
    assert asked.find(CUSTOMER).places == {}
    with engine.connect() as connection:
        left = set(connection.scalars(text("SELECT message FROM log")))
    assert left >= set(said[1:]) and len(left) == 3 and said[0] not in left


def test_a_database_of_prefect_that_is_away_is_named_without_its_password(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITLENS_PREFECT_DATABASE_URL", "postgresql://prefect:hidden@127.0.0.1:1/prefect")
    why = PrefectPostgres(Settings()).why_not()
    assert isinstance(why, NotSearched) and "hidden" not in str(why)


def test_a_folder_of_applications_that_is_not_there_is_named_as_not_searched(tmp_path: Path) -> None:
    """As in the container of the dashboards, which nights do not run in."""
    away = InputFolder(Settings(data=tmp_path / "away"))
    assert away.there()
    why = away.why_not()
    assert isinstance(why, NotSearched) and why.store == f"input folder {tmp_path / 'away'}"
    assert InputFolder(Settings(data=tmp_path)).why_not() is None
