"""All letters of a night in one go: some customers are asked for while threads typeset those before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from db.decisions.letter_data import CustomerLetter, LetterRun, letters, refused
from flows.installation import atomic
from flows.letters.customer import file_name, letter
from flows.letters.lender import Lender
from flows.letters.words import Kind, Language, facts
from flows.progress import reporter

CHUNK = 64
PRIVATE = 0o600
PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Written:
    """What was written where."""

    folder: Path
    letters: int
    seconds: float


def write_all(
    engine: Engine, run: LetterRun, folder: Path, kind: Kind, language: Language, lender: Lender, *, threads: int
) -> Written:
    """A letter for everybody whom the run suggests to decline, each file whole or not there, for its owner only.

    Files of the same names are replaced. A folder that is made is closed to others.
    """
    started = time.perf_counter()
    numbers = refused(engine)
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    done = 0

    def write(customer: CustomerLetter) -> None:
        path = folder / file_name(customer.customer_id, kind, language)
        atomic.write(path, letter(run, customer, kind, language, lender), mode=PRIVATE)

    def settle(writing: Sequence[Future[None]]) -> None:
        nonlocal done
        for each in writing:
            each.result()
            done += 1
            reporter().update("letters", done, len(numbers))

    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="letters") as pool:
        waiting: list[Future[None]] = []
        for first in range(0, len(numbers), CHUNK):
            chunk = letters(engine, numbers[first : first + CHUNK], facts(), details=kind == "sheet")
            settle(waiting)
            waiting = [pool.submit(write, customer) for customer in chunk]
        settle(waiting)
    return Written(folder, done, time.perf_counter() - started)
