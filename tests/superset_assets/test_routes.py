"""Every route of the running Superset, asked by everybody over HTTP: who is let in is what routes.yaml says.

The requests make no sense on purpose. Superset looks at who asks before it looks at what for, so whoever is refused
is refused, and whoever is let in is told that nothing is there, or that it makes no sense, and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from flows.services import superset as superset_service
from tests.superset_fixture import Superset

Route = tuple[str, str]
EVERYBODY = ("nobody", "advisor", "lead", "analyst", "operator", "admin")
# Who is let in, by the words of routes.yaml.
LET_IN: dict[str, set[str]] = {
    "public": set(EVERYBODY),
    "dashboards": {"advisor", "lead", "analyst", "operator", "admin"},
    "deciders": {"advisor", "lead"},
    "sql": {"analyst", "operator", "admin"},
    "operator": {"operator", "admin"},
    "admin": {"admin"},
    "refused": set(),
    "absent": set(),
}
MATRIX: dict[Route, str] = {
    (method, path): word
    for path, words in yaml.safe_load((Path(__file__).parent / "routes.yaml").read_text()).items()
    for methods, word in words.items()
    for method in methods.split()
}
LIST_ROUTES = """
import json
from superset.app import create_app
rules = create_app().url_map.iter_rules()
print(json.dumps(sorted({(method, rule.rule) for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}})))
"""
NOTHING = "999999"
WORDS = {
    "datasource_type": "table",
    "lang": "en",
    "locale": "en",
    "schema_name": "reporting",
    "table_name": "customer",
    "column_name": "id",
}
# Where any word would do too little to tell who is let in.
FITTING = {
    "/static/<path:filename>": "/static/assets/manifest.json",
    "/static/appbuilder/<path:filename>": "/static/appbuilder/css/ab.css",
    "/creditlens/<path:filename>": "/creditlens/logo.svg",
    "/dataset/<pk>": "/dataset/{id}?testing=1",
    "/superset/explore_json/": '/superset/explore_json/?form_data={{"datasource":"{id}__table"}}',
    "/roles/action/<string:name>/<pk>": "/roles/action/copyrole/{id}",
    "/users/action/<string:name>/<pk>": "/users/action/userinfoedit/{id}",
}
NONSENSE = {"nonsense": "1"}
ACTIONS = {
    "/groups/action_post": {"action": "none"},
    "/roles/action_post": {"action": "copyrole"},
    "/users/action_post": {"action": "userinfoedit"},
}
# A wrong password counts for the minute, and these two take nothing else: test_failed_logins.py has them.
LOGINS = {("POST", "/login/"), ("POST", "/api/v1/security/login")}
# The one route that changes something whatever it is sent; what it makes is deleted.
MAKES_A_DASHBOARD = ("GET", "/dashboard/new/")
# Requests are logged, and the first link of each kind that is asked for makes a salt for all later ones.
WRITTEN_BY_ASKING = {"logs", "key_value"}


@pytest.fixture(scope="module")
def ids(superset: Superset) -> dict[str, str]:
    """What exists, by the start of the paths that read it."""
    admin = superset.client("admin")
    dashboard = admin.get("/api/v1/dashboard/portfolio-en").json()["result"]["id"]
    chart = admin.get(f"/api/v1/dashboard/{dashboard}/charts").json()["result"][0]["form_data"]
    dataset = chart["datasource"].split("__")[0]
    databases = admin.get("/api/v1/database/").json()["result"]
    database = next(one["id"] for one in databases if one["database_name"] == "creditlens SQL")
    return {
        "/api/v1/chart/": str(chart["slice_id"]),
        "/superset/slice/": str(chart["slice_id"]),
        "/api/v1/dashboard/": str(dashboard),
        "/superset/dashboard/": str(dashboard),
        "/dashboard/": str(dashboard),
        "/api/v1/dataset/": dataset,
        "/dataset/": dataset,
        "/api/v1/datasource/": dataset,
        "/datasource/": dataset,
        "/superset/explore/": dataset,
        "/superset/explore_json/": dataset,
        "/api/v1/database/": str(database),
        "/": "1",
    }


def address(route: Route, ids: dict[str, str]) -> str:
    """A route's path with something that exists for what is read, and nothing that does for what is changed."""
    method, path = route
    existing = next(value for start, value in ids.items() if path.startswith(start))
    number = existing if method == "GET" and "delete" not in path else NOTHING
    if path in FITTING:
        return FITTING[path].format(id=number)
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", lambda found: WORDS.get(found[1], number), path)


