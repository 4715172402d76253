"""The address that the dashboards listen on: one of this machine, and who else may reach it."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from flows.settings import Settings, SettingsError


def require_address(settings: Settings) -> None:
    """Raise SettingsError if this machine has no such address."""
    host = settings.superset_host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        raise SettingsError(
            f"This machine has no address {host}; choose one of its own in CREDITLENS_SUPERSET_HOST, such as"
            " 127.0.0.1."
        ) from None


def exposure(settings: Settings) -> str | None:
    """What to tell of dashboards that other machines reach without TLS; None where they do not."""
    host = settings.superset_host
    if settings.superset_tls or all(ip_address(address).is_loopback for address in _addresses(host)):
        return None
    return (
        f"The dashboards listen on {host} (CREDITLENS_SUPERSET_HOST) without TLS: passwords and customers' data are"
        " readable on the network; put a proxy with TLS before them and set CREDITLENS_SUPERSET_TLS=true, or listen"
        " on 127.0.0.1."
    )


def bind(host: str, port: int) -> str:
    """The address as a server takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url(host: str, port: int) -> str:
    """The address at which this machine reaches what listens there."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{bind(reached, port)}"


def _addresses(host: str) -> list[str]:
    """The numbers of a name; none for one that nobody knows."""
    try:
        # A zone, as in fe80::1%eth0, is none of the number.
        return [
            str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        ]
    except OSError:
        return []
