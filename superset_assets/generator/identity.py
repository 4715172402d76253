"""Identifiers that stay the same from one generation, and one installation, to the next."""

from __future__ import annotations

import zlib
from uuid import UUID, uuid5

_NAMESPACE = UUID("6f0c2f5e-8c1c-5f6e-9a53-3d1f0c4b7a10")


def uuid_of(kind: str, key: str) -> str:
    """The UUID of an asset: of kind `database`, `dataset`, `chart` or `dashboard`."""
    return str(uuid5(_NAMESPACE, f"{kind}/{key}"))


def chart_number(key: str) -> int:
    """A number by which a dashboard refers to one of its charts; the import puts Superset's own in its place."""
    return zlib.crc32(key.encode()) % 1_000_000_000
