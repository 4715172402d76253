"""An advisor's desk: a real browser, signed in, that keeps what it was asked to fetch and what it complained of."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    Response,
    TimeoutError,
)

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# The last one turns every name into none, so that nothing leaves the machine whatever a page asks for.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
QUIET_MS = 300
PATIENCE_MS = 30_000

# Counts requests for data, keeps when something was last drawn, and which words a canvas shows and where.
PROBE = """
(() => {
  const probe = window.__probe = {asked: 0, answered: 0, touched: performance.now(), drawn: 0, words: new Map()};
  const asks = window.fetch;
  window.fetch = async (...all) => {
    const url = String(all[0] && all[0].url || all[0]);
    if (!url.includes('/api/v1/chart/data')) return asks(...all);
    probe.asked += 1; probe.touched = performance.now();
    try { return await asks(...all); }
    finally { probe.answered += 1; probe.touched = performance.now(); }
  };
  const mark = () => { probe.drawn = probe.touched = performance.now(); };
  const pen = CanvasRenderingContext2D.prototype;
  for (const name of ['fill', 'stroke', 'drawImage']) {
    const draws = pen[name];
    pen[name] = function (...all) { mark(); return draws.apply(this, all); };
  }
  const clears = pen.clearRect;
  pen.clearRect = function (x, y, width, height) {
    if (width * height * this.getTransform().a ** 2 > 0.9 * this.canvas.width * this.canvas.height)
      probe.words.delete(this.canvas);
    return clears.call(this, x, y, width, height);
  };
  const writes = pen.fillText;
  pen.fillText = function (word, x, y, ...rest) {
    mark();
    if (String(word).trim()) {
      const size = this.measureText(word), place = this.getTransform();
      const corners = [[-size.actualBoundingBoxLeft, -size.actualBoundingBoxAscent],
                       [size.actualBoundingBoxRight, size.actualBoundingBoxDescent]]
        .map(([dx, dy]) => place.transformPoint({x: x + dx, y: y + dy}));
      const beyond = Math.max(...corners.flatMap(
        p => [-p.x, -p.y, p.x - this.canvas.width, p.y - this.canvas.height]));
      if (!probe.words.has(this.canvas)) probe.words.set(this.canvas, []);
      probe.words.get(this.canvas).push([String(word), beyond]);
    }
    return writes.call(this, word, x, y, ...rest);
  };
  new MutationObserver(changes => {
    const inChart = change => {
      const node = change.target.nodeType === 1 ? change.target : change.target.parentElement;
      return node && node.closest('[data-test="chart-container"]');
    };
    if (changes.some(inChart)) mark();
  }).observe(document, {subtree: true, childList: true, characterData: true});
})()
"""
QUIET = """
quiet => {
  const probe = window.__probe;
  if (!probe || probe.asked === 0 || probe.asked !== probe.answered) return false;
  const seen = node => node.checkVisibility();
  if ([...document.querySelectorAll('.loading, [data-test=loading-indicator]')].some(seen)) return false;
  const charts = [...document.querySelectorAll('[data-test-chart-name]')].filter(seen);
  const near = charts.filter(chart => chart.getBoundingClientRect().top < innerHeight);
  const content = 'canvas, table, [role=alert], .ant-empty, [data-test=slice-container] svg';
  const filled = chart => chart.querySelector(content);
  return charts.length > 0 && near.every(filled) && performance.now() - probe.touched > quiet;
}
"""
UNREST = """
() => ({...window.__probe, now: performance.now(), page: document.body.innerText.slice(0, 300),
        loading: [...document.querySelectorAll('.loading, [data-test=loading-indicator]')].length})
