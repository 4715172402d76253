"""English and French: a dashboard speaks one of them, and so does all that is said around it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from flask import Flask, Response, jsonify, request, session
from flask_babel import refresh

FRENCH = Path(__file__).with_name("french.yaml")
NUMBERS = {
    "en": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""]},
    "fr": {"decimal": ",", "thousands": "\u202f", "grouping": [3], "currency": ["", "\u00a0€"]},
}
DATES = {
    "fr": {
        "dateTime": "%A %e %B %Y à %X",
        "date": "%d/%m/%Y",
        "time": "%H:%M:%S",
        "periods": ["AM", "PM"],
        "days": ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
        "shortDays": ["dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."],
        "months": ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
                   "novembre", "décembre"],
        "shortMonths": ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.",
                        "déc."],
    },
}  # fmt: skip
# What the reporting views say when they refuse to answer, and how it is told to people.
REFUSALS = {
    "Choose exactly one customer.": {
        "en": "Choose exactly one customer: type the number above, or open one from the worklist.",
        "fr": "Choisissez un client, et un seul\u00a0: saisissez son numéro en haut, ou ouvrez-le depuis la liste"
        " de travail.",
    },
    "Choose a value (or All) in every cohort filter.": {
        "en": "Choose a value, or All, in every filter on the left.",
        "fr": "Choisissez une valeur, ou Tous, dans chaque filtre à gauche.",
    },
}


def formats(data: dict[str, Any]) -> dict[str, Any]:
    """Separators of numbers and names of months follow the reader's language."""
    language = data["locale"]
    return {"d3_format": NUMBERS.get(language, NUMBERS["en"]), "d3_time_format": DATES.get(language, {})}


def speak(app: Flask) -> None:
    """Have pages, Superset's own words and refusals be in the language of the dashboard."""

    @app.before_request
    def speak_the_dashboards_language() -> None:
        """A dashboard whose name ends in a language is shown in it, with its separators of numbers."""
        parts = request.path.strip("/").split("/")
        if len(parts) == 3 and parts[:2] == ["superset", "dashboard"]:
            language = parts[2].rpartition("-")[2]
            if language in app.config["LANGUAGES"] and session.get("locale") != language:
                session["locale"] = language
                refresh()

    @app.before_request
    def speak_french() -> Response | None:
        """Serve Superset's French with ours in the place of what it gets wrong."""
        if request.path != "/superset/language_pack/fr/":
            return None
        from superset.translations.utils import get_language_pack

        pack = copy.deepcopy(get_language_pack("fr"))
        for english, french in yaml.safe_load(FRENCH.read_text(encoding="utf-8")).items():
            pack["locale_data"]["superset"][english] = french if isinstance(french, list) else [french]
        return jsonify(pack)

    @app.after_request
    def say_it_plainly(response: Response) -> Response:
        """A chart that was refused says why, in one sentence and in the reader's language."""
        if request.path == "/api/v1/chart/data" and response.status_code == 400 and response.is_json:
            answer = response.get_json()
            for sentence, in_language in REFUSALS.items():
                if sentence in str(answer.get("message")):
                    language = session.get("locale", app.config["BABEL_DEFAULT_LOCALE"])
                    response.set_data(json.dumps({**answer, "message": in_language.get(language, sentence)}))
        return response
