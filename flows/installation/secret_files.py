"""Secret settings in files: CREDITLENS_NOTIFY_URL_FILE names the file that holds CREDITLENS_NOTIFY_URL.

So a secret stands neither in the environment, which every program that is started from it inherits, nor in the
command that starts a container. Any setting that is secret may be given so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from flows.errors import SettingsError

SUFFIX = "_FILE"
# An address is shorter; somebody may have named another file by mistake.
LARGEST_BYTES = 10_000


class SecretFiles(PydanticBaseSettingsSource):
    """The settings that are in files.

    Parameters
    ----------
    variables: the environment variables of each secret setting, by its name.
    """

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, Sequence[str]]) -> None:
        super().__init__(settings)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: what is in files is found as a whole."""
        raise NotImplementedError("all are asked for at once, by a call")

    def __call__(self) -> dict[str, Any]:
        """The settings that are given so. Raises SettingsError naming the variable that is wrong."""
        found = {}
        for names in self._variables.values():
            given = [name for name in names if os.environ.get(f"{name}{SUFFIX}")]
            if given:
                others = [
                    *(name for name in names if os.environ.get(name)),
                    *(f"{one}{SUFFIX}" for one in given[1:]),
                ]
                if others:
                    raise SettingsError(f"{given[0]}{SUFFIX}: {others[0]} is set too; set one of them.")
                found[key_of(names)] = secret_in(os.environ[f"{given[0]}{SUFFIX}"], f"{given[0]}{SUFFIX}")
        return found


def key_of(names: Sequence[str]) -> str:
    """How pydantic knows a setting: by its alias if it has one."""
    return names[0] if len(names) > 1 else names[0].removeprefix("CREDITLENS_").lower()


def secret_in(file: str, variable: str) -> str:
    """What a file holds, without the line end. Raises SettingsError naming the variable; never the content."""
    path = Path(file).expanduser()
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
        value = content.decode().strip()
    except OSError as error:
        raise SettingsError(f"{variable}: {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}: {path} is no text.") from None
    if not value:
        raise SettingsError(f"{variable}: {path} is empty; write the secret into it, or unset {variable}.")
    if len(content) > LARGEST_BYTES or "\n" in value or "\0" in value:
        raise SettingsError(f"{variable}: {path} should hold one line, and nothing else.")
    return value
