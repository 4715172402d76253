"""The bar above every page: a customer's file by its number, from anywhere, and never another one's.

Superset's own filters show what was typed beside what was applied before, and keep a page's customer where the back
button does not find it. So the customer stands in the page's address, is looked up before the page is given, and
heads it in words; the filter that hands the number to the charts is not shown. Whoever asks for nobody, or for a
number that is nobody's, gets the worklist and is told so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import yaml
from babel.dates import format_date
from flask import Blueprint, Flask, Response, abort, current_app, g, redirect, request, session
from flask.typing import ResponseReturnValue
from flask_babel import refresh
from jinja2 import ChoiceLoader, DictLoader, FileSystemLoader, PrefixLoader
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from superset_assets.server import customer_links, viewer
from superset_assets.server.customer_links import LARGEST, OF_ONE, WORKLIST, Place

TEXTS = Path(__file__).with_name("customer_search.yaml")
TEMPLATES = Path(__file__).with_name("templates")
DATABASE = "creditlens"
# In the session: whose they are, and the numbers. Signing out leaves it, and somebody else may sign in.
RECENT = "recent_customers"
RECENT_KEPT = 6
# What a message repeats of what was typed.
TYPED_SHOWN = 40

log = logging.getLogger(__name__)
pages = Blueprint("customers", __name__)


def add_to(app: Flask) -> None:
    """Put the bar above Superset's pages and hold its pages of one customer to the customer of their address."""
    app.register_blueprint(pages)
    original = app.jinja_env.loader or DictLoader({})
    app.jinja_env.loader = ChoiceLoader(
        [FileSystemLoader(TEMPLATES), PrefixLoader({"original": original}), original]
    )
    app.jinja_env.globals["creditlens_bar"] = bar
    app.before_request(switch_the_language_of_the_page)
    app.before_request(show_the_customer_of_the_address)
    app.register_error_handler(Unanswered, _unanswered)


class Unanswered(Exception):
    """The database does not say who there is."""


def _unanswered(_: Unanswered) -> ResponseReturnValue:
    return Response(_texts()["unanswered"][_language(None)], status=503, mimetype="text/plain")


# --- finding one ----------------------------------------------------------------------------------------------


@pages.route("/creditlens/customer")
def open_customer() -> ResponseReturnValue:
    """Whoever typed a number, or follows a link, to the customer's page; the number as typed is in `number`."""
    if g.user.is_anonymous:
        return redirect(f"/login/?{urlencode({'next': request.full_path})}")
    page = request.args.get("page", OF_ONE[0])
    place = Place(page if page in OF_ONE else OF_ONE[0], _language(request.args.get("language")))
    _require_right(place)
    typed = request.args.get("number", "").strip()
    return redirect(_address(place, typed) or Place(WORKLIST, place.language).address(missing=typed))


def _address(place: Place, typed: str) -> str | None:
    """The page of that customer, None if there is none that whoever looks may see."""
    number = customer_links.number(typed)
    if number is None or _score_date(number) is None:
        return None
    return place.address(number)


def show_the_customer_of_the_address() -> ResponseReturnValue | None:
    """A page of one customer is of the one in its address, or is not given."""
    place = _place() if request.method == "GET" else None
    if place is None or place.page not in OF_ONE or g.user.is_anonymous:
        return None
    _require_right(place)
    arguments = request.args
    key = arguments.get(customer_links.STATE_KEY)
    kept = customer_links.customer_in_state(_kept_state(place, key)) if key else None
    typed = customer_links.customer_in_address(arguments) or kept
    if typed is None:
        return redirect(Place(WORKLIST, place.language).address(missing=""))
    address = _address(place, typed)
    if address is None:
        return redirect(Place(WORKLIST, place.language).address(missing=typed))
    number = customer_links.number(typed) or 0
    named = {arguments.get(customer_links.CUSTOMER), customer_links.customer_in_filters(arguments) or kept}
    if request.path != place.path or customer_links.PERMALINK in arguments or named != {str(number)}:
        return redirect(address)
    session[RECENT] = [g.user.id, [number, *(one for one in _recent() if one != number)][:RECENT_KEPT]]
    return None


def _recent() -> list[int]:
    """The customers that whoever is signed in opened last."""
    user, numbers = session.get(RECENT) or (None, [])
    return list(numbers) if user == g.user.id else []


def _kept_state(place: Place, key: str) -> str | None:
    """What Superset keeps of the page's filters under a key."""
    from superset.commands.dashboard.filter_state.get import GetFilterStateCommand
    from superset.commands.exceptions import CommandException
    from superset.commands.temporary_cache.parameters import CommandParameters

    try:
        state = GetFilterStateCommand(CommandParameters(resource_id=_dashboard(place).id, key=key)).run()
    except CommandException:
        return None
    return None if state is None else str(state)


def switch_the_language_of_the_page() -> ResponseReturnValue | None:
    """Superset's flag changes its own words only: here the page and its customer follow."""
    parts = request.path.strip("/").split("/")
    languages = current_app.config["LANGUAGES"]
    if len(parts) != 2 or parts[0] != "lang" or parts[1] not in languages or g.user.is_anonymous:
        return None
    before = urlsplit(request.referrer or "")
    place = _place_of(before.path) if before.netloc == request.host else None
    if place is None:
        return None
    session["locale"] = parts[1]
    refresh()
    typed = customer_links.customer_in_address({name: all_[0] for name, all_ in parse_qs(before.query).items()})
    number = customer_links.number(typed or "")
    return redirect(Place(place.page, parts[1]).address(number))


