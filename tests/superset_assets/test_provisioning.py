"""What the repository holds is what Superset shows: counts, roles, users, and what a second time changes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, text

from db.engine import make_engine
from flows.services import superset as superset_service
from flows.services.processes import ServiceError
from flows.settings import PROJECT
from superset_assets.server.provision import ProvisionError, permissions_of, read_files
from tests.superset_fixture import Superset

KINDS = ("databases", "datasets", "charts", "dashboards")
TABLES = {"databases": "dbs", "datasets": "tables", "charts": "slices", "dashboards": "dashboards"}
ROLES = yaml.safe_load((superset_service.ASSETS / "roles.yaml").read_text())


@pytest.fixture(scope="module")
def metadata(superset: Superset) -> Iterator[Engine]:
    """Superset's own database, as its owner."""
    engine = make_engine(superset_service.metadata_url(superset.settings))
    yield engine
    engine.dispose()


def rows(engine: Engine, query: str, **parameters: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(query), parameters))


def uuids_of_files(kind: str) -> set[str]:
    return {yaml.safe_load(file.read_text())["uuid"] for file in (superset_service.ASSETS / kind).rglob("*.yaml")}


def content(metadata: Engine) -> dict[str, Any]:
    """Everything that provisioning is responsible for, without the times of changes."""
    found: dict[str, Any] = {}
    for kind, columns in {
        "dbs": "uuid, database_name, sqlalchemy_uri, expose_in_sqllab, allow_dml, extra",
        "tables": "uuid, table_name, schema, params",
        "table_columns": "uuid, column_name, verbose_name, type",
        "sql_metrics": "uuid, metric_name, expression, d3format",
        "slices": "uuid, slice_name, viz_type, params",
        "dashboards": "uuid, slug, position_json, json_metadata, css, published",
        "ab_user": "username, password, active",
        "ab_role": "name",
    }.items():
        found[kind] = sorted(map(str, rows(metadata, f"SELECT {columns} FROM {kind}")))
    found["permissions"] = permissions(metadata)
    found["links"] = rows(metadata, "SELECT count(*) FROM dashboard_slices")
    return found


