"""One browser for all tests, in which the advisor has signed in once; what it complains of fails the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from flows.settings import PROJECT
from tests.e2e.desk import Desk, browser
from tests.superset_fixture import Superset

WIDTH, HEIGHT = 1600, 1800


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """The folder of what a test run leaves to look at."""
    folder = Path(os.environ.get("CREDITLENS_TEST_ARTEFACTS", PROJECT / ".creditlens" / "test-screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """The system's Chromium; where there is none, the tests fail with a sentence that says how to install it.

    It does not outlive its module: while it is open, this thread has a running event loop, and the tests after it
    could not run one of their own.
    """
    with (
        sync_playwright() as playwright,
        browser(playwright, tmp_path_factory.mktemp("browser"), WIDTH, HEIGHT) as context,
    ):
        yield context


@pytest.fixture(scope="module")
def signed_in(chromium: BrowserContext, superset: Superset) -> Desk:
    """The advisor, just signed in; the page that this leads to is the test's to look at."""
    desk = Desk(chromium.pages[0], superset.url)
    desk.sign_in("advisor", superset.users["advisor"])
    return desk


@pytest.fixture
def desk(signed_in: Desk) -> Iterator[Desk]:
    """The advisor's desk; what the browser complains of meanwhile, or asks of another host, fails the test."""
    signed_in.complaints.clear()
    signed_in.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    yield signed_in
    assert signed_in.complaints == []
    assert signed_in.hosts == {"127.0.0.1"}
