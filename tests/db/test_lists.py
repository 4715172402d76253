"""Lists of whole numbers: Postgres reads what was written."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from db.engine import driver
from db.lists import integer_lists
from db.models import similar_member
from db.runs.copy import copy_rows, encode

LISTS = st.integers(20, 60).flatmap(
    lambda k: st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=k, max_size=k), min_size=1, max_size=8)
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists=LISTS)
def test_any_lists_survive_the_round_trip(engine: Engine, lists: list[list[int]]) -> None:
    people = np.arange(1, len(lists) + 1, dtype=np.int32)
    columns = {"run_id": 7, "customer_id": people, "members": integer_lists(np.array(lists, dtype=np.int32))}
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE credit.p PARTITION OF credit.similar_member FOR VALUES IN (7)"))
        with driver(connection).cursor() as cursor:
            copy_rows(cursor, encode(similar_member, columns), "p")
        kept = connection.scalars(text("SELECT members FROM credit.similar_member ORDER BY customer_id")).all()
        connection.rollback()
    assert kept == lists
