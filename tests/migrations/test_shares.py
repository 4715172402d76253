"""How many former customers have a lower value, and the same: one pair of functions, against counting them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from scoring.scorecard import quantiles

# Values that many share, zero among them, of both signs, and some that nobody shares.
VALUES = st.one_of(
    st.sampled_from([-3652.0, -1.0, 0.0, 1.0, 2.5]),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3)),
)


def shares(engine: Engine, wanted: list[float | None], known: list[float], scale: float) -> list[tuple]:
    query = text(
        "SELECT reporting.share_below(w, :known, :scale), reporting.share_at_or_below(w, :known, :scale)"
        " FROM unnest(CAST(:wanted AS double precision[])) WITH ORDINALITY AS v (w, n) ORDER BY n"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"wanted": wanted, "known": known, "scale": scale})]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    former=st.lists(VALUES, min_size=2, max_size=400),
    others=st.lists(VALUES, max_size=20),
    scale=st.sampled_from([1.0, 0.01, -1.0, -1 / 365.25]),
)
def test_shares_are_those_of_the_people_in_peoples_units(
    engine: Engine, former: list[float], others: list[float], scale: float
) -> None:
    wanted = [*former[:20], *others]
    shown = np.array(former) * scale
    found = shares(engine, wanted, list(quantiles(np.array(former), mirrored=scale < 0)), scale)
    # Counted in whole thousandths.
    tolerance = 0.1 + 1e-9
    for value, (below, at_or_below) in zip(wanted, found, strict=True):
        assert below == pytest.approx(100 * np.mean(shown < value * scale), abs=tolerance)
        assert at_or_below == pytest.approx(100 * np.mean(shown <= value * scale), abs=tolerance)
        assert 0 <= below <= at_or_below <= 100
    order = np.argsort(np.array(wanted) * scale)
    for column in (0, 1):
        assert np.all(np.diff([found[place][column] for place in order]) >= 0)


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_whoever_shares_zero_with_many_is_beside_them(engine: Engine, scale: float) -> None:
    """Of the phone that was changed today: 12.6 % of former customers, and not 0."""
    former = np.array([0.0] * 126 + [-float(day) for day in range(1, 875)])
    ((below, at_or_below),) = shares(engine, [0.0], list(quantiles(former, mirrored=scale < 0)), scale)
    assert at_or_below - below == pytest.approx(12.6, abs=0.11)
    assert (at_or_below == 100) if scale > 0 else (below == 0)


def test_without_a_value_or_without_former_customers_there_is_no_share(engine: Engine) -> None:
    assert shares(engine, [None], [0.0] * 1001, 1.0) == [(None, None)]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT reporting.share_below(1, NULL, 1)")) is None
