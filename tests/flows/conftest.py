from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    """What monkeypatch is, for a whole module."""
    with pytest.MonkeyPatch.context() as made:
        yield made
