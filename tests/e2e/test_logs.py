"""Dashboards that somebody opens leave no error in a log that is not expected."""

from __future__ import annotations

import pytest

from flows.services import log_errors
from tests.e2e.desk import Desk
from tests.superset_fixture import Superset

pytestmark = pytest.mark.timeout(600)


def test_dashboards_that_are_opened_write_no_error_into_the_log(superset: Superset, desk: Desk) -> None:
    log = log_errors.logs(superset.settings)["Superset"]
    # Other tests before may have provoked some on purpose: looked at is what is written from here on.
    before = len(log.read_bytes())
    opened = (("worklist-en", None), ("customer-en", 500_007), ("compare-en", 500_007), ("portfolio-en", None))
    for slug, customer in opened:
        desk.open(slug, customer)
        desk.settle()
    desk.open("customer-fr")
    desk.settle()
    added = log.read_bytes()[before:].decode().splitlines()
    assert [record.lines for record in log_errors.unexpected("Superset", added)] == []


def test_setting_the_dashboards_up_and_starting_them_writes_no_error(superset: Superset) -> None:
    provisioning = (superset.settings.state / "superset-provision.log").read_text().splitlines()
    assert [record.lines for record in log_errors.unexpected("Superset", provisioning)] == []
