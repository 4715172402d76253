"""Files of the state folder are for their owner's eyes only.

They hold passwords, personal data and pieces of refused values. Whatever this program makes is closed to others
from the moment that it is made, and what an earlier version left open is closed by `creditlens up`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.server.embedded import let_in

CLOSED = 0o077


class _UsersUmask:
    """What the user lets others do with the files that this command writes for the user."""

    value: int | None = None


def close_new_files() -> None:
    """Make all files and folders that this process and its children make from now on the owner's only."""
    before = os.umask(CLOSED)
    if _UsersUmask.value is None:
        _UsersUmask.value = before


def users_umask() -> int:
    """The umask that this process was started with."""
    if _UsersUmask.value is None:
        before = os.umask(CLOSED)
        os.umask(before)
        return before
    return _UsersUmask.value


def leave_to_the_user() -> None:
    """Have this process, which is about to become another program, make files as the user wants."""
    os.umask(users_umask())


@contextmanager
def as_the_user_wants() -> Iterator[None]:
    """For files that the user asked for, at a place of the user's choice: the umask that the user has."""
    before = os.umask(users_umask())
    try:
        yield
    finally:
        os.umask(before)


def make_state_folder(folder: Path) -> None:
    """Make the state folder, closed to others, unless it is there."""
    if not folder.exists():
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)


def tighten(folder: Path, *, embedded: bool) -> int:
    """Close the state folder and every file in it to others; how many were open.

    The cluster of the embedded Postgres is closed by Postgres itself. Where root runs it, it belongs to another
    user, who may pass through the state folder and see nothing of it. A folder that is not only ours, such as /tmp
    or a home, is left alone.

    Parameters
    ----------
    embedded: whether the embedded Postgres is used, whose user has to reach its files.
    """
    if not (folder / "secrets.json").exists() or _is_shared(folder):
        return 0
    changed = 0
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder / "postgres":
            folders[:] = [name for name in folders if name != "data" and not name.startswith("server-")]
        changed += sum(_close(Path(parent, name)) for name in (*folders, *files))
    # A link leads to where the server's user needs nothing of the state folder.
    if not embedded or (folder / "postgres").is_symlink() or not let_in(folder):
        changed += _close(folder)
    return changed


def _is_shared(folder: Path) -> bool:
    mode = folder.stat().st_mode
    home = os.environ.get("HOME")
    return bool(mode & stat.S_ISVTX) or folder == Path("/") or (home is not None and folder == Path(home))


def _close(path: Path) -> bool:
    """Take from others what they may do with a file or folder of ours; whether they might."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) or not found.st_mode & CLOSED:
            return False
        path.chmod(stat.S_IMODE(found.st_mode) & ~CLOSED)
    except OSError:
        # Gone meanwhile, or somebody else's.
        return False
    return True
