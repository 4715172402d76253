"""`make bench`: every figure at full size. Each figure is written as soon as it is measured."""

from __future__ import annotations

import argparse
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.installation.machine import memory_bytes
from tests.benchmarks.measure import RESULTS, STATE, Record, Result, machine

Part = Callable[[], Iterator[Result]]


@dataclass(frozen=True)
class Needs:
    """What a part takes on a machine with two cores, in minutes and gigabytes, and whether it needs a browser."""

    measures: str
    minutes: int
    disk: float
    memory: float
    dashboards: bool = False


NEEDS = {
    "explain": Needs("explanations beside LightGBM's and woodelf's", 10, 0, 2),
    "similar": Needs("the former customers nearest to each of 48,744 applicants", 15, 0, 6),
    "night": Needs("the whole night, of 48,744 and of 487,440 customers, beside the plain way", 25, 12, 4),
    "growth": Needs("what a million customers cost, other layouts, and one core against two", 40, 14, 5),
    "dashboards": Needs(
        "the dashboards over thirty nights, for one user and for twenty", 20, 8, 5, dashboards=True
    ),
    "load": Needs("fifty advisors through the proxy, at full size", 15, 8, 6, dashboards=True),
}


def _explain() -> Iterator[Result]:
    from tests.benchmarks import bench_explain

    return bench_explain.run()


def _similar() -> Iterator[Result]:
    from tests.benchmarks import bench_similar

    return bench_similar.run()


def _night() -> Iterator[Result]:
    from tests.benchmarks import bench_night

    return bench_night.run()


def _growth() -> Iterator[Result]:
    from tests.benchmarks import bench_growth

    return bench_growth.run()


def _dashboards() -> Iterator[Result]:
    from tests.benchmarks import bench_dashboards

    return bench_dashboards.run()


def _load() -> Iterator[Result]:
    from tests.benchmarks import bench_load

    return bench_load.run()


# What a part imports, only that part needs.
PARTS: Mapping[str, Part] = {
    "explain": _explain,
    "similar": _similar,
    "night": _night,
    "growth": _growth,
    "dashboards": _dashboards,
    "load": _load,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what the chosen parts need, measure them one after the other, and write every figure; the exit code."""
    described = "\n".join(f"  {name:<12}{need.measures} ({needs_text([name])})" for name, need in NEEDS.items())
    parser = argparse.ArgumentParser(
        prog="make bench, or python -m tests.benchmarks",
        description=f"{__doc__}\n\nParts, each of which can be run alone:\n{described}\n\nWritten to {RESULTS}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    chosen = parser.parse_args(arguments).parts or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; choose from {', '.join(PARTS)}")
    print(f"To measure: {', '.join(chosen)}. This takes {needs_text(chosen)}.", flush=True)
    if problems := missing(chosen):
        print(*(f"bench: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 2
    record = Record(RESULTS)
    failed: Sequence[str] = ()
    try:
        failed = measure({name: PARTS[name] for name in chosen}, record)
    finally:
        stop_servers()
        record.show(machine())
        if failed:
            print(f"Not measured to the end: {', '.join(failed)}; see above.")
    return 1 if failed else 0


def needs_text(names: Sequence[str]) -> str:
    """What the parts take, for people."""
    needs = [NEEDS[name] for name in names]
    disk = max(need.disk for need in needs)
    return ", ".join(
        [
            f"about {sum(need.minutes for need in needs)} minutes",
            f"{max(need.memory for need in needs):g} GB of memory",
            *([f"{disk:g} GB of disk"] if disk else []),
            *(["Superset and a browser"] if any(need.dashboards for need in needs) else []),
        ]
    )


def missing(names: Sequence[str]) -> list[str]:
    """What this machine lacks for the parts, each in a sentence with the way out."""
    needs = [NEEDS[name] for name in names]
    found = []
    disk, memory = max(need.disk for need in needs), max(need.memory for need in needs)
    there = next(folder for folder in (STATE, *STATE.parents) if folder.exists())
    made = (STATE / "postgres" / "data" / "PG_VERSION").exists()
    free = shutil.disk_usage(there).free / 1e9
    if free < disk and not made:
        found.append(f"The disk of {there} has {free:.1f} GB left, {disk:g} GB are needed; make room.")
    if (memory_bytes() or 1 << 60) < memory * 1e9:
        found.append(f"{memory:g} GB of memory are needed; choose other parts ({', '.join(PARTS)}).")
    if any(need.dashboards for need in needs):
        from flows.services.superset import ENVIRONMENT
        from tests.e2e.desk import executable

        if not (ENVIRONMENT / "bin" / "gunicorn").exists():
            found.append("Superset is not installed; run `make superset` first.")
        try:
            executable()
        except FileNotFoundError as error:
            found.append(str(error))
    if "load" in names:
        from tests.benchmarks import bench_load

        found += bench_load.missing()
    return found


def measure(parts: Mapping[str, Part], record: Record) -> list[str]:
    """Run the parts; one that fails keeps none of the others from running. The parts that did not end."""
    failed: list[str] = []
    for name, run in parts.items():
        print(f"--- {name}", flush=True)
        record.begin(name)
        try:
            for result in run():
                record.add(result)
        except KeyboardInterrupt:
            print(f"bench: Interrupted in {name}; what was measured is written.", file=sys.stderr)
            return list(parts)[list(parts).index(name) :]
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            print(f"bench: {name} failed, what it had measured is written: {error}", file=sys.stderr)
            failed.append(name)
        else:
            record.end()
    return failed


def stop_servers() -> None:
    """Stop what the parts started."""
    from flows.services import prefect
    from flows.settings import Settings

    for state in (STATE, STATE / "dashboards"):
        if (Path(state) / "secrets.json").exists():
            installed = Settings(state=state, database_url=None)
            prefect.prefect_server(installed).stop()
            installed.embedded().stop()


if __name__ == "__main__":
    sys.exit(main())