def permissions(metadata: Engine) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for role, permission, thing in rows(
        metadata,
        "SELECT r.name, p.name, v.name FROM ab_permission_view_role x JOIN ab_role r ON r.id = x.role_id"
        " JOIN ab_permission_view pv ON pv.id = x.permission_view_id"
        " JOIN ab_permission p ON p.id = pv.permission_id JOIN ab_view_menu v ON v.id = pv.view_menu_id",
    ):
        found.setdefault(role, set()).add(f"{permission} on {thing}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_superset_has_exactly_what_the_files_hold(superset: Superset, metadata: Engine, kind: str) -> None:
    found = {str(row[0]) for row in rows(metadata, f"SELECT uuid FROM {TABLES[kind]}")}
    assert found == uuids_of_files(kind)
    assert found


def test_every_chart_of_a_dashboards_file_is_on_it(superset: Superset, metadata: Engine) -> None:
    linked = {
        (str(dashboard), str(chart))
        for dashboard, chart in rows(
            metadata,
            "SELECT d.uuid, s.uuid FROM dashboard_slices x JOIN dashboards d ON d.id = x.dashboard_id"
            " JOIN slices s ON s.id = x.slice_id",
        )
    }
    wanted = set()
    for file in (superset_service.ASSETS / "dashboards").glob("*.yaml"):
        dashboard = yaml.safe_load(file.read_text())
        wanted |= {
            (dashboard["uuid"], node["meta"]["uuid"])
            for node in dashboard["position"].values()
            if isinstance(node, dict) and node.get("type") == "CHART"
        }
    assert linked == wanted


def test_roles_are_exactly_the_files(superset: Superset, metadata: Engine) -> None:
    found = permissions(metadata)
    advisor = set(ROLES["roles"]["Advisor"]["permissions"])
    assert found["Advisor"] == advisor
    (database,) = rows(metadata, "SELECT id FROM dbs WHERE database_name = 'creditlens SQL'")
    assert found["Analyst"] == advisor | set(ROLES["roles"]["Analyst"]["permissions"]) | {
        f"database_access on [creditlens SQL].(id:{database[0]})"
    }
    kept_from = found["Admin"] - found["Operator"]
    assert found["Operator"] <= found["Admin"]
    assert {"can_get on User", "can_put on Role", "can_write on Row Level Security"} <= kept_from
    assert {"can_write on Chart", "can_write on Dashboard", "can_write on Database"} <= found["Operator"]
    assert "Public" not in found


def test_the_four_users_have_one_role_each(superset: Superset, metadata: Engine) -> None:
    found = dict(
        rows(
            metadata,
            "SELECT u.username, string_agg(r.name, ', ') FROM ab_user u LEFT JOIN ab_user_role x"
            " ON x.user_id = u.id LEFT JOIN ab_role r ON r.id = x.role_id GROUP BY u.username",
        )
    )
    wanted = {"admin": "Admin", "operator": "Operator", "analyst": "Analyst", "lead": "Team lead",
              "advisor": "Advisor"}  # fmt: skip
    assert {user: role for user, role in found.items() if user in wanted} == wanted


def test_a_second_time_is_recognised_as_unchanged(superset: Superset) -> None:
    pid = superset_service.server(superset.settings).pid()
    again = superset_service.set_up(superset.settings)
    assert (again.provisioned, again.url) == (False, superset.url)
    assert again.seconds < 5
    assert superset_service.server(superset.settings).pid() == pid


def test_by_force_it_undoes_what_was_done_in_the_browser_and_changes_nothing_else(
    superset: Superset, metadata: Engine
) -> None:
    before = content(metadata)
    admin = superset.client("admin")
    (dataset, chart), *_ = rows(metadata, "SELECT datasource_id, id FROM slices ORDER BY id")
    made = {"slice_name": "Mine", "datasource_id": dataset, "datasource_type": "table", "viz_type": "table"}
    assert admin.post("/api/v1/chart/", json=made).status_code == 201
    assert admin.put(f"/api/v1/chart/{chart}", json={"slice_name": "Renamed"}).status_code == 200
    assert admin.post("/api/v1/dashboard/", json={"dashboard_title": "Mine"}).status_code == 201
    with metadata.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ab_permission_view_role (id, permission_view_id, role_id)"
                " SELECT nextval('ab_permission_view_role_id_seq'), x.permission_view_id, a.id"
                " FROM ab_permission_view_role x JOIN ab_role r ON r.id = x.role_id AND r.name = 'Operator',"
                " ab_role a WHERE a.name = 'Advisor' AND NOT EXISTS (SELECT FROM ab_permission_view_role y"
                " WHERE y.role_id = a.id AND y.permission_view_id = x.permission_view_id)"
            )
        )
    assert content(metadata) != before
    # Beside the running server: the fixture's goes on serving.
    assert superset_service.prepare(superset.settings, force=True)
    after = content(metadata)
    assert {key for key in before if before[key] != after[key]} == set()


def run_provisioning(superset: Superset, assets: Path) -> str | None:
    """Why provisioning of other files fails, None if it does not."""
    try:
        superset_service.prepare(superset.settings, assets=assets, force=True)
    except ServiceError as error:
        return str(error)
    return None


@pytest.fixture
def other_assets(superset: Superset, tmp_path: Path) -> Iterator[Path]:
    """A copy of the files to spoil; afterwards Superset is again what the repository holds."""
    copy = tmp_path / "assets"
    shutil.copytree(superset_service.ASSETS, copy)
    yield copy
    assert superset_service.prepare(superset.settings, force=True)


def test_broken_files_are_named(superset: Superset, other_assets: Path) -> None:
    placed = next(
        node["meta"]["uuid"]
        for file in sorted((other_assets / "dashboards").glob("*.yaml"))
        for node in yaml.safe_load(file.read_text())["position"].values()
        if isinstance(node, dict) and node.get("type") == "CHART"
    )
    chart = next(file for file in (other_assets / "charts").glob("*.yaml") if placed in file.read_text())

    # A dashboard that places a chart which is in no file loses it and all after it, silently.
    kept = chart.read_text()
    chart.unlink()
    problem = run_provisioning(superset, other_assets)
    assert problem is not None
    assert placed in problem

    chart.write_text(re.sub(r"^viz_type: .*$", "", kept, flags=re.MULTILINE))
    problem = run_provisioning(superset, other_assets)
    assert problem is not None
    assert chart.name in problem

    assert not (superset.settings.state / "superset" / "provisioned").exists()


