"""Artifacts on the Prefect server of the flow run that is under way: best effort, within seconds.

A night must not fail, or wait for long, because a server that only shows it does not answer. So this asks the
server itself, with a limit of time, and not by Prefect's client, which tries again for minutes.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from db.errors import BusyError
from flows.services import processes
from flows.settings import Settings
from flows.signals import EndedBySignal

log = logging.getLogger("creditlens")
# The flow runs whose server did not answer once: it is asked no more, neither for bars nor for pages.
_given_up: set[str] = set()
# For one question; a server that lets one wait longer is asked no more.
PATIENCE_SECONDS = 5.0
# A run that was asked to end does not stay for its page.
ENDING_SECONDS = 1.0

Kind = Literal["markdown", "table", "progress"]


@dataclass(slots=True)
class Server:
    """Where the artifacts of one flow run are put.

    Attributes
    ----------
    url: address of its API.
    flow_run_id: which the artifacts belong to.
    seconds: patience with one question.
    """

    url: str
    flow_run_id: str
    seconds: float = PATIENCE_SECONDS

    @property
    def given_up(self) -> bool:
        """Whether it did not answer once; it is then asked no more."""
        return self.flow_run_id in _given_up

    def create(self, kind: Kind, key: str, data: object, description: str) -> str | None:
        """A new artifact; its id, None where the server did not take it, which is logged once."""
        body = {
            "type": kind,
            "key": key,
            "data": data if isinstance(data, str | float) else json.dumps(data, allow_nan=False),
            "description": description,
            "flow_run_id": self.flow_run_id,
        }
        found = self._ask("POST", "artifacts/", body)
        return str(found["id"]) if isinstance(found, dict) and "id" in found else None

    def update(self, artifact_id: str, data: float, description: str) -> None:
        """Other data in its place."""
        self._ask("PATCH", f"artifacts/{artifact_id}", {"data": data, "description": description})

    def _ask(self, method: str, place: str, body: object) -> Any:
        if self.given_up:
            return None
        request = urllib.request.Request(
            f"{self.url}/{place}",
            json.dumps(body, allow_nan=False).encode(),
            {"Content-Type": "application/json", **processes.prefect_headers()},
            method=method,
        )
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=self.seconds) as response:
                return json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as error:
            _given_up.add(self.flow_run_id)
            log.warning(
                "Prefect did not take what this run shows there (%s: %s); the run itself goes on.",
                type(error).__name__, error,
            )  # fmt: skip
            return None


def of_this_run(error: BaseException | None = None) -> Server | None:
    """The server that knows the flow run under way, which `error` has ended if there is one.

    None where there is none, as in a flow called as a function.
    """
    from prefect.context import FlowRunContext

    context, url = FlowRunContext.get(), os.environ.get("PREFECT_API_URL")
    run = context.flow_run if context else None
    if run is None or not url:
        return None
    seconds = ENDING_SECONDS if isinstance(error, EndedBySignal) else PATIENCE_SECONDS
    return Server(url.rstrip("/"), str(run.id), seconds)


class Shown(Protocol):
    """What is known of a run, to be put into Prefect when it ends."""

    def leave(self, settings: Settings, error: BaseException | None) -> None:
        """Put it there; `error` is what ended the run, None for one that succeeded."""


Known = TypeVar("Known", bound=Shown)


@contextmanager
def left_in_prefect(shown: Known, settings: Settings) -> Iterator[Known]:
    """Leave in Prefect what became of the block, a run; one that found another under way leaves nothing."""
    try:
        yield shown
    except BusyError:
        raise
    except BaseException as error:
        shown.leave(settings, error)
        raise
    else:
        shown.leave(settings, None)
