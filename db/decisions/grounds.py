"""The grounds that people may give for a decision: offered as the dictionary says, and never taken away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, update
from sqlalchemy.dialects.postgresql import insert

from db.engine import transaction
from db.models import decision_ground


def write(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> None:
    """Offer these grounds (code, place, label_en, label_fr) and no others; idempotent.

    One that was offered before stays with its words, for the decisions that name it.
    """
    columns = decision_ground.c
    statement = insert(decision_ground)
    said = {name: statement.excluded[name] for name in ("place", "label_en", "label_fr", "offered")}
    with transaction(engine) as connection:
        connection.execute(
            statement.on_conflict_do_update(index_elements=["code"], set_=said),
            [{**row, "offered": True} for row in rows],
        )
        gone = columns.code.not_in([row["code"] for row in rows])
        connection.execute(update(decision_ground).where(gone, columns.offered).values(offered=False))
