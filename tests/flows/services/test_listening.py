"""Where the dashboards listen: addresses of this machine, and a warning if others reach them without TLS."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from flows.services import listening
from flows.settings import Settings, SettingsError


def at(host: str, *, tls: bool = False) -> Settings:
    return Settings(superset_host=host, superset_tls=tls)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_is_no_news(host: str) -> None:
    listening.require_address(at(host))
    assert listening.exposure(at(host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "fe80::1%eth0"])
def test_an_address_that_others_reach_is_a_warning_unless_a_proxy_with_tls_is_before_it(host: str) -> None:
    told = listening.exposure(at(host))
    assert told is not None and f"listen on {host} (CREDITLENS_SUPERSET_HOST) without TLS" in told
    assert listening.exposure(at(host, tls=True)) is None


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "no such host", "256.1.1.1"])
def test_an_address_that_this_machine_has_not_is_refused_and_named(host: str) -> None:
    with pytest.raises(SettingsError, match=f"no address {host}"):
        listening.require_address(at(host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", "::1", "::"])
def test_what_listens_there_is_reached_at_its_url(host: str) -> None:
    family = http.server.HTTPServer.address_family
    server = type("Server", (http.server.HTTPServer,), {"address_family": 10 if ":" in host else family})(
        (host, 0), http.server.SimpleHTTPRequestHandler
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert httpx.head(listening.url(host, server.server_address[1]), trust_env=False).status_code == 200
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_command_refuses_an_address_that_is_not_ours_in_one_sentence(tmp_path: Path) -> None:
    settings = {"CREDITLENS_STATE": str(tmp_path), "CREDITLENS_SUPERSET_HOST": "192.0.2.7"}
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "up", "--json"],
        env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no address 192.0.2.7" in json.loads(done.stdout)["message"]
    assert not (tmp_path / "postgres").exists()
