"""What the fork server imports once: all that a night needs. Nothing is started: no thread survives a fork."""

from __future__ import annotations

import lightgbm
import polars
import prefect
import pyarrow.csv
import pyarrow.parquet

import db.server.embedded
import flows.cli.main
import flows.nightly
import flows.training
import scoring.batch
import scoring.training

__all__ = ["db", "flows", "lightgbm", "polars", "prefect", "pyarrow", "scoring"]
