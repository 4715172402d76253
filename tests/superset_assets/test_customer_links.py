"""Addresses of one customer's pages are read as they were written."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superset_assets.server import customer_links
from superset_assets.server.customer_links import OF_ONE, Place

LANGUAGES = ("en", "fr")


@given(st.sampled_from(OF_ONE), st.sampled_from(LANGUAGES), st.integers(0, customer_links.LARGEST))
def test_an_address_says_its_page_and_its_customer_to_people_and_to_charts(
    page: str, language: str, customer: int
) -> None:
    parts = urlsplit(Place(page, language).address(customer))
    arguments = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert customer_links.place_of(parts.path.split("/")[3], LANGUAGES) == Place(page, language)
    assert customer_links.customer_in_address(arguments) == str(customer)
    assert customer_links.customer_in_filters(arguments) == str(customer)


@given(st.integers(0, 10**18 - 1), st.sampled_from(["", " ", "\u00a0", "\u202f", ",", ".", "'", "’"]))
def test_a_number_may_be_grouped_as_people_write_it(number: int, separator: str) -> None:
    assert customer_links.number(f" {number:,} ".replace(",", separator)) == number


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "abc",
        "12a",
        "-5",
        "+5",
        "1e5",
        "٣",
        "0x10",
        "½",
        "1" * 19,
        "5;6",
        "100005.0",
        "12.5",
        "1,2,3",
        "1 234,567",
        "1234 567",
        "1,234,",
        ",234",
    ],
)
def test_what_is_no_number_is_none(typed: str) -> None:
    assert customer_links.number(typed) is None


@pytest.mark.parametrize("slug", ["", "customer", "customer-de", "other-en", "p"])
def test_a_page_of_somebody_else_is_none_of_ours(slug: str) -> None:
    assert customer_links.place_of(slug, LANGUAGES) is None


@pytest.mark.parametrize("state", [None, "", "null", "[]", "{", '{"NATIVE_FILTER-customer": {}}'])
def test_filters_without_a_customer_name_none(state: str | None) -> None:
    assert customer_links.customer_in_state(state) is None


def test_the_customer_of_kept_filters_is_found() -> None:
    state = '{"NATIVE_FILTER-customer": {"extraFormData": {"filters": [{"col": "customer_id", "val": 7}]}}}'
    assert customer_links.customer_in_state(state) == "7"
