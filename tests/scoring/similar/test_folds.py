"""Former customers are explained by models that never saw them, and intervals cover what becomes of them anew."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from scoring.explanation.engine import engine
from scoring.preprocess import Preprocessing, explained_features
from scoring.scorecard import default_probability
from scoring.similar.codes import UNITS, Codes, to_codes
from scoring.similar.folds import Folds, HeldOut, explained_by_folds
from scoring.similar.outcomes import described, outcomes
from scoring.similar.search import FormerCustomers
from tests.fresh_outcomes import People, covered, people

FEATURES = len(explained_features())
PARAMETERS = {
    "objective": "binary",
    "num_leaves": 8,
    "learning_rate": 0.05,
    "feature_fraction": 0.3,
    "num_threads": 1,
}
PARAMETERS |= {"verbosity": -1, "seed": 1, "deterministic": True, "force_row_wise": True}


@dataclass(frozen=True)
class Compared:
    former: People
    new: People
    preprocessing: Preprocessing
    folds: Folds
    log_odds: np.ndarray
    codes: tuple[Codes, ...]


@pytest.fixture(scope="module")
def compared() -> Compared:
    former, new = people(4_000, seed=1), people(600, seed=2, first_id=900_001)
    preprocessing = Preprocessing.fit(former.applications.values)
    matrix, target = preprocessing.transform(former.applications.values), former.applications.target
    held_out = HeldOut(matrix, preprocessing.groups, FEATURES, threads=1)
    log_odds = np.empty(len(matrix))
    for fit, held in StratifiedKFold(3, shuffle=True, random_state=1).split(matrix, target):
        booster = lightgbm.train(PARAMETERS, lightgbm.Dataset(matrix[fit], target[fit]), 60)
        log_odds[held] = held_out.explain(booster.model_to_string(), held)
    folds = held_out.folds()
    codes = explained_by_folds(
        folds.boosters,
        preprocessing.transform(new.applications.values),
        preprocessing.groups,
        FEATURES,
        threads=1,
    )
    return Compared(former, new, preprocessing, folds, log_odds, codes)


def test_each_former_customer_is_explained_by_the_model_that_never_saw_them(compared: Compared) -> None:
    matrix = compared.preprocessing.transform(compared.former.applications.values)
    for fold, text in enumerate(compared.folds.boosters):
        held = np.flatnonzero(compared.folds.fold == fold)
        own = engine(text, compared.preprocessing.groups, FEATURES)
        log_odds, contributions = own.explain(matrix[held], threads=1)
        assert np.array_equal(compared.folds.codes[held], to_codes(contributions))
        assert np.array_equal(compared.log_odds[held], log_odds)
        assert np.array_equal(log_odds, lightgbm.Booster(model_str=text).predict(matrix[held], raw_score=True))


def test_somebody_who_is_held_out_of_no_fold_is_noticed(compared: Compared) -> None:
    matrix = compared.preprocessing.transform(compared.former.applications.values[:10])
    held_out = HeldOut(matrix, compared.preprocessing.groups, FEATURES, threads=1)
    held_out.explain(compared.folds.boosters[0], np.arange(4))
    with pytest.raises(ValueError, match="6 former customers were held out of no fold"):
        held_out.folds()


def test_two_people_are_never_nearer_than_their_log_odds_by_one_model_whatever_its_base_value(
    compared: Compared,
) -> None:
    matrix = compared.preprocessing.transform(compared.new.applications.values)
    bases = []
    for fold, text in enumerate(compared.folds.boosters):
        own = engine(text, compared.preprocessing.groups, FEATURES)
        bases.append(own.base_value)
        log_odds = own.explain(matrix, threads=1)[0]
        theirs = compared.folds.fold == fold
        apart = np.abs(compared.codes[fold][:50, None].astype(np.int64) - compared.folds.codes[theirs]).sum(axis=2)
        # Each feature of either is rounded by half a unit at most.
        least = np.abs(log_odds[:50, None] - compared.log_odds[theirs]) - FEATURES / UNITS
        assert (apart / UNITS >= least).all()
    assert len(set(bases)) == 3


def test_no_fold_has_more_neighbours_than_others_beyond_what_its_model_finds_alike(compared: Compared) -> None:
    former = FormerCustomers.lay_out(
        compared.folds.codes, compared.folds.fold, compared.former.applications.customer_id
    )
    found = former.nearest(compared.codes, 100)
    share = np.bincount(compared.folds.fold[found.rows].ravel(), minlength=3) / found.rows.size
    assert share.min() > 0.2


def test_intervals_cover_what_would_become_of_the_same_people_again(compared: Compared) -> None:
    applications = compared.former.applications
    assert applications.target is not None
    former = FormerCustomers.lay_out(compared.folds.codes, compared.folds.fold, applications.customer_id)
    found = former.nearest(compared.codes, 100)
    matrix = compared.preprocessing.transform(compared.new.applications.values)
    log_odds = engine(compared.folds.boosters[0], compared.preprocessing.groups, FEATURES).explain(matrix)[0]
    told = outcomes(
        found.rows,
        found.distance,
        default_probability(log_odds),
        applications.target,
        described(applications),
    )
    fresh = compared.former.chance[found.rows].mean(axis=1)
    share = covered(told.lowest, told.highest, told.default_probability, fresh)
    assert share.mean() >= 0.93
    # Of 60 applicants in a tenth, many of whom share neighbours, not all tenths can be at 95 %.
    assert share.min() >= 0.85
    # Among the neighbours of the riskiest more defaulted than among those of the safest.
    assert (
        told.default_rate[log_odds.argsort()[-60:]].mean() > 2 * told.default_rate[log_odds.argsort()[:60]].mean()
    )
