"""Prefect's server in its container: the address of its database, in any form that creditlens itself takes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from flows.services import prefect_server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's own folder; where it would become the server, the test goes on."""
    for name in ("PREFECT_PROFILES_PATH", "PREFECT_UI_STATIC_DIRECTORY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CREDITLENS_PREFECT_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setattr(os, "execv", lambda *_: None)
    return tmp_path / "home"


def written(home: Path) -> Any:
    profile = tomllib.loads((home / "profiles.toml").read_text())["profiles"]["server"]
    return make_url(profile["PREFECT_SERVER_DATABASE_CONNECTION_URL"])


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_an_address_of_any_usual_form_goes_to_prefect_with_the_driver_that_it_needs(
    home: Path, scheme: str
) -> None:
    (home.parent / "url").write_text(f"{scheme}://prefect:p%40ss%2Fw%25@postgres:5432/prefect?sslmode=require\n")
    prefect_server.main()
    url = written(home)
    assert url.drivername == "postgresql+asyncpg"
    assert (url.username, url.password, url.host, url.port) == ("prefect", "p@ss/w%", "postgres", 5432)
    assert url.database == "prefect" and dict(url.query) == {"ssl": "require"}


def test_an_address_that_is_none_ends_it_with_a_sentence_without_the_password(home: Path) -> None:
    (home.parent / "url").write_text("mysql://prefect:secret@h/prefect\n")
    with pytest.raises(SystemExit) as ended:
        prefect_server.main()
    assert str(ended.value).startswith("creditlens: The database URL names 'mysql'")
    assert not (home / "profiles.toml").exists()
