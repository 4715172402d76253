"""How tests that root runs start a process as somebody else."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class User:
    """What stands before a command, the interpreter that the user may run, and what that needs.

    Whoever runs the tests without being root is an ordinary user already.
    """

    before: tuple[str, ...] = ()
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)


@cache
def user(uid: int) -> User:
    """An ordinary user by number, with the packages of this environment."""
    if os.geteuid() != 0:
        return User()
    before = ("setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups")
    found = User(before)
    if not _problem(found):
        return found
    # Our interpreter lies in a folder of root's own: the user gets a view of it, in a namespace of the process.
    place = tempfile.mkdtemp(prefix="creditlens-python-")
    os.chmod(place, 0o755)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    # Its own library, lest it find the system's of another version.
    library = ("env", f"LD_LIBRARY_PATH={place}/lib")
    found = User(
        ("unshare", "--mount", "sh", "-c", mount, "sh", sys.base_prefix, place, *library, *before),
        f"{place}/bin/{Path(sys.executable).resolve().name}",
        {"PYTHONPATH": sysconfig.get_path("purelib")},
    )
    problem = _problem(found)
    if problem:
        # As root, these tests would show nothing.
        raise RuntimeError(f"No process of an ordinary user can be started here: {problem}")
    return found


def _problem(user: User) -> str:
    """Why the user cannot run our interpreter; nothing if it can."""
    # By a shell: what setpriv itself starts, it may still open as root.
    test = [*user.before, "sh", "-c", f"exec '{user.python}' -c 'import psycopg, numba'"]
    done = subprocess.run(test, env={**os.environ, **user.environment}, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
