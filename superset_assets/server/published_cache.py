"""A cache of query results that knows which run is published, and who may see whose customers.

A plain cache would show last night's answers for its whole timeout after tonight's run was published, and beside
them tonight's: a page that mixes two nights. So every key carries the published run. Who looks something up asks
for the run first (once a second at most, per process); an answer is filed under the run of its own look-up, so that
a query that began before a publication cannot land under the new run's name. Keys also count what people decided:
whoever has decided sees it at once.

While advisors are held to their own customers, keys also carry who looks, and the version of who sees whom: nobody
is given the answer that was for somebody else, or from before an assignment changed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg2
from flask import Flask
from flask_caching.backends.base import BaseCache
from flask_caching.backends.filesystemcache import FileSystemCache

from superset_assets.server import changes, viewer
from superset_assets.server.shared import Redis, SharedAnswers

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_PRUNINGS = 10.0
UNKNOWN = "unknown"


@changes.derives(
    "A full cache is pruned every few seconds, not for each answer.",
    __init__="(self, cache_dir, threshold=500, default_timeout=300, mode=384, hash_method=openssl_md5,"
    " ignore_errors=False)",
    _prune="(self)",
)
class Files(FileSystemCache):
    """Answers in files, of which the old and the supernumerary go every few seconds.

    FileSystemCache, once it is full, opens every file twice for each answer that it files, to make room for that
    one: with 2,000 files, that takes longer than all else that a chart needs. It also counts the files in a file.
    """

    def __init__(self, folder: str, most: int, **options: Any) -> None:
        super().__init__(folder, threshold=0, **options)  # type: ignore[no-untyped-call]
        self._most = most
        self._pruning = threading.Lock()
        self._pruned = float("-inf")

    def _prune(self) -> None:
        """Called before an answer is filed; one thread prunes and the others do not wait for it."""
        if time.monotonic() - self._pruned < SECONDS_BETWEEN_PRUNINGS or not self._pruning.acquire(blocking=False):
            return
        try:
            self._pruned = time.monotonic()
            expired = time.time() - self.default_timeout
            for place, (written, path) in enumerate(sorted(self._written(), reverse=True)):
                if written < expired or place >= self._most:
                    with contextlib.suppress(FileNotFoundError):
                        os.remove(path)
        finally:
            self._pruning.release()

    def _written(self) -> Iterator[tuple[float, str]]:
        """When each file was written; the other process may be removing them."""
        with os.scandir(self._path) as files:
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    yield file.stat().st_mtime, file.path


class Published:
    """The published run, and whether advisors see their own customers only, as the reader sees it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Any = None
        self._seen = UNKNOWN, False
        self._looked = float("-inf")

    def __call__(self) -> str:
        """What answers depend on besides their query; UNKNOWN while the database does not answer."""
        with self._lock:
            if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
                self._seen = self._look()
                self._looked = time.monotonic()
            state, limited = self._seen
        if not limited or state == UNKNOWN:
            return state
        user = viewer.current_user()
        return f"{state}|{'everybody' if viewer.sees_everybody(user) else 'own of ' + viewer.name(user)}"

    def _look(self) -> tuple[str, bool]:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg2.connect(self._url, connect_timeout=2)
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "SELECT (SELECT p.run_id FROM reporting.published_run AS p), s.version, s.limited,"
                    " s.acts_recorded FROM reporting.portfolio_state AS s"
                )
                run, version, limited, acts = cursor.fetchone()
            return f"{'none' if run is None else run}.{version}.{acts}", limited
        except psycopg2.Error as error:
            log.warning("Which run is published is not known: %s", error)
            self._connection = None
            return UNKNOWN, True


@changes.derives(
    "An answer is filed under the published run and, where it matters, under who looks.",
    __init__="(self, default_timeout=300)",
    factory="(app, config, args, kwargs)",
    get="(self, key)",
    set="(self, key, value, timeout=None)",
    add="(self, key, value, timeout=None)",
    has="(self, key)",
    delete="(self, key)",
    clear="(self)",
)
class PublishedRunCache(BaseCache):
    """Files, or Redis, with the published run in their keys; none while the run is unknown."""

    def __init__(self, reader_url: str, files: Files | SharedAnswers) -> None:
        super().__init__(default_timeout=files.default_timeout)  # type: ignore[no-untyped-call]
        self._files = files
        self._published = Published(reader_url)
        self._asked = threading.local()

    @classmethod
    def factory(cls, _app: Flask, config: dict[str, Any], _args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What Flask-Caching calls with the configuration of this cache."""
        files: Files | SharedAnswers = Files(config["CACHE_DIR"], config["CACHE_THRESHOLD"], **kwargs)
        if url := config["CREDITLENS_REDIS_URL"]:
            files = SharedAnswers(Redis(url), config["CREDITLENS_KEY"], files.default_timeout)
        return cls(config["CREDITLENS_READER_URL"], files)

    def get(self, key: str) -> Any:
        """The answer filed under `key` for the published run, None if there is none."""
        run = self._published()
        self._asked.key, self._asked.run = key, run
        return None if run == UNKNOWN else self._files.get(f"{run}|{key}")

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool | None:
        """File an answer under the run of its look-up; whether it was."""
        run = self._asked.run if getattr(self._asked, "key", None) == key else self._published()
        return False if run == UNKNOWN else self._files.set(f"{run}|{key}", value, timeout)

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
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
