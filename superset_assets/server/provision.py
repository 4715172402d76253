"""Make Superset what this repository says: schema, roles, users, charts, dashboards, and who sees them.

Runs in Superset's own environment, in one process, since starting Superset costs more than everything it does
here. `creditlens dashboards` calls it with the passwords by user on standard input as JSON, and the address of the
configuration in the environment. Every step is idempotent. It prints one line per step, marked with STEP, and ends
with exit code 1 and a sentence marked with FAILED where something is not as the files say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from superset_assets.server import rules, saved_queries
from superset_assets.server.telemetry import patch_scripts

STEP, FAILED = "step: ", "failed: "
KINDS = ("databases", "datasets", "charts", "dashboards")
# Rights on one thing each come and go with the things; who may everything has them all by another right.
RIGHTS_ON_ONE_THING = ("database_access", "catalog_access", "schema_access", "datasource_access")


class ProvisionError(Exception):
    """Superset is not what the files say; the message names what is missing or wrong."""


@dataclass(frozen=True)
class Wanted:
    """What the files say: contents by path as Superset imports them, uuids by kind, users, roles and access."""

    contents: dict[str, str]
    uuids: dict[str, dict[str, str]]
    rules: rules.Rules


def read_files(folder: Path) -> Wanted:
    """The asset folder. Raises ProvisionError naming a file that has no uuid, or one that another file has."""
    contents = {"metadata.yaml": (folder / "metadata.yaml").read_text(encoding="utf-8")}
    uuids: dict[str, dict[str, str]] = {}
    for kind in KINDS:
        uuids[kind] = {}
        for file in sorted((folder / kind).rglob("*.yaml")):
            name = file.relative_to(folder).as_posix()
            contents[name] = file.read_text(encoding="utf-8")
            uuid = str((yaml.safe_load(contents[name]) or {}).get("uuid", ""))
            if not uuid or uuid in uuids[kind]:
                raise ProvisionError(f"{name} has no uuid of its own.")
            uuids[kind][uuid] = name
    try:
        return Wanted(contents, uuids, rules.read(folder))
    except rules.RulesError as error:
        raise ProvisionError(str(error)) from None


# --- steps --------------------------------------------------------------------------------------------------------


def upgrade_schema() -> None:
    """Superset's own tables, at the revision of the installed version."""
    from flask_migrate import upgrade

    upgrade()


def encrypted_columns() -> Iterator[tuple[str, Any]]:
    """Table and column of everything that Superset keeps encrypted."""
    from sqlalchemy import inspect
    from sqlalchemy_utils import EncryptedType
    from superset import db

    there = set(inspect(db.engine).get_table_names())
    # Superset's models are not in the metadata of its session.
    for table in model("databases").metadata.sorted_tables:
        for column in table.columns if table.name in there else ():
            if isinstance(column.type, EncryptedType):
                yield table.name, column


def encrypted(table: str, column: Any) -> dict[Any, Any]:
    """What a column holds, by the number of the row."""
    from sqlalchemy import text
    from superset import db

    query = text(f"SELECT id, {column.name} FROM {table} WHERE {column.name} IS NOT NULL")
    return dict(tuple(row) for row in db.session.execute(query))


def encrypt_anew(previous: str) -> int:
    """Encrypt with the present key what the key of before can read; how many values."""
    from sqlalchemy import text
    from sqlalchemy_utils import EncryptedType
    from superset import db

    changed = 0
    for table, column in encrypted_columns():
        before = EncryptedType(type_in=column.type.underlying_type, key=previous)
        change = text(f"UPDATE {table} SET {column.name} = :value WHERE id = :key")
        for key, value in encrypted(table, column).items():
            if not readable(value, column.type) and readable(value, before):
                plain = before.process_result_value(as_bytes(value), db.engine.dialect)
                new = column.type.process_bind_param(plain, db.engine.dialect)
                db.session.execute(change, {"value": new, "key": key})
                changed += 1
    db.session.commit()
    return changed


def forget_unreadable() -> dict[str, int]:
    """Remove what was encrypted with a key that is lost; how many values by column.

    Superset fails for each row that holds one, so that nothing else could be imported.
    """
    from sqlalchemy import text
    from superset import db

    forgotten = {}
    for table, column in encrypted_columns():
        lost = [key for key, value in encrypted(table, column).items() if not readable(value, column.type)]
        change = f"UPDATE {table} SET {column.name} = NULL" if column.nullable else f"DELETE FROM {table}"
        for key in lost:
            db.session.execute(text(f"{change} WHERE id = :key"), {"key": key})
        if lost:
            forgotten[f"{table}.{column.name}"] = len(lost)
    db.session.commit()
    return forgotten


def as_bytes(value: Any) -> bytes:
    """What an encrypted column holds, as bytes, in whichever type the driver gives it."""
    return value.encode() if isinstance(value, str) else bytes(value)


