"""What `creditlens status --prometheus` prints: Prometheus' own parser reads it, and it says what status says."""

from __future__ import annotations

import json
from datetime import datetime

from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from flows.cli.main import app
from tests.installation import Installation


def metrics(printed: str) -> dict[str, float]:
    """Each value by its name, or by the name and the state that it is of."""
    return {
        sample.name + "".join(f":{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(printed)
        for sample in family.samples
    }


def test_prometheus_reads_what_status_says(installation: Installation) -> None:
    said = CliRunner().invoke(app, ["status", "--json"])
    printed = CliRunner().invoke(app, ["status", "--prometheus"])
    assert printed.exit_code == said.exit_code
    found, read = json.loads(said.stdout), metrics(printed.stdout)
    assert read["creditlens_healthy"] == float(found["healthy"])
    assert read["creditlens_problems"] == len(found["problems"])
    assert read["creditlens_database_up"] == 1
    assert read[f"creditlens_schedule_state:{found['schedule']}"] == 1
    assert read["creditlens_database_bytes"] > 0
    if found["published"]:
        assert read["creditlens_published_run_id"] == found["published"]["run_id"]
        assert (
            read["creditlens_published_timestamp_seconds"]
            == datetime.fromisoformat(found["published_at"]).timestamp()
        )
    else:
        assert "creditlens_published_run_id" not in read


def test_one_answer_at_a_time(installation: Installation) -> None:
    done = CliRunner().invoke(app, ["status", "--prometheus", "--json"])
    assert done.exit_code == 2
