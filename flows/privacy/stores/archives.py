"""Archived nights: one store for each archive that this installation has written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.archives import known, people
from flows.archives.files import ArchiveError
from flows.privacy.stores.base import Erased, Found, Held, NotSearched, NotSearchedError, Store
from flows.settings import Settings


class Archive(Store):
    """The Parquet files of one archive, which may be on a disk that is not connected."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        return f"archive {self._folder}"

    def why_not(self) -> NotSearched | None:
        if known.is_there(self._folder):
            why = people.damage(self._folder)
            return self._sick(why) if why else None
        return NotSearched(
            self.name,
            "it could not be searched: it is not there now",
            "connect it and erase again, or run `creditlens archive` on it: that removes whoever was erased since",
        )

    def places(self) -> Collection[str]:
        return people.places(self._folder)

    def looked_at(self) -> str:
        return "customer_id of every Parquet file"

    def find(self, customer_id: int) -> Found:
        with self._searched():
            return Found(people.find(self._folder, customer_id))

    def export(self, customer_id: int) -> Held:
        """Every row about the person; of an archive that is not there, that it could not be opened."""
        unreached = Held({"archived": [{"archive": str(self._folder), "reached": False}]})
        if self.why_not() is not None:
            return unreached
        try:
            return Held({"archived": people.told(self._folder, customer_id)})
        except ArchiveError:
            return unreached

    def erase(self, customer_id: int) -> Erased:
        with self._searched():
            return Erased(people.erase(self._folder, customer_id))

    @contextmanager
    def _searched(self) -> Iterator[None]:
        """What is damaged inside of a file is found where the file is read."""
        try:
            yield
        except ArchiveError as error:
            raise NotSearchedError(self._sick(str(error).rstrip("."))) from error

    def _sick(self, why: str) -> NotSearched:
        mend = "make it readable and writable, put back a copy that is whole, or remove what is damaged; then"
        return NotSearched(self.name, f"it could not be searched: {why}", f"{mend} erase again")


def archives(settings: Settings) -> list[Archive]:
    """Every archive that this installation knows."""
    return [Archive(folder) for folder in known.all_known(settings)]
