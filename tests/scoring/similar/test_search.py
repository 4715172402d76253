"""The nearest former customers are exactly those that looking at everybody finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from scoring.similar import kernels
from scoring.similar.codes import LIMIT, Codes, to_codes
from scoring.similar.search import FormerCustomers, Neighbours

FEATURES = 40


def people(n: int, seed: int, features: int = FEATURES) -> Codes:
    """Contributions like a model's: few features count for much, many take few values, some none."""
    rng = np.random.default_rng(seed)
    spread = 0.3 * 0.85 ** np.arange(features)
    found = spread * rng.normal(size=(n, features))
    found[:, 1::3] = np.round(found[:, 1::3], 1)
    found[:, ::13] = 0
    return to_codes(found)


@dataclass(frozen=True)
class Former:
    """Former customers in three folds; some tests have their own codes."""

    codes: Codes
    customer_id: NDArray[np.int32]
    fold: NDArray[np.int8]

    def take(self, rows: NDArray[np.intp]) -> Former:
        return Former(self.codes[rows], self.customer_id[rows], self.fold[rows])

    def laid_out(self) -> FormerCustomers:
        return FormerCustomers.lay_out(self.codes, self.fold, self.customer_id)


def former_customers(codes: Codes) -> Former:
    n, rng = len(codes), np.random.default_rng(9)
    numbers = rng.permutation(np.arange(100_001, 100_001 + n, dtype=np.int32))
    return Former(codes, numbers, rng.permutation(np.arange(n, dtype=np.int8) % 3))


def by_folds(codes: Codes) -> list[Codes]:
    """Applicants as three models explain them, each a little differently."""
    rng = np.random.default_rng(8)
    return [np.clip(codes + rng.integers(-9, 10, codes.shape), -LIMIT, LIMIT).astype(np.int16) for _ in range(3)]


def plain(former: Former, new: list[Codes], k: int) -> Neighbours:
    """Everybody is compared with everybody, in numpy and float64."""
    rows, distances = [], []
    for at in range(len(new[0])):
        own = np.array([codes[at] for codes in new], np.float64)[former.fold]
        distance = np.abs(former.codes.astype(np.float64) - own).sum(axis=1)
        nearest = np.lexsort((former.customer_id, distance))[:k]
        rows.append(nearest)
        distances.append(distance[nearest])
    return Neighbours(np.array(rows, np.int32), np.array(distances).astype(np.int64))


def same(found: Neighbours, expected: Neighbours) -> bool:
    return np.array_equal(found.rows, expected.rows) and np.array_equal(found.distance, expected.distance)


def test_neighbours_are_those_of_comparing_everybody_with_everybody() -> None:
    former, new = former_customers(people(2_000, 1)), by_folds(people(1_000, 2))
    assert same(former.laid_out().nearest(new, 200), plain(former, new, 200))


def test_of_equally_near_the_lowest_customer_number_comes_first() -> None:
    distinct = people(50, 1)
    former = former_customers(np.repeat(distinct, 20, axis=0))
    found = former.laid_out().nearest([distinct] * 3, 30)
    assert same(found, plain(former, [distinct] * 3, 30))
    numbers = former.customer_id[found.rows[:, :20]]
    assert np.array_equal(numbers, np.sort(numbers, axis=1))
    assert (found.distance[:, :20] == 0).all()


def test_ties_at_the_last_place_go_to_the_lowest_customer_number_across_folds() -> None:
    one = people(1, 1)
    former = former_customers(np.repeat(one, 300, axis=0))
    found = former.laid_out().nearest([one] * 3, 25)
    assert np.array_equal(former.customer_id[found.rows[0]], np.sort(former.customer_id)[:25])


def test_results_depend_on_no_order_no_batch_and_no_threads() -> None:
    former, new = former_customers(people(3_000, 1)), by_folds(people(333, 2))
    found = former.laid_out().nearest(new, 50)
    numbers = former.customer_id[found.rows]
    shuffled = former.take(np.random.default_rng(4).permutation(3_000))
    other = shuffled.laid_out()
    again = other.nearest([codes[::-1] for codes in new], 50, threads=2)
    assert np.array_equal(shuffled.customer_id[again.rows[::-1]], numbers)
    assert np.array_equal(again.distance[::-1], found.distance)
    for at in (0, 100, 332):
        alone = other.nearest([codes[at : at + 1] for codes in new], 50)
        assert np.array_equal(shuffled.customer_id[alone.rows[0]], numbers[at])


