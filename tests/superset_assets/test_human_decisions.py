"""Decisions over HTTP: by whoever decides, on the own customers, with a token, once, and seen at once."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from pypdf import PdfReader
from sqlalchemy import text

from db.access import portfolios
from db.engine import parse_url, transaction
from db.superset import access_log
from flows.services import superset as superset_service
from tests import portfolio
from tests.superset_fixture import Superset

FIRST, SECOND, MANY = 500_021, 500_022, range(500_031, 500_081)
TOO_MUCH = {"decision": "refuse", "reason_code": "burden", "note": "Too much <b>at once</b>."}


@pytest.fixture(autouse=True)
def nothing_decided(superset: Superset) -> Iterator[None]:
    yield
    with transaction(superset.engine) as connection:
        for (customer,) in connection.execute(text("SELECT DISTINCT customer_id FROM credit.decision")).all():
            connection.execute(text(f"SELECT set_config('creditlens.erased_customer', '{customer}', true)"))
            for table in ("review_conclusion", "review", "decision"):
                connection.execute(text(f"DELETE FROM credit.{table} WHERE customer_id = {customer}"))


def hidden(page: str) -> dict[str, str]:
    """What a page's form sends that nobody types."""
    form = page[page.index('<form method="post"') :]
    found = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    return {name: value for name, value in found.items() if name != "language"}


def post(superset: Superset, user: str, address: str, **typed: Any) -> httpx.Response:
    """Open a page and send its form."""
    client = superset.client(user)
    page = client.get(address)
    assert page.status_code == 200, page.text
    return client.post(address, data={**hidden(page.text), **typed})


def test_a_decision_leads_to_the_file_and_is_seen_in_the_worklist_at_once(
    superset: Superset, chart_data: Callable[..., httpx.Response]
) -> None:
    def state() -> str:
        answer = chart_data("advisor", "worklist", ["customer_id", "state"], FIRST).json()
        return str(answer["result"][0]["data"][0]["state"])

    assert state() == "open"
    made = post(superset, "advisor", f"/creditlens/decide/{FIRST}?language=fr", **TOO_MUCH)
    assert made.status_code == 302 and f"customer={FIRST}" in made.headers["location"]
    # The server looks once a second.
    time.sleep(1.1)
    assert state() == "decided"
    page = superset.client("advisor").get(f"/creditlens/decide/{FIRST}?language=fr").text
    assert "Refusé" in page and "Too much &lt;b&gt;at once&lt;/b&gt;." in page and "advisor" in page


def test_the_second_is_told_that_the_first_was_faster(superset: Superset, second_advisor: str) -> None:
    address = f"/creditlens/decide/{FIRST}?language=en"
    late = hidden(superset.client(second_advisor).get(address).text)
    assert post(superset, "advisor", address, **TOO_MUCH).status_code == 302
    answer = superset.client(second_advisor).post(
        address, data={**late, "decision": "accept", "reason_code": "guarantee"}
    )
    assert answer.status_code == 409 and "Somebody was faster" in answer.text


def test_a_review_goes_to_another_person(superset: Superset, second_advisor: str) -> None:
    address = f"/creditlens/review/{FIRST}?language=en"
    assert "Nobody has decided yet" in superset.client("advisor").get(address).text
    post(superset, "advisor", f"/creditlens/decide/{FIRST}", **TOO_MUCH)
    asked = post(superset, "advisor", address, point_of_view="I have a new job.")
    assert asked.status_code == 302
    own = superset.client("advisor").get(address).text
    assert "somebody else concludes" in own and "I have a new job." in own
    assert str(FIRST) in superset.client("lead").get("/creditlens/reviews?language=en").text
    done = post(
        superset, second_advisor, address, outcome="changed", conclusion="A contract was shown.",
        decision="accept_other_terms", amount="250,000.50", duration="36", reason_code="income_changed",
    )  # fmt: skip
    assert done.status_code == 302, done.text
    with superset.engine.connect() as connection:
        held = connection.execute(text("SELECT * FROM reporting.decision WHERE is_current")).mappings().one()
    assert (held["decided_by"], held["amount"], held["duration"]) == (second_advisor, 250_000.5, 36)


