"""Pages on which people decide: decide on a customer, record a wish for a review, conclude one, see which are open.

What they show is asked as everything is, by the dashboards' role on behalf of whoever is signed in, so that row
security holds. What they record goes through one function of the database by a login that may call it and nothing
else. That function knows who acts by what is signed for its connection (viewer.py), holds people to their own
customers, and records as seen what the database has; these pages only pass on what was typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import psycopg2
import yaml
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, format_percent
from flask import Blueprint, Flask, Response, abort, current_app, g, redirect, render_template, request, session
from flask.typing import ResponseReturnValue
from flask_babel import refresh
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from superset_assets.server import customer_links, customer_search, letters, viewer
from superset_assets.server.customer_links import OF_ONE, WORKLIST, Place

# In Flask's configuration: the roles of roles.yaml that decide, the login that records, the lender's time zone, the
# command of the program, the key that says who acts.
DECIDERS = "CREDITLENS_DECIDERS"
RECORDER_URL = "CREDITLENS_RECORDER_URL"
TIME_ZONE = "CREDITLENS_TIME_ZONE"
PROGRAM = "CREDITLENS_PROGRAM"
SIGN = "CREDITLENS_WHO_LOOKS"
TEXTS = Path(__file__).with_name("human_decisions.yaml")
# Every problem that the database's function has a word for.
PROBLEM = "CL001"
DECISIONS = ("accept", "refuse", "accept_other_terms")
TYPED = ("decision", "offer", "amount", "duration", "reason_code", "note", "point_of_view", "outcome", "conclusion")
REVIEWS_SHOWN = 500

# For each duration the largest amount that is accepted, and the accepted offer that changes least.
_OFFERS = """
SELECT o.duration, o.amount, o.annuity, o.score, (w.duration, w.amount) IS NOT DISTINCT FROM (o.duration, o.amount)
    AS changes_least
FROM reporting.what_if AS o
LEFT JOIN reporting.what_if_summary AS w ON w.customer_id = o.customer_id
WHERE o.customer_id = :id AND o.decision = 'accept'
    AND (o.is_frontier OR (o.duration, o.amount) = (w.duration, w.amount))
ORDER BY o.duration, o.amount
"""

pages = Blueprint("human_decisions", __name__)


def add_to(app: Flask) -> None:
    """Serve the pages."""
    app.register_blueprint(pages)


class RefusedActError(Exception):
    """The database recorded nothing; the message is the word for why."""


# --- the pages ------------------------------------------------------------------------------------------------


@pages.route("/creditlens/decide/<int:customer>", methods=["GET", "POST"])
def decide(customer: int) -> ResponseReturnValue:
    """Accept, refuse or accept on other terms."""
    return _page(customer, "decide", {"decide": _decision_typed})


@pages.route("/creditlens/review/<int:customer>", methods=["GET", "POST"])
def review(customer: int) -> ResponseReturnValue:
    """Record that the customer asks for a review, or conclude the one that is open."""
    return _page(customer, "review", {"ask_review": _wish_typed, "conclude": _conclusion_typed})


@pages.route("/creditlens/reviews")
def reviews() -> ResponseReturnValue:
    """The open reviews of all customers that whoever looks may see, the one that is due first on top."""
    if (stop := _stopped()) is not None:
        return stop
    language = _language()
    open_ones = _rows(
        "SELECT * FROM reporting.review WHERE is_open = 1 ORDER BY due_at LIMIT :shown", shown=REVIEWS_SHOWN
    )
    _note("reviews", None)
    return _rendered("reviews", language, None, open_ones=open_ones)


@pages.route("/creditlens/letter/<int:customer>")
def letter(customer: int) -> ResponseReturnValue:
    """The customer's sheet or decision letter, as PDF."""
    if (stop := _stopped()) is not None:
        return stop
    kind = request.args.get("kind", letters.KINDS[0])
    if kind not in letters.KINDS:
        abort(400)
    language = _language()
    if customer_search._score_date(customer) is None:
        return redirect(Place(WORKLIST, language).address(missing=str(customer)))
    try:
        content = letters.written(current_app.config[PROGRAM], customer, kind, language)
    except letters.NotWrittenError:
        _note("letter", customer, kind, recorded=False)
        return Response(_texts()["letter_failed"][language], status=503, mimetype="text/plain")
    _note("letter", customer, kind)
    name = f"{kind}-{customer}.{language}.pdf"
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, mimetype="application/pdf", headers=headers)


