"""Superset's own database: what people asked, chose, typed and saved, and the log of who looked at whom."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import psycopg
from sqlalchemy import URL

from db.engine import open_session
from db.superset import access_log, people
from flows.privacy.stores.base import Erased, Found, Held, NotSearched, Store
from flows.privacy.stores.database import at

# What others had typed beside the number, other people's numbers for one, is not this person's to see.
LOOK_COLUMNS = ("looked_at", "username", "kind", "dashboard", "chart", "dataset", "cached")


class SupersetDatabase(Store):
    """Superset's tables in the database at `url`; None if there is none."""

    def __init__(self, url: URL | None) -> None:
        self._url = url

    @property
    def url(self) -> URL:
        """Where it is. It must be there."""
        assert self._url is not None
        return self._url

    @property
    def name(self) -> str:
        return f"Superset's database {at(self.url)}"

    def there(self) -> bool:
        return self._url is not None

    def why_not(self) -> NotSearched | None:
        return self._why_not

    @cached_property
    def _why_not(self) -> NotSearched | None:
        try:
            with open_session(self.url):
                return None
        except psycopg.OperationalError as error:
            return NotSearched(
                self.name,
                str(error).strip().splitlines()[0],
                "make it reachable, then erase again; its log and its saved filters may name the person",
            )

    def places(self) -> Collection[str]:
        return people.places()

    def looked_at(self) -> str:
        return people.looked_at()

    def find(self, customer_id: int) -> Found:
        return Found(people.find(self.url, customer_id))

    def export(self, customer_id: int) -> Held:
        """Who looked at the person in the dashboards, the oldest first.

        The log goes back as far as it is kept (CREDITLENS_SUPERSET_LOG_DAYS).
        """
        if not self.there():
            return Held({"looks": []}, "looks_none")
        try:
            found = access_log.read(self.url, customer=customer_id, limit=None)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            # Its database is there, but no dashboards were set up yet, or they are being set up.
            return Held({"looks": []}, "looks_none")
        except psycopg.Error:
            return Held({"looks": []}, "looks_unreached")
        return Held({"looks": [{column: row[column] for column in LOOK_COLUMNS} for row in reversed(found)]})

    def erase(self, customer_id: int) -> Erased:
        return Erased(people.erase(self.url, customer_id))

    def numbers(self) -> set[int]:
        return people.numbers(self.url)