@pytest.fixture
def offered(superset: Superset) -> Iterator[None]:
    """FIRST is offered 312,000.55 € over 36 months, and for SECOND it is proved that nothing is accepted."""
    run = "(SELECT run_id FROM credit.published_run)"
    kept = f"run_id = {run} AND customer_id IN ({FIRST}, {SECOND})"
    with transaction(superset.engine) as connection:
        was = connection.execute(text(f"SELECT customer_id, decision FROM credit.score WHERE {kept}")).all()
        for table in ("what_if", "what_if_summary"):
            connection.execute(
                text(f"CREATE TABLE credit.{table}_before AS SELECT * FROM credit.{table} WHERE {kept}")
            )
            connection.execute(text(f"DELETE FROM credit.{table} WHERE {kept}"))
        for statement in (
            f"UPDATE credit.score SET decision = 'decline' WHERE {kept}",
            f"INSERT INTO credit.what_if SELECT {run}, {FIRST}, 36, a, 9876.54, 0.05, 95, d, true, a < 4e5, false"
            " FROM (VALUES (312000.55::float8, 'accept'), (400000, 'decline')) AS o (a, d)",
            f"INSERT INTO credit.what_if_summary VALUES"
            f" ({run}, {FIRST}, 'found', 48, 0.01, 36, 312000.55, 9876.54, 0.05, 95),"
            f" ({run}, {SECOND}, 'none', 48, 0.01, NULL, NULL, NULL, NULL, NULL)",
        ):
            connection.execute(text(statement))
    yield
    with transaction(superset.engine) as connection:
        for table in ("what_if", "what_if_summary"):
            connection.execute(text(f"DELETE FROM credit.{table} WHERE {kept}"))
            connection.execute(text(f"INSERT INTO credit.{table} SELECT * FROM credit.{table}_before"))
            connection.execute(text(f"DROP TABLE credit.{table}_before"))
        for customer, decision in was:
            connection.execute(
                text(f"UPDATE credit.score SET decision = '{decision}' WHERE {kept} AND customer_id = {customer}")
            )


@pytest.mark.usefixtures("offered")
def test_an_offer_is_picked_from_those_of_the_night_and_no_other_is_taken(superset: Superset) -> None:
    address = f"/creditlens/decide/{FIRST}?language=fr"
    page = superset.client("advisor").get(address).text
    value = "36 312000.55"
    words = "36 mois : 312\u202f000,55 €, 9\u202f876,54 € par mois, score 95 (le moins de changements)"
    assert f'<option value="{value}" >{words}</option>' in page
    assert page.count('<option value="36 ') == 1
    terms = {"decision": "accept_other_terms", "reason_code": "other_terms"}
    for forged in ("36 312000.54", "36 400000.0", "36", "x y"):
        answer = post(superset, "advisor", address, offer=forged, **terms)
        assert answer.status_code == 409, forged
    # What was typed before an offer was picked counts for nothing.
    made = post(superset, "advisor", address, offer=value, amount="5", duration="6", **terms)
    assert made.status_code == 302, made.text
    with superset.engine.connect() as connection:
        held = connection.execute(
            text("SELECT duration, amount, annuity, is_offer FROM reporting.decision WHERE is_current")
        ).one()
    assert tuple(held) == (36, 312_000.55, 9_876.54, 1)
    assert "une offre qui obtient un oui" in superset.client("advisor").get(address).text


@pytest.mark.usefixtures("offered")
def test_whom_nothing_is_offered_is_told_so_and_terms_are_still_typed(superset: Superset) -> None:
    page = superset.client("advisor").get(f"/creditlens/decide/{SECOND}?language=en").text
    assert "<p>No amount and duration within the limits gets a yes.</p>" in page
    assert 'name="offer"' not in page and 'name="amount"' in page


