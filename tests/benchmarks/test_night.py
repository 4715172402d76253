"""The benchmark's heavy model is one that a night takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import bench_night
from tests.installation import Installation


def test_a_night_runs_with_the_heavy_model(
    installation: Installation, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.nightly import nightly

    monkeypatch.setattr(bench_night, "STATE", installation.settings.state)
    monkeypatch.setitem(bench_night.HEAVY, "trees", 20)
    bench_night.install_heavy_model(files[0], installation.settings)
    assert nightly(files[1]).outcome == "published"
