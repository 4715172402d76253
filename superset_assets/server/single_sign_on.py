"""Sign-in by the lender's directory: the settings of Flask-AppBuilder that an operator's own file gives.

The file is YAML: `AUTH_TYPE: oauth` or `ldap`, and what goes with it (`OAUTH_PROVIDERS`, `AUTH_LDAP_...`,
`AUTH_ROLES_MAPPING`). It may change how people sign in and which of our roles they get, and nothing else. Roles are
those of roles.yaml: what they may stays what that file says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

# As flask_appbuilder.const has them.
AUTH_TYPES = {"ldap": 2, "oauth": 4}
_LDAP = frozenset(
    f"AUTH_LDAP_{name}"
    for name in (
        "ALLOW_SELF_SIGNED", "APPEND_DOMAIN", "BIND_FIRST", "BIND_PASSWORD", "BIND_USER", "EMAIL_FIELD",
        "FIRSTNAME_FIELD", "GROUP_FIELD", "LASTNAME_FIELD", "SEARCH", "SEARCH_FILTER", "SERVER", "TLS_CACERTDIR",
        "TLS_CACERTFILE", "TLS_CERTFILE", "TLS_DEMAND", "TLS_KEYFILE", "UID_FIELD", "USERNAME_FORMAT", "USE_TLS",
    )
)  # fmt: skip
_ALLOWED = frozenset(
    {
        "AUTH_TYPE", "AUTH_ROLES_MAPPING", "AUTH_ROLES_SYNC_AT_LOGIN", "AUTH_USER_REGISTRATION",
        "AUTH_USER_REGISTRATION_ROLE", "OAUTH_PROVIDERS",
    }
)  # fmt: skip


class SignOnError(Exception):
    """The file cannot be used; the message names what is wrong in it."""


def read(path: Path, roles: Collection[str]) -> dict[str, Any]:
    """The settings of the file.

    Parameters
    ----------
    roles: the names of the roles that people may get.

    Raises SignOnError.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise SignOnError(f"{path} holds a secret and may be read by others; run chmod 600 {path}.")
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SignOnError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from error
    if not isinstance(found, dict):
        raise SignOnError(f"{path} is no list of settings.")
    for name in found:
        if name not in _ALLOWED | _LDAP:
            raise SignOnError(f"{path}: {name} is not among {', '.join(sorted(_ALLOWED | _LDAP))}.")
    kind = found.get("AUTH_TYPE")
    if not isinstance(kind, str) or kind not in AUTH_TYPES:
        raise SignOnError(f"{path}: AUTH_TYPE is {kind!r}, and should be {' or '.join(AUTH_TYPES)}.")
    needed = "OAUTH_PROVIDERS" if kind == "oauth" else "AUTH_LDAP_SERVER"
    if not found.get(needed):
        raise SignOnError(f"{path}: {kind} needs {needed}.")
    _require_roles(path, found, roles)
    return {**found, "AUTH_TYPE": AUTH_TYPES[kind]}


def _require_roles(path: Path, found: Mapping[str, Any], roles: Collection[str]) -> None:
    mapping = found.get("AUTH_ROLES_MAPPING", {})
    if not isinstance(mapping, dict) or not all(map(_is_list_of_names, mapping.values())):
        raise SignOnError(f"{path}: AUTH_ROLES_MAPPING says for each group a list of roles.")
    given = {role for names in mapping.values() for role in names}
    if "AUTH_USER_REGISTRATION_ROLE" in found:
        if not isinstance(found["AUTH_USER_REGISTRATION_ROLE"], str):
            raise SignOnError(f"{path}: AUTH_USER_REGISTRATION_ROLE is the name of one role.")
        given.add(found["AUTH_USER_REGISTRATION_ROLE"])
    if unknown := sorted(given - set(roles)):
        raise SignOnError(f"{path}: {unknown[0]} is no role; there are {', '.join(sorted(roles))}.")
    if found.get("AUTH_USER_REGISTRATION_ROLE") == "Admin":
        raise SignOnError(f"{path}: AUTH_USER_REGISTRATION_ROLE would make everybody an Admin.")
    if found.get("AUTH_USER_REGISTRATION") and not given:
        raise SignOnError(f"{path}: whoever is registered needs a role, by AUTH_ROLES_MAPPING.")


def _is_list_of_names(given: object) -> bool:
    return isinstance(given, list) and all(isinstance(name, str) for name in given)
