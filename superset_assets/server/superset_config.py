"""Superset's configuration: everything that this installation decides differently from Superset's defaults.

What differs from machine to machine (keys, addresses, folder, language) is read from the JSON file that
CREDITLENS_SUPERSET_CONFIGURATION names; `creditlens dashboards` writes it, readable by its owner only.
"""

from __future__ import annotations

import copy
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, g, redirect, request, session
from flask.typing import ResponseReturnValue
from sqlalchemy.engine.url import URL, make_url
from superset.config import TALISMAN_CONFIG as SUPERSETS_TALISMAN_CONFIG
from superset.config import THEME_DEFAULT as SUPERSETS_THEME

from superset_assets.server import (
    changes,
    customer_search,
    human_decisions,
    narrow_screens,
    rules,
    single_sign_on,
    viewer,
)

try:
    changes.import_all()
    from superset_assets.server.failed_logins import limit_failed_logins
    from superset_assets.server.languages import formats, speak
    from superset_assets.server.lean_requests import RequestLog, SecurityManager
    from superset_assets.server.reader_connections import connect
    from superset_assets.server.request_records import log_samples
    from superset_assets.server.telemetry import serve_without_pixel
except ImportError as _error:
    raise SystemExit(changes.not_there(_error)) from None

SERVER = Path(__file__).resolve().parent
MINIMUM_KEY_LENGTH = 32
PLACEHOLDERS = ("change", "secret", "example", "password", "superset", "default", "your_")

_installation: dict[str, Any] = json.loads(Path(os.environ["CREDITLENS_SUPERSET_CONFIGURATION"]).read_text())
_state = Path(_installation["state"])
_tls = bool(_installation["tls"])


# --- keys ---------------------------------------------------------------------------------------------------------


def _key(name: str) -> str:
    """A key of this installation; a short one, or one from a manual, refuses to start."""
    key = str(_installation[name])
    if len(key) < MINIMUM_KEY_LENGTH or len(set(key)) < 12 or any(word in key.lower() for word in PLACEHOLDERS):
        raise SystemExit(
            f"The key {name!r} is a placeholder or shorter than {MINIMUM_KEY_LENGTH} characters; remove it from"
            " secrets.json and run `creditlens dashboards`, which makes a new one."
        )
    return key


SECRET_KEY = _key("secret_key")
JWT_SECRET_KEY = _key("jwt_key")
# Of features that are off; Superset ships both with a key that everybody knows.
GUEST_TOKEN_JWT_SECRET = _key("guest_key")
GLOBAL_ASYNC_QUERIES_JWT_SECRET = _key("async_key")


# --- databases ----------------------------------------------------------------------------------------------------

SQLALCHEMY_DATABASE_URI = _installation["metadata_url"]
SQLALCHEMY_ENGINE_OPTIONS = {
    "pool_pre_ping": True,
    "pool_size": 8,
    "max_overflow": 8,
    # No reader waits for the disk: a crash of the server would take the log's last half second, and nothing else.
    # Provisioning, with its hundreds of small commits, waits for it once, at its end.
    "connect_args": {"options": "-c synchronous_commit=off"},
}
PREVENT_UNSAFE_DB_CONNECTIONS = True
CREDITLENS_DASHBOARD_ROLE = _installation["dashboard_role"]


def DB_CONNECTION_MUTATOR(uri: URL, params: dict[str, Any], *_: Any) -> tuple[URL, dict[str, Any]]:
    """The committed addresses hold a role and nothing else: here they get host, port, password, and who looks."""
    real = _installation["reporting_urls"].get(uri.username)
    if not real:
        return uri, params
    if uri.username == CREDITLENS_DASHBOARD_ROLE:
        params = {**params, "creator": lambda: connect(real, who_looks), "use_native_hstore": False}
    return make_url(real), params


def who_looks(backend: int) -> str:
    """What Postgres is told of whoever is signed in, whom it may hold to the own customers, in one connection."""
    return viewer.signed(_installation["viewer_key"], viewer.current_user(), backend)


CREDITLENS_WHO_LOOKS = who_looks
CREDITLENS_RECORDER_URL = _installation["recorder_url"]
CREDITLENS_TIME_ZONE = _installation["time_zone"]
CREDITLENS_PROGRAM = _installation["program"]
# Empty where nothing is shared beyond this server: see shared.py.
CREDITLENS_REDIS_URL = _installation["redis_url"]


# --- what is on and what is off -----------------------------------------------------------------------------------

