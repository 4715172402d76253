"""One real Superset for the whole test session: this repository's dashboards over two published nights."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import polars as pl
import pytest
from sqlalchemy import Engine

from db.access import portfolios
from db.engine import psql_url
from db.server.embedded import free_port
from flows.services import superset as superset_service
from flows.settings import Settings

NIGHTS = (date(2026, 3, 1), date(2026, 3, 2))
RUNNING = pytest.StashKey["Superset"]()


@dataclass
class Superset:
    """A Superset that serves on loopback.

    Attributes
    ----------
    url: its address, without a slash at the end.
    users: password by user: admin, operator, analyst, advisor.
    engine: the database that the dashboards read, as its owner.
    settings: of the installation, whose state folder has logs and secrets.
    """

    url: str
    users: dict[str, str]
    engine: Engine
    settings: Settings
    _clients: dict[str, httpx.Client] = field(default_factory=dict)

    def client(self, user: str | None) -> httpx.Client:
        """A client that has signed in as `user` through the form, or as nobody; kept for reuse."""
        name = user or ""
        if name not in self._clients:
            client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
            if user is not None:
                signed_in = sign_in(client, user, self.users[user])
                assert "/login" not in signed_in.headers["location"], f"{user} was not let in"
            client.headers["X-CSRFToken"] = csrf_token(client, "/dashboard/list/" if user else "/login/")
            self._clients[name] = client
        return self._clients[name]

    def speak_english(self) -> None:
        """Set every client's language back, which pages and links of the other language change."""
        for client in self._clients.values():
            client.get("/lang/en")

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()


def sign_in(client: httpx.Client, user: str, password: str) -> httpx.Response:
    """What the login form sends; the answer sends on to the first page, or back to the form."""
    form = {"username": user, "password": password, "csrf_token": csrf_token(client, "/login/")}
    return client.post("/login/", data=form)


def csrf_token(client: httpx.Client, page: str) -> str:
    """The token that a page carries."""
    found = re.search(r'id="csrf_token"\s+value="([^"]+)"', client.get(page).text)
    assert found, f"no token on {page}"
    return found[1]


@pytest.fixture(scope="session")
def superset(
    request: pytest.FixtureRequest,
    prefect_api: str,
    new_database: Callable[[], Engine],
    new_frame: pl.DataFrame,
    reader_passwords: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Superset]:
    """Superset over a model of 2,000 former customers and two nights of 300 new ones (500001 to 500300)."""
    assert prefect_api
    engine = new_database()
    folder = tmp_path_factory.mktemp("superset")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITLENS_DATABASE_URL", psql_url(engine.url))
        patch.setenv("CREDITLENS_STATE", str(folder / "state"))
        patch.setenv("CREDITLENS_TRIALS", "0")
        patch.setenv("CREDITLENS_SUPERSET_PORT", str(free_port(None)))
        patch.delenv("CREDITLENS_DATA", raising=False)
        settings = Settings()
        share_readers(settings, reader_passwords)
        publish_two_nights(folder, new_frame)
        assert portfolios.ensure_key(engine, settings.secrets()["viewer"])
        # The server has the settings of whoever starts it: it calls the program for letters.
        found = superset_service.set_up(settings)
    made = Superset(found.url, found.users, engine, settings)
    request.config.stash[RUNNING] = made
    yield made
    made.close()
    superset_service.server(settings).stop()


def share_readers(settings: Settings, passwords: dict[str, str]) -> None:
    """The reading roles belong to the test server, so their passwords are the session's."""
    settings.state.mkdir()
    path = settings.state / "secrets.json"
    path.touch(mode=0o600)
    path.write_text(
        json.dumps({role.removeprefix("creditlens_"): password for role, password in passwords.items()})
    )


def publish_two_nights(folder: Path, new_frame: pl.DataFrame) -> None:
    """Train, then score two nights, of which the second asks for other credits; by the real flows."""
    from flows.nightly import nightly
    from flows.training import training
    from scoring.sample import applications

    former = folder / "application_train.csv"
    applications(2_000, seed=1, labelled=True).write_csv(former)
    training([former])
    for night, factor in zip(NIGHTS, (1.0, 1.2), strict=True):
        file = folder / f"application_test_{night}.csv"
        new_frame.with_columns(pl.col("AMT_CREDIT") * factor).write_csv(file)
        nightly(file, night)
