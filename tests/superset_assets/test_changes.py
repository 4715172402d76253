"""What we change inside Superset is a list: nothing else is changed, and nothing of versions that it is not for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from db.server.embedded import free_port
from flows.services import superset as superset_service
from flows.settings import PROJECT
from tests.superset_fixture import Superset

PYTHON = superset_service.ENVIRONMENT / "bin" / "python"
README = PROJECT / "superset_assets" / "README.md"

# Runs in Superset's environment. Compares what all modules that are not ours, and their classes, hold before our
# hook and after it, and looks for functions of ours that came even before. Prints what it found and the list.
LOOKS = """
import functools, json, pkgutil, sys, types
import superset.config
from superset_assets.server import changes

def ours(module):
    return str(getattr(module, "__file__", None) or "").startswith(str(changes.FOLDER))

def held():
    # Settings are what Superset's configuration is for.
    theirs = [one for one in list(sys.modules.values()) if isinstance(one, types.ModuleType) and not ours(one)
              and one.__name__ not in {"__main__", "superset.config", "superset_config"}]
    found = {}
    for module in theirs:
        for name, value in list(vars(module).items()):
            found[f"{module.__name__}.{name}"] = value
            if isinstance(value, type) and value.__module__ == module.__name__:
                found |= {f"{module.__name__}.{name}.{inner}": one for inner, one in list(vars(value).items())}
    return found

def is_ours(value):
    while True:
        if isinstance(value, (staticmethod, classmethod)) or hasattr(type(value), "cache_info"):
            value = value.__wrapped__
        elif isinstance(value, property):
            value = value.fget
        elif isinstance(value, functools.partial):
            value = value.func
        else:
            break
    if isinstance(value, type):
        return str(value.__module__).startswith("superset_assets")
    return isinstance(value, types.FunctionType) and value.__code__.co_filename.startswith(str(changes.FOLDER))

def new(before, after):
    there = {name.rpartition(".")[0] for name in before}
    return {name for name, value in after.items() if not isinstance(value, types.ModuleType) and (
        is_ours(value) or name.rpartition(".")[0] in there and before.get(name, before) is not value)}

found, mutate = {}, superset.config.FLASK_APP_MUTATOR

def watched(app):
    for change in changes.listed():
        pkgutil.resolve_name(change.attribute)
    before = held()
    mutate(app)
    after = held()
    found["replaced"] = new(before, after)
    import superset.utils.core as core
    core.get_user_id, core.sneaked = functools.lru_cache(core.get_user_id), superset.config.DB_CONNECTION_MUTATOR
    assert new(after, held()) == found["replaced"] | {
        "superset.utils.core.get_user_id", "superset.utils.core.sneaked"}, "this looks not well enough"

superset.config.FLASK_APP_MUTATOR = watched
from superset.app import create_app
create_app()
classes = {one for module in list(sys.modules.values()) if ours(module) for one in vars(module).values()
           if isinstance(one, type) and one.__module__ == module.__name__}
found["derived"] = {
    f"{base.__module__}.{base.__qualname__}.{name}"
    for one in classes for base in one.__bases__ if not base.__module__.startswith("superset_assets")
    for name in vars(one) if name == "__init__" and base.__init__ is not object.__init__
    or not name.startswith("__") and hasattr(base, name) and name != "_abc_impl"}
listed = {"replaced": [one.attribute for one in changes.listed() if one.replace],
          "derived": [one.attribute for one in changes.listed() if not one.replace]}
print(json.dumps([{key: sorted(value) for key, value in found.items()}, listed]))
"""


def environment(superset: Superset) -> dict[str, str]:
    """What Superset's processes of this installation find in their environment."""
    home = superset.settings.state / "superset"
    return {
        "CREDITLENS_SUPERSET_CONFIGURATION": str(home / "configuration.json"),
        "CREDITLENS_SUPERSET_BIND": f"127.0.0.1:{free_port(None)}",
        "SUPERSET_CONFIG_PATH": str(superset_service.SERVER / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "PYTHONPATH": str(PROJECT),
    }


def test_nothing_of_superset_and_its_packages_is_changed_but_what_is_listed(superset: Superset) -> None:
    done = subprocess.run(
        [PYTHON, "-c", LOOKS], env=environment(superset), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found, listed = json.loads(done.stdout.splitlines()[-1])
    assert found == listed
    assert len(found["replaced"]) >= 10
    assert len(found["derived"]) >= 10


# How a version that nobody has tried us with differs, and what is then said of it.
VERSIONS = {
    "takes another argument": (
        "from superset.sql.parse import SQLStatement\n"
        "SQLStatement.set_limit_value = lambda self, limit, how=None, offset=0: None",
        "superset.sql.parse.SQLStatement.set_limit_value should be (self, limit, method=LimitMethod.FORCE_LIMIT)"
        " and is (self, limit, how=None, offset=0); ",
    ),
    "is gone": (
        "from gunicorn.workers.gthread import ThreadWorker\ndel ThreadWorker.accept",
        "gunicorn.workers.gthread.ThreadWorker.accept should be (self, listener) and is missing; ",
    ),
    "is gone with its class": (
        "from flask_caching.backends import filesystemcache\ndel filesystemcache.FileSystemCache",
        "flask_caching.backends.filesystemcache.FileSystemCache should be there and is missing; ",
    ),
    "has a name that we use": (
        "from flask_caching.backends.filesystemcache import FileSystemCache\nFileSystemCache._written = 500",
        "flask_caching.backends.filesystemcache.FileSystemCache._written should be missing and is 500; ",
    ),
}
SERVES = """
import sys
{change}
from gunicorn.app.wsgiapp import run
sys.argv = ["gunicorn", "--config", sys.argv[1]]
run()
"""


@pytest.mark.parametrize(("change", "said"), VERSIONS.values(), ids=VERSIONS.keys())
def test_the_server_does_not_start_where_what_it_changes_is_not_as_it_was(
    superset: Superset, change: str, said: str
) -> None:
    done = subprocess.run(
        [PYTHON, "-c", SERVES.format(change=change), superset_service.SERVER / "gunicorn_settings.py"],
        env=environment(superset),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    sentence = done.stderr.strip().splitlines()[-1]
    assert said in sentence
    assert sentence.startswith("creditlens was not made for ")
    assert "run `make superset`" in sentence
    assert "Traceback" not in done.stderr


def test_the_readme_lists_what_is_changed(tmp_path: Path) -> None:
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-m", "superset_assets.server.changes"],
        env={"PYTHONPATH": str(PROJECT), "SUPERSET_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = done.stdout.strip().splitlines()
    assert len(rows) > 10
    assert "\n".join(rows) in README.read_text(encoding="utf-8")