def test_who_is_left_out_is_in_nobodys_neighbourhood() -> None:
    former = former_customers(people(1_500, 1))
    erased = np.random.default_rng(3).random(1_500) < 0.3
    # Asked is for the very people who were erased: nobody would be nearer.
    asked = [former.codes[erased][:100]] * 3
    assert erased[former.laid_out().nearest(asked, 40).rows[:, 0]].all()
    index = former.laid_out().without(erased)
    found = index.nearest(asked, 40)
    assert not erased[found.rows].any()
    kept = np.flatnonzero(~erased)
    assert len(index) == len(kept)
    assert np.array_equal(kept[plain(former.take(kept), asked, 40).rows], found.rows)


def test_applicants_far_from_everybody_are_compared_exactly_too() -> None:
    former = former_customers(people(500, 1))
    far = [np.full((1, FEATURES), limit, np.int16) for limit in (LIMIT, -LIMIT)]
    asked = [np.concatenate([*far, former.codes[:1]])] * 3
    assert same(former.laid_out().nearest(asked, 20), plain(former, asked, 20))
    # Nor do sums that no 16 bits hold confuse anybody.
    codes = np.random.default_rng(5).integers(-LIMIT, LIMIT + 1, (500, FEATURES)).astype(np.int16)
    wide = former_customers(codes)
    assert same(wide.laid_out().nearest(asked, 20), plain(wide, asked, 20))


@pytest.mark.parametrize("features", [1, 16, 17, 130])
def test_any_number_of_features_and_of_former_customers_does(features: int) -> None:
    for n in (20, 63, 64, 65, 400):
        former, new = former_customers(people(n, 1, features)), by_folds(people(30, 2, features))
        assert same(former.laid_out().nearest(new, 20), plain(former, new, 20))


def test_all_former_customers_are_found_where_there_are_no_more() -> None:
    found = former_customers(people(30, 1)).laid_out().nearest(by_folds(people(3, 2)), 200)
    assert np.array_equal(np.sort(found.rows, axis=1), np.tile(np.arange(30), (3, 1)))


def test_nothing_is_told_of_fewer_than_twenty() -> None:
    index = former_customers(people(100, 1)).laid_out()
    with pytest.raises(ValueError, match="fewer than 20"):
        index.nearest(by_folds(people(1, 2)), 19)
    with pytest.raises(ValueError, match="among 19 former customers"):
        index.without(np.arange(100) >= 19).nearest(by_folds(people(1, 2)), 200)
    with pytest.raises(ValueError, match="no former customers"):
        former_customers(people(0, 1)).laid_out()


CODES = arrays.arrays(np.int16, (80, 40), elements=st.integers(-LIMIT, LIMIT))


@settings(max_examples=60, deadline=None)
@given(former=CODES, new=arrays.arrays(np.int16, (4, 40), elements=st.integers(-LIMIT, LIMIT)))
def test_no_bound_is_ever_more_than_the_distance(former: Codes, new: Codes) -> None:
    one_fold = FormerCustomers.lay_out(former, np.zeros(80, np.int8), np.arange(80, dtype=np.int32)).folds[0]
    blocks = one_fold.blocks
    q, others, _ = one_fold.ask(new)
    of_block = kernels.block_bounds(blocks, q)
    for i in range(4):
        true = np.abs(blocks.rows.astype(np.int64) - q[i]).sum(axis=1).reshape(-1, kernels.LANES)
        for b in range(len(true)):
            assert of_block[b] <= true[b].min()
            sums, found = np.zeros(kernels.LANES, np.uint16), np.empty(kernels.LANES, np.uint16)
            for stage in range(kernels.STAGES):
                least = kernels.bounds(blocks.leading, blocks.others, b, q, others, i, stage, sums, found)
                assert (found <= true[b]).all()
                assert least == found.min()


def test_a_contribution_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="feature 1 is not a number"):
        to_codes(np.array([[0.0, np.nan]]))
