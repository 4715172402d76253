"""`make containers`: both images built, docker-compose.yml run, read, broken in every part, and put away.

It needs root and Debian's podman and docker-compose, and says so where it lacks them: it never passes without
having run. Base images are stand-ins made of Debian's packages, so that no registry is needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from superset_assets.screenshots.take import browser
from tests.containers import images
from tests.containers.engine import Engine, EngineError, missing
from tests.containers.trial import KILLED, Trial

GIGABYTES = 12


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trial; exit code 2 where it cannot be run, 1 where something does not hold."""
    parser = argparse.ArgumentParser(prog="make containers, or python -m tests.containers", description=__doc__)
    parser.add_argument("--images", type=Path, help="A folder in which images stay for the next time")
    parser.add_argument("--keep-going", action="store_true", help="Go on after a step that did not hold")
    chosen = parser.parse_args(arguments)
    problems = missing()
    if browser() is None:
        problems.append(
            "Chromium was not found (Debian: apt-get install chromium), or name one in CREDITLENS_CHROMIUM."
        )
    if shutil.disk_usage(tempfile.gettempdir()).free < GIGABYTES * 1e9:
        problems.append(f"{tempfile.gettempdir()} has less than {GIGABYTES} GB left; name a folder in TMPDIR.")
    if problems:
        print(*(f"containers: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        raise SystemExit(2)
    folder = Path(tempfile.mkdtemp(prefix="creditlens-containers-"))
    folder.chmod(0o755)
    engine = Engine(folder, (chosen.images or folder / "images").absolute(), f"creditlens_trial_{os.getpid()}")
    failed: list[str] = []
    try:
        run(engine, failed, keep_going=chosen.keep_going)
    finally:
        with suppress(EngineError):
            engine.remove_everything()
        if chosen.images is None:
            with suppress(EngineError):
                engine.podman("system", "reset", "--force")
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{folder} {'is still there' if folder.exists() else 'is gone'}.", flush=True)
    if failed:
        print(*(f"FAILED: {one}" for one in failed), sep="\n", flush=True)
        raise SystemExit(1)
    print("Everything holds.")


def run(engine: Engine, failed: list[str], *, keep_going: bool) -> None:
    """Every step in order, each with what came out."""
    print("Stand-ins for the base images, then ours:", flush=True)
    images.make_stand_ins(engine)
    images.build(engine)
    trial = Trial(engine)
    trial.prepare()
    with engine.served(**trial.environment()):
        try:
            steps(trial, failed, keep_going=keep_going)
        except BaseException:
            for name in engine.podman("ps", "--all", "--format", "{{.Names}}").split():
                with suppress(EngineError):
                    print(f"--- {name}\n{engine.podman('logs', '--tail', '15', name)}", file=sys.stderr)
            raise


def steps(trial: Trial, failed: list[str], *, keep_going: bool) -> None:
    """The life of an installation."""

    def started() -> str:
        return f"all health checks green after {trial.start():.0f} s"

    wanted: list[tuple[str, Callable[[], str]]] = [
        ("started", started),
        ("only the proxy is reached from outside", trial.only_the_proxy_is_reached_from_outside),
        ("nobody is root", trial.nobody_is_root_and_nothing_is_written),
        ("no secret in an environment or a process list", trial.no_secret_in_environment_or_process_list),
        ("threads follow the quota", trial.threads_follow_the_quota),
        ("the schedule runs a night", trial.the_schedule_runs_a_night),
        ("an advisor opens a customer", trial.an_advisor_opens_a_customer),
        ("the proxy compresses and keeps", trial.the_proxy_compresses_and_keeps),
        ("export, erase, backup, restore", trial.export_erase_backup_and_restore_work),
        *((f"{service} killed", partial(trial.kill, service)) for service in KILLED),
        ("a night asked to end", trial.a_night_that_is_asked_to_end_closes_its_ledger),
        ("wrong passwords are counted together", trial.wrong_passwords_are_counted_together),
        ("stopped in order", trial.stop_in_order),
        ("nothing is left", trial.leave_nothing),
    ]
    for name, step in wanted:
        began = time.monotonic()
        try:
            told = step()
        except (AssertionError, EngineError) as error:
            failed.append(f"{name}: {error}")
            told = f"FAILED: {error}"
            if not keep_going or name == "started":
                print(f"  {name}: {told}", flush=True)
                raise
        print(f"  {name}: {told} [{time.monotonic() - began:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
