"""The nearest former customers are exactly those that looking at everybody finds."""

from __future__ import annotations

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


def plain(former: Codes, customer_id: NDArray[np.int32], new: Codes, k: int) -> Neighbours:
    """Everybody is compared with everybody, in numpy and float64."""
    rows, distances = [], []
    for own in new.astype(np.float64):
        distance = np.abs(former.astype(np.float64) - own).sum(axis=1)
        nearest = np.lexsort((customer_id, distance))[:k]
        rows.append(nearest)
        distances.append(distance[nearest])
    return Neighbours(np.array(rows, np.int32), np.array(distances).astype(np.int64))


def same(found: Neighbours, expected: Neighbours) -> bool:
    return np.array_equal(found.rows, expected.rows) and np.array_equal(found.distance, expected.distance)


def numbers(n: int, seed: int = 9) -> NDArray[np.int32]:
    return np.random.default_rng(seed).permutation(np.arange(100_001, 100_001 + n, dtype=np.int32))


def test_neighbours_are_those_of_comparing_everybody_with_everybody() -> None:
    former, new, ids = people(5_000, 1), people(1_000, 2), numbers(5_000)
    found = FormerCustomers.lay_out(former, ids).nearest(new, 200)
    assert same(found, plain(former, ids, new, 200))


def test_of_equally_near_the_lowest_customer_number_comes_first() -> None:
    distinct, ids = people(50, 1), numbers(1_000)
    former = np.repeat(distinct, 20, axis=0)
    found = FormerCustomers.lay_out(former, ids).nearest(distinct, 30)
    assert same(found, plain(former, ids, distinct, 30))
    tied = np.sort(ids[found.rows[:, :20]], axis=1)
    assert np.array_equal(ids[found.rows[:, :20]], tied)
    assert (found.distance[:, :20] == 0).all()


def test_results_depend_on_no_order_no_batch_and_no_threads() -> None:
    former, new, ids = people(3_000, 1), people(333, 2), numbers(3_000)
    found = FormerCustomers.lay_out(former, ids).nearest(new, 50)
    shuffled = np.random.default_rng(4).permutation(len(former))
    other = FormerCustomers.lay_out(former[shuffled], ids[shuffled])
    again = other.nearest(new[::-1], 50, threads=2)
    assert np.array_equal(ids[shuffled][again.rows[::-1]], ids[found.rows])
    assert np.array_equal(again.distance[::-1], found.distance)
    for at in (0, 100, 332):
        alone = other.nearest(new[at : at + 1], 50)
        assert np.array_equal(ids[shuffled][alone.rows[0]], ids[found.rows[at]])


def test_who_is_left_out_is_in_nobodys_neighbourhood() -> None:
    former, ids = people(1_500, 1), numbers(1_500)
    index = FormerCustomers.lay_out(former, ids)
    erased = np.random.default_rng(3).random(1_500) < 0.3
    # Each is asked about with the contributions of one who was erased: they would be the nearest.
    found = index.without(erased).nearest(former[erased][:100], 40)
    assert not erased[found.rows].any()
    kept = np.flatnonzero(~erased)
    expected = plain(former[kept], ids[kept], former[erased][:100], 40)
    assert np.array_equal(kept[expected.rows], found.rows)
    assert len(index.without(erased)) == len(kept)
    assert erased[index.nearest(former[erased][:100], 40).rows[:, 0]].all()


def test_applicants_far_from_everybody_are_compared_exactly_too() -> None:
    former, ids = people(500, 1), numbers(500)
    far = np.concatenate([np.full((1, FEATURES), LIMIT), np.full((1, FEATURES), -LIMIT), former[:1]]).astype(
        np.int16
    )
    assert same(FormerCustomers.lay_out(former, ids).nearest(far, 20), plain(former, ids, far, 20))
    # Nor do sums that no 16 bits hold confuse anybody.
    wide = np.random.default_rng(5).integers(-LIMIT, LIMIT + 1, (500, FEATURES)).astype(np.int16)
    assert same(FormerCustomers.lay_out(wide, ids).nearest(far, 20), plain(wide, ids, far, 20))


@pytest.mark.parametrize("features", [1, 16, 17, 130])
def test_any_number_of_features_and_of_former_customers_does(features: int) -> None:
    for n in (20, 63, 64, 65, 200):
        former, new = people(n, 1, features), people(30, 2, features)
        assert same(
            FormerCustomers.lay_out(former, numbers(n)).nearest(new, 20), plain(former, numbers(n), new, 20)
        )


def test_all_former_customers_are_found_where_there_are_no_more() -> None:
    found = FormerCustomers.lay_out(people(30, 1), numbers(30)).nearest(people(3, 2), 200)
    assert np.array_equal(np.sort(found.rows, axis=1), np.tile(np.arange(30), (3, 1)))


def test_nothing_is_told_of_fewer_than_twenty() -> None:
    index = FormerCustomers.lay_out(people(100, 1), numbers(100))
    with pytest.raises(ValueError, match="fewer than 20"):
        index.nearest(people(1, 2), 19)
    with pytest.raises(ValueError, match="among 19 former customers"):
        index.without(np.arange(100) >= 19).nearest(people(1, 2), 200)
    with pytest.raises(ValueError, match="no former customers"):
        FormerCustomers.lay_out(people(0, 1), numbers(0))


CODES = arrays.arrays(np.int16, (80, 20), elements=st.integers(-LIMIT, LIMIT))


@settings(max_examples=60, deadline=None)
@given(former=CODES, new=arrays.arrays(np.int16, (4, 20), elements=st.integers(-LIMIT, LIMIT)))
def test_no_bound_is_ever_more_than_the_distance(former: Codes, new: Codes) -> None:
    index = FormerCustomers.lay_out(former, numbers(80))
    blocks = index.blocks
    q = np.zeros((4, blocks.rows.shape[1]), np.int16)
    q[:, : len(index.order)] = np.clip(new, index.low, index.high)[:, index.order]
    after = [q[:, start:].sum(axis=1, dtype=np.int64) for start in (kernels.STEP, kernels.LEADING)]
    others = np.clip(np.stack(after, axis=1) + kernels.SUM_OFFSET, 0, 65_535).astype(np.uint16)
    of_block = kernels.block_bounds(blocks, q)
    for i in range(4):
        true = np.abs(blocks.rows.astype(np.int64) - q[i]).sum(axis=1).reshape(-1, kernels.LANES)
        for b in range(len(true)):
            assert of_block[b] <= true[b].min()
            sums, found = np.zeros(kernels.LANES, np.uint16), np.empty(kernels.LANES, np.uint16)
            half = kernels.STEP * kernels.LANES
            for stage, leading in enumerate((blocks.leading[b, :half], blocks.leading[b, half:])):
                own = q[i, stage * kernels.STEP : (stage + 1) * kernels.STEP]
                least = kernels.bounds(leading, own, blocks.others[b, stage], others[i, stage], sums, found)
                assert (found <= true[b]).all()
                assert least == found.min()


def test_a_contribution_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="feature 1 is not a number"):
        to_codes(np.array([[0.0, np.nan]]))