def body(route: Route) -> dict[str, Any]:
    """What is sent along."""
    method, path = route
    if method in {"GET", "DELETE"}:
        return {}
    if path.startswith("/api/"):
        return {"json": NONSENSE}
    return {"data": ACTIONS.get(path, NONSENSE)}


def walk(superset: Superset, user: str, ids: dict[str, str]) -> dict[Route, httpx.Response]:
    """The answers that one user gets, each asked with the session as it was after signing in."""
    signed_in = superset.client(None if user == "nobody" else user)
    answers = {}
    with httpx.Client(base_url=superset.url, timeout=60, trust_env=False, headers=signed_in.headers) as client:
        for route in MATRIX.keys() - LOGINS:
            client.cookies = httpx.Cookies(signed_in.cookies)
            answers[route] = client.request(route[0], address(route, ids), **body(route))
    return answers


@pytest.fixture(scope="module")
def answers(superset: Superset, ids: dict[str, str]) -> dict[str, dict[Route, httpx.Response]]:
    """What everybody is answered on every route but those that take a password, by user."""
    for user in EVERYBODY:
        superset.client(None if user == "nobody" else user)
    before = contents(superset)
    with ThreadPoolExecutor(len(EVERYBODY)) as pool:
        found = dict(zip(EVERYBODY, pool.map(lambda user: walk(superset, user, ids), EVERYBODY), strict=True))
    for user in LET_IN["operator"]:
        made = re.search(r"/superset/dashboard/(\d+)/", found[user][MAKES_A_DASHBOARD].headers["location"])
        assert made and superset.client("admin").delete(f"/api/v1/dashboard/{made[1]}").status_code == 200
    after = contents(superset)
    assert [table for table in before if before[table] != after[table]] == [], "the walk has changed something"
    return found


def contents(superset: Superset) -> dict[str, str]:
    """One number for the rows of each of Superset's own tables."""
    with psycopg.connect(superset_service.metadata_url(superset.settings)) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {
            table: hashlib.sha256(
                str(connection.execute(f'SELECT t::text FROM public."{table}" AS t ORDER BY 1').fetchall()).encode()
            ).hexdigest()
            for (table,) in tables
            if table not in WRITTEN_BY_ASKING
        }


def refused(answer: httpx.Response, admins: httpx.Response) -> bool:
    """Whether somebody was not let in: told so, sent away, or told that what the admin sees is not there."""
    leads_to = answer.headers.get("location", "")
    return (
        answer.status_code in {401, 403}
        or (answer.status_code == 404 and admins.status_code != 404)
        or "/login/" in leads_to
        or leads_to == "."
        or (leads_to == "/" and answer.request.method == "GET")
    )


def test_every_route_of_superset_is_in_the_matrix_and_no_other(superset: Superset) -> None:
    environment = {**os.environ, **superset_service._environment(superset.settings)}
    python = superset_service.ENVIRONMENT / "bin" / "python"
    listed = subprocess.run(
        [python, "-c", LIST_ROUTES], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    there = {(method, path) for method, path in json.loads(listed.stdout.splitlines()[-1])}
    assert len(there) > 400
    assert sorted(there - MATRIX.keys()) == [], "routes that nobody has decided about"
    assert sorted(MATRIX.keys() - there) == [], "routes that are no more"


@pytest.mark.parametrize("word", LET_IN)
def test_who_is_let_in_is_who_the_matrix_says(
    superset: Superset, answers: dict[str, dict[Route, httpx.Response]], word: str
) -> None:
    wrong = []
    for route in sorted(route for route, said in MATRIX.items() if said == word and route not in LOGINS):
        given = {user: answers[user][route] for user in EVERYBODY}
        statuses = {user: answer.status_code for user, answer in given.items()}
        let_in = {user for user in EVERYBODY if not refused(given[user], given["admin"])}
        if word == "absent":
            right = set(statuses.values()) <= {404, 500}
        elif word == "public":
            right = not {401, 403, 404} & set(statuses.values())
        else:
            right = let_in == LET_IN[word]
        if not right:
            leads_to = {user: answer.headers.get("location") for user, answer in given.items()}
            wrong.append((*route, statuses, leads_to))
    assert wrong == []
