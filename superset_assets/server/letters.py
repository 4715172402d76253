"""A customer's sheet and decision letter as PDF: set by the program, in a process of its own beside Superset.

Superset's process imports nothing of ours and has no typesetter; the `creditlens` command stands beside it, in
containers too. What is written goes to the reader and stays nowhere.
"""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore

log = logging.getLogger(__name__)
KINDS = ("sheet", "decision")
# Each takes a processor for a second or two: who comes when all are taken waits, and not for ever.
_AT_ONCE = BoundedSemaphore(2)
PATIENCE_SECONDS = 30.0


class NotWrittenError(Exception):
    """The page was not written; the log says why."""


def written(program: Sequence[str], customer: int, kind: str, language: str) -> bytes:
    """The PDF of a customer whom the reader may see, which is for the caller to know.

    Raises NotWrittenError if the program refuses, fails or takes too long.
    """
    if not _AT_ONCE.acquire(timeout=PATIENCE_SECONDS):
        log.warning("A letter waited for %.0f s and was given up", PATIENCE_SECONDS)
        raise NotWrittenError
    try:
        with tempfile.TemporaryDirectory(prefix="letter-") as folder:
            file = Path(folder) / "letter.pdf"
            command = [*program, "letter", str(customer), "--kind", kind, "--language", language, "--json"]
            done = subprocess.run(
                [*command, "--output", str(file)],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
            )  # fmt: skip
            if done.returncode != 0:
                log.warning("A letter was not written: %s", _why(done.stdout) or done.stderr[-500:])
                raise NotWrittenError
            return file.read_bytes()
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("A letter was not written: %s", type(error).__name__)
        raise NotWrittenError from error
    finally:
        _AT_ONCE.release()


def _why(printed: str) -> str | None:
    try:
        return str(json.loads(printed)["message"])
    except (ValueError, LookupError, TypeError):
        return None
