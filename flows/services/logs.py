"""Logs of the services, kept from growing for ever: each night, and whenever a service is started.

What writes them goes on writing, without being told: every writer appends, so that a file can be emptied under it.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from pathlib import Path

from flows.installation import atomic
from flows.settings import Settings

log = logging.getLogger("creditlens")
LARGEST_BYTES = 10_000_000
# Begins the line that a service's log gets when the service is started.
STARTED = "--- creditlens started"


def bound_all(settings: Settings) -> list[Path]:
    """`bound` every log of the installation; those that were cut."""
    found = [*settings.state.glob("*.log"), settings.state / "postgres" / "postgres.log"]
    return [path for path in sorted(found) if not path.name.endswith(".1.log") and bound(path)]


def bound(path: Path) -> bool:
    """Move a log that is too long to `<name>.1.log`, in the place of the one before; whether it was.

    So a log takes twice LARGEST_BYTES at most, and what one day adds. Of a longer one the end is kept. Lines that
    are written in the very moment may be lost. Never raises: no night fails for its log.
    """
    try:
        size = path.stat().st_size
        if size <= LARGEST_BYTES:
            return False
        older = path.with_suffix(".1.log")
        with path.open("rb") as source, atomic.writing(older) as kept:
            source.seek(size - LARGEST_BYTES)
            # Not the end of a line whose beginning is gone.
            source.readline()
            shutil.copyfileobj(source, kept)
            os.fchmod(kept.fileno(), stat.S_IMODE(path.stat().st_mode))
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("The log %s could not be cut: %s", path, error)
        return False
    return True
