"""People like the applicants at full size: 48,744 synthetic applicants among 307,511 former customers.

The nearest are found by two threads, and compared with scikit-learn's search of everybody on a few applicants. What
is told of them is judged by outcomes that are drawn again and again: the sample knows what defaults depend on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors

from scoring.intervals import wilson
from scoring.preprocess import Preprocessing, explained_features
from scoring.scorecard import default_probability
from scoring.similar.codes import UNITS, Codes
from scoring.similar.folds import Folds, HeldOut, explained_by_folds
from scoring.similar.outcomes import Outcomes, described, outcomes
from scoring.similar.search import FormerCustomers, Neighbours
from scoring.training import DEFAULT_PARAMETERS, FOLDS
from tests.benchmarks.measure import FORMER_CUSTOMERS, NEW_CUSTOMERS, Result, at_least, at_most, table
from tests.fresh_outcomes import People, covered, people, tenths

THREADS = 2
TREES = 150
DRAWS = 50
NEIGHBOURS = 200
ALONE = 50
AGAIN = 20
COMPARED = 40
_PEAK, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """Former customers and applicants, explained by the models of the folds; `log_odds` are the applicants'."""

    former: People
    new: People
    folds: Folds
    codes: tuple[Codes, ...]
    log_odds: NDArray[np.float64]
    explaining: float
    explaining_new: float


