"""The page that a customer gets: what stands on it, that it is one page, and that no text is markup."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from db.decisions.letter_data import CustomerLetter, LetterRun, Similar, WhatIf
from flows.letters import customer
from flows.letters.customer import letter
from flows.letters.lender import Lender, read_lender
from flows.letters.words import LANGUAGES, Kind, Language, facts, words
from scoring.feature_groups import feature_groups
from scoring.features import by_name
from scoring.reason_catalogue import reason_catalogue
from scoring.what_if.search import OUTCOMES

KINDS: tuple[Kind, ...] = ("sheet", "decision")
EVERY = [(kind, language) for kind in KINDS for language in LANGUAGES]
NASTY = [
    "#panic()", "#import \"/etc/passwd\"", "$x^2$", "*bold* _it_", "@ref <label>", "`raw`", "[a] #[b]", "\\u{41}",
    "// gone", "/* gone", "= Heading", "- item", "\"quoted\"", "{\"a\": 1}", "Zoé Œuvre ½ €", "\u202e evil",
    "漢字 😀", "\x00\x01", "\ud800", "a" * 70, "line\nbreak", "O'Brien", "#sys.inputs", "~ -- --- ...", "\\",
]  # fmt: skip


def a_run(**changes: Any) -> LetterRun:
    ends = [("E", 0, 74), ("D", 75, 84), ("C", 85, 89), ("B", 90, 94), ("A", 95, 100)]
    bands = [
        {"band": band, "minimum_score": low, "maximum_score": high, "decision": "accept",
         "label_en": "Very low risk", "label_fr": "Risque très faible"}
        for band, low, high in ends
    ]  # fmt: skip
    given_run = LetterRun(
        run_id=7, as_of=date(2026, 2, 1), model_id=3, policy_id=2, policy_en="Default policy",
        policy_fr="Politique par défaut", catalogue_id=1, base_score=91.5, former_customers=307_511,
        bands=tuple(bands), barred=({"label_en": "Gender", "label_fr": "Genre"},),
    )  # fmt: skip
    return replace(given_run, **changes)


def a_customer(decision: str = "decline", *, value: str = "495,882 €", **changes: Any) -> CustomerLetter:
    score = {"decline": 61, "review": 80, "accept": 97}[decision]
    reasons = [
        {"reason_code": reason.code, "text_en": reason.refusal_en, "text_fr": reason.refusal_fr,
         "action_en": reason.action_en or None, "action_fr": reason.action_fr or None}
        for reason in sorted(reason_catalogue().reasons, key=lambda each: -len(each.refusal_fr + each.action_fr))
    ][:4]  # fmt: skip
    labels = sorted(feature_groups(), key=lambda each: -len(each.label_fr))[:12]
    given_customer = CustomerLetter(
        customer_id=100_038,
        customer={
            "customer_id": 100_038, "score": score, "score_exact": score + 0.2, "default_percent": 99.8 - score,
            "percentile": 3.0, "decision": decision, "decision_en": decision.title(), "decision_fr": "Refuser",
            "band": "E", "band_en": "Very high risk", "band_fr": "Risque très élevé",
            "decided": None, "ground_en": None, "ground_fr": None, "amount": None, "duration": None,
            "annuity": None,
        },
        facts=tuple(
            {"feature": name, "label_en": by_name()[name].label_en, "label_fr": by_name()[name].label_fr,
             "value_en": value, "value_fr": value, "may_score": name != "CODE_GENDER"}
            for name in facts()
        ),
        reasons=() if decision == "accept" else tuple(reasons),
        groups=tuple(
            {"label_en": group.label_en, "label_fr": group.label_fr, "score_points": (-1) ** place * 9.0 / place}
            for place, group in enumerate(labels, start=1)
        ),
    )  # fmt: skip
    return replace(given_customer, **changes)


def pages(content: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


@pytest.fixture(scope="module")
def lender() -> Lender:
    return read_lender()


@pytest.mark.parametrize(("kind", "language"), EVERY)
@pytest.mark.parametrize("decision", ["decline", "review", "accept"])
def test_every_letter_is_one_tagged_page_that_names_its_versions(
    kind: Kind, language: Language, decision: str, lender: Lender
) -> None:
    content = letter(a_run(), a_customer(decision), kind, language, lender)
    reader = PdfReader(io.BytesIO(content))
    (text,) = pages(content)
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"].startswith(language)
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    assert reader.metadata is not None and reader.metadata.title
    for part in ("100038", "7", "3", "2"):
        assert part in text
    assert "\ufffd" not in text
    flat = " ".join(text.split())
    assert ("legal advice" if language == "en" else "conseil juridique") in flat


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_two_makings_have_the_same_bytes(kind: Kind, language: Language, lender: Lender) -> None:
    first, second = (
        hashlib.sha256(letter(a_run(), a_customer(), kind, language, lender)).hexdigest() for _ in range(2)
    )
    assert first == second


def test_another_day_gives_other_bytes(lender: Lender) -> None:
    made = {letter(a_run(as_of=date(2026, 2, day)), a_customer(), "sheet", "en", lender) for day in (1, 2)}
    assert len(made) == 2


@pytest.mark.parametrize(("kind", "language"), EVERY)
@pytest.mark.parametrize("length", [0, 1, 60, 120])
def test_the_longest_and_the_shortest_values_stay_on_one_page(
    kind: Kind, language: Language, length: int, lender: Lender
) -> None:
    long = "Personnel administratif et commercial " * 4
    texts = "phrase " * 85
    wordy = lender.model_copy(
        update={
            "name": ("Caisse " * 12).strip()[:80],
            "address": ["x" * 80] * 5,
            **{
                name: type(lender.review)(en=texts, fr=texts)
                for name in ("sources", "review", "correction", "legal")
            },
        }
    )
    customer = a_customer(
        value=long[:length],
        what_if=WhatIf("found", 4_050_000.55, 600, 1_234_567.89),
        similar=Similar(200, 31, 0.155, 0.111, 0.212, 0.17),
    )
    assert (
        len(pages(letter(a_run(policy_en=long[:100], policy_fr=long[:100]), customer, kind, language, wordy))) == 1
    )


@pytest.mark.parametrize(("kind", "language"), EVERY)
def test_a_customer_of_whom_nothing_is_kept_has_a_page_too(kind: Kind, language: Language, lender: Lender) -> None:
    bare = a_customer(facts=(), reasons=(), groups=())
    run = a_run(catalogue_id=None, bands=(), barred=())
    assert len(pages(letter(run, bare, kind, language, lender))) == 1


def test_what_if_and_similar_customers_are_told_where_they_are_known_and_not_named_where_not(
    lender: Lender,
) -> None:
    known = a_customer(
        what_if=WhatIf("found", 312_000.0, 36, 9_876.5),
        similar=Similar(200, 31, 0.155, 0.111, 0.212, 0.17),
    )
    flat = " ".join(pages(letter(a_run(), known, "sheet", "en", lender))[0].split())
    assert "By the same rules, 312,000 € over 36 months, at 9,876.50 € a month, would get a yes." in flat
    assert "Of the 200 former customers most like this one, 31 (15.5%, 11.1 to 21.2%)" in flat
    assert "312,000" in pages(letter(a_run(), known, "decision", "en", lender))[0]
    flat = pages(letter(a_run(), a_customer(), "sheet", "en", lender))[0]
    assert "What would get a yes" not in flat and "most like" not in flat


@pytest.mark.parametrize(
    ("suggested", "held", "about"),
    [
        ("decline", "accept", "accept"),
        ("accept", "refuse", "decline"),
        ("accept", "accept_other_terms", "terms"),
        ("review", None, "review"),
    ],
)
def test_what_a_person_decided_takes_the_place_of_what_is_suggested(
    suggested: str, held: str | None, about: str, lender: Lender
) -> None:
    one = a_customer(suggested)
    one = replace(one, customer={**one.customer, "decided": held, "ground_en": "Another ground", "ground_fr": "x"})
    said = customer.decision(a_run(), one, "en", lender)
    assert said["decision"] == about
    if suggested == "accept" and about in {"decline", "terms"}:
        assert [reason["text"] for reason in said["reasons"]] == ["Another ground"]


@pytest.mark.parametrize(
    ("language", "annuity", "said"),
    [
        ("en", 9_876.54, "other terms: 312,000 € over 36 months, at 9,876.54 € a month."),
        ("en", None, "other terms: 312,000 € over 36 months."),
        ("fr", 9_876.54, "autres conditions : 312 000 € sur 36 mois, à 9 876,54 € par mois."),
        ("fr", None, "autres conditions : 312 000 € sur 36 mois."),
    ],
)
def test_other_terms_are_put_in_writing_as_they_were_recorded(
    language: Language, annuity: float | None, said: str, lender: Lender
) -> None:
    one = a_customer(what_if=WhatIf("none"))
    held = {"decided": "accept_other_terms", "amount": 312_000.0, "duration": 36, "annuity": annuity}
    made = letter(a_run(), replace(one, customer={**one.customer, **held}), "decision", language, lender)
    (flat,) = (" ".join(page.split()) for page in pages(made))
    assert said in flat
    assert ("What would change" if language == "en" else "Ce qui changerait") not in flat
    assert ("Why not as you asked" if language == "en" else "Pourquoi pas aux conditions") in flat


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("outcome", [outcome for outcome in OUTCOMES if outcome not in {"found", "accepted"}])
def test_without_an_offer_the_letter_says_so_and_gives_no_advice_that_it_has_not(
    outcome: str, language: Language, lender: Lender
) -> None:
    one = a_customer(what_if=WhatIf(outcome))
    assert (
        words("letters", language)[f"what_if_{outcome}"]
        == customer.sheet(a_run(), one, language, lender)["what_if"]
    )
    assert not customer.decision(a_run(), one, language, lender)["no_advice"]
    bare = replace(one, reasons=tuple({**row, f"action_{language}": None} for row in one.reasons))
    (flat,) = (" ".join(page.split()) for page in pages(letter(a_run(), bare, "decision", language, lender)))
    assert ("nothing that we could honestly advise" if language == "en" else "Il n’est rien que nous") in flat


def test_one_month_is_no_plural(lender: Lender) -> None:
    told = customer.sheet(a_run(), a_customer(what_if=WhatIf("found", 5_000.5, 1, 5_010.0)), "en", lender)
    assert "5,000.50 € over 1 month, at 5,010 € a month" in told["what_if"]


def test_the_bars_lead_from_the_starting_point_to_the_score(lender: Lender) -> None:
    from flows.letters.customer import sheet

    customer, run = a_customer(), a_run()
    told = sheet(run, customer, "en", lender)
    total = sum(bar["points"] for bar in told["bars"])
    assert run.base_score + total == pytest.approx(customer.customer["score_exact"])
    assert len(told["bars"]) == 8


def test_what_does_not_score_is_marked_and_named_as_not_used(lender: Lender) -> None:
    flat = " ".join(pages(letter(a_run(), a_customer(), "sheet", "en", lender))[0].split())
    assert "Gender *" in flat and "held, and not used for the score" in flat
    assert "Not used: gender." in " ".join(
        pages(letter(a_run(), a_customer(), "decision", "en", lender))[0].split()
    )


@pytest.mark.parametrize("text", NASTY)
def test_what_looks_like_markup_is_printed_as_it_stands(text: str, lender: Lender) -> None:
    from flows.letters.typesetting import printable

    content = letter(a_run(), a_customer(value=text), "sheet", "en", lender)
    (page,) = pages(content)
    shown = "".join(str(printable(text)).split())
    # Right-to-left text comes out of a PDF in another order.
    assert shown in "".join(page.split()) or not shown.isascii()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40), kind=st.sampled_from(KINDS), language=st.sampled_from(LANGUAGES))
def test_no_text_breaks_a_letter_or_its_page(text: str, kind: Kind, language: Language, lender: Lender) -> None:
    customer = a_customer(value=text, what_if=WhatIf("none"))
    named = lender.model_copy(update={"name": text or "x"})
    assert len(pages(letter(a_run(policy_en=text, policy_fr=text), customer, kind, language, named))) == 1
