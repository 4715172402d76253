"""What the machine lets us use: quotas of real and of written control groups, threads that do not spin."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.installation import machine
from tests import ordinary_user

PROJECT = Path(__file__).resolve().parents[3]
ASK = "from flows.settings import Settings; print(Settings().threads)"


def environment(**changed: str) -> dict[str, str]:
    dropped = ("CREDITLENS_", "OMP_", "NUMBA_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | changed


def ask(code: str, *before: str, **changed: str) -> str:
    """What a new process prints, started by `before`."""
    done = subprocess.run(
        [*before, sys.executable, "-c", code],
        env=environment(**changed), cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_default_of_threads_follows_the_processors_that_the_process_may_run_on() -> None:
    one = next(iter(sorted(os.sched_getaffinity(0))))
    assert ask(ASK, "taskset", "--cpu-list", str(one)) == "1"
    assert ask(ASK, "taskset", "--cpu-list", str(one), CREDITLENS_THREADS="3") == "3"


# Each: /proc/self/cgroup, the mounts of mountinfo, the files of the groups; and the processors and bytes allowed.
TREES = {
    "version 2, in a container": (
        "0::/\n",
        [("/", "cgroup2", "rw")],
        {"cpu.max": "150000 100000", "memory.max": "1073741824"},
        (2, 1 << 30),
    ),
    "version 2, the limit set above the group": (
        "0::/system.slice/night.service\n",
        [("/", "cgroup2", "rw")],
        {"system.slice/cpu.max": "100000 100000", "system.slice/night.service/cpu.max": "max 100000"},
        (1, 8 << 30),
    ),
    "version 1, a container that sees a part of the host's tree": (
        "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/\n",
        [("/docker/abc", "cgroup", "rw,cpu,cpuacct")],
        {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"},
        (1, 8 << 30),
    ),
    "version 1 without a limit": (
        "4:cpu:/\n3:memory:/\n",
        [("/", "cgroup", "rw,cpu")],
        {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
        (4, 8 << 30),
    ),
    "no control groups at all": ("", [], {}, (4, 8 << 30)),
}


@pytest.mark.parametrize(("groups", "mounts", "files", "allowed"), TREES.values(), ids=TREES.keys())
def test_quotas_of_control_groups_are_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: str,
    mounts: list[tuple[str, str, str]],
    files: dict[str, str],
    allowed: tuple[int, int],
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    proc, tree = tmp_path / "proc", tmp_path / "with a space"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:        8388608 kB\nMemFree: 1 kB\n")
    (proc / "self" / "cgroup").write_text(groups)
    point = str(tree).replace(" ", "\\040")
    lines = [
        f"30 1 0:2{i} {root} {point} rw - {kind} none {options}" for i, (root, kind, options) in enumerate(mounts)
    ]
    (proc / "self" / "mountinfo").write_text("\n".join(["1 1 8:1 / / rw - ext4 /dev/sda rw", *lines]))
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content + "\n")
    assert (machine.processors(proc), machine.memory_bytes(proc)) == allowed


@pytest.fixture
def half_a_processor() -> Iterator[Path | None]:
    """A real control group with half a processor, where this machine lets us make one."""
    version_1, version_2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    parent = version_1 if version_1.is_dir() else version_2
    group = parent / f"creditlens-test-{os.getpid()}"
    try:
        group.mkdir()
        if parent is version_1:
            (group / "cpu.cfs_quota_us").write_text("50000")
        else:
            (group / "cpu.max").write_text("50000 100000")
    except OSError:
        yield None
    else:
        yield group
    if group.exists():
        group.rmdir()


def test_the_default_of_threads_follows_the_quota_of_a_real_control_group(half_a_processor: Path | None) -> None:
    if half_a_processor is None:
        pytest.skip("this machine lets nobody make a control group; the written ones above are tested")
    join = f'echo $$ > {half_a_processor}/cgroup.procs && exec "$@"'
    assert ask(ASK, "sh", "-c", join, "sh") == "1"


def test_threads_of_libraries_do_not_spin_and_are_as_many_as_the_setting_says() -> None:
    show = "import flows, os; print(os.environ['OMP_WAIT_POLICY'], os.environ['OMP_NUM_THREADS'])"
    assert ask(show) == f"passive {machine.processors()}"
    assert ask(show, CREDITLENS_THREADS="1") == "passive 1"
    assert ask(show, OMP_WAIT_POLICY="active", OMP_NUM_THREADS="7") == "active 7"


def test_lightgbm_is_loaded_after_its_threads_were_told_not_to_spin() -> None:
    # OpenMP itself says what it read when it was loaded, on standard error.
    done = subprocess.run(
        [sys.executable, "-c", "import flows.training"],
        env=environment(OMP_DISPLAY_ENV="true"), cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    policies = [line.split("=")[1].strip() for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    assert policies
    assert set(policies) == {"'PASSIVE'"}


@pytest.mark.parametrize("folder", ["home", "state", "neither"])
def test_compiled_code_finds_a_place_where_the_checkout_is_somebody_elses(tmp_path: Path, folder: str) -> None:
    for part in (tmp_path, *tmp_path.parents):
        if part.is_relative_to("/tmp/") and part != Path("/tmp"):
            part.chmod(0o755)
    places = {name: tmp_path / name for name in ("home", "state", "neither")}
    user = ordinary_user.user(12345)
    for place in places.values():
        place.mkdir()
        place.chmod(0o555)
    if user.before:
        os.chown(places[folder], 12345, 12345)
    places[folder].chmod(0o755)
    done = subprocess.run(
        [
            *user.before,
            user.python,
            "-c",
            "import flows, db.runs.copy, os; print(os.environ.get('NUMBA_CACHE_DIR'))",
        ],
        env={**environment(HOME=str(places["home"]), CREDITLENS_STATE=str(places["state"])), **user.environment},
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if user.before:
        expected = {"home": "home/.cache/creditlens/numba", "state": "state/cache/numba", "neither": "/creditlens-"}
        assert expected[folder] in done.stdout
