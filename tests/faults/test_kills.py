"""SIGKILL at any moment of a night: readers see one whole run, and the next night needs no hand."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Site
from tests.faults.nights import Night
from tests.faults.reader import Seen
from tests.faults.watch import STAGES, Watch

# Longest wait between coming to a stage and the kill, in seconds.
PATIENCE = {
    "survey": 0.4,
    "check": 0.15,
    "score": 0.3,
    "explain": 0.3,
    "similar": 0.3,
    "copy new_customer": 0.01,
    "copy score": 0.0,
    "copy shap_value": 0.05,
    "copy told": 0.0,
    "index": 0.1,
    "audit": 0.1,
    "attach": 0.0,
    "pointer": 0.0,
    "published": 0.03,
    "retire": 0.03,
}


@pytest.fixture(scope="module")
def watch(site: Site) -> Iterator[Watch]:
    made = Watch(site.installation.engine)
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole(site: Site) -> dict[Path, Seen]:
    """What readers see of either file when nothing goes wrong."""
    seen: dict[Path, Seen] = {}
    for file in (*site.files, *site.files):
        night = site.night(file, **ENVIRONMENT)
        assert night.wait() == 0, night.errors
        assert seen.setdefault(file, site.reader.look()) == site.reader.look()
    assert [view.customers for view in seen.values()] == [(2_000,) * 3, (1_900,) * 3]
    return seen


ENVIRONMENT = {"CREDITLENS_RETAINED_RUNS": "2", "CREDITLENS_CHUNK_ROWS": "700", "CREDITLENS_THREADS": "1"}


def kill(night: Night, watch: Watch, stage: str, delay: float) -> set[str]:
    """Kill the night `delay` seconds after it has come to the stage; all stages that it really was in."""
    while night.running and not watch.at(stage, watch.look()):
        pass
    if delay:
        time.sleep(delay)
    if not night.freeze():
        return set()
    hit = watch.stages(night.noted)
    night.kill()
    return hit


@pytest.mark.timeout(1800)
def test_killed_at_any_moment_readers_see_one_whole_run_and_the_next_night_needs_no_hand(
    site: Site, whole: dict[Path, Seen], watch: Watch, seed: int, everything: bool
) -> None:
    """After each kill comes a night that nobody touches, but for a quarter: there the next one is killed too."""
    chance = random.Random(seed)
    wanted = 50 if everything else 7
    hits: Counter[str] = Counter()
    kills = followed = recovering = 0
    killed = False
    current = site.files[1]
    log: list[str] = []
    started = time.monotonic()
    for attempt in range(8 * wanted):
        missing = [stage for stage in STAGES if not hits[stage]]
        if killed and chance.random() < 0.75:
            current = undisturbed(site, whole, current)
            followed += 1
            killed = False
            continue
        if followed >= wanted and not killed and (not missing or not everything):
            break
        target = chance.choice(missing if missing and chance.random() < 0.7 else list(STAGES))
        file = next(file for file in site.files if file != current)
        watch.begin()
        before = site.reader.run_id
        night = site.night(file, **ENVIRONMENT)
        hit = kill(night, watch, target, chance.uniform(0, PATIENCE[target]))
        hits.update(hit)
        after = "after a killed one " if killed else ""
        log.append(f"{attempt}: {after}aimed at {target}, hit {', '.join(sorted(hit)) or 'nothing, it had ended'}")
        if site.reader.run_id != before:
            current = file
        assert site.reader.look() == whole[current], log[-1]
        assert site.reader.repeated_scores() == 0, log[-1]
        if not hit:
            assert night.wait() == 0, night.errors
        kills += bool(hit)
        recovering += killed and bool(hit)
        killed = bool(hit)
    print("\n".join(log))
    print(
        f"{kills} kills in {time.monotonic() - started:.0f} s: {followed} each followed at once by an undisturbed"
        f" night that was as it should be, {recovering} of nights that came after a killed one;"
        f" {dict(sorted(hits.items()))}"
    )
    assert followed >= wanted
    assert recovering or not everything
    assert len([stage for stage in STAGES if hits[stage]]) >= (len(STAGES) if everything else len(STAGES) // 4)


def undisturbed(site: Site, whole: dict[Path, Seen], current: Path) -> Path:
    """A night that nobody touches: published, and nothing is left of those before it."""
    file = next(file for file in site.files if file != current)
    night = site.night(file, **ENVIRONMENT)
    assert night.wait() == 0, night.errors
    assert night.answer["outcome"] == "published"
    assert "Traceback" not in night.errors
    assert site.reader.look() == whole[file]
    owner = site.installation
    assert owner.value("SELECT count(*) FROM credit.scoring_run WHERE status = 'running'") == 0
    kept = owner.rows(
        "SELECT run_id FROM credit.scoring_run WHERE status = 'published' AND retired_at IS NULL ORDER BY 1"
    )
    assert len(kept) == 2
    tables = owner.rows(
        "SELECT DISTINCT right(relname, 8)::int FROM pg_class WHERE relkind = 'r' AND relname ~ '_r[0-9]{8}$'"
        " AND relnamespace = 'credit'::regnamespace ORDER BY 1"
    )
    assert tables == kept
    assert list((owner.settings.state / "scratch").glob("*")) == []
    return file