FEATURE_FLAGS = {
    "DASHBOARD_RBAC": True,
    "ENABLE_TEMPLATE_PROCESSING": False,
    "ENABLE_JAVASCRIPT_CONTROLS": False,
    "ALLOW_ADHOC_SUBQUERY": False,
    "ALERT_REPORTS": False,
    "TAGGING_SYSTEM": False,
    "EMBEDDED_SUPERSET": False,
    "EMBEDDABLE_CHARTS": False,
    "DYNAMIC_PLUGINS": False,
    "ENABLE_EXTENSIONS": False,
    # Both offer an advisor columns that no chart was meant to show.
    "DRILL_BY": False,
    "DRILL_TO_DETAIL": False,
}
CELERY_CONFIG = None
SQLLAB_TIMEOUT = 30
SUPERSET_WEBSERVER_TIMEOUT = 35
ROW_LIMIT = 10_000
SQL_MAX_ROW = 100_000
DEFAULT_SQLLAB_LIMIT = 1_000
# Never: see spreadsheets.py.
CSV_STREAMING_ROW_THRESHOLD = 10**9
# Its validator needs a program that is not here, and marks every query as wrong.
SQL_VALIDATORS_BY_ENGINE: dict[str, str] = {}
LOG_LEVEL = "WARNING"
EVENT_LOGGER = RequestLog()
ALEMBIC_SKIP_LOG_CONFIG = True


# --- who gets in, and what a browser may do -----------------------------------------------------------------------

AUTH_USER_REGISTRATION = False
try:
    _rules = rules.read(Path(_installation["assets"]))
except rules.RulesError as _problem:
    raise SystemExit(str(_problem)) from None
CREDITLENS_SEE_EVERYBODY, CREDITLENS_DECIDERS = _rules.see_everybody, _rules.decide
if _installation.get("sign_on"):
    try:
        # Names and values of Flask-AppBuilder's own, from the operator's file.
        globals().update(single_sign_on.read(Path(_installation["sign_on"]), {*_rules.roles, "Admin"}))
    except single_sign_on.SignOnError as _refused:
        raise SystemExit(str(_refused)) from None
CUSTOM_SECURITY_MANAGER = SecurityManager
PUBLIC_ROLE_LIKE = None
FAB_API_SWAGGER_UI = False
WTF_CSRF_ENABLED = True
ENABLE_CORS = False
ENABLE_PROXY_FIX = _tls
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _tls
PERMANENT_SESSION_LIFETIME = timedelta(hours=12)
HTML_SANITIZATION = True
# Texts may carry colour beside a sign; scripts, events and frames stay out.
HTML_SANITIZATION_SCHEMA_EXTENSIONS = {"attributes": {"*": ["className", "style"]}}

# Superset's own limit of logins is off: failed_logins.py has a closer one.
AUTH_RATE_LIMITED = False
RATELIMIT_ENABLED = False

