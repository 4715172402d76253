"""How Superset is served: two processes sharing one loaded application, threads for what waits on Postgres."""

from __future__ import annotations

import os
from typing import Any

from superset_assets.server.fair_worker import WORKERS

bind = os.environ["CREDITLENS_SUPERSET_BIND"]
wsgi_app = "superset.app:create_app()"
workers = WORKERS
worker_class = "superset_assets.server.fair_worker.FairWorker"
threads = 8
# Loaded once and shared: the second worker costs neither the seconds nor most of the memory of the first.
preload_app = True
timeout = 60
graceful_timeout = 10
keepalive = 75
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
loglevel = "warning"
# It would be a socket in the user's home, one for all installations.
control_socket_disable = True


def post_fork(server: Any, _worker: Any) -> None:
    """Leave the connections that the parent opened to the parent."""
    from superset.extensions import db

    with server.app.wsgi().app_context():
        db.engine.dispose(close=False)
