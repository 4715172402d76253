"""The customer sheet and the decision letter: what they say, ready for their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from db.decisions.letter_data import CustomerLetter, LetterRun, Row, letter_run, letters
from db.errors import RefusedError
from flows.letters.lender import Lender
from flows.letters.typesetting import pdf
from flows.letters.words import Kind, Language, day, facts, number, percent, words

# As many bars as leave room for all else on the page.
_BARS = 7
# In score points; what rounds to nothing has no bar of its own.
_TOLD_POINTS = 0.05


def require_run(engine: Engine) -> LetterRun:
    """The published run; RefusedError before there is one."""
    run = letter_run(engine)
    if run is None:
        raise RefusedError("No run is published yet; `creditlens nightly` publishes one.")
    return run


def require_customer(engine: Engine, customer_id: int, kind: Kind) -> CustomerLetter:
    """An applicant of the published run; RefusedError for an unknown number."""
    found = letters(engine, [customer_id], facts(), details=kind == "sheet")
    if not found:
        raise RefusedError(f"Customer {customer_id} is not in the published run.")
    return found[0]


def letter(run: LetterRun, customer: CustomerLetter, kind: Kind, language: Language, lender: Lender) -> bytes:
    """One page as PDF, the same bytes for the same run, customer, language and lender."""
    say = words("letters", language)
    content = sheet if kind == "sheet" else decision
    data = _common(run, customer, language, lender, say) | content(run, customer, language, lender)
    return pdf(f"{kind}.typ", data, run.as_of)


def file_name(customer_id: int, kind: Kind, language: Language) -> Path:
    """How a letter's file is called where many are written."""
    return Path(f"{kind}-{customer_id}.{language}.pdf")


def sheet(run: LetterRun, one: CustomerLetter, language: Language, lender: Lender) -> dict[str, Any]:
    """What the customer sheet says."""
    del lender
    say, told = words("letters", language), one.customer
    shown = {"score": told["score"], "band": told["band"]}
    return {
        "title": say["sheet_title"],
        "score": int(told["score"]),
        "band": str(told["band"]),
        "band_label": told[f"band_{language}"],
        "decision_label": told[f"decision_{language}"],
        "scale_alt": say["scale_alt"].format(**shown),
        "bands": [
            {
                "band": band["band"],
                "from": int(band["minimum_score"]),
                "to": int(band["maximum_score"]),
                "decision": band["decision"],
                "label": band[f"label_{language}"],
            }
            for band in run.bands
        ],
        "default_sentence": say["default_sentence"].format(percent=percent(told["default_percent"], 1, language)),
        "place_sentence": say["place_sentence"].format(lower=percent(told["percentile"], 0, language)),
        "accepted": told["decision"] == "accept",
        "reasons": _reasons(one, language),
        "no_reasons": say["no_reasons" if told["decision"] == "accept" else "no_reasons_kept"],
        "bars": _bars(run, one, language, say),
        "bars_intro": say["bars_intro"].format(
            base=number(run.base_score, 1, language), score=number(told["score_exact"], 1, language)
        ),
        "facts": [
            {
                "label": fact[f"label_{language}"] + ("" if fact["may_score"] else "\u202f*"),
                "value": fact[f"value_{language}"],
            }
            for fact in one.facts
        ],
        "some_barred": any(not fact["may_score"] for fact in one.facts),
        "what_if": _what_if(one, language, say),
        "similar": _similar(one, language, say),
        "how_text": say["how_text"].format(former=number(run.former_customers, 0, language)),
    }


def decided(one: CustomerLetter) -> str:
    """What the letter is about: what a person decided, else what the night suggests.

    That is accept, review, decline, or terms for an acceptance on other terms.
    """
    held = one.customer["decided"]
    about = {"accept": "accept", "refuse": "decline", "accept_other_terms": "terms"}
    return about.get(held, str(one.customer["decision"]))


