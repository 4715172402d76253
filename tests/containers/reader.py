"""Somebody who reads the dashboards all the time, through the proxy, and notes what becomes of the questions."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from superset_assets.screenshots.take import FLAGS, address, browser, settle, sign_in
from tests.superset_fixture import csrf_token
from tests.superset_fixture import sign_in as send_form

SECONDS_BETWEEN = 0.5


@dataclass
class Seen:
    """What a reader saw, in order: seconds since the beginning and an answer, where it changed."""

    began: float = field(default_factory=time.monotonic)
    changes: list[tuple[float, str]] = field(default_factory=list)
    slowest: float = 0.0

    def note(self, answer: str, seconds: float) -> None:
        """Note an answer, if it is another one than the last."""
        self.slowest = max(self.slowest, seconds)
        if not self.changes or self.changes[-1][1] != answer:
            self.changes.append((time.monotonic() - self.began, answer))

    def __str__(self) -> str:
        told = ", ".join(f"{moment:.0f} s: {answer}" for moment, answer in self.changes)
        return f"{told} (slowest answer {self.slowest:.1f} s)"


class Reader:
    """The advisor, signed in over TLS with the proxy's certificate."""

    def __init__(self, url: str, certificate: Path, password: str, question: object) -> None:
        self.url, self.password, self.question = url, password, question
        self.client = httpx.Client(
            base_url=url, verify=ssl.create_default_context(cafile=str(certificate)), http2=True, timeout=70,
            trust_env=False, headers={"Referer": url},
        )  # fmt: skip

    def sign_in(self) -> None:
        """Through the form."""
        signed_in = send_form(self.client, "advisor", self.password)
        assert "/login" not in signed_in.headers["location"], "the advisor was not let in"
        self.client.headers["X-CSRFToken"] = csrf_token(self.client, "/dashboard/list/")

    def ask(self) -> str:
        """The question that a chart asked for in the browser: `data`, or what came in its place."""
        try:
            answer = self.client.post("/api/v1/chart/data", json=self.question)
        except httpx.TransportError as error:
            return f"no connection ({type(error).__name__})"
        if answer.status_code == 200:
            return "data"
        if answer.status_code == 503 and "The dashboards are starting" in answer.text:
            return "the page that says to wait"
        return f"status {answer.status_code}"

    @contextmanager
    def reading(self) -> Iterator[Seen]:
        """Ask all the time while the block runs."""
        seen, stop = Seen(), threading.Event()

        def read() -> None:
            while not stop.is_set():
                started = time.monotonic()
                answer = self.ask()
                seen.note(answer, time.monotonic() - started)
                stop.wait(SECONDS_BETWEEN)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()


def open_customer(url: str, password: str, customer: int, folder: Path) -> tuple[dict[str, object], object]:
    """Sign in with a real browser, which trusts whatever certificate it is shown, and open a customer's file.

    What it took, how it spoke with the proxy, and where the picture is; and what one of its charts asked for.
    """
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder / "profile"), executable_path=browser(), headless=True, args=FLAGS,
            viewport={"width": 1600, "height": 1780}, ignore_https_errors=True,
        )  # fmt: skip
        page = context.pages[0]
        errors: list[str] = []
        page.on("response", lambda got: errors.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        asked: list[object] = []
        page.on("request", lambda one: asked.append(one.post_data_json) if "chart/data" in one.url else None)
        started = time.monotonic()
        sign_in(page, url, password)
        signed_in = time.monotonic() - started
        started = time.monotonic()
        page.goto(address(url, "customer-en", customer))
        page.locator(".dashboard-component-tabs, .dashboard-markdown").first.wait_for()
        settle(page)
        opened = time.monotonic() - started
        protocol = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
        shown = page.locator("body").inner_text()
        picture = folder / "customer.png"
        page.screenshot(path=picture)
        cookies = context.cookies()
        context.close()
    assert not errors, errors
    assert str(customer) in shown, f"the page does not show customer {customer}"
    assert all(cookie["secure"] for cookie in cookies), cookies
    return {
        "sign-in, seconds": round(signed_in, 1),
        "customer's file, seconds": round(opened, 1),
        "protocol": protocol,
        "picture": str(picture),
    }, asked[-1]
