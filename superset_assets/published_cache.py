"""A cache of query results that knows which run is published.

A plain cache would show last night's answers for its whole timeout after tonight's run was published, and beside
them tonight's: a page that mixes two nights. So every key carries the published run. Who looks something up asks
for the run first (once a second at most, per process); an answer is filed under the run of its own look-up, so that
a query that began before a publication cannot land under the new run's name.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import psycopg2
from flask import Flask
from flask_caching.backends.base import BaseCache
from flask_caching.backends.filesystemcache import FileSystemCache

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 1.0
UNKNOWN = "unknown"


class PublishedRun:
    """The id of the published run, as the reader sees it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Any = None
        self._run = UNKNOWN
        self._looked = float("-inf")

    def __call__(self) -> str:
        """The run's id; UNKNOWN while the database does not answer."""
        with self._lock:
            if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
                self._run = self._look()
                self._looked = time.monotonic()
            return self._run

    def _look(self) -> str:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg2.connect(self._url, connect_timeout=2)
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT run_id FROM reporting.published_run")
                row = cursor.fetchone()
            return str(row[0]) if row else "none"
        except psycopg2.Error as error:
            log.warning("Which run is published is not known: %s", error)
            self._connection = None
            return UNKNOWN


class PublishedRunCache(BaseCache):  # type: ignore[misc]
    """Files, as FileSystemCache keeps them, with the published run in their keys; none while the run is unknown."""

    def __init__(self, reader_url: str, files: FileSystemCache) -> None:
        super().__init__(default_timeout=files.default_timeout)
        self._files = files
        self._published = PublishedRun(reader_url)
        self._asked = threading.local()

    @classmethod
    def factory(cls, _app: Flask, config: dict[str, Any], _args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What Flask-Caching calls with the configuration of this cache."""
        files = FileSystemCache(config["CACHE_DIR"], threshold=config["CACHE_THRESHOLD"], **kwargs)
        return cls(config["CREDITLENS_READER_URL"], files)

    def get(self, key: str) -> Any:
        """The answer filed under `key` for the published run, None if there is none."""
        run = self._published()
        self._asked.key, self._asked.run = key, run
        return None if run == UNKNOWN else self._files.get(f"{run}|{key}")

    def set(self, key: str, value: Any, timeout: int | None = None) -> bool | None:
        """File an answer under the run of its look-up; whether it was."""
        run = self._asked.run if getattr(self._asked, "key", None) == key else self._published()
        return False if run == UNKNOWN else self._files.set(f"{run}|{key}", value, timeout)

    def add(self, key: str, value: Any, timeout: int | None = None) -> bool:
        """As `set`, for a key that has no answer yet."""
        return False if self.has(key) else bool(self.set(key, value, timeout))

    def has(self, key: str) -> bool:
        """Whether there is an answer."""
        return bool(self._files.has(f"{self._published()}|{key}"))

    def delete(self, key: str) -> bool:
        """Forget an answer."""
        return bool(self._files.delete(f"{self._published()}|{key}"))

    def clear(self) -> bool:
        """Forget all answers, of every run."""
        return bool(self._files.clear())
