"""What a table is, for those who grant, limit, partition, erase and vacuum: said once, where the table is defined.

It stands in `Table.info`. Whoever needs "all tables that ..." asks here instead of keeping a list of names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from sqlalchemy import Table

_KEY = "about"


class Holds(Enum):
    """How a column holds people; a column of which nothing is said holds none."""

    NUMBER = "customers' numbers"
    LISTS = "lists of customers' numbers"
    RANGES = "ranges of customers' numbers"
    REFUSED = "a part of a refused row, as it was received"
    RECEIVED = "a word as it was received, which may be a number alone"
    MENTIONS = "a text that may name a person"
    # In a file's name, a number may be anything.
    NAMES = "a text that names a person only where it says so"


@dataclass(frozen=True, slots=True)
class About:
    """What a table is.

    Attributes
    ----------
    people: how each of its columns holds people.
    jobs: what the role of the nightly job and of training may do with it. What it may not even read is the
        operators' own, and no view reads it either.
    limited: whether row security holds advisors to their own customers in it, while portfolios are on.
    partitioned_by: the column of the run or model that each partition is of; the jobs own such a table, because
        attaching a partition takes that.
    analysed: the columns of a partition of which the planner gathers statistics.
    sums_up_former_customers: whether it describes a model's former customers as a whole, and is made anew when one
        of them is erased.
    """

    people: Mapping[str, Holds] = field(default_factory=dict)
    jobs: Literal["write", "read", "nothing"] = "write"
    limited: bool = False
    partitioned_by: Literal["run_id", "model_id"] | None = None
    analysed: tuple[str, ...] = ()
    sums_up_former_customers: bool = False


def info(**facts: Any) -> dict[str, About]:
    """The same as `Table` takes it."""
    return {_KEY: About(**facts)}


def about(table: Table) -> About:
    """What the table is; one of which nothing is said holds no people, and the jobs write it."""
    found = table.info.get(_KEY, About())
    assert isinstance(found, About)
    return found


def partitioned(tables: Iterable[Table], key: str | None = None) -> tuple[Table, ...]:
    """Those that are partitioned, by `key` or by any."""
    by = {"run_id", "model_id"} if key is None else {key}
    return tuple(table for table in tables if about(table).partitioned_by in by)


def columns_that(tables: Iterable[Table], *kinds: Holds) -> list[tuple[Table, str, Holds]]:
    """(table, column, how) of every column that holds people in one of these ways; in any way if none is named."""
    return [
        (table, column, how)
        for table in tables
        for column, how in about(table).people.items()
        if not kinds or how in kinds
    ]
