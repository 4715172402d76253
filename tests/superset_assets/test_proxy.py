"""What the proxy passes on, adds and writes down: a real nginx before a server that tells what reached it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from db.server.embedded import free_port
from tests.nginx_server import CERTIFICATE, nginx_server

HSTS = "Strict-Transport-Security"
FORGED = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "elsewhere.example",
    "X-Forwarded-Port": "99",
    "X-Forwarded-Prefix": "/elsewhere",
    "X-Forwarded-Protocol": "http",
    "X-Forwarded-Ssl": "off",
    "Forwarded": "for=198.51.100.7",
    "X-Real-IP": "198.51.100.7",
}


class Telling(BaseHTTPRequestHandler):
    """Answers with the headers that it was sent, pictures and scripts with a cookie too."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(404 if self.path.startswith("/nowhere") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.send_header("Set-Cookie", "session=theirs")
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def telling(port: int) -> Iterator[None]:
    """The server behind the proxy, for the block."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Telling)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Proxy:
    """The proxy, a reader of it, and its log."""

    def __init__(self, folder: Path, url: str, plain: str, client: httpx.Client) -> None:
        self.folder, self.url, self.plain, self.client = folder, url, plain, client

    def log(self) -> str:
        """Everything that it has written down."""
        return "".join((self.folder / name).read_text() for name in ("access.log", "error.log"))


def readers(folder: Path, url: str, *, http2: bool = False) -> httpx.Client:
    """A client that trusts the proxy."""
    trusted = ssl.create_default_context(cafile=str(folder / CERTIFICATE))
    return httpx.Client(base_url=url, verify=trusted, trust_env=False, http2=http2)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy before a server that tells."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port(None)
    with ExitStack() as stack:
        stack.enter_context(telling(port))
        url, plain = stack.enter_context(nginx_server(folder, [port]))
        yield Proxy(folder, url, plain, stack.enter_context(readers(folder, url)))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The proxy before nothing."""
    folder = tmp_path_factory.mktemp("alone")
    with nginx_server(folder, [free_port(None)]) as (url, plain), readers(folder, url) as client:
        yield Proxy(folder, url, plain, client)


# --- what the dashboards are told ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/static/script.js", "/superset/dashboard/customer-en/?customer=100501"])
@pytest.mark.parametrize("http2", [False, True])
def test_the_dashboards_are_told_of_the_reader_by_the_proxy_and_by_nobody_else(
    proxy: Proxy, path: str, http2: bool
) -> None:
    more = f"{'&' if '?' in path else '?'}{http2}"
    with readers(proxy.folder, proxy.url, http2=http2) as client:
        answer = client.get(path + more, headers=FORGED)
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    told = answer.json()
    here = proxy.url.removeprefix("https://")
    forwarded = {name: told[name] for name in told if name.lower() in {each.lower() for each in FORGED}}
    assert forwarded == {
        "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": here
    }  # fmt: skip
    assert told["host"] == here
    assert "accept-encoding" not in told and "connection" not in told


def test_only_pictures_and_scripts_are_asked_for_without_cookies_and_kept(proxy: Proxy) -> None:
    mine = {"Cookie": "session=mine"}
    page = proxy.client.get("/page", headers=mine)
    assert page.json()["cookie"] == "session=mine" and page.headers["Set-Cookie"] == "session=theirs"
    assert "X-Proxy-Cache" not in page.headers and "Retry-After" not in page.headers
    answers = [proxy.client.get("/static/kept.js", headers=mine) for _ in range(2)]
    assert "cookie" not in answers[0].json() and "Set-Cookie" not in answers[0].headers
    assert [answer.headers["X-Proxy-Cache"] for answer in answers] == ["MISS", "HIT"]


# --- what readers are told -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/static/x", "/nowhere", "/creditlens/reviews"])
def test_every_answer_says_to_come_by_tls_only(proxy: Proxy, path: str) -> None:
    assert proxy.client.get(path).headers.get_list(HSTS) == ["max-age=31536000"]


@pytest.mark.parametrize("path", ["/", "/static/x"])
def test_who_comes_while_the_dashboards_are_away_is_told_to_wait_and_keeps_nothing(alone: Proxy, path: str) -> None:
    answer = alone.client.get(path)
    assert answer.status_code == 503 and "tries again" in answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers.get_list(HSTS) == ["max-age=31536000"]
    assert answer.headers["Retry-After"] == "15" and answer.headers.get_list("Cache-Control") == ["no-store"]


def test_who_comes_without_tls_is_sent_to_it(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.plain}/page", trust_env=False)
    assert answer.status_code == 308 and answer.headers["Location"] == "https://127.0.0.1/page"


def test_long_answers_are_compressed(proxy: Proxy) -> None:
    long = {"X-Long": "a" * 2_000, "Accept-Encoding": "gzip"}
    assert proxy.client.get("/long", headers=long).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in proxy.client.get("/short", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_only_tls_of_today_is_spoken(proxy: Proxy) -> None:
    old = ssl.create_default_context(cafile=str(proxy.folder / CERTIFICATE))
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with httpx.Client(verify=old, trust_env=False) as client, pytest.raises(httpx.ConnectError):
        client.get(proxy.url)


# --- what is written down -------------------------------------------------------------------------------

NUMBERS = ("100501", "100502", "100503", "100504")
ABOUT_PEOPLE = (
    "/creditlens/decide/100501",
    "/creditlens/review/100501?language=fr",
    "/creditlens/letter/100502?kind=sheet",
    "/creditlens/letter/100502/",
    "/CreditLens//decide/100503",
    "/creditlens/%64ecide/100503",
    "/creditlens/decide%2F100504",
    "/superset/dashboard/customer-en/?customer=100504",
)


@pytest.mark.parametrize("there", [True, False])
def test_nothing_that_the_proxy_writes_down_holds_a_customer_s_number(
    proxy: Proxy, alone: Proxy, there: bool
) -> None:
    one = proxy if there else alone
    for path in ABOUT_PEOPLE:
        one.client.get(path, headers={"Referer": f"{one.url}/?customer=100501"})
        httpx.get(one.plain + path, headers={"Referer": f"{one.url}/?customer=100501"}, trust_env=False)
    one.client.get("/creditlens/reviews")
    one.client.get("/last")
    written = wait_for_line(one, '"GET /last"')
    assert [number for number in NUMBERS if number in written] == []
    # What it is for is still told.
    status = 200 if there else 503
    assert f'"GET /creditlens/decide/*" {status} ' in written and f'"GET /creditlens/reviews" {status} ' in written
    assert f'"GET /superset/dashboard/customer-en/" {status} ' in written


def wait_for_line(one: Proxy, text: str) -> str:
    """Everything written down, once this is."""
    deadline = time.monotonic() + 10
    while text not in one.log():
        assert time.monotonic() < deadline, one.log()
        time.sleep(0.05)
    return one.log()
