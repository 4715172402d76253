"""Binary COPY: what goes in comes out, nulls by one rule, nothing wraps around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import REAL, BigInteger, Column, Double, Engine, Integer, MetaData, SmallInteger, Table, Text

from db.runs.copy import Masked, copy_rows, encode, text_bytes

metadata = MetaData(schema="public")
THING = Table(
    "thing",
    metadata,
    Column("small", SmallInteger),
    Column("whole", Integer),
    Column("big", BigInteger),
    Column("single", REAL),
    Column("double", Double),
    Column("words", Text),
)

ROW = st.tuples(
    st.one_of(st.none(), st.integers(-(2**15), 2**15 - 1)),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.one_of(st.none(), st.floats(width=32, allow_nan=False)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=30))
def test_any_rows_survive_the_round_trip(engine: Engine, rows: list[tuple[object, ...]]) -> None:
    small, whole, big, single, double, words = zip(*rows, strict=True)
    columns = {
        "small": Masked(
            np.array([value or 0 for value in small]), np.array([value is None for value in small], dtype=bool)
        ),
        "whole": np.array(whole),
        "big": np.array(big),
        "single": np.array([np.nan if value is None else value for value in single], dtype=np.float32),
        "double": np.array([np.nan if value is None else value for value in double]),
        "words": text_bytes(list(words)),
    }
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        with driver.cursor() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE thing"
                " (small int2, whole int4, big int8, single float4, double float8, words text)"
            )
            cursor.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
            temporary = cursor.fetchone()[0]
            table = THING.to_metadata(MetaData(), schema=temporary)
            assert copy_rows(cursor, encode(table, columns), "thing") == len(rows)
            cursor.execute("SELECT small, whole, big, single::float8, double, words FROM thing")
            assert cursor.fetchall() == rows
        driver.rollback()


def test_one_number_stands_for_every_row() -> None:
    assert len(encode(THING, {"whole": np.arange(3), "small": 7}).data) == 3 * (2 + 8 + 6)


@pytest.mark.parametrize("value", [2**15, -(2**15) - 1])
def test_a_number_that_does_not_fit_is_refused_by_name(value: int) -> None:
    with pytest.raises(OverflowError, match=r"thing\.small: .* does not fit"):
        encode(THING, {"small": np.array([value])})


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        encode(THING, {"small": np.arange(2), "whole": np.arange(3)})


def test_nan_in_an_integer_column_is_null_not_a_number() -> None:
    assert bytes(encode(THING, {"small": np.array([np.nan])}).data) == b"\x00\x01\xff\xff\xff\xff"
