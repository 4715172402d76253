"""Whom a night's applicants are compared with: the former customers of its model, laid out once a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from db.decisions import similar as kept
from db.runs.audit_similar import Again
from scoring.batch import Scored
from scoring.bundle import ModelBundle
from scoring.contract import Applications
from scoring.preprocess import explained_features
from scoring.similar.codes import Codes, to_log_odds
from scoring.similar.folds import explained_by_folds
from scoring.similar.outcomes import Outcomes, described, outcomes
from scoring.similar.search import NEIGHBOURS, SMALLEST_GROUP, FormerCustomers

log = logging.getLogger("creditlens")

# Applicants whose neighbours the audit looks for among everybody: each takes it 0.2 s at full size.
COMPARED_AGAIN = 5


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """The former customers who are most like each of n applicants.

    Attributes
    ----------
    outcomes: what became of them; nobody among them can be told from that.
    members: shape (n, k), who they are, by rising number: for cohorts to be counted by, for no reader.
    """

    outcomes: Outcomes
    members: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RunSimilar:
    """Former customers to compare applicants with.

    Attributes
    ----------
    laid_out: the same, laid out to be searched.
    customer_id, fold, target: shape (n,); codes: shape (n, features).
    about: shape (n, 4), `scoring.similar.outcomes.described` of them.
    """

    bundle: ModelBundle
    laid_out: FormerCustomers
    customer_id: NDArray[np.int32]
    fold: NDArray[np.int8]
    target: NDArray[np.int8]
    codes: Codes
    about: NDArray[np.float64]
    threads: int

    def neighbourhoods(self, scored: Scored) -> Neighbourhoods:
        """The 200 former customers who are most like each applicant, or all if they are fewer."""
        found = self.laid_out.nearest(self._explained(scored.applications), NEIGHBOURS, threads=self.threads)
        told = outcomes(found.rows, found.distance, scored.default_probability, self.target, self.about)
        return Neighbourhoods(told, np.sort(self.customer_id[found.rows], axis=1))

    def plainly(self, scored: Scored) -> list[Again]:
        """The same of a few applicants by comparing them with everybody, in no order and with no bounds."""
        explained = self._explained(scored.applications)
        distances = np.empty((len(scored.applications), len(self.fold)), np.int64)
        for fold, codes in enumerate(explained):
            own = np.flatnonzero(self.fold == fold)
            theirs = self.codes[own]
            for distance, mine in zip(distances, codes, strict=True):
                # The codes are so small that a difference fits too.
                distance[own] = np.abs(theirs - mine).sum(axis=1, dtype=np.int64)
        found = []
        for customer_id, distance in zip(scored.applications.customer_id.tolist(), distances, strict=True):
            nearest = np.lexsort((self.customer_id, distance))[:NEIGHBOURS]
            last = float(to_log_odds(distance[nearest[-1:]])[0])
            members = tuple(sorted(self.customer_id[nearest].tolist()))
            found.append(Again(customer_id, len(nearest), int(self.target[nearest].sum()), last, members))
        return found

    def _explained(self, applications: Applications) -> tuple[Codes, ...]:
        preprocessing = self.bundle.preprocessing
        return explained_by_folds(
            self.bundle.fold_boosters,
            preprocessing.transform(applications.values),
            preprocessing.groups,
            len(explained_features()),
            threads=self.threads,
        )


def run_similar(engine: Engine, model_id: int, bundle: ModelBundle, *, threads: int = 1) -> RunSimilar | None:
    """The former customers of a model as they are now, without anybody who was erased.

    None where the model is from before its folds were kept, or has fewer than 20 former customers left: then
    nothing is told of similar ones, and the log says why.
    """
    if not bundle.fold_boosters:
        log.warning(
            "Model %s kept no models of its folds: similar customers are not told of until `creditlens train`.",
            model_id,
        )
        return None
    parts = [
        (rows.customer_id, rows.fold, rows.target, rows.codes, described(_applications(rows)))
        for rows in kept.former_rows(engine, model_id)
    ]
    people = sum(len(part[0]) for part in parts)
    if people < SMALLEST_GROUP:
        log.warning("Model %s has %s former customers to compare with: too few to tell of.", model_id, people)
        return None
    customer_id, fold, target, codes, about = (np.concatenate(column) for column in zip(*parts, strict=True))
    laid_out = FormerCustomers.lay_out(codes, fold, customer_id)
    return RunSimilar(bundle, laid_out, customer_id, fold, target, codes, about, threads)


def with_neighbourhoods(similar: RunSimilar | None, scored: Scored) -> tuple[Scored, Neighbourhoods | None]:
    """A batch with the similar former customers, where there is anybody to compare with."""
    return scored, similar.neighbourhoods(scored) if similar and len(scored.applications) else None


def compared_again(similar: RunSimilar | None, sample: Sequence[Scored]) -> list[Again]:
    """A few applicants of the audit's random sample, compared plainly with everybody."""
    if similar is None:
        return []
    again: list[Again] = []
    for scored in sample:
        if missing := COMPARED_AGAIN - len(again):
            again += similar.plainly(scored.take(np.arange(min(missing, len(scored.applications)))))
    return again


def _applications(rows: kept.FormerRows) -> Applications:
    return Applications(rows.customer_id, rows.values, rows.target, np.arange(1, len(rows.values) + 1))