"""
# Whatever has more content than it shows, within charts and texts that are seen.
CUT_OFF = """
() => {
  const found = [];
  const seen = node => node.checkVisibility();
  for (const text of document.querySelectorAll('.dashboard-markdown')) {
    const box = text.querySelector('[data-test=dashboard-component-chart-holder]').getBoundingClientRect();
    for (const part of seen(text) ? text.querySelectorAll('p, li') : []) {
      const more = part.getBoundingClientRect().bottom - box.bottom;
      if (more > 4) found.push([text.innerText.slice(0, 40), 'high', part.innerText.slice(0, 40), more]);
    }
  }
  for (const holder of document.querySelectorAll('[data-test-chart-name]')) {
    if (!seen(holder)) continue;
    const name = holder.getAttribute('data-test-chart-name');
    for (const node of [holder, ...holder.querySelectorAll('*')]) {
      if (node.closest('.ant-badge, .ant-dropdown-trigger')) continue;
      const style = getComputedStyle(node);
      const wide = style.overflowX !== 'visible' && node.scrollWidth > node.clientWidth + 2;
      const high = style.overflowY !== 'visible' && node.scrollHeight > node.clientHeight + 2;
      if (node.clientWidth > 20 && node.clientHeight > 8 && (wide || high))
        found.push([name, wide ? 'wide' : 'high', `${node.className}`.slice(0, 60),
                    wide ? node.scrollWidth - node.clientWidth : node.scrollHeight - node.clientHeight]);
    }
    for (const canvas of holder.querySelectorAll('canvas'))
      for (const [word, beyond] of window.__probe.words.get(canvas) || [])
        if (beyond > 3) found.push([name, 'word', word, beyond]);
  }
  return found;
}
"""


def executable() -> Path:
    """The system's Chromium. Raises FileNotFoundError, in a sentence that says how to install one."""
    chosen = os.environ.get("CREDITLENS_CHROMIUM")
    for name in (chosen,) if chosen else NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise FileNotFoundError(
        f"{chosen or 'Chromium'} was not found. The tests of the dashboards need a browser: install it with"
        " `apt-get install chromium` (macOS: `brew install --cask chromium`), or name one in CREDITLENS_CHROMIUM."
    )


def customer_link(slug: str, customer_id: int) -> str:
    """The path of a dashboard with one customer chosen."""
    return f"/superset/dashboard/{slug}/?customer={customer_id}"


