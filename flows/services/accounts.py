"""Who may sign in to the dashboards, as `roles.yaml` says; what each may do there, only Superset reads."""

from __future__ import annotations

from pathlib import Path

import yaml

from flows.services.processes import ServiceError
from flows.settings import Settings

FILE = "roles.yaml"


def rights(assets: Path) -> dict[str, str]:
    """What each user may, in words. Raises ServiceError for a file that names none."""
    path = assets / FILE
    try:
        users = yaml.safe_load(path.read_text(encoding="utf-8"))["users"]
        return {str(name): str(user.get("may", "")) for name, user in users.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ServiceError(f"{path} does not name the users of the dashboards ({type(error).__name__}).") from error


def passwords(settings: Settings, assets: Path) -> dict[str, str]:
    """The password of each user; those that are missing are made."""
    secret = {user: f"user_{user}" for user in rights(assets)}
    secrets = settings.secrets(*secret.values())
    return {user: secrets[name] for user, name in secret.items()}
