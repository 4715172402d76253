"""A customer's file is opened by its number, from anywhere, and is never another one's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from superset_assets.server.customer_links import Place
from tests.superset_fixture import Superset, sign_in

CUSTOMER, OTHER = 500_007, 500_008
FILE = Place("customer", "en")


def where(answer: httpx.Response) -> tuple[str, dict[str, str]]:
    """Path and arguments of where an answer leads."""
    assert answer.status_code == 302, answer.status_code
    parts = urlsplit(answer.headers["location"])
    return parts.path, {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}


def bar(page: str) -> str:
    """The words above a page."""
    found = re.search(r'<header id="creditlens".*?</header>', page, re.S)
    return " ".join(unescape(re.sub("<[^>]+>", " ", found[0])).split()) if found else ""


@pytest.mark.parametrize("typed", [str(CUSTOMER), f" {CUSTOMER:,} ", "500\u202f007"])
@pytest.mark.parametrize("page", ["customer", "compare"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_number_opens_the_page_of_that_customer(superset: Superset, typed: str, page: str, language: str) -> None:
    answer = superset.client("advisor").get(
        "/creditlens/customer", params={"number": typed, "page": page, "language": language}
    )
    assert answer.headers["location"] == Place(page, language).address(CUSTOMER)


def test_the_page_is_headed_by_number_and_date_of_the_score(superset: Superset) -> None:
    with superset.engine.connect() as connection:
        day = connection.execute(text("SELECT as_of FROM reporting.published_run")).scalar_one()
    client = superset.client("advisor")
    for language, months in (("en", "March"), ("fr", "mars")):
        page = client.get(Place("customer", language).address(CUSTOMER))
        assert page.status_code == 200
        said = {"en": f"Customer {CUSTOMER} · score of", "fr": f"Client {CUSTOMER} · score du"}[language]
        assert f"{said} {day.day} {months} {day.year}" in bar(page.text)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("900000", "No customer scored tonight has the number 900000. No file is open."),
        ("9" * 18, f"No customer scored tonight has the number {'9' * 18}. No file is open."),
        ("abc", "“abc” is no customer number. A number has digits only; no file is open."),
        ("<b>7", "“<b>7” is no customer number. A number has digits only; no file is open."),
        ("", "Choose a customer first: type a number, or open one from the list."),
    ],
)
def test_what_is_nobodys_number_opens_no_file_and_is_told(superset: Superset, typed: str, said: str) -> None:
    client = superset.client("advisor")
    answer = client.get("/creditlens/customer", params={"number": typed, "language": "en"})
    path, arguments = where(answer)
    assert path == "/superset/dashboard/worklist-en/"
    page = client.get(path, params=arguments).text
    assert said in bar(page)
    assert "<b>7" not in page


def test_a_former_customer_is_told_to_be_one(superset: Superset) -> None:
    with superset.engine.connect() as connection:
        former = connection.execute(text("SELECT min(customer_id) FROM reporting.former_customer")).scalar_one()
    client = superset.client("advisor")
    for language, said in (("en", f"{former} is a former customer"), ("fr", f"{former} est un ancien client")):
        path, arguments = where(client.get(Place("customer", language).address(former)))
        assert path == f"/superset/dashboard/worklist-{language}/"
        assert said in bar(client.get(path, params=arguments).text)


@pytest.mark.parametrize("page", ["customer", "compare"])
def test_without_a_customer_the_worklist_opens(superset: Superset, page: str) -> None:
    path, _ = where(superset.client("advisor").get(f"/superset/dashboard/{page}-fr/"))
    assert path == "/superset/dashboard/worklist-fr/"


def test_charts_that_would_show_another_customer_than_the_address_are_not_given(superset: Superset) -> None:
    client = superset.client("advisor")
    mixed = FILE.address(OTHER).replace(f"customer={OTHER}&", f"customer={CUSTOMER}&")
    assert client.get(mixed).headers["location"] == FILE.address(CUSTOMER)


def test_the_back_button_finds_the_customer_before_though_superset_keeps_the_last_one(superset: Superset) -> None:
    client = superset.client("advisor")
    number = client.get("/api/v1/dashboard/customer-en").json()["result"]["id"]
    mask = {"extraFormData": {"filters": [{"col": "customer_id", "op": "==", "val": OTHER}]}}
    key = client.post(
        f"/api/v1/dashboard/{number}/filter_state?tab_id=1",
        json={"value": f'{{"NATIVE_FILTER-customer": {str(mask).replace(chr(39), chr(34))}}}'},
    ).json()["key"]
    # The very state of the other customer is taken as it is, with whatever else was chosen on the page ...
    kept = {"customer": str(OTHER), "native_filters_key": key}
    assert client.get(FILE.path, params=kept).status_code == 200
    # ... and leads to this one's own page where the address is of this one.
    before = {"customer": str(CUSTOMER), "native_filters_key": key}
    assert client.get(FILE.path, params=before).headers["location"] == FILE.address(CUSTOMER)
    # An address without a customer, as a bookmark of version 0.3, is of the one that was kept.
    assert client.get(FILE.path, params={"native_filters_key": key}).headers["location"] == FILE.address(OTHER)
    by_number = client.get(f"/superset/dashboard/{number}/", params=kept)
    assert by_number.headers["location"] == FILE.address(OTHER)


def test_links_to_other_pages_and_to_the_other_language_keep_the_customer(superset: Superset) -> None:
    page = unescape(superset.client("advisor").get(FILE.address(CUSTOMER)).text)
    for place in (Place("compare", "en"), Place("customer", "fr")):
        assert f'href="{place.address(CUSTOMER)}"' in page
    for path in ("/superset/dashboard/worklist-en/", "/superset/dashboard/portfolio-en/"):
        assert f'href="{path}"' in page


@pytest.fixture
def own(superset: Superset) -> Iterator[httpx.Client]:
    """An advisor whose browser nobody else uses: Superset and the bar remember where it was."""
    with httpx.Client(base_url=superset.url, timeout=60, trust_env=False) as client:
        sign_in(client, "advisor", superset.users["advisor"])
        yield client


def test_the_flag_turns_the_page_with_its_customer(superset: Superset, own: httpx.Client) -> None:
    answer = own.get("/lang/fr", headers={"Referer": superset.url + FILE.address(CUSTOMER)})
    assert answer.headers["location"] == Place("customer", "fr").address(CUSTOMER)
    answer = own.get("/lang/en", headers={"Referer": superset.url + "/superset/dashboard/portfolio-fr/?x=1"})
    assert answer.headers["location"] == "/superset/dashboard/portfolio-en/"
    elsewhere = own.get(
        "/lang/en", headers={"Referer": "https://elsewhere.example/superset/dashboard/customer-fr/"}
    )
    assert "customer-en" not in elsewhere.headers["location"]


def test_files_opened_before_are_at_hand_the_newest_first(own: httpx.Client) -> None:
    for number in (500_001, 500_002, 500_003, 500_002):
        assert own.get(FILE.address(number)).status_code == 200
    said = bar(own.get("/superset/dashboard/worklist-en/").text)
    assert said.endswith("Recently opened: 500002 · 500003 · 500001")


def test_whoever_signs_in_next_in_the_same_browser_does_not_see_them(superset: Superset, own: httpx.Client) -> None:
    assert own.get(FILE.address(500_001)).status_code == 200
    own.get("/logout/")
    sign_in(own, "operator", superset.users["operator"])
    assert "Recently opened" not in bar(own.get("/superset/dashboard/worklist-en/").text)


@pytest.mark.parametrize(
    "referrer", ["", "/superset/dashboard", "/superset/dashboard/", "/superset/dashboard/999999/", "/"]
)
def test_the_flag_on_any_other_page_is_supersets_own(superset: Superset, own: httpx.Client, referrer: str) -> None:
    assert own.get("/lang/fr", headers={"Referer": superset.url + referrer}).status_code == 302


def test_while_the_database_does_not_answer_a_sentence_says_so(superset: Superset) -> None:
    client = superset.client("advisor")
    with superset.engine.begin() as connection:
        connection.execute(text("ALTER VIEW reporting.customer_score RENAME TO away"))
    try:
        for path in (FILE.address(CUSTOMER), f"/creditlens/customer?language=en&number={CUSTOMER}"):
            answer = client.get(path)
            assert (answer.status_code, answer.text.partition(",")[0]) == (503, "The database does not answer")
        assert client.get("/superset/dashboard/worklist-en/").status_code == 200
    finally:
        with superset.engine.begin() as connection:
            connection.execute(text("ALTER VIEW reporting.away RENAME TO customer_score"))


def test_nobody_learns_whom_there_is_without_signing_in_or_without_the_right(superset: Superset) -> None:
    with httpx.Client(base_url=superset.url, timeout=60, trust_env=False) as client:
        assert bar(client.get("/login/").text) == ""
        for number in (CUSTOMER, 900_000):
            path, arguments = where(client.get("/creditlens/customer", params={"number": number}))
            assert path == "/login/"
            assert str(number) in arguments["next"]
            assert "/login/" in client.get(FILE.address(number)).headers["location"]