@dataclass
class Desk:
    """A page of a browser in which a user has signed in.

    Attributes
    ----------
    hosts: every host that anything was asked of.
    complaints: errors of the console, and of scripts, with the address that they are about.
    answers: the last answer for each chart, by its number.
    lately: the last answers of any kind but files: method, path, status and the names of cookies that they set.
    """

    page: Page
    url: str
    hosts: set[str] = field(default_factory=set)
    complaints: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[int, list[dict]] = field(default_factory=dict)
    lately: deque[str] = field(default_factory=lambda: deque(maxlen=40))

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.context.on("request", self._asked)
        self.page.on("response", self._answered)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append((str(error), "")))

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about"):
            self.hosts.add(parts.hostname or parts.scheme)

    def _answered(self, response: Response) -> None:
        if "/static/" not in response.url:
            cookie = response.headers.get("set-cookie", "").partition("=")[0]
            path = response.url.removeprefix(self.url)[:80]
            self.lately.append(f"{response.request.method} {path} {response.status} {cookie}")
        if "/api/v1/chart/data?" in response.url and response.ok and "slice_id" in response.url:
            asked = response.request.post_data_json
            self.answers[int(asked["form_data"]["slice_id"])] = response.json()["result"]

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append((message.text, message.location.get("url", "")))

    def sign_in(self, user: str, password: str) -> None:
        """Through the form, to the first page, which is waited for."""
        self.page.goto(f"{self.url}/login/")
        self.page.fill("#username", user)
        self.page.fill("#password", password)
        self.page.keyboard.press("Enter")
        try:
            self.page.wait_for_url(f"{self.url}/superset/dashboard/**")
        except TimeoutError as error:
            raise AssertionError(f"{user} was not let in: {[self.page.url, *self.lately]}") from error
        self.settle()

    def open(self, slug: str, customer_id: int | None = None) -> None:
        """A dashboard, until everything near is drawn."""
        path = customer_link(slug, customer_id) if customer_id else f"/superset/dashboard/{slug}/"
        self.page.goto("about:blank")
        self.page.goto(self.url + path)
        self.settle()

    def settle(self, quiet_ms: int = QUIET_MS) -> None:
        """Wait until all data has arrived and nothing was drawn for a while."""
        try:
            self.page.wait_for_function(QUIET, arg=quiet_ms, polling=50)
        except TimeoutError as error:
            unrest = [self.page.evaluate(UNREST), *self.lately]
            raise AssertionError(f"{self.page.url} did not come to rest: {unrest}") from error

    def touch(self) -> None:
        """Something is about to change: quiet begins anew."""
        self.page.evaluate("() => { window.__probe.touched = performance.now(); }")

    def tab(self, title: str) -> None:
        """Turn to another tab of the dashboard."""
        self.touch()
        self.page.locator("[role=tab]:visible", has_text=re.compile(f"^{re.escape(title)}$")).click()
        self.settle()

    def chart(self, title: str) -> Locator:
        """A chart by its title."""
        return self.page.locator(f'[data-test-chart-name="{title}"]:visible')

    def data(self, title: str) -> list[dict]:
        """The rows that the browser was last sent for a chart."""
        number = self.chart(title).get_attribute("data-test-chart-id")
        assert number is not None, title
        return self.answers[int(number)][0]["data"]

    def table(self, title: str) -> list[list[str]]:
        """What stands in a table, row by row."""
        script = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        return self.chart(title).locator("tbody tr").evaluate_all(script)

    def words(self, title: str) -> str:
        """What is written on a chart's canvas."""
        script = "canvas => (window.__probe.words.get(canvas) || []).map(([word]) => word).join(' ')"
        return self.chart(title).locator("canvas").first.evaluate(script)

    def find(self, typed: str) -> None:
        """Type into the box above the page and press Enter; until what this leads to is drawn."""
        self.page.fill("#creditlens-number", typed)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        self.arrive()

    def message(self) -> str:
        """What the bar above the page says of what was typed."""
        return self.page.locator("#creditlens [role=alert]").inner_text()

    def heading(self) -> str:
        """Whose page it is, and of when."""
        return self.page.locator("#creditlens h1").inner_text()

    def apply(self) -> None:
        """Apply the filters, until everything is drawn."""
        self.touch()
        self.page.get_by_test_id("filter-bar__apply-button").click()
        self.settle()

    def arrive(self) -> None:
        """Wait for the page that a click led to, until everything is drawn."""
        self.page.wait_for_function("() => window.__probe && window.__probe.asked > 0")
        self.settle()

    def apply_if_changed(self) -> None:
        """Apply the filters, unless they are what they were."""
        self.page.wait_for_timeout(300)
        if self.page.get_by_test_id("filter-bar__apply-button").is_enabled():
            self.apply()

    def choose(self, key: str, option: str) -> None:
        """Choose one option of a filter that is a list."""
        box = self.page.get_by_test_id(f"NATIVE_FILTER-{key}")
        box.scroll_into_view_if_needed()
        box.click()
        box.locator("input").fill(option)
        name = json.dumps(option, ensure_ascii=False)
        box.locator(f".ant-select-item-option[title={name}]").click()

    def download(self, title: str) -> str:
        """A chart's data as the menu gives it, as text."""
        self.chart(title).get_by_label("More Options").click()
        self.page.get_by_role("menuitem", name="Download").hover()
        with self.page.expect_download() as waiting:
            self.page.get_by_text("Export to .CSV").click()
        self.page.keyboard.press("Escape")
        return waiting.value.path().read_text(encoding="utf-8-sig")

    def cut_off(self, long: Container[str] = ()) -> list[tuple[str, str, str, float]]:
        """What is not wholly seen once the layout is at rest: chart, wide, high or word, of what, by how much.

        Charts named in `long` may be longer than their place, not wider.
        """
        self.touch()
        patience = time.monotonic() + 4
        while True:
            self.settle(quiet_ms=150)
            found = [
                (chart, how, what, round(by, 1))
                for chart, how, what, by in self.page.evaluate(CUT_OFF)
                if not (how == "high" and chart in long)
            ]
            if not found or time.monotonic() > patience:
                return found
            self.page.wait_for_timeout(100)


@contextmanager
def browser(playwright: Playwright, folder: Path, width: int, height: int) -> Iterator[BrowserContext]:
    """A browser with a profile of its own."""
    context = playwright.chromium.launch_persistent_context(
        str(folder),
        executable_path=str(executable()),
        headless=True,
        viewport={"width": width, "height": height},
        accept_downloads=True,
        locale="en-GB",
        args=list(FLAGS),
    )
    context.add_init_script(PROBE)
    playwright.selectors.set_test_id_attribute("data-test")
    yield context
    context.close()
