"""The record of erasures outside of the databases.

A backup that is older than an erasure brings the person back, and with the database goes its table of requests. So
each erasure is noted in a file of the state folder too, and a restore erases again whoever was erased after the
backup began. The file names people by the keyed hash of the requests, not by number: it would be the one place left
that says who asked to be forgotten. The restored database holds the numbers of all who came back, and hashing them
all finds those to erase again in seconds; so the number is not needed, and is not kept. Whoever has the key
(secrets.json) could hash all numbers there are, so the file is its owner's only. Without the file or its key,
nobody can tell whom to erase again, and a restore says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from db.people import rows
from flows.settings import Settings

Event = Literal["begun", "erasing", "erased"]
# Nobody has this number: its hash tells whether the file was written with the key that we have.
_NOBODY = -1
# The database notes an erasure after the record does.
_A_MOMENT = timedelta(minutes=1)


def customer_hash(settings: Settings, customer_id: int) -> str:
    """The person's name in the records of requests."""
    return rows.keyed_hash(settings.secrets()["privacy"], customer_id)


@dataclass(frozen=True, slots=True)
class Record:
    """What the file says: since when it knows of every erasure (None: it does not), and who was erased when."""

    since: datetime | None
    erased: dict[str, datetime | None]

    def later_than(self, moment: datetime) -> set[str]:
        """Hashes of those erased after `moment`, or whose erasure was begun at any time and did not end."""
        return {person for person, ended in self.erased.items() if ended is None or ended >= moment}


def path(settings: Settings) -> Path:
    """Where erasures are noted."""
    return settings.state / "erasures.jsonl"


def begin(settings: Settings) -> None:
    """Begin the record, if there is none: from now on it knows of every erasure. Each backup sees to it."""
    if read(settings).since is None:
        _append(settings, "begun", customer_hash(settings, _NOBODY))


def note(settings: Settings, event: Event, customer_id: int) -> None:
    """Note that the person is about to be erased, or was, now. On the disk when it returns; OSError if not."""
    begin(settings)
    _append(settings, event, customer_hash(settings, customer_id))


def learn(settings: Settings, known: Mapping[str, datetime | None]) -> int:
    """Note the erasures that a database knows of and the record does not; how many those are.

    A restore replaces that database, and its knowledge would go with it: that of a version that kept no record, or
    of an installation whose state folder was lost.
    """
    recorded = read(settings).erased
    new = {
        person: ended
        for person, ended in known.items()
        if person not in recorded
        or (ended is not None and (last := recorded[person]) is not None and last + _A_MOMENT < ended)
    }
    for person, ended in new.items():
        _append(settings, "erasing" if ended is None else "erased", person, at=ended)
    return len(new)


def _append(settings: Settings, event: Event, person: str, *, at: datetime | None = None) -> None:
    settings.state.mkdir(parents=True, exist_ok=True)
    when = (at or datetime.now(UTC)).isoformat()
    line = json.dumps({"event": event, "at": when, "customer_hash": person}) + "\n"
    with open(os.open(path(settings), os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600), "r+b") as file:
        os.fchmod(file.fileno(), 0o600)
        # After a line that a crash cut, this one has to begin anew.
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            line = "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(settings: Settings) -> Record:
    """The record as far as it can be read; what was written with another key tells nothing."""
    since: datetime | None = None
    erased: dict[str, datetime | None] = {}
    ours = customer_hash(settings, _NOBODY)
    try:
        lines = path(settings).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        try:
            said = json.loads(line)
            at, event, person = datetime.fromisoformat(said["at"]), said["event"], said["customer_hash"]
        except (ValueError, KeyError, TypeError):
            # A line that a crash cut: whatever it said, the database did not yet, or says it too.
            continue
        if event == "begun":
            since = at if person == ours and since is None else since
        elif event == "erasing":
            erased[person] = None
        elif event == "erased":
            erased[person] = at
    return Record(since, erased)


def outcome(record: Record, saved_at: datetime, erased_again: int) -> dict[str, Any]:
    """What a restore says of erasures, as other programs rely on it."""
    # The backup says its time in whole seconds.
    known = record.since is not None and record.since.replace(microsecond=0) <= saved_at
    unknown_from = None if known else saved_at.isoformat()
    unknown_until = None if known or record.since is None else record.since.isoformat()
    return {
        "erased_again": erased_again,
        "erasures_known": known,
        "erasures_unknown_from": unknown_from,
        "erasures_unknown_until": unknown_until,
    }
