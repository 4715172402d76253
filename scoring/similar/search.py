"""The nearest former customers of applicants, exactly: nobody who is nearer is left out, whatever the order.

An L1 distance in a hundred features has no index that beats looking at everybody (Weber, Schek and Blott 1998, "A
quantitative analysis and performance study for similarity-search methods in high-dimensional spaces"): trees and
pivots give up little. So everybody is looked at, but briefly, as their VA-file does. Lower bounds come in stages:

1. A block of 64 former customers who are alike, by the limits of the 32 features that differ most: given up unread.
2. Each of them by 8 of these features. The features that are left add at least the difference of their sums. The
   difference of the log-odds is the same with no feature of its own; it leaves more than half of everybody.
3. The same by 16 features, by 24, and by 32. One in a hundred is left.
4. All features.

Blocks come from halving the former customers, again and again, at the median of the feature that differs most among
them. Applicants are put together in the same way and led through the same blocks, the nearest first, so that they
soon have neighbours to measure the others by. Which of the two halves a person falls into decides when they are
compared, never whether: results depend on nothing but distance and customer number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.similar import kernels
from scoring.similar.codes import Codes

SMALLEST_GROUP = 20
"""Of fewer people nothing is told."""
NEIGHBOURS = 200
_TOGETHER = 128
_SPREAD_ROWS = 20_000
_SPLIT_ROWS = 128


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest former customers of n applicants, k each, the nearest first; of equally near the lower number.

    Attributes
    ----------
    rows: shape (n, k), which rows of the former customers.
    distance: shape (n, k), in units, see `scoring.similar.codes`.
    """

    rows: NDArray[np.int32]
    distance: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Fold:
    """The former customers of one fold, laid out.

    Attributes
    ----------
    order: the features that differ among them, by how much.
    low, high: limits of all features.
    """

    blocks: kernels.Blocks
    order: NDArray[np.intp]
    low: Codes
    high: Codes

    @staticmethod
    def lay_out(codes: Codes, place: NDArray[np.int32]) -> _Fold:
        low, high = codes.min(axis=0), codes.max(axis=0)
        some = codes[:: max(1, len(codes) // _SPREAD_ROWS)].astype(np.float64)
        spread = np.abs(some - some.mean(axis=0)).mean(axis=0)
        order = np.argsort(-spread, kind="stable")
        order = order[(low < high)[order]]
        ordered = _in_order(codes, order)
        together = np.concatenate(list(_alike(ordered[:, : kernels.LEADING], kernels.LANES)))
        filled = np.resize(together, -(-len(codes) // kernels.LANES) * kernels.LANES)
        places = place[filled]
        places[len(codes) :] = kernels.NOBODY
        return _Fold(_blocks(ordered[filled], places), order, low, high)

    def ask(self, codes: Codes) -> _Asked:
        # Beyond the limits everybody is farther by the same amount.
        within = np.clip(codes, self.low, self.high)
        farther = np.abs(np.subtract(codes, within, dtype=np.int32)).sum(axis=1, dtype=np.int64)
        q = _in_order(within, self.order)
        return _Asked(q, _other_sums(q), farther)


class _Asked(NamedTuple):
    """Applicants as a fold's former customers are laid out, see `kernels.search`."""

    q: Codes
    others: NDArray[np.uint16]
    farther: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FormerCustomers:
    """Former customers of all folds, laid out to be searched; `by_number` are rows by their customer numbers."""

    folds: tuple[_Fold, ...]
    by_number: NDArray[np.int32]

    @staticmethod
    def lay_out(codes: Codes, fold: NDArray[np.int8], customer_id: NDArray[np.int32]) -> FormerCustomers:
        """Lay out former customers.

        Parameters
        ----------
        codes: shape (n, features), from `Folds`.
        fold, customer_id: shape (n,); folds are numbered from 0, and each has somebody.

        Raises ValueError if there are no former customers.
        """
        if not len(codes):
            raise ValueError("There are no former customers to search.")
        by_number = np.argsort(customer_id, kind="stable").astype(np.int32)
        place = np.empty(len(codes), np.int32)
        place[by_number] = np.arange(len(codes), dtype=np.int32)
        of_fold = [fold == number for number in range(int(fold.max()) + 1)]
        return FormerCustomers(tuple(_Fold.lay_out(codes[own], place[own]) for own in of_fold), by_number)

    def without(self, rows: NDArray[np.bool_]) -> FormerCustomers:
        """The same without some rows, shape (n,): they are in nobody's neighbourhood."""
        left_out = rows[self.by_number]

        def kept(fold: _Fold) -> _Fold:
            place = fold.blocks.place
            place = np.where(left_out[place] | (place == kernels.NOBODY), np.int32(kernels.NOBODY), place)
            return replace(fold, blocks=fold.blocks._replace(place=place))

        return replace(self, folds=tuple(map(kept, self.folds)))

    def __len__(self) -> int:
        return sum(int((fold.blocks.place != kernels.NOBODY).sum()) for fold in self.folds)

    def nearest(self, codes: Sequence[Codes], k: int = NEIGHBOURS, *, threads: int = 1) -> Neighbours:
        """The k nearest of each applicant, all there are if they are fewer.

        Parameters
        ----------
        codes: of the applicants by each fold's model, shape (n, features) each, from `explained_by_folds`.

        Raises ValueError if k, or the number of former customers, is less than 20.
        """
        if min(k, len(self)) < SMALLEST_GROUP:
            raise ValueError(
                f"{k} neighbours among {len(self)} former customers are asked for; of fewer than"
                f" {SMALLEST_GROUP} people nothing is told."
            )
        keys = np.full((len(codes[0]), min(k, len(self))), kernels.EMPTY, np.int64)
        asked = [fold.ask(explained) for fold, explained in zip(self.folds, codes, strict=True)]

        def search(rows: NDArray[np.intp]) -> None:
            own = keys[rows]
            for fold, (q, others, farther) in zip(self.folds, asked, strict=True):
                limits = kernels.block_bounds(fold.blocks, q[rows])
                kernels.search(fold.blocks, limits, np.argsort(limits), q[rows], others[rows], farther[rows], own)
            keys[rows] = np.sort(own, axis=1)

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(search, _alike(asked[0].q[:, : kernels.LEADING], _TOGETHER)):
                pass
        return Neighbours(self.by_number[keys & kernels.FARTHEST], keys >> 32)


def _in_order(codes: Codes, order: NDArray[np.intp]) -> Codes:
    """The chosen features and as many zeros as make whole registers."""
    width = max(kernels.LEADING, -(-len(order) // 16) * 16)
    found = np.zeros((len(codes), width), np.int16)
    found[:, : len(order)] = codes[:, order]
    return found


def _other_sums(ordered: Codes) -> NDArray[np.uint16]:
    """Sums of all features after the first 8, 16, 24 and 32, shape (n, 4), cut to 16 bits.

    Cutting never moves two sums apart, so their difference stays a lower bound.
    """
    starts = range(kernels.STEP, kernels.LEADING + 1, kernels.STEP)
    after = [ordered[:, start:].sum(axis=1, dtype=np.int64) for start in starts]
    cut: NDArray[np.int64] = np.clip(np.stack(after, axis=1) + kernels.SUM_OFFSET, 0, 2**16 - 1)
    return cut.astype(np.uint16)


def _blocks(rows: Codes, place: NDArray[np.int32]) -> kernels.Blocks:
    lanes, leading, stages, step = kernels.LANES, kernels.LEADING, kernels.STAGES, kernels.STEP
    by_block = rows[:, :leading].reshape(-1, lanes, leading)
    by_stage = by_block.reshape(-1, lanes, stages, step).transpose(2, 0, 3, 1)
    return kernels.Blocks(
        np.ascontiguousarray(by_stage).reshape(stages, -1, step * lanes),
        np.ascontiguousarray(_other_sums(rows).reshape(-1, lanes, stages).transpose(2, 0, 1)),
        by_block.min(axis=1),
        by_block.max(axis=1),
        rows,
        place,
    )


def _alike(codes: Codes, most: int) -> Iterator[NDArray[np.intp]]:
    """Rows in parts of at most `most` who are alike; all parts but one are full."""
    waiting = [np.arange(len(codes))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= most:
            yield rows
            continue
        feature = int(np.argmax(codes[rows[:: max(1, len(rows) // _SPLIT_ROWS)]].std(axis=0)))
        half = max(1, round(len(rows) / 2 / most)) * most
        parted = rows[np.argpartition(codes[rows, feature], half)]
        waiting += [parted[half:], parted[:half]]
