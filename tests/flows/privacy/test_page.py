"""A person's copy on paper: the newest score in plain words first, then the rest, dates as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html import unescape
from typing import Any

import pytest

from flows.privacy.page import Language, render

MADE = datetime(2026, 3, 4, 17, 5, tzinfo=UTC)


def score(run: int, value: int, **more: Any) -> dict[str, Any]:
    return {
        "run_id": run, "as_of": date(2026, 3, run), "score": value, "default_probability": 1 - value / 100,
        "band_en": "High risk", "band_fr": "Risque élevé", "decision_en": "Review", "decision_fr": "À étudier",
        "percentile": 12.3, "model_id": 1, **more,
    }  # fmt: skip


def contribution(run: int, name: str, points: float, *, told: bool = True) -> dict[str, Any]:
    return {
        "run_id": run, "as_of": date(2026, 3, run), "rank": 1, "label_en": name, "label_fr": f"{name} (fr)",
        "value_en": "1", "value_fr": "1", "score_points": points, "contribution": -points / 10,
        "description_en": "What it is.", "description_fr": "Ce que c'est.", "may_be_told": told,
    }  # fmt: skip


def reason(place: int, points: float | None, action: str | None) -> dict[str, Any]:
    return {
        "run_id": 2, "as_of": date(2026, 3, 2), "place": place, "code": "R02", "reason_en": f"Reason {place}.",
        "reason_fr": f"Motif {place}.", "action_en": action, "action_fr": action and f"{action} (fr)",
        "label_en": "Amount", "label_fr": "Montant", "score_points": points, "log_odds": 0.5,
    }  # fmt: skip


def look(day: int, hour: int, user: str, kind: str, dashboard: str | None) -> dict[str, Any]:
    at = datetime(2026, 3, day, hour, tzinfo=UTC)
    return {"looked_at": at, "username": user, "kind": kind, "dashboard": dashboard, "chart": "c", "dataset": "d",
            "cached": False}  # fmt: skip


HELD = {
    "scores": [score(1, 90), score(2, 77)],
    "contributions": [
        contribution(1, "Old reason", -9.0),
        contribution(2, "Amount", -6.25),
        contribution(2, "Age", -0.01),
        contribution(2, "Job", 3.0),
        contribution(2, "Children", -8.0, told=False),
        contribution(2, "Region", 8.0, told=False),
        *(contribution(2, f"Small {number}", -0.5 - number / 10) for number in range(5)),
    ],
    "reasons": [reason(1, -4.25, "Ask for less."), reason(2, -0.5, None)],
    "looks": [
        look(2, 9, "alice", "view", "Customer file"),
        look(2, 10, "alice", "view", "Customer file"),
        look(2, 11, "alice", "export", None),
        look(2, 12, "bob", "view", "Compare"),
        look(3, 9, "alice", "view", "Customer file"),
    ],
}


def words(page: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())


def page(language: Language) -> str:
    return render(5, MADE, HELD, language, retained_runs=7)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            "Your application was scored 77 out of 100 on 2 March 2026 (high risk). The suggestion was to review."
            " It is a suggestion: a person decides. Of 100 former customers, 12 had the same score or a lower one.",
        ),
        (
            "fr",
            "Votre demande a reçu le score de 77 sur 100 le 02/03/2026 (risque élevé). La proposition était :"
            " à étudier. Ce n'est qu'une proposition : c'est une personne qui décide. Sur 100 anciens clients, 12"
            " avaient le même score ou un score plus bas.",
        ),
    ],
)
def test_the_newest_score_comes_first_in_plain_words(language: Language, said: str) -> None:
    written = words(page(language)).replace("\u00a0", " ")
    assert said in written
    first = written.index(said)
    for later in ("0.4", "0,4", "Rank", "Rang"):
        assert later not in written[:first]
    assert {"en": "4 March 2026, 17:05 UTC", "fr": "04/03/2026 à 17:05 UTC"}[language] in written
    assert {"en": "the last 7 nights", "fr": "les 7 dernières nuits"}[language] in written


def test_the_summary_names_the_strongest_few_of_the_newest_score_and_none_that_rounds_to_nothing() -> None:
    # What may not be told as a reason is in the table of everything alone.
    (lowers, raises) = re.findall(r"points:</p>\s*<ul>(.*?)</ul>", page("en"), re.S)
    assert [line.split(" = ")[0] for line in re.findall(r"<li>(.*?)</li>", lowers)] == [
        "Amount", "Small 4", "Small 3", "Small 2"
    ]  # fmt: skip
    assert "Amount = 1 (-6.2)" in lowers
    assert words(raises) == "Job = 1 (+3.0)"


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "why the suggestion was not to accept: Reason 1. Ask for less. Reason 2. What lowered"),
        ("fr", "n'était pas d'accorder : Motif 1. Ask for less. (fr) Motif 2. Ce qui a le plus diminué"),
    ],
)
def test_the_summary_tells_the_reasons_for_the_decision_first(language: Language, told: str) -> None:
    assert told in words(page(language)).replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("language", "title", "told"),
    [
        ("en", "Reasons where", [["Reason 1.", "Ask for less.", "-4.25"], ["Reason 2.", "", "-0.50"]]),
        ("fr", "Motifs lorsque", [["Motif 1.", "Ask for less. (fr)", "-4,25"], ["Motif 2.", "", "-0,50"]]),
    ],
)
def test_the_reasons_of_a_decision_are_told_with_what_can_be_done(
    language: Language, title: str, told: list[list[str]]
) -> None:
    made = page(language)
    table = made[made.index(f"<h2>{title}") :].partition("</table>")[0]
    cells = [re.findall(r"<td>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)]
    assert [row[3:] for row in cells if row] == told


def test_where_no_reason_may_be_told_there_are_no_points() -> None:
    made = words(render(5, MADE, {"reasons": [reason(1, None, None)]}, "en", retained_runs=7))
    assert "Reason 1." in made and "None" not in made


def test_earlier_nights_are_folded() -> None:
    made = page("en")
    folded = "".join(re.findall(r"<details>.*?</details>", made, re.S))
    assert "Old reason" in folded and "Amount" not in folded
    assert made.index("Why the score of 2 March 2026") < made.index("Why the score of 1 March 2026")


def test_looks_are_counted_by_day_and_person_the_newest_first() -> None:
    made = page("en")
    rows = re.findall(r"<tr>(.*?)</tr>", made[made.index("<h2>Who looked") :], re.S)
    cells = [re.findall(r"<td>(.*?)</td>", row, re.S) for row in rows if "<td>" in row]
    assert cells == [
        ["3 March 2026", "alice", "1", "looked at", "Customer file"],
        ["2 March 2026", "bob", "1", "looked at", "Compare"],
        ["2 March 2026", "alice", "3", "file, looked at", "Customer file"],
    ]


def test_of_nobody_the_page_says_that_nothing_is_held() -> None:
    made = words(render(5, MADE, {}, "en", retained_runs=7))
    assert "Nothing is held." in made
    assert "was scored" not in made


def test_decisions_of_people_and_reviews_are_told_in_their_words() -> None:
    decided = {
        "decided_at": MADE, "decision_en": "Refused", "decision_fr": "Refusé", "amount": 250_000.0, "duration": 36,
        "ground_en": "Too heavy", "ground_fr": "Trop lourd", "note": "<i>So.</i>", "decided_by": "alice",
        "recommendation_en": "Accept", "recommendation_fr": "Accorder", "score": 90, "run_id": 2,
    }  # fmt: skip
    asked = {
        "asked_at": MADE, "point_of_view": "I have a new job.", "recorded_by": "alice", "due_at": MADE,
        "outcome_en": "Changed", "outcome_fr": "Modifiée", "conclusion": None, "concluded_by": "bob",
    }  # fmt: skip
    told: dict[Language, str] = {
        "en": "Refused 250000 € over 36 months Too heavy <i>So.</i> alice Accept 90 2",
        "fr": "Refusé 250000 € sur 36 mois Trop lourd <i>So.</i> alice Accorder 90 2",
    }
    for language, said in told.items():
        made = render(5, MADE, {"decisions": [decided], "reviews": [asked]}, language, retained_runs=7)
        assert said in words(made) and "I have a new job. alice" in words(made)
