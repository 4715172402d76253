"""Settings: typed, named when wrong, secrets made once and kept closed."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from flows.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CREDITLENS_DATABASE_URL", "DATABASE_URL", "CREDITLENS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CREDITLENS_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CREDITLENS_CHUNK_ROWS", "many"),
        ("CREDITLENS_REJECTED_SHARE", "1.5"),
        ("CREDITLENS_RETAINED_RUNS", "1"),
        ("CREDITLENS_TIME_ZONE", "Mars"),
        ("CREDITLENS_CRON", "61 2 * * *"),
        ("CREDITLENS_CRON", "0 0 31 2 *"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_the_short_name_of_the_database_url_works_and_the_long_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://short")
    assert Settings().database_url.get_secret_value() == "postgresql://short"
    monkeypatch.setenv("CREDITLENS_DATABASE_URL", "postgresql://long")
    assert Settings().database_url.get_secret_value() == "postgresql://long"


def test_the_database_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://bank:hidden-password@host/db")
    assert "hidden-password" not in repr(Settings())


def test_secrets_are_made_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    first = Settings().secrets()
    assert Settings().secrets() == first
    path = tmp_path / "state" / "secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first)
    assert all(len(secret) >= 16 for secret in first.values())


def test_a_secret_that_is_missing_is_added_and_the_others_stay(tmp_path: Path) -> None:
    first = Settings().secrets()
    path = tmp_path / "state" / "secrets.json"
    path.write_text(json.dumps({"migrator": first["migrator"]}))
    again = Settings().secrets()
    assert again["migrator"] == first["migrator"]
    assert set(again) == set(first)


def test_secrets_that_others_may_read_are_refused(tmp_path: Path) -> None:
    Settings().secrets()
    (tmp_path / "state" / "secrets.json").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Settings().secrets()


def test_today_is_the_lenders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITLENS_TIME_ZONE", "Pacific/Kiritimati")
    east = Settings().today()
    monkeypatch.setenv("CREDITLENS_TIME_ZONE", "Pacific/Pago_Pago")
    assert east > Settings().today()
    assert isinstance(east, date)
