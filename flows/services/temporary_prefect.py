"""A Prefect server for one command, ended with its parent.

`python -m flows.services.temporary_prefect PORT PARENT` serves it.
Prefect would start one by itself, but gives up with a traceback where it does not answer soon, as on a busy
machine, and leaves it behind when the command is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_DEATH_SIGNAL = 1


def end_with(parent: int) -> None:
    """Be told to end when the parent process ends, in whatever way; only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)


def main() -> None:
    """Serve Prefect's interface, without its pages and background services."""
    port, parent = map(int, sys.argv[1:])
    end_with(parent)
    import uvicorn
    from prefect.server.api.server import create_app

    uvicorn.run(create_app(ephemeral=True, final=True), host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main()
