"""What this machine lets us use: processors, memory, and folders for caches.

Only the standard library is imported here: `make up` asks before anything is installed, and libraries that start
threads read their settings from the environment when they are loaded.
"""

from __future__ import annotations

import atexit
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
PROJECT = Path(__file__).resolve().parents[2]
_CPU, _MEMORY = "cpu", "memory"


def processors(proc: Path = PROC) -> int:
    """How many processors this process may keep busy: those it may run on, and the quota of its control groups."""
    known = getattr(os, "sched_getaffinity", None)
    available = len(known(0)) if known else os.cpu_count() or 1
    quotas = [quota for folder in _groups(_CPU, proc) if (quota := _cpu_quota(folder)) is not None]
    return max(1, min([available, *(math.ceil(quota) for quota in quotas)]))


def memory_bytes(proc: Path = PROC) -> int | None:
    """The memory that this process may use: the machine's, or the limit of its control groups; None if unknown."""
    limits = [limit for folder in _groups(_MEMORY, proc) if (limit := _memory_limit(folder)) is not None]
    for line in _text(proc / "meminfo").splitlines():
        if line.startswith("MemTotal:"):
            limits.append(int(line.split()[1]) * 1024)
    return min(limits, default=None)


def prepare_libraries() -> None:
    """Set in the environment what libraries read when they are loaded; what somebody has set stays."""
    # LightGBM's threads wait for each other many thousand times. Spinning, a thread that waits takes its processor
    # from the one that is waited for, wherever more wants to run than there are processors.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    threads = os.environ.get("CREDITLENS_THREADS", "")
    os.environ.setdefault("OMP_NUM_THREADS", threads if threads.isdecimal() and int(threads) else str(processors()))
    if "NUMBA_CACHE_DIR" not in os.environ and not ours(PROJECT / "scoring" / "__pycache__"):
        os.environ["NUMBA_CACHE_DIR"] = str(_cache_folder())


def state_folder() -> Path:
    """The folder of everything that is kept, as the settings will say it."""
    chosen = os.environ.get("CREDITLENS_STATE")
    return Path(chosen).expanduser().absolute() if chosen else PROJECT / ".creditlens"


def _cache_folder() -> Path:
    """Where numba may keep compiled code if not beside its source: numba itself ends where it finds no place."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ["HOME"] + "/.cache" if os.environ.get("HOME") else None)
    for folder in [Path(home)] if home else []:
        if ours(folder):
            return folder / "creditlens" / "numba"
    if ours(state_folder()):
        return state_folder() / "cache" / "numba"
    folder = Path(tempfile.mkdtemp(prefix="creditlens-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def ours(folder: Path) -> bool:
    """Whether we own a folder, or the first one above it that is there, and may write in it.

    Beside somebody else's files, ours would come into that person's way.
    """
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        return there.stat().st_uid == os.geteuid() and os.access(there, os.W_OK | os.X_OK)
    except OSError:
        return False


# --- control groups -------------------------------------------------------------------------------------------


def _groups(controller: str, proc: Path) -> Iterator[Path]:
    """The folders of the process's control group and of all above it that can be seen, of version 1 and 2."""
    for names, path in _memberships(proc):
        if names and controller not in names:
            continue
        for root, mounted in _mounts(controller if names else None, proc):
            # Without a namespace of its own, a container sees a part of the tree mounted, and paths of the whole.
            inside = path.removeprefix(root) if root != "/" else path
            folder = top = Path(mounted)
            yield top
            for part in Path(inside.strip("/")).parts:
                folder /= part
                yield folder


def _memberships(proc: Path) -> Iterator[tuple[set[str], str]]:
    """Controllers and path of each group of the process; version 2 names no controllers."""
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, names, path = line.split(":", 2)
        yield set(filter(None, names.split(","))), path


def _mounts(controller: str | None, proc: Path) -> Iterator[tuple[str, str]]:
    """Root and mount point of the trees of a controller of version 1, or of version 2 (None)."""
    for line in _text(proc / "self" / "mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = ([*rest.split(" ", 2), "", ""])[:3]
        wanted = kind == "cgroup2" if controller is None else kind == "cgroup" and controller in options.split(",")
        if wanted:
            root, mounted = fields.split(" ")[3:5]
            yield root, mounted.replace("\\040", " ")


def _cpu_quota(folder: Path) -> float | None:
    """Processors that a group may use, None without a limit."""
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    try:
        quota, period = int(words[0]), int(words[1])
    except (ValueError, IndexError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _memory_limit(folder: Path) -> int | None:
    text = (_text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
