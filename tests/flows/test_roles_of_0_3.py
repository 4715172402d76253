"""Version 0.3 had one set of roles for all databases of a server."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.flows.test_servers import MEMBERSHIPS, Machine, installation, reads, succeeds
from tests.flows.test_servers import files as files
from tests.flows.test_servers import production as production
from tests.flows.test_servers import server as server
from tests.installation import ForeignServer


def test_who_shared_the_roles_of_0_3_is_no_member_of_the_other_databases_owner_any_more(
    server: ForeignServer, production: Machine, tmp_path: Path
) -> None:
    server.run("CREATE DATABASE second TEMPLATE scores")
    server.run(
        f"CREATE ROLE second LOGIN CREATEROLE PASSWORD '{server.password}'",
        "ALTER DATABASE second OWNER TO second",
        # As 0.3 did for each that migrated a database of the server.
        "GRANT creditlens_owner, creditlens_writer, creditlens_reader, creditlens_reporting TO second",
    )
    machine = installation(server, tmp_path, "second", server.url("second", "second"))
    succeeds(machine("migrate", "--take-over"))
    assert server.value(MEMBERSHIPS.format(user="second", prefix="creditlens")) is None
    assert "creditlens_second_owner" in str(
        server.value(MEMBERSHIPS.format(user="second", prefix="creditlens_second"))
    )
    refusal = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(server.url("second", "second")) as second, refusal:
        second.execute("SET ROLE creditlens_owner")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(server.url("scores", "second"))
    succeeds(machine("migrate"))
    assert reads(machine) == "creditlens_second_analyst"
    assert reads(production) == "creditlens_analyst"
