"""An advisor decides otherwise, the customer asks for a review, another person concludes it: in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import text

from db.engine import transaction
from superset_assets.server.customer_links import Place
from tests.e2e.desk import Desk
from tests.superset_fixture import Superset

CUSTOMER = 500_009


@pytest.fixture
def nothing_decided(superset: Superset) -> Iterator[None]:
    yield
    with transaction(superset.engine) as connection:
        connection.execute(text(f"SELECT set_config('creditlens.erased_customer', '{CUSTOMER}', true)"))
        for table in ("review_conclusion", "review", "decision"):
            connection.execute(text(f"DELETE FROM credit.{table} WHERE customer_id = {CUSTOMER}"))


def pictures(page: Page, folder: Path, name: str) -> None:
    """In both languages, wide and narrow; nothing is wider than the screen."""
    address = page.url.partition("?")[0]
    for language in ("fr", "en"):
        page.goto(f"{address}?language={language}")
        page.wait_for_selector("main")
        for width in (1600, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{name}-{language}-{width}.png", full_page=True)
            over = page.evaluate("document.querySelector('main').scrollWidth - innerWidth")
            assert over <= 0, f"{name} is {over} px wider than {width}"
    page.set_viewport_size({"width": 1600, "height": 1800})


def test_decide_otherwise_ask_for_a_review_and_have_another_person_conclude(
    desk: Desk, chromium: BrowserContext, superset: Superset, artefacts: Path, nothing_decided: None
) -> None:
    page = desk.page
    page.goto(superset.url + Place("customer", "en").address(CUSTOMER))
    # Three clicks from the customer file, but for what is typed: the page, the decision, the button.
    card = page.locator('[data-test-chart-name="What people decided"]')
    expect(card).to_contain_text("Not decided yet", timeout=60_000)
    card.get_by_role("link", name="Decide").click()
    page.wait_for_url("**/creditlens/decide/**")
    pictures(page, artefacts, "decide")
    page.get_by_label("Refuse").check()
    page.get_by_label("Reason").select_option("burden")
    page.get_by_role("textbox", name="Note").fill("Three other credits, said on the phone.")
    page.get_by_role("button", name="Record the decision").click()
    page.wait_for_url("**/superset/dashboard/customer-en/**")
    expect(card).to_contain_text("Refused", timeout=60_000)
    expect(card).to_contain_text("Three other credits")
    page.screenshot(path=artefacts / "decided-file.png", full_page=True)
    card.get_by_role("link", name="Review").click()
    page.wait_for_url("**/creditlens/review/**")
    pictures(page, artefacts, "review-ask")
    page.get_by_label("The customer's point of view").fill("Two of the credits are paid back.\nHere is the letter.")
    page.get_by_role("button", name="Record the request").click()
    expect(page.locator("main")).to_contain_text("somebody else concludes")
    # Until all of it is there: what a page asks for after its reader has left is refused.
    desk.open("worklist-en")

    page.goto(f"{superset.url}/logout/")
    desk.sign_in("lead", superset.users["lead"])
    page.goto(f"{superset.url}/creditlens/reviews?language=en")
    pictures(page, artefacts, "reviews")
    page.get_by_role("link", name="Open", exact=True).last.click()
    pictures(page, artefacts, "review-conclude")
    page.get_by_label("The decision is changed to").check()
    page.get_by_label("Accept", exact=True).check()
    page.get_by_label("Reason").select_option("documents")
    page.get_by_label("What was looked at and found").fill("The letter shows it.")
    page.get_by_role("button", name="Record the outcome").click()
    expect(page.locator("main")).to_contain_text("Changed")
    pictures(page, artefacts, "review-done")
    for language in ("en", "fr"):
        page.goto(f"{superset.url}/superset/dashboard/portfolio-{language}/")
        page.locator("[role=tab]:visible", has_text="Decisions" if language == "en" else "Décisions").click()
        page.wait_for_timeout(6_000)
        page.screenshot(path=artefacts / f"portfolio-decisions-{language}.png", full_page=True)
        page.goto(f"{superset.url}/superset/dashboard/worklist-{language}/")
        page.wait_for_timeout(6_000)
        page.screenshot(path=artefacts / f"worklist-{language}.png")
    page.goto(f"{superset.url}/logout/")
    desk.sign_in("advisor", superset.users["advisor"])
    with superset.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT decided_by, decision FROM reporting.decision ORDER BY decision_id")
        ).all()
    assert [tuple(row) for row in rows] == [("advisor", "refuse"), ("lead", "accept")]
