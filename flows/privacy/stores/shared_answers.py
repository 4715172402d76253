"""The answers that several servers of the dashboards keep together in Redis for some minutes."""

from __future__ import annotations

from collections.abc import Collection

from flows.privacy.stores.base import Erased, Found, NotSearched
from flows.privacy.stores.cached_answers import CachedAnswers, speaks_of
from flows.services import shared_answers


class SharedAnswers(CachedAnswers):
    """Like the files, in the Redis that CREDITLENS_REDIS_URL names."""

    @property
    def name(self) -> str:
        return "cached answers in the Redis that CREDITLENS_REDIS_URL names"

    def there(self) -> bool:
        return self._settings.redis_url is not None

    def why_not(self) -> NotSearched | None:
        why = shared_answers.why_not(self._settings)
        to_do = "make it reachable, then erase again; answers last five minutes"
        return NotSearched(self.name, why, to_do) if why else None

    def places(self) -> Collection[str]:
        return [key.decode(errors="replace") for key, _ in shared_answers.answers(self._settings)]

    def looked_at(self) -> str:
        return "every answer"

    def find(self, customer_id: int) -> Found:
        held = shared_answers.answers(self._settings)
        about = [key for key, content in held if speaks_of(key, customer_id) or speaks_of(content, customer_id)]
        return Found({f"Redis: {key.decode(errors='replace')}": 1 for key in about})

    def erase(self, customer_id: int) -> Erased:
        """Drop all answers: the dashboards ask again for what they need."""
        return Erased(dropped=shared_answers.drop(self._settings))

    def finish(self, customer_id: int) -> Erased:
        """Drop the answers of queries that had begun before the person was gone, once they have ended."""
        if self._database.late is None:
            return Erased()
        self._wait_for(self._database.late)
        return Erased(dropped=shared_answers.drop(self._settings))
