"""Archived nights: what the tables held, once, whole, readable by others; and nobody in them who was erased."""

from __future__ import annotations

import json
import math
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from db.errors import RefusedError
from db.runs import extract
from flows.archives import files as archive_files
from flows.archives import known, people
from flows.archives.files import ArchiveError
from flows.operations.archive import archive_nights
from flows.privacy import erase, export
from flows.privacy.page import LANGUAGES
from flows.settings import Settings
from tests.installation import Installation

PERSON, OTHER = 500_005, 500_006


@pytest.fixture(scope="module")
def nights(installation: Installation, files: tuple[Path, Path], new_frame: pl.DataFrame) -> list[int]:
    """Three nights of which the first and the second have people who are not accepted."""
    from flows.nightly import nightly
    from flows.training import training

    training([files[0]])
    made = []
    for day in (1, 2, 3):
        file = installation.folder / f"night-{day}.csv"
        new_frame.with_columns(pl.col("AMT_CREDIT") * (1 + day / 10)).write_csv(file)
        made.append(nightly(file, date(2026, 1, day)).run.run_id)
    # Of synthetic customers all are accepted: as if every third were not.
    with installation.engine.begin() as connection:
        for run_id in made[:2]:
            for table, values in (
                ("reason", "1, 'goods', 1, 7, 0.1, -0.5"),
                ("what_if_summary", "'found', 24, 0.01, 30, 1e5, 4e3, 0.1, 90"),
                ("what_if", "30, 1e5 / 3, 4e3, 0.1, 90, 'accept', true, false, customer_id % 2 = 0"),
            ):
                statement = (
                    f"INSERT INTO credit.{table} SELECT :run, customer_id, {values} FROM credit.score"
                    " WHERE run_id = :run AND customer_id % 3 = 0 ON CONFLICT DO NOTHING"
                )
                connection.execute(text(statement), {"run": run_id})
    return made


def archived(folder: Path, **asked: Any) -> dict[str, Any]:
    return archive_nights(Settings(), folder, **asked)


def test_what_is_archived_is_what_the_tables_hold(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    done = archived(tmp_path / "archive", run_ids=[nights[0]])
    assert [night["outcome"] for night in done["nights"]] == ["archived"]
    folder = tmp_path / "archive" / f"run-{nights[0]:08d}"
    manifest = archive_files.require_as_written(folder)
    assert manifest.rows == done["nights"][0]["rows"]
    for table in extract.DETAILS:
        rows = installation.rows(
            f"SELECT {', '.join(table.columns.keys())} FROM credit.{table.name} WHERE run_id = {nights[0]}"
        )
        frame = pl.read_parquet(folder / f"{table.name}.parquet")
        assert frame.columns == table.columns.keys()
        assert manifest.files[f"{table.name}.parquet"].rows == len(rows) == len(frame)
        # Single precision comes as what Postgres prints of it.
        single = {name for name, kind in frame.schema.items() if kind == pl.Float32}

        def exact(row: tuple[Any, ...], names: list[str], single: set[str] = single) -> tuple[Any, ...]:
            return tuple(
                np.float32(value) if name in single and value is not None else value
                for name, value in zip(names, row, strict=True)
            )

        key = repr
        assert sorted((exact(row, frame.columns) for row in frame.rows()), key=key) == sorted(
            (exact(row, frame.columns) for row in rows), key=key
        )
    contributions = pl.read_parquet(folder / "shap_value.parquet").join(
        pl.read_parquet(folder / "feature.parquet"), on="feature_id"
    )
    assert contributions["name"].n_unique() == 128 and len(contributions) == 300 * 128


def test_other_programs_read_it(installation: Installation, nights: list[int], tmp_path: Path) -> None:
    import pandas as pd

    archived(tmp_path / "archive", run_ids=nights[:2])
    scores = pd.read_parquet(tmp_path / "archive" / f"run-{nights[0]:08d}" / "score.parquet")
    mean = installation.value(f"SELECT avg(score) FROM credit.score WHERE run_id = {nights[0]}")
    assert len(scores) == 300 and math.isclose(scores.score.mean(), float(str(mean)))
    # All nights as one table, as DuckDB's read_parquet('run-*/score.parquet') does.
    both = pl.scan_parquet(str(tmp_path / "archive" / "run-*" / "score.parquet")).collect()
    assert sorted(both["run_id"].unique()) == nights[:2] and len(both) == 600


def test_nobody_else_may_read_it(installation: Installation, nights: list[int], tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        archived(tmp_path / "archive", run_ids=[nights[0]])
    finally:
        os.umask(before)
    for path in (tmp_path / "archive").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (tmp_path / "archive").stat().st_mode & 0o777 == 0o700


def test_a_night_is_written_once_and_never_over_another(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    place = tmp_path / "archive"
    archived(place, run_ids=[nights[0]])
    score = place / f"run-{nights[0]:08d}" / "score.parquet"
    was = score.stat()
    again = archived(place, before=date(2026, 1, 3))
    assert [night["outcome"] for night in again["nights"]] == ["unchanged", "archived"]
    assert (score.stat().st_ino, score.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)
    # What a killed writer left is taken away; nights that are whole stay.
    leftover = place / f".run-{nights[2]:08d}.0123.partial"
    leftover.mkdir()
    (leftover / "score.parquet").write_bytes(b"half")
    assert archived(place, run_ids=nights)["nights"][2]["outcome"] == "archived"
    assert not leftover.exists()
    score.write_bytes(score.read_bytes()[:-1])
    with pytest.raises(ArchiveError, match=r"score\.parquet is not as manifest\.json says"):
        archived(place, run_ids=[nights[0]])
    manifest = json.loads((score.parent / "manifest.json").read_text())
    other = place / f"run-{nights[1]:08d}"
    said = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**said, "published_at": manifest["published_at"]}))
    with pytest.raises(ArchiveError, match="holds another night"):
        archived(place, run_ids=[nights[1]])


