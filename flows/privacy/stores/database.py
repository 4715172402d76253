"""Our database: a person's rows, and the number in its texts, statistics and descriptions of many people."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from sqlalchemy import URL, Connection, Engine

from db.access import roles
from db.people import copy, rows
from flows.privacy import record
from flows.privacy.stores.base import Erased, Found, Held, Store
from flows.settings import Settings
from flows.steps.rows import cohort_rows, former_distributions
from scoring.cohort import cohorts
from scoring.contract import Applications
from scoring.simulation import risk_counts


@dataclass(frozen=True, slots=True)
class Late:
    """The dashboards' transactions that had begun before the person was gone, and when that was (monotonic)."""

    readers: set[str]
    gone_at: float


class Database(Store):
    """Schema `credit`."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self.engine = settings, engine
        # Known once the person was erased.
        self.late: Late | None = None

    @property
    def name(self) -> str:
        return f"database {at(self.engine.url)}"

    def places(self) -> Collection[str]:
        return rows.places()

    def looked_at(self) -> str:
        return rows.LOOKED_AT

    def find(self, customer_id: int) -> Found:
        return Found(rows.find(self.engine, customer_id))

    def export(self, customer_id: int) -> Held:
        hashed = record.customer_hash(self._settings, customer_id)
        everything = copy.everything(self.engine, customer_id)
        return Held({**everything, "requests": rows.requests(self.engine, hashed)})

    def erase(self, customer_id: int) -> Erased:
        removed = rows.erase(self.engine, customer_id, describe=describe_former)
        vacuumed = rows.scrub(self.engine, sorted(removed), customer_id)
        self.late = Late(self.readers(), time.monotonic())
        return Erased(removed, vacuumed)

    def readers(self) -> set[str]:
        """The dashboards' transactions that are under way."""
        return rows.readers(self.engine, roles.names(self.engine).dashboard)

    def numbers(self) -> set[int]:
        return rows.numbers(self.engine)


def at(url: URL) -> str:
    """A database's name and where it is, for people."""
    return f"{url.database} on {url.host or 'this computer'}"


def describe_former(connection: Connection, model_id: int) -> None:
    """Say anew what is said of a model's former customers as a whole: quantiles, categories, bitmaps."""
    frame = pl.read_csv(rows.former_rows(connection, model_id), infer_schema=False).cast(pl.Float64)
    former = Applications(
        frame["customer_id"].cast(pl.Int32).to_numpy(),
        frame.drop("customer_id", "target", "log_odds").to_numpy(order="fortran"),
        frame["target"].cast(pl.Int8).to_numpy(),
        np.arange(1, len(frame) + 1),
    )
    distributions, categories = former_distributions(former)
    rows.replace_descriptions(
        connection,
        model_id,
        distributions=distributions,
        categories=categories,
        risks=risk_counts(former, frame["log_odds"].to_numpy()),
        cohorts=cohort_rows(cohorts(former, frame["log_odds"].to_numpy())),
    )
