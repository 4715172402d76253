"""How far a run is, as a bar in Prefect: sent by a thread of its own, once a second at the most."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flows.artifacts.server import Server, of_this_run
from flows.artifacts.words import Language, number, words
from flows.installation import identity
from flows.progress import Reporter, replaced, reporter
from flows.settings import Settings

SECONDS_BETWEEN = 1.0


class PrefectReporter(Reporter):
    """Passes on to the reporter that was there, and notes the newest state of each stage for the thread."""

    def __init__(self, other: Reporter, server: Server, name: str, language: Language) -> None:
        super().__init__()
        self._other, self._server, self._name, self._language = other, server, name, language
        self._newest: dict[str, tuple[int, int]] = {}
        self._artifacts: dict[str, str | None] = {}
        self._something, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="progress in Prefect", daemon=True)
        self._thread.start()

    def update(self, stage: str, done: int, total: int) -> None:
        """Pass it on; the thread sends it when its time has come."""
        self._other.update(stage, done, total)
        self._newest[stage] = (done, total)
        self._something.set()

    def close(self) -> None:
        """Send what was noted last, and end the thread; a server that does not answer is not waited for."""
        self._over.set()
        self._something.set()
        self._thread.join(self._server.seconds)

    def _send_all(self) -> None:
        while not self._server.given_up:
            self._something.wait()
            self._something.clear()
            over = self._over.is_set()
            sent = time.monotonic()
            for stage in list(self._newest):
                self._send(stage, *self._newest.pop(stage))
            if over:
                return
            self._over.wait(max(0.0, sent + SECONDS_BETWEEN - time.monotonic()))

    def _send(self, stage: str, done: int, total: int) -> None:
        say, language = words(self._language), self._language
        about = say.get(f"progress_{stage}", say["progress_other"]).format(
            stage=stage, done=number(done, language=language), total=number(total, language=language)
        )
        share = 100.0 * done / total if total else 100.0
        if stage not in self._artifacts:
            self._artifacts[stage] = self._server.create(
                "progress", f"{self._name}-{stage.replace('_', '-')}", share, about
            )
        elif (artifact := self._artifacts[stage]) is not None:
            self._server.update(artifact, share, about)


@contextmanager
def progress_in_prefect(settings: Settings, kind: str) -> Iterator[None]:
    """Show in Prefect too how far the block is; nothing changes where there is no flow run, or no answer.

    Parameters
    ----------
    kind: the first word of the artifacts' keys, `night` or `training`.
    """
    server = of_this_run()
    if server is None:
        yield
        return
    shown = PrefectReporter(
        reporter(), server, f"{kind}-progress-{identity.of(settings.state).name}", settings.superset_locale
    )
    try:
        with replaced(shown):
            yield
    finally:
        shown.close()
