"""SIGTERM and SIGHUP: a night that is asked to end does so at once, leaves nothing, and is told like a failure."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.alerts import last_night
from flows.operations import status
from tests.faults.conftest import Site
from tests.faults.nights import Night
from tests.faults.reader import Seen
from tests.faults.watch import Watch

pytestmark = pytest.mark.timeout(600)
ENVIRONMENT = {"CREDITLENS_CHUNK_ROWS": "700", "CREDITLENS_THREADS": "1"}
# A chunk that a thread is at work on is finished, and a query under way is cancelled.
AT_ONCE = 15.0


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    made = Watch(site.installation.engine)
    made.begin()
    yield made
    made.close()


@pytest.fixture(scope="module")
def first(site: Site) -> Seen:
    """What readers see of the first file."""
    night = site.night(site.files[0], **ENVIRONMENT)
    assert night.wait() == 0, night.errors
    return site.reader.look()


def until(watch: Watch, night: Night, stage: str) -> None:
    while not watch.at(stage, watch.look()):
        assert night.running, night.errors


def tables_of(site: Site, run_id: int) -> object:
    return site.installation.value(
        f"SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '_r{run_id:08d}$'"
    )


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("check", signal.SIGTERM),
        ("explain", signal.SIGHUP),
        ("copy shap_value", signal.SIGTERM),
        ("index", signal.SIGHUP),
        ("audit", signal.SIGTERM),
        ("attach", signal.SIGTERM),
    ],
)
def test_a_night_that_is_asked_to_end_closes_its_run_and_is_told(
    site: Site,
    first: Seen,
    watch: Watch,
    webhook: tuple[str, list[dict[str, Any]]],
    stage: str,
    number: signal.Signals,
) -> None:
    night = site.night(site.files[1], CREDITLENS_NOTIFY_URL=webhook[0], **ENVIRONMENT)
    until(watch, night, stage)
    os.kill(night.pid, number)
    asked = time.monotonic()
    code = night.wait()
    took = time.monotonic() - asked
    run_id = watch.look().newest
    if code == 1 and "published before" in str(night.answer["message"]):
        pytest.fail(f"It was published before the signal came, which was to come at {stage}")
    sentence = f"Ended by {number.name}; nothing was published."
    assert (code, night.answer) == (1, {"outcome": "failed", "message": sentence})
    assert "Traceback" not in night.errors
    assert night.errors.splitlines()[-1] == f"creditlens: {sentence}"
    assert took < AT_ONCE
    row = site.installation.rows(f"SELECT status, message FROM credit.scoring_run WHERE run_id = {run_id}")
    assert row == [("failed", sentence)]
    assert tables_of(site, run_id) == 0
    assert list((site.installation.settings.state / "scratch").glob("*")) == []
    noted = last_night.last(site.installation.settings)
    assert noted is not None and (noted.outcome, noted.message) == ("failed", sentence)
    assert [(told["event"], told["message"]) for told in webhook[1]] == [("night_failed", sentence)]
    assert any(sentence in problem for problem in status.status_json(site.installation.settings)["problems"])
    assert site.reader.look() == first
    print(f"{stage}: ended {took:.1f} s after {number.name}")


def test_a_night_that_has_published_says_so_and_was_a_good_one(site: Site, first: Seen, watch: Watch) -> None:
    """Asked to end after its publication, while older runs are dropped."""
    for _ in range(10):
        watch.begin()
        file = site.files[0]
        night = site.night(file, "--force", CREDITLENS_RETAINED_RUNS="2", **ENVIRONMENT)
        until(watch, night, "published")
        if night.freeze():
            os.kill(night.pid, signal.SIGTERM)
            night.thaw()
        if night.wait() == 1:
            break
        assert night.answer["outcome"] == "published"
    run_id = watch.look().newest
    assert night.answer["message"] == f"Ended by SIGTERM; run {run_id} was published before."
    assert site.reader.look() == first
    noted = last_night.last(site.installation.settings)
    assert noted is not None and noted.outcome == "ended"
    assert site.installation.value(f"SELECT status FROM credit.scoring_run WHERE run_id = {run_id}") == "published"


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a receiver that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_second_signal_ends_it_at_once(site: Site, first: Seen, watch: Watch, deaf: str) -> None:
    """Its run is closed, and whom it wants to tell does not answer."""
    night = site.night(site.files[1], CREDITLENS_NOTIFY_URL=deaf, **ENVIRONMENT)
    until(watch, night, "copy shap_value")
    os.kill(night.pid, signal.SIGTERM)
    state = site.installation.settings.state / "night.json"
    deadline = time.monotonic() + 30
    while "Ended by SIGTERM" not in state.read_text():
        assert night.running and time.monotonic() < deadline, night.errors
        time.sleep(0.05)
    os.kill(night.pid, signal.SIGTERM)
    assert night.wait(5) == -signal.SIGTERM
    assert (
        site.installation.value(f"SELECT status FROM credit.scoring_run WHERE run_id = {watch.look().newest}")
        == "failed"
    )


def test_a_hang_up_that_is_ignored_stays_so(site: Site, first: Seen, watch: Watch, tmp_path: Path) -> None:
    """As under nohup, whose night outlives the terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        from flows import signals

        with signals.raised():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is signals._end
        assert signal.getsignal(signal.SIGTERM) is not signals._end
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_that_a_library_makes_of_the_signal_is_told_as_the_signal() -> None:
    from flows import signals

    def hit(wrapped: bool) -> None:
        with signals.raised():
            try:
                signal.raise_signal(signal.SIGTERM)
            except signals.EndedBySignal as error:
                if wrapped:
                    raise ValueError("A serialiser was hit") from error

    with pytest.raises(signals.EndedBySignal, match="Ended by SIGTERM"):
        hit(wrapped=True)
    # One that is swallowed is noticed at the next stage, and another block begins anew.
    with signals.raised():
        with pytest.raises(signals.EndedBySignal):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(signals.EndedBySignal, match="SIGTERM"):
            signals.check()
    with signals.raised():
        signals.check()
