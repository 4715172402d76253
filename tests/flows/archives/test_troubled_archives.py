"""Archives that are away, damaged or cut short, and nights that come in between: nobody is missed, all is told."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from db.errors import BusyError, RefusedError
from db.runs import extract
from db.runs import ledger as runs_ledger
from flows.archives import files, known, people
from flows.archives.files import ArchiveError
from flows.operations import archive as archiving
from flows.operations import status
from flows.privacy import erase, export
from flows.privacy.stores.archives import Archive
from flows.settings import Settings
from tests.db import ledger
from tests.installation import Installation

PEOPLE = np.arange(700_007, 700_017, dtype=np.int32)


def night(installation: Installation, model_id: int, day: int) -> int:
    """A published run of these people."""
    people, each = len(PEOPLE), 3 * len(PEOPLE)
    columns = ledger.tables()
    changes: dict[str, Any] = {
        f"{table}.{name}": np.resize(values, people)
        for table in ("new_customer", "score")
        for name, values in columns[table].items()
        if isinstance(values, np.ndarray)
    }
    changes |= {
        "new_customer.customer_id": PEOPLE,
        "score.customer_id": PEOPLE,
        "score.band": ledger.text_bytes(["A"] * people),
        "score.decision": ledger.text_bytes(["accept"] * people),
        "shap_value.customer_id": np.repeat(PEOPLE, 3),
        "shap_value.feature_id": np.resize(columns["shap_value"]["feature_id"], each),
        "shap_value.numeric_value": np.full(each, 1.5),
        "shap_value.category_code": ledger.Masked(np.zeros(each, dtype=np.int16), np.ones(each, dtype=bool)),
        "shap_value.contribution": np.zeros(each, dtype=np.float32),
        "shap_value.rank": np.resize(columns["shap_value"]["rank"], each),
    }
    engine, date_of_night = installation.engine, ledger.DAY + timedelta(days=day)
    run_id = ledger.open_run(engine, model_id, day=date_of_night, sha256=f"{day:064d}")
    ledger.load(engine, run_id, changes)
    runs_ledger.publish(
        engine, run_id, customers=people, rejected=0, unknown_categories=0, stage_seconds={"load": 0.1}
    )
    return run_id


@pytest.fixture(scope="module")
def runs(installation: Installation) -> list[int]:
    model_id = ledger.new_model(installation.engine, "k")
    return [night(installation, model_id, day) for day in range(6)]


@pytest.fixture
def place(installation: Installation, runs: list[int], tmp_path: Path) -> Iterator[Path]:
    """An archive of the newest night, which no other test knows of."""
    archiving.archive_nights(Settings(), tmp_path / "archive", run_ids=[runs[-1]])
    yield tmp_path / "archive"
    (installation.settings.state / known.FILE).unlink(missing_ok=True)


def not_searched(done: dict[str, Any], place: Path) -> str:
    [named] = [one for one in done["not_searched"] if one["store"] == f"archive {place}"]
    return str(named["why"])


def test_an_archive_that_is_not_mounted_is_not_made_anew(
    installation: Installation, runs: list[int], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.archives.write import before_they_are_dropped

    place.rename(place.with_name("disk"))
    place.mkdir()
    with pytest.raises(ArchiveError, match="known as an archive and is not there now"):
        archiving.archive_nights(Settings(), place, run_ids=[runs[0]])
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(place))
    failed = before_they_are_dropped(Settings(), installation.engine, [runs[0]])
    assert "is not there now" in failed[runs[0]]
    assert list(place.iterdir()) == []
    # The way out that the sentence names, for whoever gave it up.
    (installation.settings.state / known.FILE).write_text(json.dumps({"archives": []}))
    assert archiving.archive_nights(Settings(), place, run_ids=[runs[0]])["outcome"] == "archived"


def test_what_killed_archivers_and_erasures_left_is_named_and_removed(
    installation: Installation, runs: list[int], place: Path, tmp_path: Path
) -> None:
    whole = place / files.name_of(runs[-1])

    def leave() -> list[Path]:
        partial = place / ".run-00000001.ab12.partial"
        partial.mkdir()
        shutil.copy(whole / "score.parquet", partial)
        shutil.copy(whole / "score.parquet", whole / ".score.parquet.ab12.partial")
        return [partial, whole / ".score.parquet.ab12.partial"]

    left = leave()
    assert set(people.find(place, int(PEOPLE[3]))) > {str(path) for path in left}
    found = export.export(Settings(), int(PEOPLE[3]), tmp_path / "copy", by="petra", languages=["en"])
    assert set(found["archives_not_searched"]) == {str(path) for path in left}
    people.erase(place, int(PEOPLE[3]))
    assert not any(path.exists() for path in left) and people.find(place, int(PEOPLE[3])) == {}
    left = leave()
    assert people.erase_since(place, "key", {}) == 0
    assert not any(path.exists() for path in left)


def while_choosing(monkeypatch: pytest.MonkeyPatch, does: Callable[[], object]) -> None:
    """Something that happens after the nights were chosen and before the first is archived."""

    def erase_since(*_: object) -> int:
        does()
        return 0

    monkeypatch.setattr(archiving.people, "erase_since", erase_since)


def test_a_night_that_is_retired_or_withdrawn_in_between_is_seen_as_it_is(
    installation: Installation, runs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_choosing(monkeypatch, lambda: runs_ledger.retire(installation.engine, retained_runs=5))
    done = archiving.archive_nights(Settings(), tmp_path / "archive", run_ids=[runs[0]])
    assert [(one["details"], one["rows"] > len(PEOPLE)) for one in done["nights"]] == [(False, True)]

    def withdraw() -> None:
        with installation.engine.begin() as connection:
            change = "UPDATE credit.scoring_run SET status = 'withdrawn' WHERE run_id = :run"
            connection.execute(text(change), {"run": runs[1]})

    while_choosing(monkeypatch, withdraw)
    with pytest.raises(RefusedError, match=f"Run {runs[1]} is not a published run any more"):
        archiving.archive_nights(Settings(), tmp_path / "archive", run_ids=[runs[1]])
    assert not (tmp_path / "archive" / files.name_of(runs[1])).exists()


def test_a_night_without_the_scores_that_it_had_is_not_archived(
    installation: Installation, runs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the database says of a night that lost its tables behind our back.
    monkeypatch.setattr(extract.Extract, "rows", lambda *_: 0)
    monkeypatch.setattr(extract.Extract, "csv", lambda *_: iter(()))
    with pytest.raises(ArchiveError, match=f"has no scores of {len(PEOPLE)} customers"):
        archiving.archive_nights(Settings(), tmp_path / "archive", run_ids=[runs[-1]])
    assert files.nights(tmp_path / "archive") == []


def test_a_night_that_is_due_comes_in_between_two_that_are_archived(
    installation: Installation, runs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = []

    def due(_: float) -> None:
        with runs_ledger.exclusive(installation.engine):
            came.append(len(files.nights(tmp_path / "archive")))

    monkeypatch.setattr(archiving.time, "sleep", due)
    archiving.archive_nights(Settings(), tmp_path / "archive", run_ids=runs[-3:])
    assert came == [1, 2]


def test_a_night_of_the_schedule_waits_for_its_turn(installation: Installation, runs: list[int]) -> None:
    from flows import nightly

    held = threading.Event()

    def archive() -> None:
        with runs_ledger.exclusive(installation.engine):
            held.set()
            time.sleep(2)

    other = threading.Thread(target=archive)
    other.start()
    try:
        assert held.wait(30)
        with pytest.raises(BusyError), nightly.lock_of_night(installation.engine, wait_seconds=0):
            pass
        with nightly.lock_of_night(installation.engine, wait_seconds=60) as lock:
            lock.require_held()
    finally:
        other.join()


def _cut(content: bytes) -> bytes:
    return content[:-7]


def _damaged_in_the_middle(content: bytes) -> bytes:
    """The pages; the footer, which says where they are, is as it was."""
    length = int.from_bytes(content[-8:-4], "little") + 8
    return content[:4] + b"\xff" * (len(content) - 4 - length) + content[-length:]


@pytest.mark.parametrize(("damage", "person"), [(_cut, PEOPLE[0]), (_damaged_in_the_middle, PEOPLE[2])])
def test_an_archive_with_a_damaged_file_is_named_and_everything_else_is_searched(
    installation: Installation, runs: list[int], place: Path, tmp_path: Path, damage: Callable[[bytes], bytes],
    person: int,
) -> None:  # fmt: skip
    file = place / files.name_of(runs[-1]) / "shap_value.parquet"
    file.write_bytes(damage(file.read_bytes()))
    for _ in range(2):
        done = erase.erase(Settings(), int(person), by="petra")
        assert done["outcome"] == "erased" and "shap_value.parquet" in not_searched(done, place)
    assert str(place) in export.export(
        Settings(), int(PEOPLE[1]), tmp_path / "copy", by="petra", languages=["en"]
    )["archives_not_searched"]  # fmt: skip
    left = erase.search(Settings(), int(PEOPLE[1])).not_searched
    assert f"archive {place}" in [one.store for one in left]
    # Who is in the file still is found by the scores, which are taken out last.
    with pytest.raises(ArchiveError, match=r"shap_value\.parquet"):
        archiving.archive_nights(Settings(), place, run_ids=[runs[-1]])


def test_an_archive_on_a_stale_mount_or_a_read_only_one_keeps_nobody_from_being_erased_elsewhere(
    installation: Installation, runs: list[int], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_file, open_file = Path.is_file, known.os.open

    def stale(path: Path) -> bool:
        if path.is_relative_to(place):
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return is_file(path)

    def read_only(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).startswith(str(place)):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return open_file(path, *arguments, **more)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "is_file", stale)
        done = erase.erase(Settings(), int(PEOPLE[4]), by="petra")
        assert "not there now" in not_searched(done, place)
    with monkeypatch.context() as broken:
        broken.setattr(known.os, "open", read_only)
        done = erase.erase(Settings(), int(PEOPLE[5]), by="petra")
        assert "Read-only file system" in not_searched(done, place)
    # Once it may be written, it is put right as one that was away.
    assert archiving.archive_nights(Settings(), place, run_ids=[runs[-1]])["erased_again"] > 0
    assert Archive(place).find(int(PEOPLE[4])).places == Archive(place).find(int(PEOPLE[5])).places == {}


def test_the_night_takes_out_who_was_erased_while_the_archive_was_away(
    installation: Installation, runs: list[int], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.archives.write import before_they_are_dropped

    place.rename(place.with_name("disk"))
    erase.erase(Settings(), int(PEOPLE[6]), by="petra")
    place.with_name("disk").rename(place)
    assert people.find(place, int(PEOPLE[6])) != {}
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(place))
    assert before_they_are_dropped(Settings(), installation.engine, [runs[-2]]) == {}
    assert people.find(place, int(PEOPLE[6])) == {} != people.find(place, int(PEOPLE[7]))


def test_an_archive_under_two_names_is_one(
    installation: Installation, runs: list[int], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = place.with_name("link")
    link.symlink_to(place)
    archiving.archive_nights(Settings(), link, run_ids=[runs[-1]])
    archiving.archive_nights(Settings(), place / ".." / place.name, run_ids=[runs[-1]])
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(link))
    assert known.all_known(Settings()) == [place]
    # As an earlier version noted it.
    note = installation.settings.state / known.FILE
    note.write_text(json.dumps({"archives": [str(link), str(place)]}))
    assert known.all_known(Settings()) == [place]


def test_status_says_that_details_are_kept_because_they_are_not_archived(
    installation: Installation, runs: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDITLENS_RETAINED_RUNS", "3")

    def told() -> list[str]:
        return [one for one in status.status_json(Settings())["problems"] if "beyond the retention" in one]

    assert told() == []
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(tmp_path / "archive"))
    [problem] = told()
    assert str(tmp_path / "archive") in problem
    # A night archives after it has published.
    with runs_ledger.exclusive(installation.engine):
        assert told() == []


def test_the_command_says_that_no_night_is_so_old(
    installation: Installation, runs: list[int], tmp_path: Path
) -> None:
    from flows.cli.main import app

    said = CliRunner().invoke(app, ["archive", str(tmp_path / "archive"), "--before", str(date(2020, 1, 1))])
    assert said.exit_code == 0, said.output
    assert "No night is of a date before 2020-01-01." in said.output and "retention" not in said.output
