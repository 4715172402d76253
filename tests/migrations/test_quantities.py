"""Numbers with their units, as people read them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text


@pytest.mark.parametrize(
    ("years", "english", "french"),
    [
        (None, "not given", "non renseigné"),
        (0.0, "0 days", "0 jour"),
        (1 / 365.25, "1 day", "1 jour"),
        (2 / 365.25, "2 days", "2 jours"),
        (30 / 365.25, "30 days", "30 jours"),
        (31 / 365.25, "1 month", "1 mois"),
        (0.25, "3 months", "3 mois"),
        (0.99, "12 months", "12 mois"),
        (1.0, "1.0 years", "1,0 ans"),
        (29.24, "29.2 years", "29,2 ans"),
    ],
)
def test_a_time_under_a_year_is_told_in_months_or_days(
    engine: Engine, years: float | None, english: str, french: str
) -> None:
    query = text(
        "SELECT reporting.quantity_en(:years, 1, 'years'),"
        " translate(reporting.quantity_fr(:years, 1, 'ans'), U&'\\00A0', ' ')"
    )
    with engine.connect() as connection:
        assert tuple(connection.execute(query, {"years": years}).one()) == (english, french)


def test_other_units_stay_what_they_are(engine: Engine) -> None:
    query = text("SELECT reporting.quantity_en(0.5, 1, '%'), reporting.quantity_en(0.5, 1, '')")
    with engine.connect() as connection:
        assert tuple(connection.execute(query).one()) == ("0.5%", "0.5")
