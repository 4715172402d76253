"""Places that people's numbers can be in and that nothing here can look into: users are told of them."""

from __future__ import annotations

import os
from pathlib import Path

from flows.privacy.stores.base import OutOfReach
from flows.privacy.stores.prefect_database import prefect_database
from flows.services import prefect
from flows.settings import Settings


class ServerLog(OutOfReach):
    """The log of a Postgres that is not ours."""

    name = "the log of the Postgres server"
    why = "the server is not ours, and neither are its files"
    to_do = "search its log for the number: a statement that fails stands in it"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def there(self) -> bool:
        return self._settings.database_url is not None


class OtherPrefect(OutOfReach):
    """A Prefect of which the settings speak and whose database is not in our state folder."""

    to_do = "search the messages of its logs and states; ours forgets runs after 90 days"

    def __init__(self, settings: Settings) -> None:
        self._settings, self._ours = settings, prefect_database(settings)
        self.why = f"it is not {self._ours}"

    @property
    def name(self) -> str:
        return self._named() or ""

    def there(self) -> bool:
        # Where its database is told, it is looked into: prefect_postgres.py.
        return self._settings.prefect_database_url is None and self._named() is not None

    def _named(self) -> str | None:
        for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
            if os.environ.get(name):
                return f"the database of Prefect that {name} names"
        url, home = os.environ.get("PREFECT_API_URL"), os.environ.get("PREFECT_HOME")
        if url and (url != prefect.local_prefect_url(self._settings) or not self._ours.exists()):
            return f"the database of the Prefect server at {url}"
        if home and Path(home).resolve() != self._ours.parent.resolve() and (Path(home) / self._ours.name).exists():
            return f"Prefect's database {Path(home) / self._ours.name}"
        return None


class ServicesOutput(OutOfReach):
    """What services that run in containers print."""

    name = "what the services print"
    why = "containers keep it where no container sees it"
    to_do = "search `docker-compose logs`, or make the containers anew"

    def there(self) -> bool:
        return any(Path(file).exists() for file in ("/.dockerenv", "/run/.containerenv"))


class Backups(OutOfReach):
    """Files that `creditlens backup` wrote."""

    name = "backups made before"
    why = "they are files elsewhere"
    to_do = "nothing: a restore erases again whoever was erased since"
