"""What every store of people can be asked: who is in it, what it holds of somebody, and to forget somebody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from db.errors import DatabaseError

NotTold = Literal["looks_none", "looks_unreached"]


class NotErasedError(DatabaseError):
    """Traces of the person were found after the erasure, or could not be looked for."""


@dataclass(frozen=True, slots=True)
class NotSearched:
    """A store that was not looked into: why, and what to do."""

    store: str
    why: str
    to_do: str


class NotSearchedError(Exception):
    """A store turned out to be one that cannot be looked into, or changed, when it was; the others can be."""

    def __init__(self, store: NotSearched) -> None:
        super().__init__(store.why)
        self.store = store


@dataclass(frozen=True, slots=True)
class Found:
    """Where a person was found: counts by place, and files that are not ours to change."""

    places: dict[str, int] = field(default_factory=dict)
    foreign_files: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Held:
    """What is held about a person, by subject; and why it is not known who looked, if it is not."""

    subjects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    not_told: NotTold | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed by place, which tables were vacuumed after it, and how many cached answers were dropped."""

    removed: dict[str, int] = field(default_factory=dict)
    vacuumed: list[str] = field(default_factory=list)
    dropped: int = 0


class Store(ABC):
    """One place that may hold people. What a kind of store has nothing to do for, it leaves as it is here."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What users are told that it is."""

    def there(self) -> bool:
        """Whether this installation has such a store, now."""
        return True

    def why_not(self) -> NotSearched | None:
        """Why it cannot be looked into, although it is there; users are told instead. None if it can."""
        return None

    def places(self) -> Collection[str]:
        """Everything in it that can hold people: columns as `find` names them, or files."""
        return ()

    def looked_at(self) -> str:
        """What of it `find` looks into, for people."""
        return ""

    def find(self, customer_id: int) -> Found:
        """Where in it the person is. Raises NotSearchedError, as `erase` does."""
        return Found()

    def export(self, customer_id: int) -> Held:
        """What the person is told that it holds; it may be asked of a store that cannot be reached too."""
        return Held()

    def erase(self, customer_id: int) -> Erased:
        """Take the person out. It may be cut short, and is then asked for again as a whole."""
        return Erased()

    def finish(self, customer_id: int) -> Erased:
        """What can only be done once the person has been taken out of every store."""
        return Erased()

    def numbers(self) -> set[int]:
        """Every number in it that may be a person's, for who knows people by a keyed hash only."""
        return set()


class OutOfReach(Store):
    """A place that people's numbers can be in and that no file or database of ours is."""

    why: str
    to_do: str

    def why_not(self) -> NotSearched | None:
        return NotSearched(self.name, self.why, self.to_do)
