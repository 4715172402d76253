"""What roles.yaml says: who there is, which role each has, what a role may, and who sees which dashboard.

Read by what makes the roles (provision.py) and by the server that asks of somebody what no permission of Superset
stands for. Whatever is not as it should be is refused: a right that is misspelt would be none, or everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = "roles.yaml"
# Superset's own roles, which only Superset gives permissions to.
MADE_BY = "made_by"
SUPERSET = "Superset"
FLAGS = frozenset({"sees_everybody", "owns_everything", "decides"})
ROLE = FLAGS | {MADE_BY, "like", "databases", "permissions", "everything_but"}
USER = frozenset({"role", "may"})
PARTS = frozenset({"users", "roles", "dashboards"})


class RulesError(Exception):
    """The file does not say who may do what; the message names what is wrong in it."""


@dataclass(frozen=True)
class Rules:
    """The file, checked.

    Attributes
    ----------
    users: role by user.
    roles: the roles that are made here, as they stand in the file.
    dashboards: roles by the slug of a dashboard.
    see_everybody: roles that are never held to the own customers.
    own_everything: roles whose users may edit what Superset lets only its owners edit.
    decide: roles that record what people decide.
    administrator: a user whose role is Superset's own.
    """

    users: Mapping[str, str]
    roles: Mapping[str, Mapping[str, Any]]
    dashboards: Mapping[str, list[str]]
    see_everybody: frozenset[str]
    own_everything: frozenset[str]
    decide: frozenset[str]
    administrator: str


def read(assets: Path) -> Rules:
    """The rules among the assets. Raises RulesError for a file that says something else than who may do what."""
    try:
        said = yaml.safe_load((assets / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RulesError(f"{FILE} cannot be read: {str(error).splitlines()[0]}.") from None
    _require_keys(said, PARTS, "it")
    if missing := sorted(PARTS - said.keys()):
        raise RulesError(f"{FILE} has no {missing[0]}.")
    for part in PARTS:
        _require_mapping(said[part], part)
    roles: dict[str, dict[str, Any]] = said["roles"]
    for name, role in roles.items():
        _require_role(name, role)
    for name, user in said["users"].items():
        _require_keys(user, USER, f"the user {name}")
        _require_known([user.get("role")], roles, f"the user {name}")
    for name, role in roles.items():
        _require_known([role["like"]] if "like" in role else [], roles, f"the role {name}")
    for slug, seen_by in said["dashboards"].items():
        _require_known(seen_by, roles, f"the dashboard {slug}")
    users = {name: user["role"] for name, user in said["users"].items()}
    ours = {name: role for name, role in roles.items() if MADE_BY not in role}
    administrator = next((name for name, role in users.items() if role not in ours), None)
    if administrator is None:
        raise RulesError(f"{FILE} names no user with a role that is {MADE_BY} {SUPERSET}, who imports everything.")
    return Rules(
        users,
        ours,
        said["dashboards"],
        see_everybody=_with(roles, "sees_everybody"),
        own_everything=_with(roles, "owns_everything"),
        decide=_with(roles, "decides"),
        administrator=administrator,
    )


def _with(roles: Mapping[str, Mapping[str, Any]], flag: str) -> frozenset[str]:
    return frozenset(name for name, role in roles.items() if role.get(flag))


def _require_role(name: str, role: Any) -> None:
    _require_keys(role, ROLE, f"the role {name}")
    for flag in FLAGS & role.keys():
        if not isinstance(role[flag], bool):
            raise RulesError(f"{FILE}: {flag} of the role {name} is {role[flag]!r}; it should be true or false.")
    ways = {MADE_BY, "permissions", "everything_but"} & role.keys()
    if len(ways) != 1 or role.get(MADE_BY, SUPERSET) != SUPERSET:
        raise RulesError(
            f"{FILE}: the role {name} should have permissions, or everything_but, or be {MADE_BY} {SUPERSET}."
        )


def _require_keys(said: Any, known: Iterable[str], what: str) -> None:
    _require_mapping(said, what)
    if unknown := sorted(map(str, said.keys() - set(known))):
        raise RulesError(f"{FILE}: {what} has {unknown[0]!r}, which is none of {', '.join(sorted(known))}.")


def _require_mapping(said: Any, what: str) -> None:
    if not isinstance(said, dict):
        raise RulesError(f"{FILE}: {what} should have names and what belongs to them.")


def _require_known(names: Any, roles: Mapping[str, Any], what: str) -> None:
    if not isinstance(names, list):
        raise RulesError(f"{FILE}: {what} should have a list of roles.")
    for name in names:
        if name not in roles:
            raise RulesError(f"{FILE}: {what} has the role {name!r}, which is not among the roles.")
