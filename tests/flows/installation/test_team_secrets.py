"""The files of secrets that containers are given: made once, each with another password, a key that fits."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from db.engine import parse_url
from flows.installation import team_secrets


def test_what_is_there_stays_and_what_is_missing_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = team_secrets.write_missing(folder)
    before = {name: (folder / name).read_text() for name in first}
    assert team_secrets.write_missing(folder) == []
    (folder / "redis_password").unlink()
    assert team_secrets.write_missing(folder) == ["redis_password"]
    del before["redis_password"]
    assert {name: (folder / name).read_text() for name in before} == before


def test_the_folder_is_closed_and_addresses_hold_the_passwords(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    team_secrets.write_missing(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    passwords = {
        "database_url": "postgres_password",
        "prefect_database_url": "prefect_password",
        "redis_url": "redis_password",
    }
    for address, password in passwords.items():
        # In a container, the reader is another user.
        assert (folder / address).stat().st_mode & 0o777 == 0o644
        assert urlsplit((folder / address).read_text().strip()).password == (folder / password).read_text().strip()
    assert len({(folder / name).read_text() for name in passwords.values()}) == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "scores.bank.example"])
def test_a_certificate_for_trying_fits_its_key_and_is_made_once(tmp_path: Path, host: str) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    assert team_secrets.self_signed(folder, host) == ["tls_certificate", "tls_key"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls_certificate", folder / "tls_key")
    assert team_secrets.self_signed(folder, host) == []


def test_a_certificate_that_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team_secrets.main(["--folder", str(tmp_path / "secrets")])
    assert "Still missing: tls_certificate and tls_key" in capsys.readouterr().out


def test_whoever_made_the_files_may_write_into_them_and_containers_may_read_what_was_cut_short(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "secrets"
    team_secrets.write_missing(folder)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    # As a writer leaves them that was killed, and as earlier versions did.
    (folder / "redis_url").chmod(0o600)
    (folder / "notify_url").chmod(0o444)
    team_secrets.write_missing(folder)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


def test_a_password_of_before_is_kept_whatever_characters_it_has(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "postgres_password").write_text("p@ss/w:rd#%\n")
    team_secrets.write_missing(folder)
    assert (folder / "postgres_password").read_text() == "p@ss/w:rd#%\n"
    assert parse_url((folder / "database_url").read_text().strip()).password == "p@ss/w:rd#%"


@pytest.mark.parametrize(("missing", "there"), [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")])
def test_one_of_certificate_and_key_that_is_missing_is_told_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str, there: str
) -> None:
    folder = tmp_path / "secrets"
    team_secrets.main(["--folder", str(folder), "--self-signed", "127.0.0.1"])
    (folder / missing).unlink()
    capsys.readouterr()
    team_secrets.main(["--folder", str(folder), "--self-signed", "127.0.0.1"])
    said = capsys.readouterr().out
    assert f"{missing} is missing, {there} is there" in said and f"remove {folder / there} and run" in said
    (folder / there).unlink()
    team_secrets.main(["--folder", str(folder), "--self-signed", "127.0.0.1"])
    assert "missing" not in capsys.readouterr().out
