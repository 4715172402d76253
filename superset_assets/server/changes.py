"""The list of all that we change inside Superset and the packages that it is made of.

Each change names an attribute that is not ours, why it is changed, what its authors know of it, and the signature
that it had when the change was written. Modules enter their changes with `replaces` and `derives`; nothing is
changed in any other way. `apply` first looks at every attribute: one that is missing, or that takes something else
by now, belongs to a version that nobody has tried us with, and the server does not start.

`python -m superset_assets.server.changes` in Superset's environment prints the list.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).resolve().parent
# Modules of this package whose import needs an installation; they change nothing.
ENTRIES = frozenset({"gunicorn_settings", "provision", "superset_config"})
# What `inspect` knows nothing of: a method of a class that is written in C.
BUILT_IN = "built in"
MISSING = "missing"
Class = TypeVar("Class", bound=type)
# The packages that are changed tell no types.
Original = Callable[..., Any]
Replace = Callable[[Original], Original]


@dataclass(frozen=True)
class Change:
    """One attribute that is not ours and what becomes of it.

    Attributes
    ----------
    attribute: where it is, from the package on.
    expects: its signature without types, or its value, as `shape` tells it.
    why: what it is changed for.
    module: ours that changes it.
    upstream: what its authors know of it, as `owner/repository#number`; empty if we found nothing.
    replace: makes what takes its place; None where a class derived from theirs has its own.
    """

    attribute: str
    expects: str
    why: str
    module: str
    upstream: str = ""
    replace: Replace | None = None


_changes: dict[str, Change] = {}
_replaced: set[str] = set()


def listed() -> list[Change]:
    """The changes of the modules that are imported, by attribute."""
    return [_changes[name] for name in sorted(_changes)]


def replaces(attribute: str, expects: str, *, why: str, upstream: str = "") -> Callable[[Replace], Replace]:
    """Enter that the function below makes, of the original, what takes the place of an attribute."""

    def enter(replace: Replace) -> Replace:
        _enter(Change(attribute, expects, why, replace.__module__, upstream, replace))
        return replace

    return enter


def derives(why: str, *, upstream: str = "", **expects: str) -> Callable[[Class], Class]:
    """Enter what the class below has in the place of its base's attributes: the signature of each, by name."""

    def enter(derived: Class) -> Class:
        base = derived.__bases__[0]
        path = f"{base.__module__}.{base.__qualname__}"
        for name in vars(derived):
            # Ours by chance, where a version of theirs begins to use the name.
            if name in inherited(base) and name not in expects:
                raise SystemExit(
                    other_version(f"{path}.{name}", MISSING, shape(getattr(base, name)), derived.__module__)
                )
        for name, signature in expects.items():
            _enter(Change(f"{path}.{name}", signature, why, derived.__module__, upstream))
        return derived

    return enter


def inherited(base: type) -> set[str]:
    """What a class has that not every class has; a constructor of its own is part of it."""
    names = {name for one in base.__mro__ if one is not object for name in vars(one)}
    return {name for name in names if name == "__init__" or not name.startswith("__")} - {"_abc_impl"}


def _enter(change: Change) -> None:
    if change.attribute in _changes:
        raise TypeError(f"{change.attribute} is changed twice.")
    _changes[change.attribute] = change


def apply() -> None:
    """Replace what is entered, once in each process. Raises SystemExit, before anything is, for another version."""
    for change in listed():
        if change.attribute not in _replaced:
            _check(change)
    for change in listed():
        if change.replace is not None and change.attribute not in _replaced:
            holder, _, name = change.attribute.rpartition(".")
            owner = pkgutil.resolve_name(holder)
            setattr(owner, name, change.replace(getattr(owner, name)))
            _replaced.add(change.attribute)


def _check(change: Change) -> None:
    try:
        found = shape(pkgutil.resolve_name(change.attribute))
    except (ImportError, AttributeError):
        found = MISSING
    if found != change.expects:
        raise SystemExit(other_version(change.attribute, change.expects, found, change.module))


def shape(attribute: Any) -> str:
    """The signature of a function without its types; of anything that cannot be called, its value."""
    if not callable(attribute):
        return repr(attribute)
    try:
        signature = inspect.signature(attribute)
    except ValueError:
        return BUILT_IN
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    # By its name alone: a member of an enumeration, a function.
    return re.sub(r"<(?:built-in function |function )?(\w+(?:\.\w+)*)[^>]*>", r"\1", str(inspect.Signature(bare)))


def other_version(attribute: str, expected: str, found: str, module: str) -> str:
    """Why the server does not start, and the way out, in one sentence."""
    package = attribute.partition(".")[0]
    names = metadata.packages_distributions().get(package, [package])
    there = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return (
        f"creditlens was not made for {there}: {attribute} should be {expected} and is {found}; remove"
        f" .venv-superset and run `make superset`, which installs what creditlens was made for, or adapt {module}."
    )


def not_there(error: ImportError) -> str:
    """The same of a class or module that ours are derived from."""
    ours = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    module = next((file for file in reversed(ours) if file.parent == FOLDER and file != Path(__file__)), FOLDER)
    name = re.match(r"cannot import name '(\w+)'", str(error))
    attribute = ".".join(part for part in (error.name, name and name[1]) if part)
    return other_version(attribute or str(error), "there", MISSING, f"{__package__}.{module.stem}")


def import_all() -> None:
    """Import every module of this package that may enter changes."""
    for file in sorted(FOLDER.glob("*.py")):
        if file.stem not in ENTRIES:
            importlib.import_module(f"{__package__}.{file.stem}")


def table() -> list[str]:
    """The list as the README shows it, grouped by why."""
    groups: dict[tuple[str, str, str], list[Change]] = {}
    for change in listed():
        groups.setdefault((change.module, change.why, change.upstream), []).append(change)
    lines = ["| changed | why | in | known as |", "|---|---|---|---|"]
    for (module, why, upstream), changes in sorted(groups.items()):
        names = "<br>".join(f"`{change.attribute}`" for change in changes)
        file = module.rpartition(".")[2]
        lines.append(f"| {names} | {why} | [{file}](server/{file}.py) | {_links(upstream)} |")
    return lines


def _links(upstream: str) -> str:
    return ", ".join(
        f"[{one}](https://github.com/{one.replace('#', '/issues/')})" for one in upstream.split(", ") if one
    )


def main() -> None:
    """Print the list."""
    import_all()
    print("\n".join(table()))


if __name__ == "__main__":
    # The module that the others enter their changes in, not this copy of it.
    importlib.import_module("superset_assets.server.changes").main()
