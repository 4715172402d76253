"""What roles.yaml says of people is what it means: nothing in it is passed over."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.services import accounts
from flows.services.processes import ServiceError
from flows.services.superset import ASSETS
from superset_assets.server.provision import ProvisionError, read_files
from superset_assets.server.rules import read

SAID = yaml.safe_load((ASSETS / "roles.yaml").read_text(encoding="utf-8"))


def test_the_file_says_who_sees_everybody_who_owns_everything_and_who_is_made() -> None:
    rules = read(ASSETS)
    assert rules.see_everybody == {"Admin", "Analyst", "Operator", "Team lead"}
    assert rules.decide == {"Advisor", "Team lead"}
    assert rules.own_everything == {"Admin", "Operator"}
    assert rules.users == {
        "advisor": "Advisor", "lead": "Team lead", "analyst": "Analyst", "operator": "Operator", "admin": "Admin"
    }  # fmt: skip
    assert rules.administrator == "admin"
    assert set(rules.roles) == {"Advisor", "Team lead", "Analyst", "Operator"}
    assert list(accounts.rights(ASSETS)) == list(rules.users)


def said(*path: str, **change: Any) -> Callable[[dict[str, Any]], None]:
    """Changes what stands at a path of the file."""

    def make(content: dict[str, Any]) -> None:
        for key in path:
            content = content[key]
        content.update(change)

    return make


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a right that is misspelt": (
        said("roles", "Advisor", see_everybody=False),
        "the role Advisor has 'see_everybody', which is none of",
    ),
    "a word for a truth": (
        said("roles", "Advisor", sees_everybody="no"),
        "sees_everybody of the role Advisor is 'no'; it should be true or false",
    ),
    "a user with a role that is none": (
        said("users", "advisor", role="Adviser"),
        "the user advisor has the role 'Adviser', which is not among the roles",
    ),
    "a user without a role": (said("users", advisor={"may": "all"}), "the user advisor has the role None"),
    "a role like one that is none": (said("roles", "Analyst", like="Reader"), "role Analyst has the role 'Reader'"),
    "a dashboard for a role that is none": (
        said("dashboards", **{"customer-en": ["Advisor", "Reader"]}),
        "the dashboard customer-en has the role 'Reader'",
    ),
    "a dashboard for no list of roles": (
        said("dashboards", **{"customer-en": "Advisor"}),
        "the dashboard customer-en should have a list of roles",
    ),
    "a role with nothing": (said("roles", Reader={}), "the role Reader should have permissions, or everything_but"),
    "a role made by somebody else": (
        said("roles", Reader={"made_by": "us"}),
        "the role Reader should have permissions, or everything_but, or be made_by Superset",
    ),
    "no administrator": (lambda file: file["users"].pop("admin"), "no user with a role that is made_by Superset"),
    "no users": (lambda file: file.pop("users"), "roles.yaml has no users"),
    "another part": (said(groups={}), "it has 'groups', which is none of"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_file_that_says_something_else_is_refused_in_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    content = copy.deepcopy(SAID)
    change(content)
    (tmp_path / "roles.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "metadata.yaml").write_text("version: 1.0.0\n")
    with pytest.raises(ProvisionError) as caught:
        read_files(tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith("roles.yaml") and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "users: [advisor]\n", "users: {advisor: {\n"])
def test_where_it_names_no_users_no_passwords_are_made(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "roles.yaml").write_text(text)
    with pytest.raises(ServiceError, match=r"/roles\.yaml does not name the users of the dashboards \(\w+\)\.$"):
        accounts.rights(tmp_path)


@pytest.mark.parametrize("text", [None, "users: {advisor: {\n", "users: \x00\n"])
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "roles.yaml").write_text(text)
    (tmp_path / "metadata.yaml").write_text("version: 1.0.0\n")
    with pytest.raises(ProvisionError, match=r"^roles\.yaml cannot be read: [^\n]+\.$"):
        read_files(tmp_path)
