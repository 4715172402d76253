"""The archives that this installation has written: noted in its state folder before the first file is written.

Who is erased is looked for in each of them, and who is exported too. Where the state folder is lost, `creditlens
archive FOLDER` makes an archive known again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.errors import BusyError
from flows.archives.files import FORMAT, MARKER, ArchiveError
from flows.installation import atomic, identity
from flows.settings import Settings

FILE = "archives.json"


def all_known(settings: Settings) -> list[Path]:
    """Every archive that was ever written, whether it is there now or not."""
    path = settings.state / FILE
    try:
        # Resolved, as one archive under two names would be told twice.
        noted = {Path(folder).resolve() for folder in json.loads(path.read_text())["archives"]}
    except FileNotFoundError:
        noted = set()
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"{path} cannot be read ({error!r}), so that nobody knows which archives there are; remove it, and name"
            " each archive in `creditlens archive FOLDER`."
        ) from error
    if settings.archive is not None and is_there(settings.archive):
        noted.add(settings.archive)
    return sorted(noted)


def is_there(archive: Path) -> bool:
    """Whether the archive can be reached: its folder may be there without what was mounted in it."""
    try:
        return (archive / MARKER).is_file()
    except OSError:
        # A mount whose server is gone, say, or a disk that fails.
        return False


def note(settings: Settings, archive: Path) -> None:
    """Make the folder an archive, if it is none yet, and know of it.

    Raises ArchiveError for one that is known and not there: made anew in the folder that it is mounted on, it would
    fill another disk, and be hidden once the archive is mounted again.
    """
    known, list_of_them = all_known(settings), settings.state / FILE
    if archive in known and not is_there(archive):
        raise ArchiveError(
            f"{archive} is known as an archive and is not there now; mount it, or name another folder. If it is"
            f" gone for good, take it out of {list_of_them}."
        )
    try:
        archive.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise ArchiveError(f"{archive} is no folder.") from None
    if not is_there(archive):
        if any(archive.iterdir()):
            raise ArchiveError(f"{archive} is no archive, and not empty; name an empty folder, or a new one.")
        said = {"format": FORMAT, "installation": identity.of(settings.state).name}
        atomic.write(archive / MARKER, json.dumps(said), mode=0o600)
    if archive not in known or not list_of_them.exists():
        noted = json.dumps({"archives": sorted({str(one) for one in (*known, archive)})}, indent=1)
        atomic.write(list_of_them, noted, mode=0o600)


@contextmanager
def alone(archive: Path) -> Iterator[None]:
    """Nobody else writes into the archive during the block. Raises BusyError if somebody does."""
    with open(os.open(archive / ".lock", os.O_CREAT | os.O_RDWR, 0o600), "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"Another command writes into {archive}; try again when it has finished.") from None
        yield