def test_a_folder_that_is_something_else_and_runs_that_are_none_are_refused(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").touch()
    with pytest.raises(ArchiveError, match="is no archive, and not empty"):
        archived(tmp_path / "letters", run_ids=[nights[0]])
    with pytest.raises(RefusedError, match="999 is not a published run"):
        archived(tmp_path / "archive", run_ids=[999])
    with pytest.raises(RefusedError, match="CREDITLENS_ARCHIVE"):
        archive_nights(Settings(), None)


def test_an_archive_that_cannot_be_written_is_left_without_a_trace(
    installation: Installation, nights: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(archive_files, "state_of", full)
        with pytest.raises(OSError, match="No space"):
            archived(tmp_path / "archive", run_ids=[nights[0]])
    left = sorted(path.name for path in (tmp_path / "archive").iterdir())
    assert left == [".lock", archive_files.MARKER]
    assert archived(tmp_path / "archive", run_ids=[nights[0]])["outcome"] == "archived"


def test_a_person_is_told_of_and_erased_from_every_archive_and_one_that_is_away_is_named_and_put_right_later(
    installation: Installation, nights: list[int], tmp_path: Path
) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for place in (near, far):
        archived(place, run_ids=nights[:2])
    found = export.export(Settings(), PERSON, tmp_path / "copy", by="petra", languages=LANGUAGES)
    assert found["archived"] >= 4
    assert not {str(near), str(far)} & set(found["archives_not_searched"])
    document = json.loads((tmp_path / "copy" / f"customer-{PERSON}.json").read_text())
    told = [row for row in document["archived"] if row["archive"] == str(near)]
    assert len([row for row in told if row["table"] == "shap_value"]) == 2 * 128
    assert {row["feature"] for row in told if row["table"] == "shap_value"} >= {"AMT_CREDIT"}
    assert "Nights in archives" in (tmp_path / "copy" / f"customer-{PERSON}.en.html").read_text()

    rows = {place: pl.read_parquet(place / "run-*" / "shap_value.parquet") for place in (near, far)}
    far.rename(tmp_path / "elsewhere")
    done = erase.erase(Settings(), PERSON, by="petra")
    assert sum(count for place, count in done["removed"].items() if str(near) in place) >= 2 * (128 + 1)
    assert f"archive {far}" in [one["store"] for one in done["not_searched"]]
    assert people.find(near, PERSON) == {}
    for folder in archive_files.nights(near):
        archive_files.require_as_written(folder)
    left = pl.read_parquet(near / "run-*" / "shap_value.parquet")
    assert left.equals(rows[near].filter(pl.col("customer_id") != PERSON))

    (tmp_path / "elsewhere").rename(far)
    assert people.find(far, PERSON) != {}
    assert archived(far, run_ids=[nights[0]])["erased_again"] >= 2 * (128 + 1)
    assert people.find(far, PERSON) == {}
    assert archived(far, run_ids=[nights[0]])["erased_again"] == 0
    assert people.find(far, OTHER) != {}


def test_an_erasure_that_is_cut_short_between_manifest_and_file_is_done_again(
    installation: Installation, nights: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "archive"
    archived(place, run_ids=[nights[0]])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(people.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            people.erase(place, OTHER)
    assert people.find(place, OTHER) != {}
    people.erase(place, OTHER)
    assert people.find(place, OTHER) == {}
    archive_files.require_as_written(place / f"run-{nights[0]:08d}")
    assert list(place.rglob("*.partial")) == []


def test_retention_archives_first_and_keeps_what_it_could_not_archive(
    installation: Installation, nights: list[int], new_frame: pl.DataFrame, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from flows.nightly import nightly

    monkeypatch.setenv("CREDITLENS_RETAINED_RUNS", "2")
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(tmp_path / "file" / "archive"))
    (tmp_path / "file").touch()
    new_frame.with_columns(pl.col("AMT_CREDIT") * 1.9).write_csv(tmp_path / "four.csv")
    night = nightly(tmp_path / "four.csv", date(2026, 1, 4))
    assert night.outcome == "published"
    assert [warning for warning in night.warnings if "could not be archived" in warning]
    kept = "SELECT count(*) FROM credit.scoring_run WHERE retired_at IS NULL AND status = 'published'"
    assert installation.value(kept) == 4
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(tmp_path / "archive"))
    counts = installation.rows("SELECT run_id, count(*) FROM credit.shap_value GROUP BY 1")
    counts = [(run_id, rows) for run_id, rows in counts if run_id in nights]
    new_frame.with_columns(pl.col("AMT_CREDIT") * 2.1).write_csv(tmp_path / "five.csv")
    night = nightly(tmp_path / "five.csv", date(2026, 1, 5))
    assert not [warning for warning in night.warnings if "archived" in warning]
    assert installation.value(kept) == 2
    folders = archive_files.nights(tmp_path / "archive")
    assert [folder.name for folder in folders] == [f"run-{run_id:08d}" for run_id in nights]
    for run_id, rows in counts:
        assert len(pl.read_parquet(tmp_path / "archive" / f"run-{run_id:08d}" / "shap_value.parquet")) == rows
    # Of a night whose details are gone, scores are what there is.
    late = archived(tmp_path / "late", run_ids=[nights[0]])
    assert late["nights"][0]["details"] is False
    scores = pl.read_parquet(tmp_path / "late" / f"run-{nights[0]:08d}" / "score.parquet").sort("customer_id")
    early = pl.read_parquet(folders[0] / "score.parquet").sort("customer_id")
    assert scores.equals(early)


def test_the_command_says_what_it_did_and_takes_nights_beyond_the_retention(
    installation: Installation, nights: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.cli.main import app

    monkeypatch.setenv("CREDITLENS_RETAINED_RUNS", "1000")
    runner = CliRunner()
    nothing = runner.invoke(app, ["archive", str(tmp_path / "archive")])
    assert nothing.exit_code == 0 and "No night is beyond the retention" in nothing.output
    monkeypatch.setenv("CREDITLENS_RETAINED_RUNS", "2")
    monkeypatch.setenv("CREDITLENS_ARCHIVE", str(tmp_path / "archive"))
    first = runner.invoke(app, ["archive", "--json"])
    assert first.exit_code == 0, first.output
    told = json.loads(first.output.splitlines()[-1])
    published = installation.value("SELECT count(*) FROM credit.scoring_run WHERE status = 'published'")
    assert len(told["nights"]) == int(str(published)) - 2
    again = runner.invoke(app, ["archive"])
    assert again.exit_code == 0 and again.output.count("Unchanged: run ") == len(told["nights"])
    assert runner.invoke(app, ["archive", "--run", "999"]).exit_code == 2
    shutil.rmtree(tmp_path / "archive")


def test_a_note_of_archives_that_is_damaged_is_refused(installation: Installation, tmp_path: Path) -> None:
    note = installation.settings.state / known.FILE
    was = note.read_text() if note.exists() else None
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("{")
    try:
        with pytest.raises(ArchiveError, match=r"archives\.json cannot be read"):
            known.all_known(Settings())
    finally:
        if was is None:
            note.unlink()
        else:
            note.write_text(was)
