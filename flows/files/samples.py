"""Writing synthetic applications to files, in bounded memory."""

from __future__ import annotations

from pathlib import Path

from flows.files.applications import SourceError
from flows.installation import atomic
from flows.progress import reporter
from scoring.sample import portfolio_chunks

FIRST_FORMER_ID = 100_001


class WouldReplaceError(SourceError):
    """There are applications in the folder already, which may be somebody's."""


def write_sample(folder: Path, *, former: int, new: int, seed: int = 0, force: bool = False) -> tuple[Path, Path]:
    """Write `application_train.csv` and `application_test.csv`; their paths.

    Raises WouldReplaceError, having written nothing, if applications are there already; with `force`, the two files
    are replaced.
    """
    names = ("application_train", "application_test")
    there = sorted(path.name for path in folder.glob("*") if path.name.lower().startswith(names))
    if there and not force:
        raise WouldReplaceError(
            f"There are applications in {folder} already ({', '.join(there)}); name another folder, or replace"
            f" {names[0]}.csv and {names[1]}.csv with --force."
        )
    train, test = (folder / f"{name}.csv" for name in names)
    write_applications(train, rows=former, first_id=FIRST_FORMER_ID, labelled=True, seed=seed)
    write_applications(test, rows=new, first_id=FIRST_FORMER_ID + former, labelled=False, seed=seed + 1)
    return train, test


def write_applications(path: Path, *, rows: int, first_id: int, labelled: bool, seed: int) -> None:
    """Write one file of synthetic applications; it appears under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    try:
        with atomic.writing(path) as file:
            for frame in portfolio_chunks(rows, seed=seed, first_id=first_id, labelled=labelled):
                # As text first: a full disk is the operating system's error then, which names the reason.
                file.write(frame.write_csv(include_header=done == 0).encode())
                done += len(frame)
                reporter().update(path.stem, done, rows)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