def test_without_a_token_or_the_right_nothing_is_recorded(superset: Superset) -> None:
    address = f"/creditlens/decide/{FIRST}"
    client = superset.client("advisor")
    fields = hidden(client.get(address).text)
    fields.pop("csrf_token")
    token = client.headers.pop("X-CSRFToken")
    try:
        assert client.post(address, data={**fields, **TOO_MUCH}).status_code in {302, 400}
    finally:
        client.headers["X-CSRFToken"] = token
    for user in ("analyst", "operator", "admin"):
        assert superset.client(user).post(address, data={**fields, "act": "decide", **TOO_MUCH}).status_code == 403
    with superset.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM credit.decision")) == 0


def test_another_advisors_customer_is_neither_shown_nor_decided_on(superset: Superset, second_advisor: str) -> None:
    address = f"/creditlens/decide/{SECOND}?language=en"
    fields = hidden(superset.client("advisor").get(address).text)
    portfolio.assign(superset.engine, "advisor", customers=[FIRST], by="test")
    portfolios.switch(superset.engine, limited=True, by="test")
    try:
        shown = superset.client("advisor").get(address)
        assert shown.status_code == 302 and "missing=" in shown.headers["location"]
        forged = superset.client("advisor").post(address, data={**fields, **TOO_MUCH})
        assert forged.status_code == 302 and "missing=" in forged.headers["location"]
        with superset.engine.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM credit.decision")) == 0
        written = superset.client("advisor").get(f"/creditlens/letter/{SECOND}?kind=sheet")
        assert written.status_code == 302 and "missing=" in written.headers["location"]
        assert post(superset, "lead", address, **TOO_MUCH).status_code == 302
    finally:
        portfolios.switch(superset.engine, limited=False, by="test")
        portfolios.unassign(superset.engine, "advisor", everything=True)


@pytest.mark.parametrize(
    ("kind", "language", "words"),
    [("sheet", "en", "Your credit application"), ("decision", "fr", "Votre demande de crédit")],
)
def test_what_is_put_in_writing_comes_from_the_file(
    superset: Superset, kind: str, language: str, words: str
) -> None:
    page = superset.client("advisor").get(f"/creditlens/decide/{FIRST}?language={language}").text
    address = f"/creditlens/letter/{FIRST}?kind={kind}&language={language}"
    assert address.replace("&", "&amp;") in page
    answer = superset.client("advisor").get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)
    assert str(FIRST) in said and words in said
    # Nothing of it stays where the dashboards keep their files.
    assert not list((superset.settings.state / "tmp").rglob("letter*"))


def test_a_letter_of_another_kind_is_none_and_whose_file_is_unknown_has_none(superset: Superset) -> None:
    client = superset.client("advisor")
    assert client.get(f"/creditlens/letter/{FIRST}?kind=novel").status_code == 400
    unknown = client.get("/creditlens/letter/999999999?kind=sheet")
    assert unknown.status_code == 302 and "missing=999999999" in unknown.headers["location"]


def test_fifty_decisions_at_once_over_http_are_fifty(superset: Superset) -> None:
    client = superset.client("advisor")
    page = hidden(client.get(f"/creditlens/decide/{MANY[0]}").text)

    def sent(customer: int) -> int:
        with httpx.Client(base_url=superset.url, cookies=client.cookies, timeout=120, trust_env=False) as another:
            return another.post(f"/creditlens/decide/{customer}", data={**page, **TOO_MUCH}).status_code

    with ThreadPoolExecutor(max_workers=50) as pool:
        statuses = list(pool.map(sent, MANY))
        again = list(pool.map(sent, MANY))
    assert statuses == [302] * 50
    assert again == [409] * 50
    with superset.engine.connect() as connection:
        found = connection.scalars(text("SELECT customer_id FROM credit.decision ORDER BY 1")).all()
    assert found == list(MANY)


def test_the_log_of_who_looked_knows_the_pages(superset: Superset) -> None:
    post(superset, "advisor", f"/creditlens/decide/{FIRST}", **TOO_MUCH)
    url = parse_url(superset_service.compliance_url(superset.settings))
    found = access_log.read(url, customer=FIRST, user="advisor")
    assert {"decide", "decide; decide"} <= {row["detail"] for row in found if row["kind"] == "page"}
    assert not any("Too much" in str(row) for row in found)
