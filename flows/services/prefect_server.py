"""Prefect's server as a container of its own, with a database in Postgres.

`python -m flows.services.prefect_server`. Prefect takes the address of its database, which holds a password, from
the environment or from a profile. Ours is in a file (CREDITLENS_PREFECT_DATABASE_URL_FILE), so it is written into a
profile that only we may read.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from db.engine import parse_url
from db.errors import AddressError
from flows.errors import SettingsError
from flows.installation import atomic
from flows.settings import load_settings

PORT = 4200


def asyncpg_url(text: str) -> str:
    """The address for the driver that Prefect uses, which calls TLS by another name than Postgres' own library.

    Raises AddressError for an address that creditlens itself could not use.
    """
    url = parse_url(text).set(drivername="postgresql+asyncpg")
    if "sslmode" in url.query:
        url = url.set(query={"ssl" if name == "sslmode" else name: value for name, value in url.query.items()})
    return url.render_as_string(hide_password=False)


def main() -> None:
    """Become the server."""
    try:
        settings = load_settings()
        if settings.prefect_database_url is None:
            raise SettingsError("CREDITLENS_PREFECT_DATABASE_URL_FILE: name the file with the address.")
        address = asyncpg_url(settings.prefect_database_url.get_secret_value())
    except (SettingsError, AddressError) as error:
        sys.exit(f"creditlens: {error}")
    home = Path(os.environ.setdefault("PREFECT_HOME", str(settings.state / "prefect")))
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    profile = home / "profiles.toml"
    # A string of JSON is one of TOML.
    text = f'active = "server"\n[profiles.server]\nPREFECT_SERVER_DATABASE_CONNECTION_URL = {json.dumps(address)}\n'
    atomic.write(profile, text, mode=0o600)
    os.environ["PREFECT_PROFILES_PATH"] = str(profile)
    os.environ["PREFECT_UI_STATIC_DIRECTORY"] = str(home / "pages")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "0.0.0.0", "--port", str(PORT)]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
