"""The operator's file for single sign-on changes how people sign in, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from superset_assets.server.single_sign_on import SignOnError, read

ROLES = {"Advisor", "Analyst", "Team lead", "Admin"}
OAUTH: dict[str, Any] = {
    "AUTH_TYPE": "oauth",
    "OAUTH_PROVIDERS": [
        {"name": "keycloak", "token_key": "access_token", "remote_app": {"client_id": "creditlens"}}
    ],
    "AUTH_USER_REGISTRATION": True,
    "AUTH_ROLES_MAPPING": {"credit-advisors": ["Advisor"], "credit-leads": ["Team lead"]},
    "AUTH_ROLES_SYNC_AT_LOGIN": True,
}
LDAP: dict[str, Any] = {
    "AUTH_TYPE": "ldap",
    "AUTH_LDAP_SERVER": "ldaps://directory.example.org",
    "AUTH_LDAP_SEARCH": "x",
}


def written(folder: Path, said: object) -> Path:
    path = folder / "sign_on.yaml"
    path.touch(mode=0o600)
    path.write_text(said if isinstance(said, str) else yaml.safe_dump(said))
    return path


def test_it_gives_the_settings_of_the_sign_in(tmp_path: Path) -> None:
    assert read(written(tmp_path, OAUTH), ROLES) == {**OAUTH, "AUTH_TYPE": 4}
    assert read(written(tmp_path, LDAP), ROLES) == {**LDAP, "AUTH_TYPE": 2}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({**OAUTH, "SECRET_KEY": "x"}, "SECRET_KEY is not among"),
        ({**OAUTH, "PUBLIC_ROLE_LIKE": "Admin"}, "PUBLIC_ROLE_LIKE is not among"),
        ({**OAUTH, "AUTH_ROLE_PUBLIC": "Admin"}, "AUTH_ROLE_PUBLIC is not among"),
        ({**OAUTH, "AUTH_TYPE": "db"}, "should be ldap or oauth"),
        ({**OAUTH, "OAUTH_PROVIDERS": []}, "oauth needs OAUTH_PROVIDERS"),
        ({"AUTH_TYPE": "ldap"}, "ldap needs AUTH_LDAP_SERVER"),
        ({**OAUTH, "AUTH_ROLES_MAPPING": {"all": ["Advisr"]}}, "Advisr is no role"),
        ({**OAUTH, "AUTH_ROLES_MAPPING": {"all": "Advisor"}}, "a list of roles"),
        ({**OAUTH, "AUTH_USER_REGISTRATION_ROLE": "Admin"}, "make everybody an Admin"),
        ({**LDAP, "AUTH_USER_REGISTRATION": True}, "needs a role"),
        ({**OAUTH, "AUTH_TYPE": ["oauth"]}, "should be ldap or oauth"),
        ({**OAUTH, "AUTH_ROLES_MAPPING": {"all": [["Advisor"]]}}, "a list of roles"),
        ({**OAUTH, "AUTH_USER_REGISTRATION_ROLE": ["Advisor"]}, "the name of one role"),
        ({**LDAP, "AUTH_LDAP_BIND_PASWORD": "x"}, "AUTH_LDAP_BIND_PASWORD is not among"),
        ("- a", "no list of settings"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_is_not_about_signing_in_or_would_let_too_many_in_is_refused(
    tmp_path: Path, said: object, why: str
) -> None:
    with pytest.raises(SignOnError, match=why):
        read(written(tmp_path, said), ROLES)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, OAUTH)
    path.chmod(0o640)
    with pytest.raises(SignOnError, match="chmod 600"):
        read(path, ROLES)


def test_its_numbers_of_types_are_those_of_flask_appbuilder() -> None:
    from superset_assets.server.single_sign_on import AUTH_TYPES
    from tests.test_architecture import PROJECT

    [const] = (PROJECT / ".venv-superset").resolve().glob("lib/python3*/site-packages/flask_appbuilder/const.py")
    text = const.read_text()
    for kind, number in AUTH_TYPES.items():
        assert f"AUTH_{kind.upper()} = {number}" in text


def test_what_it_may_say_of_a_directory_is_what_flask_appbuilder_reads() -> None:
    from superset_assets.server import single_sign_on
    from tests.test_architecture import PROJECT

    [package] = (PROJECT / ".venv-superset").resolve().glob("lib/python3*/site-packages/flask_appbuilder")
    text = (package / "security" / "manager.py").read_text()
    assert single_sign_on._LDAP
    assert [name for name in single_sign_on._LDAP if f'"{name}"' not in text] == []
