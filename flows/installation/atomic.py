"""Files that appear under their name whole or not at all, whoever else writes them and whenever a writer is killed.

A file is written under a hidden name of its own, reaches the disk, and is then renamed. Its writer holds a lock on
it until then, by which the next writer tells what a killed one left from what another one is writing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# A writer needs a moment between making its file and locking it.
YOUNG_SECONDS = 60.0


def write(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Put `content` in the place of the file; OSError if the disk does not take it, and then nothing has changed.

    `mode` is limited by the umask, as that of any new file.
    """
    with writing(path, mode=mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def writing(path: Path, *, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` at the end of the block; not if the block raises."""
    remove_leftovers(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk know of the names in a folder: a file that was synced may still be lost with its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some file systems cannot, and need not.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(path: Path) -> list[Path]:
    """Remove what killed writers of this file left, and nothing that is being written; the files removed."""
    # Versions before 0.4 wrote to one fixed name, without a lock.
    candidates = [*path.parent.glob(f".{_literal(path.name)}.*.partial"), path.with_suffix(".partial")]
    removed = []
    for candidate in candidates:
        with suppress(OSError):
            if time.time() - candidate.stat().st_mtime > YOUNG_SECONDS and _unlocked(candidate):
                candidate.unlink()
                removed.append(candidate)
    return removed


def _unlocked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _literal(name: str) -> str:
    """The name as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
