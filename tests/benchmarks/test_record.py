"""`make bench` says what it needs, and loses no figure: of a part that fails, is interrupted, or is run alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks.measure import Record, Result

PROJECT = Path(__file__).resolve().parents[2]


def part(*names: str, then: BaseException | None = None) -> bench.Part:
    def run() -> Iterator[Result]:
        for number, name in enumerate(names):
            yield Result(name, number, "s")
        if then is not None:
            raise then

    return run


def names(path: Path) -> list[str]:
    return [row["name"] for row in json.loads(path.read_text())]


@pytest.mark.parametrize("error", [RuntimeError("a"), SystemExit("creditlens nightly failed")], ids=repr)
def test_a_part_that_fails_loses_nothing_and_the_others_run(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "bench.json"
    parts = {"one": part("a", "b", then=error), "two": part("c")}
    assert bench.measure(parts, Record(path)) == ["one"]
    assert names(path) == ["a", "b", "c"]


def test_an_interruption_loses_nothing_and_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    parts = {"one": part("a"), "two": part("b", then=KeyboardInterrupt()), "three": part("c")}
    assert bench.measure(parts, Record(path)) == ["two", "three"]
    assert names(path) == ["a", "b"]
    assert "Interrupted in two" in capsys.readouterr().err


def test_a_part_alone_keeps_the_figures_of_the_others_and_drops_its_own_that_are_no_more(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('[{"name": "of 0.3", "value": 1, "unit": "s", "goal": null, "met": null}]')
    bench.measure({"one": part("a"), "two": part("b, slowest chart 1", "c")}, Record(path))
    bench.measure({"two": part("c", "b, slowest chart 2")}, Record(path))
    rows = {row["name"]: row for row in json.loads(path.read_text())}
    assert set(rows) == {"of 0.3", "a", "c", "b, slowest chart 2"}
    assert (rows["c"]["value"], rows["c"]["part"]) == (0, "two")


def test_a_file_that_is_no_list_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("[{")
    assert bench.measure({"one": part("a")}, Record(path)) == []
    assert names(path) == ["a"]


def test_what_is_missing_is_said_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "memory_bytes", lambda: 10**9)
    monkeypatch.setenv("CREDITLENS_CHROMIUM", "no-such-browser")
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "bench.json")
    assert bench.main(["dashboards"]) == 2
    printed = capsys.readouterr()
    assert "about 20 minutes" in printed.out
    assert "GB of memory are needed" in printed.err and "no-such-browser was not found" in printed.err


def test_its_help_names_the_parts_and_what_they_need() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in bench.PARTS:
        assert f"  {name} " in done.stdout
    assert "minutes" in done.stdout and "GB of disk" in done.stdout
