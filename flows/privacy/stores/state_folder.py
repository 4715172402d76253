"""The files of the state folder that can hold people, and the application files that nights read.

Ours are logs, how the last night ended, copies of input, synthetic applications. Files by which the programs run
(ports, keys, settings, scripts) hold numbers and no people, and are left alone.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from flows.archives import known
from flows.privacy.stores.base import Erased, Found, NotSearched, Store
from flows.privacy.stores.files import blacken, hits, without_rows
from flows.privacy.stores.prefect_database import prefect_database
from flows.services import superset
from flows.settings import Settings

_CONTROL = (
    *("secrets.json", "configuration.json", "provisioned", "erasures.jsonl"),
    *("installation.json", "belongs-to", "archives.json"),
)
_CONTROL_SUFFIXES = (".pid", ".port", ".lock", ".toml", ".js")


class StateFolder(Store):
    """Every file of the state folder that no other store looks into in a way of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return f"state folder {self._settings.state}"

    def places(self) -> Collection[str]:
        return [str(path) for path in state_files(self._settings)]

    def looked_at(self) -> str:
        return "every file but the database server's, ports, keys, settings and scripts"

    def find(self, customer_id: int) -> Found:
        found = Found()
        for path in state_files(self._settings):
            times = hits(path, customer_id)
            if times and ours(self._settings, path):
                found.places[str(path)] = times
            elif times:
                found.foreign_files.append(str(path))
        return found

    def erase(self, customer_id: int) -> Erased:
        removed = {}
        for path in state_files(self._settings):
            times = hits(path, customer_id) if ours(self._settings, path) else 0
            if times:
                clean(self._settings, path, customer_id)
                removed[str(path)] = times
        return Erased(removed)


class InputFolder(Store):
    """The application files that nights and trainings read, where they are named; they are not ours to change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return f"input folder {self._settings.data}"

    def there(self) -> bool:
        return self._settings.data is not None

    def why_not(self) -> NotSearched | None:
        # In a container, say, that nights do not run in.
        if self._settings.data is None or self._settings.data.is_dir():
            return None
        return NotSearched(
            self.name,
            "it could not be searched: it is not there",
            "search its application_* for the number: the next night reads them",
        )

    def places(self) -> Collection[str]:
        return [str(path) for path in self._files()]

    def looked_at(self) -> str:
        return "application_*"

    def find(self, customer_id: int) -> Found:
        return Found(foreign_files=[str(path) for path in self._files() if hits(path, customer_id)])

    def _files(self) -> list[Path]:
        if self._settings.data is None:
            return []
        return sorted(path for path in self._settings.data.glob("application_*") if path.is_file())


def state_files(settings: Settings) -> list[Path]:
    """Files of the state folder that may hold people, one by one.

    Not the database server's own, which SQL looks into, nor Prefect's database and the cached answers, which are
    looked into in ways of their own.
    """
    home = settings.state / "postgres"
    apart = [home.resolve() / "data", *home.resolve().glob("server-*"), superset.answers(settings).resolve()]
    apart += [archive.resolve() for archive in known.all_known(settings)]
    found = [path for path in settings.state.rglob("*") if path.is_file() and not path.is_symlink()]
    # The server's folder may be a link to elsewhere, which rglob does not follow.
    if home.is_symlink():
        found += [path for path in home.resolve().glob("*") if path.is_file()]
    prefect = prefect_database(settings)
    return sorted(
        path
        for path in found
        if path.name not in _CONTROL
        and path.suffix not in _CONTROL_SUFFIXES
        and not (path.parent == prefect.parent and path.name.startswith(prefect.name))
        and not any(path.resolve().is_relative_to(folder) for folder in apart)
    )


def ours(settings: Settings, path: Path) -> bool:
    """Whether the program wrote the file: logs, its synthetic data, unpacked copies."""
    return (
        path.suffix == ".log"
        or path == settings.state / "night.json"
        or _passing(settings, path)
        or path.is_relative_to(settings.state / "prefect")
        or (path.parent == settings.state / "data" and path.name.lstrip(".").startswith("application_"))
    )


def _passing(settings: Settings, path: Path) -> bool:
    """Whether nobody misses the file: copies of input and temporary files."""
    return any(path.is_relative_to(settings.state / folder) for folder in ("scratch", "tmp"))


def clean(settings: Settings, path: Path, customer_id: int) -> None:
    """Take the person out of a file that is ours."""
    if _passing(settings, path) or path.suffix == ".partial":
        path.unlink(missing_ok=True)
    elif path.parent == settings.state / "data":
        without_rows(path, customer_id)
    else:
        blacken(path, customer_id)
