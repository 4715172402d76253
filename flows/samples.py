"""Writing synthetic applications to files, in bounded memory."""

from __future__ import annotations

from pathlib import Path

from flows.progress import reporter
from scoring.sample import portfolio_chunks

FIRST_FORMER_ID = 100_001


def write_sample(folder: Path, *, former: int, new: int, seed: int = 0) -> tuple[Path, Path]:
    """Write `application_train.csv` and `application_test.csv`; their paths.

    A file appears under its name only when it is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, rows, first_id, labelled in (
        ("application_train", former, FIRST_FORMER_ID, True),
        ("application_test", new, FIRST_FORMER_ID + former, False),
    ):
        path = folder / f"{name}.csv"
        partial = path.with_suffix(".partial")
        done = 0
        with partial.open("wb") as file:
            for frame in portfolio_chunks(rows, seed=seed + labelled, first_id=first_id, labelled=labelled):
                frame.write_csv(file, include_header=done == 0)
                done += len(frame)
                reporter().update(name, done, rows)
        partial.replace(path)
        written.append(path)
    return written[0], written[1]
