"""Which installation a state folder belongs to: a name made once, kept when the folder moves, new in a copy.

Installations share machines, ports and Prefect servers. What they leave there carries this name, so that none takes
another's for its own.
"""

from __future__ import annotations

import fcntl
import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flows.installation import atomic

log = logging.getLogger("creditlens")
FILE = "installation.json"
# Without digits, so that a search for a customer's number finds no name; without vowels, so that none is a word.
_LETTERS = "bcdfghjkmnpqrstvwxz"
_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """An installation.

    Attributes
    ----------
    name: unique, eight letters.
    folder: the state folder, as it was when the installation was last used.
    copied_from: the state folder that this one was copied from.
    """

    name: str
    folder: Path
    copied_from: Path | None = None


def of(state: Path) -> Identity:
    """The installation in this state folder; it gets a name the first time.

    A folder that was moved keeps its name. A copy gets a new one: its original is still there under the old one.
    """
    here = state.resolve()
    known = _read(here)
    if known is not None and known.folder == here:
        return known
    here.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(here):
        known = _read(here)
        if known is None:
            made = Identity(_new_name(), here)
            if (here / FILE).exists():
                log.warning(
                    "%s was damaged and is made anew: this installation is %s from now on. On a Prefect server that"
                    " others use, remove the deployment of its former name.", here / FILE, made.name,
                )  # fmt: skip
        elif known.folder == here:
            return known
        elif _is_copy(here, known):
            made = Identity(_new_name(), here, copied_from=known.folder)
            log.warning(
                "%s is a copy of %s and an installation of its own (%s) from now on. If Postgres ran while it was"
                " copied, the data may not be whole: `creditlens backup` there and `creditlens restore` here are"
                " the safe way.",
                here, known.folder, made.name,
            )  # fmt: skip
        else:
            made = replace(known, folder=here)
        _write(made)
        return made


def _new_name() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def _is_copy(here: Path, known: Identity) -> bool:
    """Whether the folder that the file names is another one, of the same installation."""
    try:
        original = _read(known.folder)
        return original is not None and original.name == known.name and not known.folder.samefile(here)
    except FileNotFoundError:
        return False
    except OSError:
        # Somebody else's, whom we must not disturb.
        return True


def _read(folder: Path) -> Identity | None:
    """What the folder's file says; None if there is none. OSError if it may not be read."""
    try:
        found = json.loads((folder / FILE).read_text())
        copied = found["copied_from"]
        return Identity(str(found["name"]), Path(found["folder"]), Path(copied) if copied else None)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _write(identity: Identity) -> None:
    path = identity.folder / FILE
    copied = str(identity.copied_from) if identity.copied_from else None
    known = {"name": identity.name, "folder": str(identity.folder), "copied_from": copied}
    atomic.write(path, json.dumps(known))


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "installation.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