def timed(task: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = task()
    return result, time.perf_counter() - started


def prepare(n_former: int, n_new: int) -> Prepared:
    """Train a model for each fold and explain everybody."""
    former = people(n_former, seed=1, draws=DRAWS)
    new = people(n_new, seed=2, first_id=900_001, draws=DRAWS)
    preprocessing = Preprocessing.fit(former.applications.values)
    matrix, target = preprocessing.transform(former.applications.values), former.applications.target
    features, groups = len(explained_features()), preprocessing.groups
    held_out = HeldOut(matrix, groups, features, threads=THREADS)
    parameters = {"objective": "binary", "bagging_freq": 1, "verbosity": -1, "seed": 1, "num_threads": THREADS}
    explaining = 0.0
    for number, (fit, held) in enumerate(
        StratifiedKFold(FOLDS, shuffle=True, random_state=1).split(matrix, target)
    ):
        print(f"  training fold {number + 1} of {FOLDS}", flush=True)
        data = lightgbm.Dataset(matrix[fit], target[fit], params={"verbosity": -1})
        text = lightgbm.train({**parameters, **DEFAULT_PARAMETERS}, data, TREES).model_to_string()
        explaining += timed(lambda text=text, held=held: held_out.explain(text, held))[1]  # type: ignore[misc]
    folds = held_out.folds()
    x = preprocessing.transform(new.applications.values)
    codes, explaining_new = timed(lambda: explained_by_folds(folds.boosters, x, groups, features, threads=THREADS))
    log_odds = np.mean([lightgbm.Booster(model_str=text).predict(x, raw_score=True) for text in folds.boosters], 0)
    return Prepared(former, new, folds, codes, log_odds, explaining, explaining_new)


def run(n_former: int = FORMER_CUSTOMERS, n_new: int = NEW_CUSTOMERS) -> Iterator[Result]:
    """Find the neighbours of all applicants and judge what is told of them."""
    ready = prepare(n_former, n_new)
    applications, folds = ready.former.applications, ready.folds
    assert applications.target is not None
    size = f"similar, {n_new:,} among {n_former:,}"
    yield Result(f"{size}: explaining former customers, at training", ready.explaining, "s")
    yield Result(f"{size}: explaining applicants by five folds", ready.explaining_new, "s")
    before = peak_mb(anew=True)
    index, seconds = timed(lambda: FormerCustomers.lay_out(folds.codes, folds.fold, applications.customer_id))
    yield Result(f"{size}: laying out former customers", seconds, "s")
    few = tuple(codes[:32] for codes in ready.codes)
    index.nearest(few, NEIGHBOURS)  # compiles
    found, nearest = timed(lambda: index.nearest(ready.codes, NEIGHBOURS, threads=THREADS))
    yield at_most(f"{size}: {NEIGHBOURS} neighbours of all", nearest, "s", 20)
    yield Result(f"{size}: memory for both beyond their input", peak_mb() - before, "MB")
    about = described(applications)
    told, seconds = timed(
        lambda: outcomes(
            found.rows, found.distance, default_probability(ready.log_odds), applications.target, about
        )
    )
    yield Result(f"{size}: what became of them", seconds, "s")
    alone = [one_alone(index, ready.codes, at) for at in range(0, n_new, max(1, n_new // ALONE))]
    yield at_most(f"{size}: one applicant alone, slowest of {len(alone)}", 1000 * max(alone), "ms", 100)
    plain = everybody(ready, found)
    yield at_least(f"{size}: scikit-learn's search, scaled / this", plain / nearest, "x", 10)
    yield from judged(size, ready, found, told)


def one_alone(index: FormerCustomers, codes: tuple[Codes, ...], at: int) -> float:
    return timed(lambda: index.nearest(tuple(own[at : at + 1] for own in codes), NEIGHBOURS))[1]


def everybody(ready: Prepared, found: Neighbours) -> float:
    """Seconds that scikit-learn takes for all by comparing everybody; what was found is what it finds."""
    step = max(1, len(ready.log_odds) // COMPARED)
    distances = []
    seconds = 0.0
    for fold, codes in enumerate(ready.codes):
        own = ready.folds.codes[ready.folds.fold == fold].astype(np.float32)
        search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute", metric="manhattan", n_jobs=THREADS)
        search.fit(own)
        asked = codes[::step].astype(np.float32)
        (distance, _), took = timed(lambda search=search, asked=asked: search.kneighbors(asked))  # type: ignore[misc]
        distances.append(distance)
        seconds += took
    nearest = np.sort(np.concatenate(distances, axis=1), axis=1)[:, :NEIGHBOURS]
    assert np.array_equal(nearest, found.distance[::step])
    return seconds * len(ready.log_odds) / len(nearest)


def judged(size: str, ready: Prepared, found: Neighbours, told: Outcomes) -> Iterator[Result]:
    """Whether intervals cover outcomes drawn anew, and how near the applicants' own chances the rates are."""
    chance = ready.former.chance
    fresh = chance[found.rows].mean(axis=1)
    share = covered(told.lowest, told.highest, told.default_probability, fresh)
    # Applicants share neighbours, and so their luck: it takes many outcomes to tell luck from a fault.
    rng = np.random.default_rng(3)
    again = np.mean(
        [
            covered(
                *wilson((rng.random(len(chance)) < chance)[found.rows].sum(axis=1, dtype=np.int32), NEIGHBOURS),
                told.default_probability,
                fresh,
            )
            for _ in range(AGAIN)
        ],
        axis=0,
    )
    print("  covered, by tenth:", share.round(3).tolist(), "outcomes again:", again.round(3).tolist(), flush=True)
    own = tenths(told.default_probability)
    rates = [
        [float(values[own == at].mean()) for at in range(10)] for values in (told.default_rate, ready.new.chance)
    ]
    print(
        "  neighbours' rates, by tenth:",
        np.round(rates[0], 4).tolist(),
        "applicants':",
        np.round(rates[1], 4).tolist(),
    )
    yield at_least(f"{size}: intervals that cover fresh outcomes", 100 * float(share.mean()), "%", 93)
    yield Result(f"{size}: the same, least of ten tenths", 100 * float(share.min()), "%")
    yield at_least(f"{size}: the same of outcomes drawn {AGAIN} times, least", 100 * float(again.min()), "%", 93)
    yield Result(f"{size}: default rate of neighbours, riskiest tenth", 100 * rates[0][-1], "%")
    yield Result(f"{size}: default rate of these applicants, fresh outcomes", 100 * rates[1][-1], "%")
    yield Result(
        f"{size}: distance of the last neighbour, median", float(np.median(told.distance)) / UNITS, "log-odds"
    )
    of_folds = np.bincount(ready.folds.fold[found.rows].ravel(), minlength=FOLDS) / found.rows.size
    yield Result(f"{size}: neighbours of the rarest fold, of 20 %", 100 * float(of_folds.min()), "%")


def peak_mb(*, anew: bool = False) -> float:
    """The high-water mark of this process's memory, counted anew from now on if asked for."""
    if anew:
        _CLEAR.write_text("5")
    return next(int(line.split()[1]) / 1024 for line in _PEAK.read_text().splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Print the table of a chosen size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--former", type=int, default=FORMER_CUSTOMERS)
    parser.add_argument("--new", type=int, default=NEW_CUSTOMERS)
    chosen = parser.parse_args()
    results = []
    for result in run(chosen.former, chosen.new):
        print(f"  {result.name}: {result.value:.4g} {result.unit}", flush=True)
        results.append(result)
    print(table(results))


if __name__ == "__main__":
    main()
