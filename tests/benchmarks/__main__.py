"""`make bench`: every figure, at full size, in one run."""

from __future__ import annotations

import argparse

from flows import services
from tests.benchmarks import bench_dashboards, bench_explain, bench_night
from tests.benchmarks.measure import Result, machine, write

PARTS = {"explain": bench_explain.run, "night": bench_night.run, "dashboards": bench_dashboards.run}


def main() -> None:
    """Run the named parts, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[], help="default: all")
    chosen = parser.parse_args().parts or list(PARTS)
    results: list[Result] = []
    try:
        for name in chosen:
            print(f"--- {name}", flush=True)
            results += PARTS[name]()
    finally:
        settings = bench_night.settings()
        services.prefect_server(settings).stop()
        settings.embedded().stop()
    write(results, machine())


if __name__ == "__main__":
    main()
