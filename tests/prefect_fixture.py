"""A real Prefect server for all tests that run flows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.server.embedded import free_port
from flows.services import prefect
from flows.settings import Settings


@pytest.fixture(scope="session")
def prefect_api(open_folder: Path) -> Iterator[str]:
    """The address of a Prefect server that runs for the test session; set before Prefect is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITLENS_STATE", str(open_folder / "prefect-state"))
        patch.setenv("CREDITLENS_PREFECT_PORT", str(free_port(None)))
        settings = Settings()
        settings.state.mkdir()
        prefect.start_prefect(settings)
        url = prefect.wait_for_prefect(settings)
        saved = dict(os.environ)
        prefect.use_prefect(settings)
        # Tests keep their files where they are meant to be.
        patch.setattr(tempfile, "tempdir", None)
        if "TMPDIR" in saved:
            os.environ["TMPDIR"] = saved["TMPDIR"]
        else:
            del os.environ["TMPDIR"]
        yield url
        prefect.prefect_server(settings).stop()
        os.environ.clear()
        os.environ.update(saved)
