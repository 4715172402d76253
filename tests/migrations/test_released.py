"""Released migrations are never edited: databases that ran them would differ from those that run them now."""

from __future__ import annotations

import hashlib
from pathlib import Path

VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"

# SHA-256 of each, written down when it was released.
RELEASED = {
    "0001_tables.py": "c1aef2a68150988c3543a12969cf9accb04ad22da5aba4d8323c0eee31307835",
    "0002_reporting.py": "856500c8c8221705894de8044bf3413496a5bc9379f4e91c7cd06cedfe09f9e6",
    "0003_dashboards.py": "38a38e8bd5f85f0ada7e444ea785e934489b3025126dbba05707b71dca50b2c5",
    "0004_operations.py": "1496d64b3dcbc5b834f83f68b1fc6c09f1f2c784c2a4d948cb5dbf2d3b920ed7",
    "0005_portfolios.py": "4cfdbdd8954c7c480030e262beecbffbed4562db07e095b19c09b7a374c6b4ce",
    "0006_regions.py": "303b9777054d0dc73795800cd37c0f959ab628362c24c1371c008f51a498c06a",
    "0007_bound_viewer.py": "e3a485848ea237cc30aa8a0f89e83623475e2e99fb44b21007c0b6301e2daa38",
}


def test_no_released_migration_was_edited() -> None:
    found = {name: hashlib.sha256((VERSIONS / name).read_bytes()).hexdigest() for name in RELEASED}
    assert found == RELEASED
