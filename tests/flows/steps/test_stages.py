"""Overlapping stages: order kept, errors passed on, memory bounded."""

from __future__ import annotations

import threading
import time

import pytest

from flows.steps.stages import Pipeline


def test_items_come_out_in_order_through_all_stages() -> None:
    pipeline = Pipeline(range(50), {"double": lambda item: item * 2, "shift": lambda item: item + 1})
    assert list(pipeline) == [2 * item + 1 for item in range(50)]
    assert set(pipeline.seconds) == {"double", "shift"}


def test_stages_work_at_the_same_time() -> None:
    second_begun = threading.Event()

    def first_stage(item: int) -> int:
        if item == 1:
            second_begun.set()
        return item

    def second_stage(item: int) -> int:
        # Comes back only if the first stage goes on with the next item meanwhile.
        assert second_begun.wait(timeout=10)
        return item

    assert list(Pipeline(range(3), {"first": first_stage, "second": second_stage})) == [0, 1, 2]


def test_an_error_in_a_stage_comes_out_and_stops_the_others() -> None:
    seen: list[int] = []

    def fail(item: int) -> int:
        if item == 3:
            raise ValueError("third")
        return item

    with pytest.raises(ValueError, match="third"):
        seen.extend(Pipeline(range(1_000_000), {"fail": fail}))
    assert seen == [0, 1, 2][: len(seen)]
    assert not [thread for thread in threading.enumerate() if thread.name == "fail"]


def test_an_error_in_the_source_comes_out() -> None:
    def source():
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(Pipeline(source(), {"same": lambda item: item}))


def test_a_slow_consumer_holds_the_source_back() -> None:
    made: list[int] = []

    def source():
        for item in range(100):
            made.append(item)
            yield item

    iterator = iter(Pipeline(source(), {"same": lambda item: item}, depth=1))
    next(iterator)
    time.sleep(0.3)
    assert len(made) < 10
    iterator.close()
