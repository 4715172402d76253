"""What every benchmark shares: results with goals, processes with time and peak memory, an installation apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from db.server.embedded import EmbeddedPostgres
from flows.settings import PROJECT

STATE = PROJECT / ".creditlens" / "bench"
RESULTS = PROJECT / ".creditlens" / "bench.json"
NEW_CUSTOMERS = 48_744
FORMER_CUSTOMERS = 307_511


@dataclass(frozen=True, slots=True)
class Result:
    """One measured figure; `met` says whether it is on the right side of its goal, None without a goal."""

    name: str
    value: float
    unit: str
    goal: str | None = None
    met: bool | None = None


def at_least(name: str, value: float, unit: str, goal: float) -> Result:
    return Result(name, value, unit, f">= {goal:g}", value >= goal)


def at_most(name: str, value: float, unit: str, goal: float) -> Result:
    return Result(name, value, unit, f"<= {goal:g}", value <= goal)


@dataclass
class Measured:
    """A finished process: wall seconds, peak memory, and the JSON that it printed.

    `peak_mb` is the high-water mark of the process itself. `whole_mb` is the highest sum over the process, its
    children and a Postgres server's processes, a page that several share counted once; 0 if it was not looked at.
    """

    seconds: float
    peak_mb: float
    answer: dict = field(default_factory=dict)
    whole_mb: float = 0.0


def command(*arguments: str, server: EmbeddedPostgres | None = None, **environment: str) -> Measured:
    """Run `creditlens ... --json` in a process of its own against the benchmark's installation.

    With a `server`, memory is added up over its processes too, five times a second. That takes time of a
    processor and holds up what is looked at, so such a run is not one to time.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CREDITLENS_", "PREFECT_"))}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments, "--json"],
        env={**kept, "CREDITLENS_STATE": str(STATE), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    peak_mb = whole_mb = 0.0
    due = started
    while process.poll() is None:
        peak_mb = max(peak_mb, _peak_mb(process.pid))
        if server is not None and time.perf_counter() >= due:
            whole_mb = max(
                whole_mb, sum(map(_proportional_mb, _family(process.pid) + _family(_postmaster(server))))
            )
            due = time.perf_counter() + 0.2
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"creditlens {' '.join(arguments)} failed: {output}")
    return Measured(seconds, peak_mb, json.loads(output), whole_mb)


def _peak_mb(pid: int) -> float:
    """The high-water mark of a process's resident memory (its own: ru_maxrss would begin with its parent's)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def _proportional_mb(pid: int) -> float:
    """What a process has in memory, a page that n processes share counted as an n-th (PSS)."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0.0)


def _family(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _postmaster(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


def table(results: list[Result]) -> str:
    """The results as a Markdown table."""
    lines = ["| what | measured | goal | met |", "|---|---|---|---|"]
    for result in results:
        met = {None: "", True: "yes", False: "NO"}[result.met]
        lines.append(f"| {result.name} | {_value(result)} | {result.goal or ''} | {met} |")
    return "\n".join(lines)


class Record:
    """The file of figures that other programs read: a list, to which each figure is added when it is measured.

    Figures of earlier runs stay until they are measured anew, so that parts can be run one by one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = _read(path)
        self._measured: list[Result] = []
        self._part = ""
        self._names: set[str] = set()

    def begin(self, part: str) -> None:
        """A part is begun, whose figures come next."""
        self._part, self._names = part, set()

    def add(self, result: Result) -> None:
        """Write a figure, in the place of an earlier one of the same name."""
        print(f"  {result.name}: {_value(result)}", flush=True)
        self._measured.append(result)
        self._names.add(result.name)
        row = asdict(result) | {"part": self._part, "measured_at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._rows = [other for other in self._rows if other["name"] != result.name] + [row]
        self._write()

    def end(self) -> None:
        """The part was measured whole: what it measured earlier under other names is of no use any more."""
        self._rows = [row for row in self._rows if row.get("part") != self._part or row["name"] in self._names]
        self._write()

    def show(self, machine: Mapping[str, object]) -> None:
        """Print what was measured now, and where it is written."""
        if not self._measured:
            return
        print(table(self._measured))
        print("\nMeasured on", ", ".join(f"{key} {value}" for key, value in machine.items()))
        missed = [result.name for result in self._measured if result.met is False]
        reached = f"Not reached: {'; '.join(missed)}." if missed else "All goals that were measured are reached."
        print(f"\nWritten to {self._path}. {reached}")

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._rows, indent=1))
        partial.replace(self._path)


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict) and "name" in row] if isinstance(rows, list) else []


def _value(result: Result) -> str:
    value = f"{result.value:,.0f}" if abs(result.value) >= 1000 else f"{result.value:.3g}"
    return f"{value} {result.unit}"


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    import platform

    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cores": os.cpu_count(),
        "CPU": model,
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "Python": platform.python_version(),
    }