# --- the bar --------------------------------------------------------------------------------------------------


def bar() -> Mapping[str, Any] | None:
    """What the bar above the page shows; None where nobody is signed in."""
    if g.user.is_anonymous:
        return None
    place = _place()
    language = place.language if place else _language(None)
    texts = {name: said[language] for name, said in _texts().items()}
    number = (
        customer_links.number(request.args.get(customer_links.CUSTOMER, ""))
        if place and place.page in OF_ONE
        else None
    )
    scored = _score_date(number) if number is not None else None
    shown = number if scored is not None else None
    links = [(page, Place(page, language).address(shown)) for page in customer_links.PAGES]
    return {
        "texts": texts,
        "language": language,
        "page": place.page if place else None,
        "heading": texts["heading"].format(number=shown, date=_written(scored, language)) if scored else None,
        "links": [(page, texts[page], address) for page, address in links if shown or page not in OF_ONE],
        "other": _in_the_other_language(place, language, shown),
        "recent": [(one, Place(OF_ONE[0], language).address(one)) for one in _recent() if one != shown],
        "message": _message(texts, request.args["missing"]) if "missing" in request.args else None,
    }


def _in_the_other_language(place: Place | None, language: str, number: int | None) -> str:
    # Pages that are no dashboard say it themselves.
    if "creditlens_other" in g:
        return str(g.creditlens_other)
    other = next(one for one in current_app.config["LANGUAGES"] if one != language)
    return Place(place.page, other).address(number) if place else f"/lang/{other}"


def _message(texts: Mapping[str, str], typed: str) -> str:
    """Why no file is open, after somebody asked for one."""
    typed = typed if len(typed) <= TYPED_SHOWN else f"{typed[:TYPED_SHOWN]}…"
    if not typed:
        return texts["choose"]
    number = customer_links.number(typed)
    if number is None:
        return texts["not_a_number"].format(typed=typed)
    if number <= LARGEST and _ask("SELECT 1 FROM reporting.former_customer WHERE customer_id = :id", id=number):
        return texts["former"].format(typed=typed)
    own = not viewer.sees_everybody(g.user) and _ask("SELECT 1 FROM reporting.portfolio_state WHERE limited")
    return texts["not_assigned" if own else "unknown"].format(typed=typed)


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    read: Mapping[str, Mapping[str, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return read


def _written(day: date | None, language: str) -> str:
    return str(format_date(day, "d MMMM y", locale=language)) if day else ""


# --- where we are, and what the database says --------------------------------------------------------------------


def _language(wanted: str | None) -> str:
    languages = current_app.config["LANGUAGES"]
    known = wanted if wanted in languages else session.get("locale")
    return str(known if known in languages else current_app.config["BABEL_DEFAULT_LOCALE"])


def _place() -> Place | None:
    """The page that the request asks for."""
    return _place_of(request.path)


def _place_of(path: str) -> Place | None:
    """The page of an address, by its name or by Superset's number; None if it is none of ours."""
    parts = path.strip("/").split("/")
    if len(parts) != 3 or parts[:2] != ["superset", "dashboard"]:
        return None
    slug = parts[2]
    if slug.isdecimal():
        from superset import db
        from superset.models.dashboard import Dashboard

        slug = db.session.query(Dashboard.slug).filter_by(id=int(slug)).scalar() or ""
    return customer_links.place_of(slug, current_app.config["LANGUAGES"])


def _dashboard(place: Place) -> Any:
    from superset import db
    from superset.models.dashboard import Dashboard

    return db.session.query(Dashboard).filter_by(slug=f"{place.page}-{place.language}").first() or abort(404)


def _require_right(place: Place) -> None:
    """Whoever may not see the page learns nothing of whom it is about."""
    from superset import security_manager
    from superset.exceptions import SupersetSecurityException

    try:
        security_manager.raise_for_access(dashboard=_dashboard(place))
    except SupersetSecurityException:
        abort(Response(status=403))


def _score_date(number: int) -> date | None:
    """The date of a customer's score, None if whoever looks may see no customer of this number.

    Asked once a request. Raises Unanswered.
    """
    if number > LARGEST:
        return None
    known: dict[int, date | None] = g.setdefault("creditlens_score_dates", {})
    if number not in known:
        known[number] = _ask("SELECT as_of FROM reporting.customer_score WHERE customer_id = :id", id=number)
    return known[number]


def _ask(query: str, **values: Any) -> Any:
    """The first value that the database answers to whoever is signed in, None if there is none.

    Raises Unanswered.
    """
    from superset import db
    from superset.models.core import Database

    database = db.session.query(Database).filter_by(database_name=DATABASE).one()
    try:
        with database.get_sqla_engine() as engine, engine.connect() as connection:
            return connection.execute(text(query), values).scalar()
    except DBAPIError as error:
        log.warning("The database did not say who there is: %s", type(error.orig).__name__)
        raise Unanswered from error
