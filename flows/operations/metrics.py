"""The state of the installation as Prometheus reads it, from what `creditlens status` found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

PREFIX = "creditlens_"


def exposition(found: Mapping[str, Any]) -> str:
    """Metrics in Prometheus' text format, times as Unix seconds, sizes as bytes.

    Parameters
    ----------
    found: what `flows.operations.status.status_json` found. What is not known has no value.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Status(found))
    return generate_latest(registry).decode()


class _Status(Collector):
    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = self._found
        run, disk, last, night = (found[name] or {} for name in ("published", "disk", "last_run", "last_night"))
        yield from _one("healthy", "1 if creditlens status finds nothing wrong, 0 if it does.", found["healthy"])
        yield from _one("problems", "How many things are wrong.", len(found["problems"]))
        yield from _one("database_up", "1 if the database answers.", found["database_url"] is not None)
        yield from _one("prefect_up", "1 if the Prefect server answers.", found["prefect_url"] is not None)
        yield from _one("dashboards_up", "1 if the dashboards answer.", found["dashboards_url"] is not None)
        yield from _one("watch_up", "1 if the watch runs here.", found["watch_pid"] is not None)
        yield from _state("schedule_state", "1 for how the schedule stands.", found["schedule"])
        yield from _one("published_run_id", "The run that readers see.", run.get("run_id"))
        yield from _one("published_customers", "How many customers it scored.", run.get("customers"))
        yield from _one("published_rejected_rows", "How many rows it rejected.", run.get("rejected"))
        yield from _one("published_run_seconds", "How long it took.", run.get("seconds"))
        yield from _one("published_timestamp_seconds", "When it was published.", _seconds(found["published_at"]))
        yield from _state("last_run_status", "1 for how the last run of the ledger ended.", last.get("status"))
        yield from _state("last_night_outcome", "1 for how the last night ended.", night.get("outcome"))
        yield from _one(
            "last_night_timestamp_seconds", "When the last night ended.", _seconds(night.get("ended_at"))
        )
        yield from _one(
            "next_night_timestamp_seconds",
            "When Prefect starts the next night.",
            _seconds((found["next_night"] or {}).get("at")),
        )
        yield from _one("database_bytes", "Size of the database.", disk.get("database_bytes"))
        yield from _one("run_bytes", "Size of the details of one run.", disk.get("run_bytes"))
        yield from _one("retained_runs", "Runs whose details are kept.", disk.get("retained_runs"))
        yield from _one("disk_free_bytes", "Room on the disk of the embedded Postgres.", disk.get("free_bytes"))
        yield from _one("disk_full_days", "Nights until that disk is full.", disk.get("days_until_full"))
        errors = GaugeMetricFamily(
            f"{PREFIX}service_errors", "Unexpected errors in a service's log within a day.", labels=["service"]
        )
        for one in found["errors"]:
            errors.add_metric([one["service"]], one["count"])
        yield errors


def _one(name: str, about: str, value: float | None) -> Iterator[GaugeMetricFamily]:
    if value is not None:
        yield GaugeMetricFamily(PREFIX + name, about, value=float(value))


def _state(name: str, about: str, state: str | None) -> Iterator[GaugeMetricFamily]:
    if state is not None:
        family = GaugeMetricFamily(PREFIX + name, about, labels=["state"])
        family.add_metric([state], 1)
        yield family


def _seconds(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None