TALISMAN_ENABLED = True
TALISMAN_CONFIG = copy.deepcopy(SUPERSETS_TALISMAN_CONFIG)
TALISMAN_CONFIG["session_cookie_secure"] = _tls
TALISMAN_CONFIG["content_security_policy"] |= {
    "img-src": ["'self'", "blob:", "data:"],
    "connect-src": ["'self'"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "font-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}


# --- caches -------------------------------------------------------------------------------------------------------

# Filter state and permalinks stay in the metadata database (Superset's default): every worker sees them, and they
# outlive a restart. Answers of charts and filters are kept for five minutes, in files that only we can read or in
# Redis, under keys that name the published run: see published_cache.py.
FILTER_STATE_CACHE_CONFIG = {
    "CACHE_TYPE": "SupersetMetastoreCache",
    "CACHE_DEFAULT_TIMEOUT": int(timedelta(days=30).total_seconds()),
}
EXPLORE_FORM_DATA_CACHE_CONFIG = {
    "CACHE_TYPE": "SupersetMetastoreCache",
    "CACHE_DEFAULT_TIMEOUT": int(timedelta(days=7).total_seconds()),
}
CACHE_CONFIG = {"CACHE_TYPE": "NullCache", "CACHE_NO_NULL_WARNING": True}
DATA_CACHE_CONFIG = {
    "CACHE_TYPE": "superset_assets.server.published_cache.PublishedRunCache",
    "CACHE_DIR": str(_state / "cache"),
    "CACHE_DEFAULT_TIMEOUT": int(timedelta(minutes=5).total_seconds()),
    "CACHE_THRESHOLD": 2_000,
    "CACHE_OPTIONS": {"mode": 0o600},
    "CREDITLENS_READER_URL": _installation["reporting_urls"][CREDITLENS_DASHBOARD_ROLE],
    "CREDITLENS_REDIS_URL": CREDITLENS_REDIS_URL,
    # What signs answers in Redis; it opens nothing else.
    "CREDITLENS_KEY": _key("async_key"),
}


# --- languages ----------------------------------------------------------------------------------------------------

LANGUAGES = {"en": {"flag": "gb", "name": "English"}, "fr": {"flag": "fr", "name": "Français"}}
BABEL_DEFAULT_LOCALE = _installation["locale"]
COMMON_BOOTSTRAP_OVERRIDES_FUNC = formats


# --- looks --------------------------------------------------------------------------------------------------------

# Okabe and Ito's colours, told apart with any colour vision; blue raises a score, vermillion lowers it.
BLUE, VERMILLION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
LIGHT_BLUE, LIGHT_VERMILLION, LIGHT_ORANGE = "#56B4E9", "#FF8A3D", "#F0B941"
APP_NAME = "creditlens"
APP_ICON = "/creditlens/logo.svg"
LOGO_TOOLTIP = "creditlens"
FAVICONS = [{"href": "/creditlens/favicon.svg", "type": "image/svg+xml"}]
ENABLE_UI_THEME_ADMINISTRATION = False
THEME_DEFAULT: dict[str, Any] = {
    "token": {
        **SUPERSETS_THEME["token"],
        "brandAppName": APP_NAME,
        "brandLogoAlt": APP_NAME,
        "brandLogoUrl": APP_ICON,
        "brandLogoHref": "/",
        "brandLogoHeight": "28px",
        "brandLogoMargin": "12px 0",
        "brandIconMaxWidth": 150,
        "colorPrimary": BLUE,
        "colorLink": BLUE,
        "colorInfo": BLUE,
        "colorSuccess": BLUE,
        "colorWarning": ORANGE,
        "colorError": VERMILLION,
        "borderRadius": 6,
        # Charts are there at once: a second of movement for every customer says nothing and takes the processor.
        "echartsOptionsOverrides": {"animation": False, "aria": {"enabled": True}},
        # The figure under the lowest step would stand on the names below it, which stand upright.
        "echartsOptionsOverridesByChartType": {
            "waterfall": {
                "xAxis": {
                    "axisLabel": {
                        "margin": 22,
                        "rotate": 0,
                        "interval": 0,
                        "width": 92,
                        "overflow": "break",
                        "lineHeight": 16,
                    },
                }
            }
        },
    },
    "algorithm": "default",
}
THEME_DARK = {
    "token": {
        **THEME_DEFAULT["token"],
        "brandLogoUrl": "/creditlens/logo-dark.svg",
        "colorPrimary": LIGHT_BLUE,
        "colorLink": LIGHT_BLUE,
        "colorInfo": LIGHT_BLUE,
        "colorSuccess": LIGHT_BLUE,
        "colorWarning": LIGHT_ORANGE,
        "colorError": LIGHT_VERMILLION,
    },
    "algorithm": "dark",
}
EXTRA_CATEGORICAL_COLOR_SCHEMES = [
    {
        "id": "creditlens",
        "label": "creditlens",
        "description": "Safe for colour-blind readers: raises, lowers, to be reviewed, then neutral ones",
        "isDefault": True,
        "colors": [BLUE, VERMILLION, ORANGE, "#7A7A7A", LIGHT_BLUE, "#009E73", "#CC79A7", "#4D4D4D", "#B3B3B3"],
    },
    {
        "id": "creditlens_drift",
        "label": "creditlens, beside thresholds",
        "description": "Without the colours of the lines that say watch and shifted",
        "colors": [BLUE, "#009E73", "#CC79A7", "#7A7A7A", "#56B4E9", "#4D4D4D"],
    },
]


# --- the application ----------------------------------------------------------------------------------------------

_ours = Blueprint("creditlens", __name__, static_folder=str(SERVER / "static"), static_url_path="/creditlens")
BLUEPRINTS = [_ours]


@_ours.route("/favicon.ico")
def icon_of_pages_that_name_none() -> Response:
    """Browsers ask for it on error pages, which do not say where the icon is."""
    return _ours.send_static_file("favicon.svg")


LOGO_TARGET_PATH = "/"
HOME = "worklist"


def FLASK_APP_MUTATOR(app: Flask) -> None:
    """Hooks that no setting of Superset's reaches."""
    changes.apply()
    log_samples(app)
    limit_failed_logins(app)
    serve_without_pixel(app, _state / "scripts")
    speak(app)
    customer_search.add_to(app)
    narrow_screens.add_to(app)
    human_decisions.add_to(app)

    @app.before_request
    def colours_stay_as_they_are() -> Response | None:
        """Every page saves the colours that it drew with, whoever looks; for readers, nothing is to be saved."""
        parts = request.path.strip("/").split("/")
        if request.method != "PUT" or parts[:3] != ["api", "v1", "dashboard"] or parts[-1] != "colors":
            return None
        from superset import security_manager

        if g.user.is_anonymous or security_manager.can_access("can_write", "Dashboard"):
            return None
        return Response("{}", mimetype="application/json")

    @app.before_request
    def open_on_the_worklist() -> ResponseReturnValue | None:
        """Who has signed in looks for a customer: Superset's own welcome page offers an advisor nothing to do."""
        if request.path not in {"/", "/superset/welcome/"} or g.user.is_anonymous:
            return None
        from superset import db
        from superset.models.dashboard import Dashboard

        slug = f"{HOME}-{session.get('locale', BABEL_DEFAULT_LOCALE)}"
        known = db.session.query(Dashboard.id).filter_by(slug=slug).first()
        return redirect(f"/superset/dashboard/{slug}/") if known else None
