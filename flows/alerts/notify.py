"""Telling somebody: a webhook that is posted JSON, an e-mail, or both. Nothing is attempted without a setting."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from flows.settings import Settings

log = logging.getLogger("creditlens")
TIMEOUT_SECONDS = 10.0
# Before the second and the third attempt.
WAITS = (1.0, 4.0)

_SUBJECTS = {
    "night_failed": "The night failed; readers keep the last one",
    "night_refused": "The night's input was refused; readers keep the last one",
    "night_small": "The night is published, but far smaller than those before it",
    "night_checks": "The night is published, but a check did not pass",
    "night_ahead": "The night is published, but its date is still to come",
    "night_columns": "The night is published, but a column that had values is empty",
    "archive_failed": "The night is published, but an older one could not be archived and is kept",
    "night_missing": "A night is missing; readers keep the last one",
    "schedule_down": "No night will start; readers keep the last one",
    "schedule_different": "The next night starts at another time than the settings say",
    "service_errors": "A service wrote errors into its log",
}


def tell(settings: Settings, event: str, message: str) -> list[str]:
    """Send the event to wherever the settings say; what could not be sent, which is also logged. Never raises."""
    problems = []
    for kind, wanted, send in (
        ("webhook", settings.notify_url, _post),
        ("e-mail", settings.notify_email, _mail),
    ):
        if not wanted:
            continue
        try:
            _with_patience(partial(send, settings, event, message))
        except Exception as error:
            # Addresses hold passwords and tokens; the error's own text may hold the address.
            problems.append(f"{kind}: {type(error).__name__}")
            log.warning("Nobody could be told by %s that %s (%s).", kind, event, type(error).__name__)
    return problems


def _with_patience(send: Callable[[], None]) -> None:
    for wait in WAITS:
        try:
            return send()
        except OSError as error:
            # An address that is not there will not be there in five seconds.
            if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429:
                raise
            time.sleep(wait)
    return send()


def _post(settings: Settings, event: str, message: str) -> None:
    assert settings.notify_url is not None
    content = {
        "event": event,
        "subject": _SUBJECTS[event],
        "message": message,
        "text": f"creditlens: {_SUBJECTS[event]}. {message}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    request = urllib.request.Request(
        settings.notify_url.get_secret_value(),
        json.dumps(content).encode(),
        {"Content-Type": "application/json", "User-Agent": "creditlens"},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        response.read(1)


def _mail(settings: Settings, event: str, message: str) -> None:
    assert settings.notify_email is not None and settings.smtp_url is not None
    server = urlsplit(settings.smtp_url.get_secret_value())
    user = unquote(server.username or "")
    mail = EmailMessage()
    mail["Subject"] = f"creditlens: {_SUBJECTS[event]}"
    mail["From"] = user if "@" in user else settings.notify_email
    mail["To"] = settings.notify_email
    mail["Date"] = datetime.now(UTC)
    mail.set_content(f"{message}\n\nevent: {event}\n")
    host = server.hostname or ""
    with _session(server.scheme, host, server.port) as session:
        session.ehlo()
        secure = server.scheme == "smtps"
        if not secure and session.has_extn("starttls"):
            session.starttls(context=ssl.create_default_context())
            session.ehlo()
            secure = True
        if user:
            if not secure and not _is_loopback(host):
                raise smtplib.SMTPNotSupportedError("The mail server offers no TLS; the password is not sent.")
            session.login(user, unquote(server.password or ""))
        session.send_message(mail)


def _session(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(host, port or 587, timeout=TIMEOUT_SECONDS)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
