"""The answers that the dashboards keep for some minutes, as files."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from pathlib import Path

from flows.privacy.stores.base import Erased, Found, NotErasedError, NotSearched, Store
from flows.privacy.stores.database import Database, Late
from flows.privacy.stores.files import times_in
from flows.privacy.stores.superset_database import SupersetDatabase
from flows.services import superset
from flows.settings import Settings

# A worker of the dashboards files an answer this long after its query has ended, at the most.
FILING_SECONDS = 2.0
# Longer than readers' statements may take (30 s).
PATIENCE_SECONDS = 40.0


class CachedAnswers(Store):
    """The folder of the answers; dashboards that are served with another state folder keep theirs there."""

    def __init__(self, settings: Settings, database: Database, superset_database: SupersetDatabase) -> None:
        self._settings, self._database, self._superset = settings, database, superset_database

    @property
    def name(self) -> str:
        return f"cached answers in {self._folder}"

    @property
    def _folder(self) -> Path:
        return superset.answers(self._settings)

    def there(self) -> bool:
        return self._folder.exists() or self._elsewhere()

    def _elsewhere(self) -> bool:
        return not self._folder.parent.exists() and self._superset.there() and self._superset.why_not() is None

    def why_not(self) -> NotSearched | None:
        if self._folder.exists():
            return None
        return NotSearched(
            "cached answers and logs of the dashboards",
            f"they are served with another state folder than {self._settings.state}",
            "empty superset/cache of that folder; answers are kept for five minutes",
        )

    def places(self) -> Collection[str]:
        return [str(path) for path in self._folder.rglob("*") if path.is_file()]

    def looked_at(self) -> str:
        return "every file"

    def find(self, customer_id: int) -> Found:
        return Found({str(path): 1 for path in answers_about(self._settings, customer_id)})

    def erase(self, customer_id: int) -> Erased:
        """Drop all answers: the dashboards ask again for what they need."""
        return Erased(dropped=superset.drop_answers(self._settings))

    def finish(self, customer_id: int) -> Erased:
        """Drop the answers of queries that had begun before the person was gone, once they have ended."""
        late = self._database.late
        if late is None or not self._folder.exists():
            return Erased()
        self._wait_for(late)
        dropped = superset.drop_answers(self._settings)
        # Who asks for the number now gets an answer without the person, in which it stands as it was asked for.
        for path in answers_about(self._settings, customer_id):
            path.unlink(missing_ok=True)
            dropped += 1
        return Erased(dropped=dropped)

    def _wait_for(self, late: Late) -> None:
        while late.readers & self._database.readers():
            if time.monotonic() > late.gone_at + PATIENCE_SECONDS:
                raise NotErasedError(
                    "A query of the dashboards from before the erasure still runs; erase again later."
                )
            time.sleep(0.2)
        # The last of them has just ended, or ended right before the erasure: its answer may not be filed yet.
        time.sleep(FILING_SECONDS)


def answers_about(settings: Settings, customer_id: int) -> list[Path]:
    """Cached answers of the dashboards that hold the person: in their SQL, or as a number in a table of customers.

    They are pickles, which are not unpacked: a number that happens to be the same only costs an answer.
    """
    found = []
    for path in superset.answers(settings).rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue
        if speaks_of(content, customer_id):
            found.append(path)
    return found


def speaks_of(content: bytes, customer_id: int) -> bool:
    """Whether an answer holds the person, as a number in a table of customers or in its text."""
    rows = b"customer_id" in content and re.search(
        rb"|".join(re.escape(customer_id.to_bytes(width, "little")) for width in (8, 4)), content
    )
    return bool(rows or times_in(content, customer_id))
