"""Which program this is: its version, its code, and the packages that it runs on.

A service that is started writes this down, so that an upgrade can tell that what runs is older.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import distributions, version

from flows.installation.machine import PROJECT

_CODE = ("flows", "db", "scoring", "migrations")
_SUFFIXES = {".py", ".sql", ".csv"}


@cache
def program() -> str:
    """Version and digest of this program's code and of its packages."""
    digest = hashlib.sha256(packages().encode())
    for folder in _CODE:
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.suffix in _SUFFIXES:
                digest.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes())
    return f"{version('creditlens')} {digest.hexdigest()[:16]}"


@cache
def packages() -> str:
    """Prefect's version and a digest of all packages beside it: what it plans with is among them."""
    # Names of folders: reading each package's own metadata would take a tenth of a second and more.
    found = sorted({path.name for one in distributions() if (path := getattr(one, "_path", None)) is not None})
    return f"{version('prefect')} {hashlib.sha256(' '.join(found).encode()).hexdigest()[:16]}"