def _page(customer: int, name: str, acts: Mapping[str, Any]) -> ResponseReturnValue:
    if (stop := _stopped()) is not None:
        return stop
    language = _language()
    problem = None
    if request.method == "POST":
        act = request.form.get("act", "")
        if act not in acts:
            abort(400)
        try:
            _record(act, customer, acts[act]())
        except RefusedActError as refused:
            problem = str(refused)
        _note(name, customer, request.form["act"], recorded=problem is None)
    if request.method == "POST" and problem is None:
        return redirect(_after(name, customer, language))
    known = _known(customer)
    if known is None:
        return redirect(Place(WORKLIST, language).address(missing=str(customer)))
    if request.method == "GET":
        _note(name, customer)
    page = _rendered(name, language, customer, problem=problem, **known)
    return page if problem is None else (page, 409)


def _note(page: str, customer: int | None, act: str | None = None, *, recorded: bool = True) -> None:
    """For the log of who looked at whom: which page, whose, and what was done; not what was written."""
    said = {"customer_id": customer, "act": act if recorded or act is None else f"{act} (not recorded)"}
    current_app.config["EVENT_LOGGER"].log(g.user.id, f"creditlens.{page}", None, None, None, None, records=[said])


def _stopped() -> ResponseReturnValue | None:
    """Where whoever may not be here goes."""
    if g.user.is_anonymous:
        return redirect(f"/login/?{urlencode({'next': request.full_path})}")
    if not decides(g.user):
        return Response(status=403)
    return None


def decides(user: Any) -> bool:
    """Whether a user's role is one that decides."""
    return bool({role.name for role in user.roles} & current_app.config[DECIDERS])


def _after(name: str, customer: int, language: str) -> str:
    """The customer's file with the new state; the page itself where no file is open any more."""
    if name == "decide" and customer_search._score_date(customer) is not None:
        return Place(OF_ONE[0], language).address(customer)
    return f"/creditlens/review/{customer}?{urlencode({'language': language})}"


def _language() -> str:
    language = customer_search._language(request.args.get("language"))
    if session.get("locale") != language:
        session["locale"] = language
        refresh()
    other = next(one for one in current_app.config["LANGUAGES"] if one != language)
    g.creditlens_other = f"{request.path}?{urlencode({'language': other})}"
    return language


# --- what is typed --------------------------------------------------------------------------------------------


def _decision_typed() -> dict[str, Any]:
    form = request.form
    decision = form.get("decision")
    said = {
        "seen": _whole(form.get("seen")) or 0,
        "run_id": _whole(form.get("run_id")),
        "decision": decision,
        "reason_code": form.get("reason_code"),
        "note": form.get("note", ""),
    }
    return said | _terms_typed() if decision == "accept_other_terms" else said


def _terms_typed() -> dict[str, Any]:
    """An offer that was picked, which the database looks up, or else what was typed."""
    form = request.form
    if picked := form.get("offer"):
        duration, _, amount = picked.partition(" ")
        return {"offer": True, "duration": _whole(duration), "amount": _exact(amount)}
    return {"amount": _number(form.get("amount")), "duration": _whole(form.get("duration"))}


def _wish_typed() -> dict[str, Any]:
    return {"seen": _whole(request.form.get("seen")) or 0, "point_of_view": request.form.get("point_of_view", "")}


def _conclusion_typed() -> dict[str, Any]:
    form = request.form
    said = {
        "review_id": _whole(form.get("review_id")),
        "outcome": form.get("outcome"),
        "conclusion": form.get("conclusion", ""),
    }
    return {**said, **_decision_typed()} if said["outcome"] == "changed" else said


def _number(typed: str | None) -> float | None:
    """A number as people write it in either language, grouped or not; None if it is none.

    250.000 is a quarter of a million to some and 250 to others, so it is none.
    """
    plain = "".join((typed or "").split()).replace("€", "")
    if re.fullmatch(r"\d{1,3}\.\d{3}", plain):
        return None
    if plain.count(",") == 1 and "." not in plain and len(plain.partition(",")[2]) != 3:
        plain = plain.replace(",", ".")
    try:
        return float(plain.replace(",", ""))
    except ValueError:
        return None


def _exact(sent: str) -> float:
    """A number as our own page writes it; NaN, which nothing is recorded with, if somebody else wrote it."""
    try:
        return float(sent)
    except ValueError:
        return float("nan")


def _whole(typed: str | None) -> int | None:
    return int(typed) if typed is not None and typed.strip().isdecimal() and len(typed.strip()) < 10 else None


