"""Writing synthetic applications to files, in bounded memory."""

from __future__ import annotations

from pathlib import Path

from flows import atomic
from flows.progress import reporter
from scoring.sample import portfolio_chunks

FIRST_FORMER_ID = 100_001


def write_sample(folder: Path, *, former: int, new: int, seed: int = 0) -> tuple[Path, Path]:
    """Write `application_train.csv` and `application_test.csv`; their paths."""
    train, test = folder / "application_train.csv", folder / "application_test.csv"
    write_applications(train, rows=former, first_id=FIRST_FORMER_ID, labelled=True, seed=seed)
    write_applications(test, rows=new, first_id=FIRST_FORMER_ID + former, labelled=False, seed=seed + 1)
    return train, test


def write_applications(path: Path, *, rows: int, first_id: int, labelled: bool, seed: int) -> None:
    """Write one file of synthetic applications; it appears under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with atomic.writing(path) as file:
        for frame in portfolio_chunks(rows, seed=seed, first_id=first_id, labelled=labelled):
            frame.write_csv(file, include_header=done == 0)
            done += len(frame)
            reporter().update(path.stem, done, rows)
