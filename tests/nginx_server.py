"""The proxy of the containers on this machine: a real nginx with the same file, before servers on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from db.server.embedded import free_port
from flows.settings import PROJECT

TEMPLATE = PROJECT / "superset_assets" / "proxy" / "nginx.conf.template"
CERTIFICATE = "certificate.pem"


def program() -> str | None:
    """Where nginx is; Debian keeps it from those who are not root."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def configure(folder: Path, port: int, plain: int, ports: Sequence[int]) -> list[str]:
    """Write configuration and certificate into the folder; the command that starts nginx with them."""
    if not (folder / CERTIFICATE).exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", str(folder / "key.pem"), "-out", str(folder / CERTIFICATE)],
            check=True, capture_output=True,
        )  # fmt: skip
    servers = "".join(f"server 127.0.0.1:{each}; " for each in ports)
    configuration = TEMPLATE.read_text()
    for written, here in {
        "${CREDITLENS_DASHBOARDS}": "dashboards",
        "resolver ${NGINX_LOCAL_RESOLVERS} valid=5s ipv6=off;": "",
        "/run/secrets/tls_certificate": str(folder / CERTIFICATE),
        "/run/secrets/tls_key": str(folder / "key.pem"),
        "/var/cache/nginx": str(folder),
        "/dev/stdout": str(folder / "access.log"),
        "/dev/stderr": str(folder / "error.log"),
        "listen 8080;": f"listen 127.0.0.1:{plain};",
        "listen 8443 ssl": f"listen 127.0.0.1:{port} ssl",
    }.items():
        configuration = configuration.replace(written, here)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root; " if os.geteuid() == 0 else ""
    file = folder / f"nginx-{port}.conf"
    # Around it as in nginx' own image, which logs whole requests.
    file.write_text(
        f"daemon off; {user}pid {folder}/nginx-{port}.run; worker_processes 1;\n"
        f"error_log {folder}/error.log notice;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ include /etc/nginx/mime.types; {temporary} upstream dashboards {{ {servers} keepalive 32; }}\n"
        """log_format main '$remote_addr - $remote_user "$request" $status "$http_referer"';\n"""
        f"access_log {folder}/access.log main;\n"
        f"{configuration}\n}}\n"
    )
    path = program()
    assert path is not None, "nginx is not installed (Debian: apt-get install nginx-light)"
    return [path, "-c", str(file), "-e", str(folder / "error.log")]


@contextmanager
def nginx_server(folder: Path, ports: Sequence[int]) -> Iterator[tuple[str, str]]:
    """A running proxy before the servers at these ports, for the block; its addresses with TLS and without."""
    port, plain = free_port(None), free_port(None)
    process = subprocess.Popen(configure(folder, port, plain, ports), stderr=subprocess.DEVNULL)
    try:
        wait_until_it_answers(plain, folder)
        yield f"https://localhost:{port}", f"http://127.0.0.1:{plain}"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_it_answers(plain: int, folder: Path) -> None:
    """Until the proxy says that it is well."""
    deadline = time.monotonic() + 30
    while not _answers(f"http://127.0.0.1:{plain}/proxy/health"):
        assert time.monotonic() < deadline, (folder / "error.log").read_text()
        time.sleep(0.1)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
