"""Asking a service for a page, with a limit of time and size."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

_LARGEST_ANSWER = 1_000_000


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether a GET of a loopback or configured address gives 200."""
    found = get(url, seconds)
    return found is not None and found[0] == 200


def as_json(found: tuple[int, bytes] | None) -> object:
    try:
        return json.loads(found[1]) if found and found[0] == 200 else None
    except ValueError:
        return None


def get(url: str, seconds: float = 2.0, headers: Mapping[str, str] | None = None) -> tuple[int, bytes] | None:
    """Status and content that a GET gives; None if nothing answers in HTTP."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=seconds) as response:
            return response.status, response.read(_LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        return error.code, b""
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return None
