"""The file of passwords and keys: made whole or not at all, refused in one sentence where it is wrong.

The file is what counts: a password that was changed in it is set anew in the embedded Postgres by `creditlens up`,
and so are all where the file was lost.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from db.server.embedded import new_password
from flows.errors import SettingsError
from flows.installation import atomic
from flows.installation.private import make_state_folder

log = logging.getLogger("creditlens")
MINIMUM_LENGTH = 16
NAME = "secrets.json"
# The key by which Superset encrypts what it keeps, and the one of before while something is still encrypted by it.
ENCRYPTS, ENCRYPTED = "superset_secret_key", "superset_previous_secret_key"


def read_or_make(state: Path, names: Sequence[str]) -> dict[str, str]:
    """The secrets by name; those that are missing are made, by one process at a time.

    Raises SettingsError for a file that others may read or own, that is damaged, or with a secret that is too
    short, and where the folder cannot be written.
    """
    path = state / NAME
    known = _read(path)
    if all(name in known for name in names):
        return known
    try:
        make_state_folder(state)
        with _one_at_a_time(state):
            # Another process may have made them while this one waited.
            known = _read(path)
            missing = [name for name in names if name not in known]
            if missing:
                _tell_what_was_lost(state, missing)
                known |= {name: new_password() for name in missing}
                _write(path, known)
    except OSError as error:
        raise SettingsError(
            f"The passwords cannot be written to {path}: {error.strerror or error}; name a folder that you may"
            " write in CREDITLENS_STATE."
        ) from None
    return known


def rotate(state: Path, names: Sequence[str]) -> None:
    """Make new ones of these names. What encrypts is kept under a second name until all is encrypted anew.

    Raises SettingsError as `read_or_make` does.
    """
    with _one_at_a_time(state):
        known = _read(state / NAME)
        if ENCRYPTS in names and ENCRYPTS in known:
            known.setdefault(ENCRYPTED, known[ENCRYPTS])
        _write(state / NAME, known | {name: new_password() for name in names})


def forget_previous(state: Path) -> None:
    """Drop the key of before, as nothing needs it any more."""
    with _one_at_a_time(state):
        known = _read(state / NAME)
        if known.pop(ENCRYPTED, None) is not None:
            _write(state / NAME, known)


def _read(path: Path) -> dict[str, str]:
    try:
        found = path.stat()
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror or error}; run creditlens as the user that made it"
            f"{_owner_of(path)}, or name a folder of your own in CREDITLENS_STATE."
        ) from None
    if found.st_uid not in {0, os.geteuid()}:
        raise SettingsError(
            f"{path} belongs to another user{_owner_of(path)}; run creditlens as that user, or, if it is yours, run"
            f" `chown {os.geteuid()} {path}`."
        )
    if found.st_mode & 0o077:
        raise SettingsError(f"{path} may be read by others; run `chmod 600 {path}`.")
    # What a computer leaves that lost its power: nothing of it can be saved, and nobody has to decide anything.
    if not text.strip(b"\0 \r\n\t"):
        return {}
    return _checked(path, text)


def _checked(path: Path, text: bytes) -> dict[str, str]:
    way_out = (
        "put your copy of it in its place, or move it away and run `creditlens up`, which makes new passwords and"
        " sets them"
    )
    try:
        secrets = json.loads(text)
    except ValueError:
        raise SettingsError(f"{path} is damaged (it is not whole JSON): {way_out}.") from None
    if not isinstance(secrets, dict):
        raise SettingsError(f"{path} holds no passwords by name: {way_out}.")
    for name, value in secrets.items():
        if not isinstance(value, str) or "\0" in value or "\n" in value:
            raise SettingsError(f"The secret {name!r} in {path} is not one line of text: {way_out}.")
        if len(value) < MINIMUM_LENGTH:
            raise SettingsError(
                f"The secret {name!r} in {path} is shorter than {MINIMUM_LENGTH} characters; write a longer one, or"
                " remove its line and one is made."
            )
    return secrets


def _owner_of(path: Path) -> str:
    try:
        return f" ({pwd.getpwuid(path.stat().st_uid).pw_name})"
    except (OSError, KeyError):
        return ""


def _tell_what_was_lost(state: Path, missing: Sequence[str]) -> None:
    """Say it where a secret is made anew that was there before: what it opened does not open any more."""
    path = state / NAME
    if "postgres" in missing and (state / "postgres" / "data" / "PG_VERSION").exists():
        log.warning(
            "The passwords in %s were lost and are made anew; `creditlens up` sets them in the database. People"
            " sign in to the dashboards with new ones: `creditlens dashboards` prints them.", path,
        )  # fmt: skip
    if "privacy" in missing and (state / "erasures.jsonl").exists():
        log.warning(
            "The key of %s was lost with %s: a restore will not know whom to erase again. If you have a copy of %s,"
            " put it back.", state / "erasures.jsonl", path, path.name,
        )  # fmt: skip


def _write(path: Path, secrets: dict[str, str]) -> None:
    """Write the file whole, on the disk, or leave what was there."""
    for leftover in path.parent.glob(f"{path.stem}.*.partial"):
        leftover.unlink(missing_ok=True)
    atomic.write(path, json.dumps(secrets, indent=1), mode=0o600)


@contextmanager
def _one_at_a_time(state: Path) -> Iterator[None]:
    with open(os.open(state / "secrets.lock", os.O_CREAT | os.O_RDWR, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
