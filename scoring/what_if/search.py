"""What would get a yes: all offers of amount and duration within a policy's limits, for whom is not accepted.

An offer is an amount, a whole multiple of a step or the one asked for, over a whole number of months, with the
annuity that follows (`scoring.what_if.terms`). Six features move with it: AMT_CREDIT, AMT_ANNUITY and the four
ratios that are computed from them. Everything else stays as it is in the row, income and price of the goods
included.

**Exhaustive.** The model is a sum of trees, so its log-odds change only where a test of a tree changes sides. Most
tests have one answer for all offers of an application. They are answered once, and what is left are a few tests in
a few trees. At one duration the moving features never fall while the amount rises, except amount / annuity, which
stays the same but for the cents that the annuity is rounded to. So each test has one last amount that goes left,
found by looking at the feature itself, rounded as in the model's matrix, not by algebra. Between two such amounts
the log-odds are constant. The search goes down from the largest amount, one constant piece after the other, until
one is accepted. Where none is, all pieces were looked at: no offer within the limits is accepted. If not even the
lowest leaf of every tree would do, that is known at once. Where rounding to cents decides tests of amount /
annuity, the offers of a piece are looked at one by one, and one is tried of those for which the same tests go left.

**Exact.** The log-odds of every offer that is told are added up in the order of the trees, from the very leaves
that LightGBM reaches: they are LightGBM's, to the last bit. Nothing depends on monotone constraints, on the other
applications of a batch or on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scoring import scorecard
from scoring.batch import Scored
from scoring.bundle import ModelBundle
from scoring.errors import ArtefactError
from scoring.explanation.lightgbm_text import parse_model
from scoring.features import by_name, input_features
from scoring.policy import CONTRACT_TYPE, DECISIONS, Policy
from scoring.what_if import kernels
from scoring.what_if.border import Border, border
from scoring.what_if.grid import Grid, grid_amounts, grid_months
from scoring.what_if.terms import Convention, Terms, are_clear, implied_terms, relative_annuities

Vector = NDArray[np.float64]
Accepts = Callable[[Vector], NDArray[np.bool_]]

# In the order of the kernels' slots.
MOVING = (
    "AMT_CREDIT", "CREDIT_INCOME_PERCENT", "CREDIT_GOODS_PERCENT",
    "AMT_ANNUITY", "ANNUITY_INCOME_PERCENT", "CREDIT_TERM",
)  # fmt: skip
# What became of an application. The last four were not searched: nothing to look for, a credit without a duration,
# no annuity, and amount and annuity that no instalment credit has.
OUTCOMES = ("found", "none", "accepted", "revolving", "no_annuity", "no_duration")
FOUND, NONE, ACCEPTED, REVOLVING, NO_ANNUITY, NO_DURATION = range(6)
_ACCEPT = DECISIONS.index("accept")
_REVOLVING = "Revolving loans"
_TASK_ROWS = 512


@dataclass(frozen=True, slots=True)
class Offers:
    """Offers, one after the other, those of an application together; every array has the shape (offers,).

    Attributes
    ----------
    row: the application's position in the batch.
    duration: months. `amount`, `annuity`: what to put into the row to get this score.
    decision_index: position in `policy.DECISIONS`.
    is_grid: belongs to the grid of amounts and durations, for a heat map.
    is_frontier: the largest amount that is accepted at this duration.
    is_asked: is what was asked for.
    """

    row: NDArray[np.int64]
    duration: NDArray[np.int16]
    amount: Vector
    annuity: Vector
    log_odds: Vector
    default_probability: Vector
    score: NDArray[np.int16]
    decision_index: NDArray[np.int8]
    is_grid: NDArray[np.bool_]
    is_frontier: NDArray[np.bool_]
    is_asked: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The offers of a batch of n applications, and what became of each application, shape (n,).

    Attributes
    ----------
    outcome: position in `OUTCOMES`.
    duration, monthly_rate: the terms that the application implies; 0 and NaN where it was not searched.
    nearest: position in `offers` of the accepted offer that changes least, -1 for none. That is the largest amount
        up to the one asked for at the duration asked for, or else the offer whose amount and duration change least,
        both taken relative to what was asked for and added up. A larger amount than asked for is the nearest only
        where no other is accepted.
    pieces: how many pieces of constant log-odds were looked at; where there is no offer, they make up all offers.
    """

    offers: Offers
    outcome: NDArray[np.int8]
    duration: NDArray[np.int16]
    monthly_rate: Vector
    nearest: NDArray[np.int64]
    pieces: NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """The search for one model under one policy; what depends on nothing else is prepared once.

    Attributes
    ----------
    step: amounts are whole multiples of it, a whole number itself.
    """

    bundle: ModelBundle
    policy: Policy
    trees: kernels.Trees
    step: int
    grid: Grid
    convention: Convention

    @classmethod
    def prepare(
        cls,
        bundle: ModelBundle,
        policy: Policy,
        *,
        step: int = 1,
        grid: Grid | None = None,
        convention: Convention | None = None,
    ) -> Self:
        """Raises ArtefactError for a model that takes an amount for a category."""
        if step < 1:
            raise ValueError(f"step is {step}, expected is a whole number from 1 on")
        return cls(bundle, policy, _trees(bundle), step, grid or Grid(), convention or Convention())

    @property
    def months(self) -> NDArray[np.int64]:
        """The durations that are tried."""
        limits = self.policy.what_if
        return np.arange(limits.least_months, limits.most_months + 1)

    def run(self, scored: Scored, *, threads: int = 1) -> WhatIf:
        """Search for every application of a batch that is not accepted; see `WhatIf`."""
        values = scored.applications.values
        types = values[:, _column(CONTRACT_TYPE)]
        decisions = self.policy.decision_index(scored.score, scored.default_probability, types)
        outcome = _outcome(values, types, decisions)
        rows = np.flatnonzero(outcome == NONE)
        duration = np.zeros(len(values), np.int16)
        rate = np.full(len(values), np.nan)
        nearest, pieces = np.full(len(values), -1), np.zeros(len(values), np.int64)
        borders = {code: border(self._accepts(code)) for code in np.unique(types[rows]).tolist()}
        tasks = [(part, code, borders[code]) for code in borders for part in _parts(rows[types[rows] == code])]
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda task: self._part(values, *task), tasks))
        before = 0
        for part in parts:
            duration[part.rows], rate[part.rows], pieces[part.rows] = part.duration, part.monthly_rate, part.pieces
            nearest[part.rows] = np.where(part.nearest >= 0, part.nearest + before, -1)
            before += len(part.offers.row)
        outcome[nearest >= 0] = FOUND
        return WhatIf(_joined([part.offers for part in parts]), outcome, duration, rate, nearest, pieces)

    def _accepts(self, code: float) -> Accepts:
        """Which log-odds of applications of a contract type the policy accepts."""

        def accepts(log_odds: Vector) -> NDArray[np.bool_]:
            _, _, decisions = self._decide(log_odds, np.full(len(log_odds), code))
            accepted: NDArray[np.bool_] = decisions == _ACCEPT
            return accepted

        return accepts

    def _decide(self, log_odds: Vector, types: Vector) -> tuple[Vector, NDArray[np.int16], NDArray[np.int8]]:
        """Default probability, score and decision."""
        probability = scorecard.default_probability(log_odds)
        # As `scorecard.score`, without computing the probability once more.
        score = np.rint(100.0 * (1.0 - probability)).astype(np.int16)
        return probability, score, self.policy.decision_index(score, probability, types).astype(np.int8)

    def _part(self, values: Vector, rows: NDArray[np.intp], code: float, limit: Border) -> _Part:
        """Search for some applications of one contract type."""
        asked, terms = self._asked(values[rows])
        known: dict[float, bool] = {}
        while True:
            found = self._found(len(rows))
            kernels.search(0, len(rows), asked, self.trees, self._rules(limit, known), found)
            questions = np.unique(found.questions[np.isfinite(found.questions)])
            if not len(questions):
                break
            # So near to the border that the policy itself has to say.
            known |= dict(zip(questions.tolist(), self._accepts(code)(questions).tolist(), strict=True))
        row, cell = np.nonzero(found.month)
        log_odds = found.log_odds[row, cell]
        probability, score, decision = self._decide(log_odds, np.full(len(row), code))
        offers = Offers(
            row=rows[row],
            duration=found.month[row, cell],
            amount=found.amount[row, cell],
            annuity=found.annuity[row, cell],
            log_odds=log_odds,
            default_probability=probability,
            score=score,
            decision_index=decision,
            is_grid=found.is_grid[row, cell],
            is_frontier=found.is_frontier[row, cell],
            is_asked=found.is_asked[row, cell],
        )
        first = np.searchsorted(row, np.arange(len(rows)))
        nearest = np.where(found.nearest >= 0, first + found.nearest, -1)
        return _Part(rows, offers, terms.months.astype(np.int16), terms.monthly_rate, nearest, found.pieces)

    def _asked(self, values: Vector) -> tuple[kernels.Asked, Terms]:
        amount, annuity, income, goods = (
            np.ascontiguousarray(values[:, _column(name)])
            for name in ("AMT_CREDIT", "AMT_ANNUITY", "AMT_INCOME_TOTAL", "AMT_GOODS_PRICE")
        )
        terms = implied_terms(amount, annuity, self.convention)
        relative = relative_annuities(terms, self.months)
        asked = kernels.Asked(
            matrix=np.ascontiguousarray(self.bundle.preprocessing.transform(values)),
            amount=amount,
            annuity=annuity,
            income=income,
            goods=goods,
            months=terms.months,
            rate=100.0 * annuity[:, None] / amount[:, None] * relative,
            grid_amount=grid_amounts(amount, self.policy.what_if, self.step, self.grid.amounts),
            grid_month=grid_months(terms.months, self.months, self.grid.durations),
        )
        return asked, terms

    def _rules(self, limit: Border, known: Mapping[float, bool]) -> kernels.Rules:
        limits, contract = self.policy.what_if, by_name()["AMT_CREDIT"]
        log_odds = np.array(sorted(known))
        return kernels.Rules(
            months=self.months,
            step=float(self.step),
            least_percent=float(limits.least_percent),
            most_percent=float(limits.most_percent),
            least=float(contract.minimum or 0.0),
            most=float(contract.maximum or np.inf),
            limit=limit.log_odds,
            width=limit.width,
            drift=1e-11 * (1.0 + float(np.abs(self.trees.leaf_value).sum())),
            known=log_odds,
            known_accepted=np.array([known[each] for each in log_odds.tolist()], np.bool_),
        )

    def _found(self, rows: int) -> kernels.Found:
        """Room for what is found."""
        cells = (rows, self.grid.amounts * self.grid.durations + len(self.months) + 2)
        return kernels.Found(
            amount=np.empty(cells),
            annuity=np.empty(cells),
            month=np.zeros(cells, np.int16),
            log_odds=np.empty(cells),
            is_grid=np.zeros(cells, np.bool_),
            is_frontier=np.zeros(cells, np.bool_),
            is_asked=np.zeros(cells, np.bool_),
            nearest=np.empty(rows, np.int64),
            pieces=np.empty(rows, np.int64),
            questions=np.full((rows, kernels.QUESTIONS), np.nan),
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found for some applications; `nearest` counts from the part's own first offer."""

    rows: NDArray[np.intp]
    offers: Offers
    duration: NDArray[np.int16]
    monthly_rate: Vector
    nearest: NDArray[np.int64]
    pieces: NDArray[np.int64]


def _trees(bundle: ModelBundle) -> kernels.Trees:
    model = parse_model(bundle.booster_text)
    names = [column.name for column in bundle.preprocessing.columns]
    slots = np.array([MOVING.index(name) if name in MOVING else -1 for name in names], np.int8)
    slot = slots[model.feature]
    if np.any(model.is_categorical & (slot >= 0)):
        raise ArtefactError("The model takes an amount for a category; train again.")
    return kernels.Trees(
        node_start=model.node_start,
        leaf_start=model.leaf_start,
        feature=model.feature,
        threshold=model.threshold,
        decision_type=model.decision_type,
        left=model.left_child,
        right=model.right_child,
        leaf_value=model.leaf_value,
        category_start=model.category_start,
        category_words=model.category_words,
        category_bits=model.category_bits,
        slot=slot,
    )


def _outcome(values: Vector, types: Vector, decisions: NDArray[np.intp]) -> NDArray[np.int8]:
    """Positions in `OUTCOMES` before the search: NONE where there is something to search."""
    amount, annuity = values[:, _column("AMT_CREDIT")], values[:, _column("AMT_ANNUITY")]
    revolving = next(each.code for each in by_name()[CONTRACT_TYPE].categories if each.value == _REVOLVING)
    outcome = np.full(len(values), NONE, np.int8)
    # The last that holds counts.
    outcome[~are_clear(amount, annuity)] = NO_DURATION
    outcome[np.isnan(annuity)] = NO_ANNUITY
    outcome[types == revolving] = REVOLVING
    outcome[decisions == _ACCEPT] = ACCEPTED
    return outcome


@cache
def _column(name: str) -> int:
    return next(position for position, feature in enumerate(input_features()) if feature.name == name)


def _parts(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for first in range(0, len(rows), _TASK_ROWS):
        yield rows[first : first + _TASK_ROWS]


def _joined(parts: Sequence[Offers]) -> Offers:
    """All offers, one part after the other."""
    types = (np.int64, np.int16, *[np.float64] * 4, np.int16, np.int8, *[np.bool_] * 3)
    return Offers(
        *(
            np.concatenate([np.empty(0, dtype), *(getattr(part, name.name) for part in parts)]).astype(dtype)
            for name, dtype in zip(fields(Offers), types, strict=True)
        )
    )
