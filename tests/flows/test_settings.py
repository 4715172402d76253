"""Settings: typed, named when wrong, secrets made once and kept closed."""

from __future__ import annotations

import json
from collections.abc import Callable
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


SECRET = {
    "CREDITLENS_DATABASE_URL": ("database_url", "postgresql://bank:hidden@host/scores"),
    "DATABASE_URL": ("database_url", "postgresql://bank:hidden@host/scores"),
    "CREDITLENS_SUPERSET_DATABASE_URL": ("superset_database_url", "postgresql://bank:hidden@host/superset"),
    "CREDITLENS_PREFECT_DATABASE_URL": ("prefect_database_url", "postgresql://bank:hidden@host/prefect"),
    "CREDITLENS_REDIS_URL": ("redis_url", "redis://:hidden@host/0"),
    "CREDITLENS_NOTIFY_URL": ("notify_url", "https://hidden@host/"),
    "CREDITLENS_SMTP_URL": ("smtp_url", "smtp://bank:hidden@host"),
}


@pytest.fixture
def in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Give a setting in a file."""

    def give(name: str, content: bytes) -> Path:
        path = tmp_path / "secret"
        path.write_bytes(content)
        monkeypatch.setenv(f"{name}_FILE", str(path))
        return path

    return give


def test_the_list_of_secret_settings_is_whole() -> None:
    assert {field for field, _ in SECRET.values()} == set(Settings._secret_fields())


@pytest.mark.parametrize("name", SECRET)
def test_any_secret_setting_may_be_in_a_file(in_a_file: Callable[[str, bytes], Path], name: str) -> None:
    field, value = SECRET[name]
    in_a_file(name, f"{value}\n".encode())
    assert getattr(load_settings(), field).get_secret_value() == value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff\xfehidden", "is no text"),
        (b"redis://:hidden@one\nredis://:hidden@two\n", "one line"),
        (b"redis://" + b"hidden" * 2_000, "one line"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_its_content_is_not_told(
    in_a_file: Callable[[str, bytes], Path], content: bytes, says: str
) -> None:
    path = in_a_file("CREDITLENS_REDIS_URL", content)
    with pytest.raises(SettingsError, match=says) as raised:
        load_settings()
    assert "CREDITLENS_REDIS_URL_FILE" in str(raised.value) and str(path) in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_file_that_is_not_there_is_named(in_a_file: Callable[[str, bytes], Path]) -> None:
    in_a_file("CREDITLENS_REDIS_URL", b"redis://host").unlink()
    with pytest.raises(SettingsError, match=r"CREDITLENS_REDIS_URL_FILE: .*secret cannot be read: No such file"):
        load_settings()


@pytest.mark.parametrize("other", ["CREDITLENS_DATABASE_URL", "DATABASE_URL", "DATABASE_URL_FILE"])
def test_a_secret_that_is_given_twice_is_refused(
    monkeypatch: pytest.MonkeyPatch, in_a_file: Callable[[str, bytes], Path], other: str
) -> None:
    path = in_a_file("CREDITLENS_DATABASE_URL", b"postgresql://host/one")
    monkeypatch.setenv(other, str(path))
    with pytest.raises(SettingsError, match=rf"CREDITLENS_DATABASE_URL_FILE: {other} is set too"):
        load_settings()


def test_an_empty_name_of_a_file_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITLENS_NOTIFY_URL_FILE", "")
    assert Settings().notify_url is None


def test_what_a_file_holds_is_checked_like_any_other_setting(in_a_file: Callable[[str, bytes], Path]) -> None:
    in_a_file("CREDITLENS_REDIS_URL", b"http://:hidden@host")
    with pytest.raises(SettingsError, match="begins with redis:// or rediss://") as raised:
        load_settings()
    assert "hidden" not in str(raised.value)