def test_superset_s_own_database_is_closed_to_readers_and_its_role_to_our_data(
    superset: Superset, metadata: Engine
) -> None:
    name = metadata.url.database
    readers = rows(
        metadata,
        "SELECT r.rolname FROM pg_roles r WHERE r.rolname IN ('creditlens_analyst', 'creditlens_dashboard')"
        " AND has_database_privilege(r.rolname, :name, 'CONNECT')",
        name=name,
    )
    assert readers == []
    assert rows(metadata, "SELECT has_database_privilege(:data, 'CONNECT')", data=superset.engine.url.database) == [
        (False,)
    ]


def test_old_entries_of_the_log_are_deleted(superset: Superset, metadata: Engine) -> None:
    entry = text("INSERT INTO logs (id, action, dttm) VALUES (:row, 'seen', now() - make_interval(days => :days))")
    with metadata.begin() as connection:
        connection.execute(entry, [{"row": -1, "days": 366}, {"row": -2, "days": 364}])
    superset_service.prepare(superset.settings)
    assert rows(metadata, "SELECT id FROM logs WHERE id < 0") == [(-2,)]


def test_no_secret_is_in_the_environment_of_the_server(superset: Superset) -> None:
    secrets = json.loads((superset.settings.state / "secrets.json").read_text())
    pid = superset_service.server(superset.settings).pid()
    environment = Path(f"/proc/{pid}/environ").read_text()
    ours = {name: value for name, value in secrets.items() if name not in {"migrator", "postgres"}}
    assert [name for name, value in ours.items() if value in environment] == []


def test_files_with_secrets_are_closed(superset: Superset) -> None:
    home = superset.settings.state / "superset"
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "configuration.json").stat().st_mode & 0o077 == 0


KNOWN = ["can_read on Chart", "can_read on User", "can_grant on Chart", "database_access on [SQL].(id:2)"]


def test_the_permissions_of_a_role_add_up() -> None:
    roles = {
        "Reader": {"permissions": ["can_read on Chart"]},
        "Asker": {"like": "Reader", "permissions": [], "databases": ["SQL"]},
        "Chief": {"everything_but": ["User", "can_grant"]},
    }
    assert permissions_of("Reader", roles, KNOWN) == {"can_read on Chart"}
    assert permissions_of("Asker", roles, KNOWN) == {"can_read on Chart", "database_access on [SQL].(id:2)"}
    assert permissions_of("Chief", roles, KNOWN) == {"can_read on Chart"}


def test_a_permission_that_superset_has_not_is_named() -> None:
    with pytest.raises(ProvisionError, match="no permission 'can_reed on Chart', which role Reader"):
        permissions_of("Reader", {"Reader": {"permissions": ["can_reed on Chart"]}}, KNOWN)


def test_two_files_with_one_uuid_are_refused(tmp_path: Path) -> None:
    for name in ("roles.yaml", "metadata.yaml"):
        shutil.copy(superset_service.ASSETS / name, tmp_path / name)
    (tmp_path / "charts").mkdir()
    for name in ("a", "b"):
        (tmp_path / "charts" / f"{name}.yaml").write_text("uuid: 1\n")
    with pytest.raises(ProvisionError, match=r"charts/b\.yaml has no uuid of its own"):
        read_files(tmp_path)


PLACEHOLDERS = {
    "short": "x7Fq",
    "from Superset's own manual": "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
    "known from its source": "thisISaSECRET_1234_thisISaSECRET_1234",
    "one letter": "a" * 40,
}


@pytest.mark.parametrize("key", PLACEHOLDERS.values(), ids=PLACEHOLDERS.keys())
def test_a_placeholder_for_a_key_refuses_to_start(superset: Superset, tmp_path: Path, key: str) -> None:
    configuration = json.loads((superset.settings.state / "superset" / "configuration.json").read_text())
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps({**configuration, "secret_key": key}))
    done = subprocess.run(
        [superset_service.ENVIRONMENT / "bin" / "python", "-c", "import superset.config"],
        env={
            "CREDITLENS_SUPERSET_CONFIGURATION": str(file),
            "SUPERSET_CONFIG_PATH": str(superset_service.SERVER / "superset_config.py"),
            "PYTHONPATH": str(PROJECT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "The key 'secret_key' is a placeholder or shorter than 32 characters" in done.stderr