def _record(act: str, customer: int, said: Mapping[str, Any]) -> int:
    """Have the database record it, on behalf of whoever is signed in; its number. Raises RefusedActError."""
    config = current_app.config
    try:
        connection = psycopg2.connect(config[RECORDER_URL], application_name="creditlens decisions")
        try:
            with connection, connection.cursor() as cursor:
                signed = config[SIGN](connection.get_backend_pid())
                cursor.execute("SELECT set_config(%s, %s, true)", [viewer.SETTING, signed])
                cursor.execute(
                    "SELECT credit.record_human_act(%s, %s, %s)", [act, customer, json.dumps(said, allow_nan=False)]
                )
                return int(cursor.fetchone()[0])
        finally:
            connection.close()
    except ValueError:
        raise RefusedActError("not_whole") from None
    except psycopg2.Error as error:
        if error.pgcode == PROBLEM:
            raise RefusedActError(str(error.diag.message_primary)) from None
        customer_search.log.warning("Nothing was recorded: %s", type(error).__name__)
        raise customer_search.Unanswered from error


# --- what is shown --------------------------------------------------------------------------------------------


def _known(customer: int) -> dict[str, Any] | None:
    """What there is about a customer; None of one whom whoever looks may not see."""
    if customer > customer_links.LARGEST:
        return None
    scores = _rows(
        "SELECT run_id, as_of, score, default_probability, decision AS recommendation, decision_label_en AS"
        " recommendation_label_en, decision_label_fr AS recommendation_label_fr, band FROM reporting.customer_score"
        " WHERE customer_id = :id", id=customer,
    )  # fmt: skip
    decisions = _rows(
        "SELECT * FROM reporting.decision WHERE customer_id = :id ORDER BY decision_id DESC", id=customer
    )
    if not scores and not decisions:
        return None
    asked = _rows("SELECT * FROM reporting.review WHERE customer_id = :id ORDER BY review_id DESC", id=customer)
    return {
        "tonight": scores[0] if scores else None,
        "seen": scores[0] if scores else decisions[0],
        "reasons": _rows(
            "SELECT advisor_en, advisor_fr FROM reporting.decision_reason WHERE customer_id = :id"
            " AND run_id = :run ORDER BY place",
            id=customer, run=scores[0]["run_id"] if scores else decisions[0]["run_id"],
        ),
        "decisions": decisions,
        "reviews": asked,
        "open_review": next((one for one in asked if one["is_open"]), None),
        "own": any(one["decided_by"] == g.user.username for one in decisions),
        "grounds": _rows("SELECT * FROM reporting.decision_ground ORDER BY place"),
        "what_if": next(
            iter(_rows("SELECT * FROM reporting.what_if_summary WHERE customer_id = :id", id=customer)), None
        ),
        "offers": _rows(_OFFERS, id=customer),
    }  # fmt: skip


def _rendered(name: str, language: str, customer: int | None, **known: Any) -> str:
    from superset.views.base import get_spa_template_context

    said = {key: words[language] for key, words in _texts().items()}
    zone = ZoneInfo(current_app.config[TIME_ZONE])
    context = get_spa_template_context(None)
    context["default_title"] = said[f"{name}_title"].format(number=customer)
    return render_template(
        f"creditlens/{name}.html",
        **context,
        # Superset's views give their templates this one.
        appbuilder=current_app.extensions["appbuilder"],
        say=said,
        lang=language,
        customer=customer,
        back=Place(OF_ONE[0], language).address(customer) if customer else Place(WORKLIST, language).address(),
        typed={key: request.form.get(key, "") for key in TYPED},
        choices=DECISIONS,
        day=lambda day: format_date(day, "d MMMM y", locale=language),
        when=lambda moment: _written(moment, zone, language),
        number=lambda value: format_decimal(value, locale=language),
        offer=lambda one: _offer(one, said["offer_of"], language),
        percent=lambda value: format_percent(value, "0.0 %" if language == "fr" else "0.0%", locale=language),
        **known,
    )


def _offer(one: Mapping[str, Any], words: str, language: str) -> str:
    cents = {name: "#,##0" if float(one[name]).is_integer() else "#,##0.00" for name in ("amount", "annuity")}
    amounts = {name: format_decimal(one[name], form, locale=language) for name, form in cents.items()}
    return words.format(duration=one["duration"], score=one["score"], **amounts)


def _written(moment: datetime, zone: ZoneInfo, language: str) -> str:
    return str(format_datetime(moment.astimezone(zone), "d MMM y, HH:mm", locale=language))


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    read: Mapping[str, Mapping[str, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return read


def _rows(query: str, **values: Any) -> list[dict[str, Any]]:
    """What the database answers to whoever is signed in. Raises customer_search.Unanswered."""
    from superset import db
    from superset.models.core import Database

    database = db.session.query(Database).filter_by(database_name=customer_search.DATABASE).one()
    try:
        with database.get_sqla_engine() as engine, engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]
    except DBAPIError as error:
        customer_search.log.warning("The database did not answer: %s", type(error.orig).__name__)
        raise customer_search.Unanswered from error
