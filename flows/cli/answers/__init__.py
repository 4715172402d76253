"""What `--json` prints: a model for each command. Other programs rely on these keys, so that none may go.

Their JSON Schema is json_schema.json in the folder above; a test compares it with the models.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from flows.cli.answers.base import Answer, Failure
from flows.cli.answers.conversation import CustomerReasons, Lettered, Reported
from flows.cli.answers.installation import Dashboards, Down, Migrated, Sample, Status, Up
from flows.cli.answers.nights import Calibration, Night, Trained
from flows.cli.answers.operators import Published, Restored, Saved, SecretsRotated, Withdrawn
from flows.cli.answers.people import (
    AccessLog,
    Archived,
    Assigned,
    Assignments,
    Erased,
    Exported,
    Portfolios,
    Unassigned,
)
from flows.cli.answers.policies import PolicyChecked, PolicyHistory, PolicySet, PolicyShown, PolicySimulated

__all__ = [
    "ANSWERS",
    "SCHEMA",
    "AccessLog",
    "Answer",
    "Archived",
    "Assigned",
    "Assignments",
    "Calibration",
    "CustomerReasons",
    "Dashboards",
    "Down",
    "Erased",
    "Exported",
    "Failure",
    "Lettered",
    "Migrated",
    "Night",
    "PolicyChecked",
    "PolicyHistory",
    "PolicySet",
    "PolicyShown",
    "PolicySimulated",
    "Portfolios",
    "Published",
    "Reported",
    "Restored",
    "Sample",
    "Saved",
    "SecretsRotated",
    "Status",
    "Trained",
    "Unassigned",
    "Up",
    "Withdrawn",
]

SCHEMA = Path(__file__).parent.with_name("json_schema.json")

# By command; each may print a Failure instead.
ANSWERS: dict[str, type[BaseModel]] = {
    "up": Up,
    "down": Down,
    "status": Status,
    "nightly": Night,
    "train": Trained,
    "sample": Sample,
    "migrate": Migrated,
    "dashboards": Dashboards,
    "publish": Published,
    "withdraw": Withdrawn,
    "rotate-secrets": SecretsRotated,
    "archive": Archived,
    "backup": Saved,
    "restore": Restored,
    "export": Exported,
    "erase": Erased,
    "portfolio on": Portfolios,
    "portfolio off": Portfolios,
    "portfolio assign": Assigned,
    "portfolio unassign": Unassigned,
    "portfolio list": Assignments,
    "access-log": AccessLog,
    "reasons": CustomerReasons,
    "letter": Lettered,
    "report": Reported,
    "policy show": PolicyShown,
    "policy check": PolicyChecked,
    "policy set": PolicySet,
    "policy history": PolicyHistory,
    "policy simulate": PolicySimulated,
}