def readable(value: Any, kind: Any) -> bool:
    """Whether a value of an encrypted column can be read with the key of `kind`."""
    from superset import db

    try:
        kind.process_result_value(as_bytes(value), db.engine.dialect)
    except ValueError:
        return False
    return True


def make_permissions() -> None:
    """Superset's permissions and its own roles, as `superset init` makes them."""
    from superset import appbuilder, security_manager

    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()


def import_assets(wanted: Wanted) -> None:
    """Everything in the files, over what is there, by an administrator. Raises ProvisionError with file and key."""
    from superset import security_manager
    from superset.commands.exceptions import CommandException
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.utils.core import override_user

    try:
        with override_user(security_manager.find_user(wanted.rules.administrator)):
            ImportAssetsCommand(dict(wanted.contents)).run()
    except CommandException as error:
        raise ProvisionError(f"The import failed: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What Superset knows about a failed import and does not say: the file and key, or the first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    messages = getattr(error, "normalized_messages", None)
    return json.dumps(messages(), default=str) if messages else f"{type(error).__name__}: {error}"


def remove_others(wanted: Wanted) -> list[str]:
    """Delete what is in Superset and not in the files; the names of what went."""
    from superset import db
    from superset.models.dashboard import dashboard_slices

    # The import writes an empty link for each dashboard without charts.
    db.session.execute(dashboard_slices.delete().where(dashboard_slices.c.dashboard_id.is_(None)))
    removed = []
    for kind in reversed(KINDS):
        for found in db.session.query(model(kind)).all():
            if str(found.uuid) not in wanted.uuids[kind]:
                removed.append(f"{kind[:-1]} {found}")
                db.session.delete(found)
        db.session.commit()
    return removed


def make_roles(wanted: Wanted) -> None:
    """The roles of the file, with exactly its permissions. Raises ProvisionError for one that Superset has not."""
    from superset import db, security_manager

    pairs = db.session.query(security_manager.permissionview_model).all()
    known = {f"{pair.permission.name} on {pair.view_menu.name}": pair for pair in pairs}
    for name in wanted.rules.roles:
        permissions = permissions_of(name, wanted.rules.roles, known)
        role = security_manager.find_role(name) or security_manager.add_role(name)
        role.permissions = [known[text] for text in sorted(permissions)]
    db.session.commit()


def permissions_of(name: str, roles: Mapping[str, Mapping[str, Any]], known: Iterable[str]) -> set[str]:
    """Permissions, as `can_read on Dashboard`, of one role of the file."""
    role = roles[name]
    if "everything_but" in role:
        return {text for text in known if not forbidden(text, [*role["everything_but"], *RIGHTS_ON_ONE_THING])}
    wanted = set(role["permissions"])
    for database in role.get("databases", []):
        wanted |= {text for text in known if text.startswith(f"database_access on [{database}].(id:")}
    missing = sorted(wanted - set(known))
    if missing:
        raise ProvisionError(f"Superset has no permission {missing[0]!r}, which role {name} of roles.yaml names.")
    return wanted | (permissions_of(role["like"], roles, known) if "like" in role else set())


def forbidden(text: str, patterns: list[str]) -> bool:
    """Whether a permission is one of the file's `everything_but`: whole, its verb, or its thing."""
    permission, _, thing = text.partition(" on ")
    return any(pattern in (text, permission, thing) for pattern in patterns)


def make_users(wanted: Wanted, passwords: dict[str, str]) -> None:
    """The users of the file whose passwords these are, each with its one role."""
    from superset import db, security_manager
    from werkzeug.security import check_password_hash

    for name, password in passwords.items():
        role = security_manager.find_role(wanted.rules.users[name])
        user = security_manager.find_user(name)
        if user is None:
            user = security_manager.add_user(
                name, name.capitalize(), "creditlens", f"{name}@creditlens.invalid", role, password
            )
        elif not check_password_hash(user.password, password):
            security_manager.reset_password(user.id, password)
        user.roles, user.active = [role], True
    db.session.commit()


def grant_dashboards(wanted: Wanted) -> None:
    """Each dashboard to the roles of the file. Raises ProvisionError where files and roles.yaml differ."""
    from superset import db, security_manager

    dashboards = db.session.query(model("dashboards")).all()
    access = wanted.rules.dashboards
    unknown = sorted(set(access) - {dashboard.slug for dashboard in dashboards})
    if unknown:
        raise ProvisionError(f"roles.yaml names the dashboard {unknown[0]!r}, which is in no file.")
    for dashboard in dashboards:
        if dashboard.slug not in access:
            raise ProvisionError(f"roles.yaml does not say who sees the dashboard {dashboard.slug!r}.")
        dashboard.roles = [security_manager.find_role(name) for name in access[dashboard.slug]]
    db.session.commit()


def save_queries(wanted: Wanted, assets: Path) -> None:
    """The saved queries of the files to all whose role asks in SQL, also to users that an administrator made."""
    from superset import security_manager

    asking = {name for name, role in wanted.rules.roles.items() if "databases" in role}
    users = [user for user in security_manager.get_all_users() if asking & {role.name for role in user.roles}]
    saved_queries.save(saved_queries.read(assets), users)


def own_everything(wanted: Wanted) -> None:
    """Everything to whoever has a role that owns everything: Superset lets only owners and administrators edit."""
    from superset import db, security_manager

    owners = [
        user
        for user in security_manager.get_all_users()
        if {role.name for role in user.roles} & wanted.rules.own_everything
    ]
    for kind in ("datasets", "charts", "dashboards"):
        for asset in db.session.query(model(kind)).all():
            asset.owners = owners
    db.session.commit()


def check(wanted: Wanted) -> dict[str, int]:
    """How many of each kind there are. Raises ProvisionError naming what the import has left out.

    Superset drops what it cannot import, and charts of a dashboard after the first that it does not find, and says
    nothing.
    """
    from superset import db

    missing = []
    for kind in KINDS:
        found = {str(uuid) for (uuid,) in db.session.query(model(kind).uuid).all()}
        missing += [name for uuid, name in wanted.uuids[kind].items() if uuid not in found]
        extra = found - set(wanted.uuids[kind])
        if extra:
            raise ProvisionError(f"{len(extra)} {kind} that are in no file could not be removed.")
    for dashboard in db.session.query(model("dashboards")).all():
        name = wanted.uuids["dashboards"][str(dashboard.uuid)]
        linked = {str(chart.uuid) for chart in dashboard.slices}
        for chart in sorted(charts_of(wanted.contents[name]) - linked):
            missing.append(f"{wanted.uuids['charts'].get(chart, f'the chart {chart} (in no file)')} on {name}")
    if missing:
        raise ProvisionError(f"The import has left out {len(missing)} of the files' assets: {', '.join(missing)}.")
    return {kind: len(wanted.uuids[kind]) for kind in KINDS}


def charts_of(dashboard: str) -> set[str]:
    """The uuids of the charts that a dashboard's file places."""
    position = yaml.safe_load(dashboard)["position"].values()
    return {node["meta"]["uuid"] for node in position if isinstance(node, dict) and node.get("type") == "CHART"}


def write_through() -> None:
    """Wait for the disk once: hundreds of small transactions before this one did not (see superset_config.py)."""
    from superset import db

    db.session.execute("SET LOCAL synchronous_commit = on")
    db.session.execute("SELECT pg_current_xact_id()")
    db.session.commit()


def model(kind: str) -> Any:
    """Superset's class of one kind of assets."""
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    return {"databases": Database, "datasets": SqlaTable, "charts": Slice, "dashboards": Dashboard}[kind]


# --- all of it ----------------------------------------------------------------------------------------------------


def provision(passwords: dict[str, str]) -> dict[str, int]:
    """Every step in order; how many assets of each kind there are now."""
    configuration = json.loads(Path(os.environ["CREDITLENS_SUPERSET_CONFIGURATION"]).read_text())
    wanted = read_files(Path(configuration["assets"]))
    patch_scripts(Path(configuration["state"]) / "scripts")
    step("starting Superset")
    from superset.app import create_app

    app = create_app()
    with app.app_context():
        step("bringing its own tables up to date")
        upgrade_schema()
        if previous := configuration.get("previous_secret_key"):
            step(f"encrypted with the new key: {encrypt_anew(previous)}")
        for column, count in forget_unreadable().items():
            step(f"removed from {column} what a lost key had encrypted: {count}")
        step("making permissions, roles and users")
        make_permissions()
        administrator = wanted.rules.administrator
        make_users(wanted, {administrator: passwords[administrator]})
        step(f"importing {len(wanted.uuids['charts'])} charts and {len(wanted.uuids['dashboards'])} dashboards")
        import_assets(wanted)
        for name in remove_others(wanted):
            step(f"removed {name}, which is in no file")
        make_roles(wanted)
        make_users(wanted, passwords)
        grant_dashboards(wanted)
        own_everything(wanted)
        save_queries(wanted, Path(configuration["assets"]))
        step("checking that everything arrived")
        counts = check(wanted)
        write_through()
        return counts


def step(text: str) -> None:
    """Tell the caller what comes next."""
    print(f"{STEP}{text}", flush=True)


def main() -> int:
    """Entry point: passwords on standard input; exit code 0 or 1."""
    try:
        counts = provision(json.load(sys.stdin))
    except ProvisionError as error:
        print(f"{FAILED}{error}", flush=True)
        return 1
    step("everything is there: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