def decision(run: LetterRun, one: CustomerLetter, language: Language, lender: Lender) -> dict[str, Any]:
    """What the decision letter says."""
    say, suggested = words("letters", language), decided(one)
    reasons = _reasons(one, language)
    if suggested in {"decline", "terms"} and not reasons and (ground := one.customer[f"ground_{language}"]):
        reasons = [{"text": ground, "action": None}]
    actions = dict.fromkeys(action for row in one.reasons if (action := row[f"action_{language}"]))
    what_if = _what_if(one, language, say)
    barred = ", ".join(_lower(row[f"label_{language}"]) for row in run.barred)
    return {
        "title": say[f"decision_title_{suggested}"],
        "decision": suggested,
        "opening": say[f"decision_{suggested}"].format(
            customer=one.customer_id,
            day=day(run.as_of, language),
            terms=_terms(one.customer, language, say).rstrip(","),
        ),
        "reasons": reasons,
        "principal_title": say["terms_reasons_title" if suggested == "terms" else "principal_title"],
        "sources": getattr(lender.sources, language),
        "not_used": say["not_used"].format(words=barred) if barred else None,
        "what_if": what_if,
        "actions": list(actions),
        # Without an offer and without advice, it is said that there is none.
        "no_advice": not actions and (one.what_if is None or one.what_if.outcome != "found"),
        "review": getattr(lender.review, language),
        "correction": getattr(lender.correction, language),
        "legal": getattr(lender.legal, language),
        "signature": getattr(lender.signature, language),
    }


def _common(
    run: LetterRun, one: CustomerLetter, language: Language, lender: Lender, say: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "language": language,
        "say": say,
        "customer": str(one.customer_id),
        "day": day(run.as_of, language),
        "lender": {"name": lender.name, "address": lender.address, "contact": lender.contact},
        "notice": getattr(lender.notice, language, None),
        "small_print": say["small_print"].format(
            run=run.run_id, day=day(run.as_of, language), model=run.model_id, policy=run.policy_id,
            policy_name=getattr(run, f"policy_{language}"), catalogue=run.catalogue_id or say["none"],
        ),
    }  # fmt: skip


def _reasons(one: CustomerLetter, language: Language) -> list[dict[str, Any]]:
    return [{"text": row[f"text_{language}"], "action": row[f"action_{language}"]} for row in one.reasons]


def _what_if(one: CustomerLetter, language: Language, say: Mapping[str, str]) -> str | None:
    """What would get a yes, in a sentence; None where the run does not tell, or the application is accepted."""
    if one.what_if is None:
        return None
    offer = {"amount": one.what_if.amount, "duration": one.what_if.duration, "annuity": one.what_if.annuity}
    return say[f"what_if_{one.what_if.outcome}"].format(terms=_terms(offer, language, say))


def _terms(offer: Mapping[str, Any], language: Language, say: Mapping[str, str]) -> str:
    """An amount over a duration, with its annuity where that is known; empty without an amount."""
    if offer["amount"] is None:
        return ""
    euros = {
        name: number(offer[name], 0 if float(offer[name]).is_integer() else 2, language)
        for name in ("amount", "annuity")
        if offer[name] is not None
    }
    months = say["month" if offer["duration"] == 1 else "months"].format(count=offer["duration"])
    return say["terms_with_annuity" if "annuity" in euros else "terms"].format(months=months, **euros)


def _bars(run: LetterRun, one: CustomerLetter, language: Language, say: Mapping[str, str]) -> list[dict[str, Any]]:
    """What may be told, the strongest first, and one bar of the rest, so that all lead to the score exactly."""
    told = [row for row in one.groups if abs(row["score_points"]) >= _TOLD_POINTS][:_BARS]
    rest = float(one.customer["score_exact"]) - float(run.base_score) - sum(row["score_points"] for row in told)
    rows: Sequence[Row] = [*told, {f"label_{language}": say["others"], "score_points": rest}]
    return [
        {
            "label": row[f"label_{language}"],
            "points": float(row["score_points"]),
            "text": number(row["score_points"], 1, language, sign=True),
            "direction": say["raises" if row["score_points"] > 0 else "lowers"],
        }
        for row in rows
    ]


def _similar(one: CustomerLetter, language: Language, say: Mapping[str, str]) -> str | None:
    if one.similar is None:
        return None
    same = one.similar
    return say["similar_sentence"].format(
        neighbours=same.neighbours, defaulted=same.defaulted,
        rate=percent(100 * same.default_rate, 1, language), low=number(100 * same.low, 1, language),
        high=percent(100 * same.high, 1, language), model=percent(100 * same.model_probability, 1, language),
    )  # fmt: skip


def _lower(label: str) -> str:
    """A label in the middle of a sentence."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]
