"""The files' saved queries, for each user whose role asks in SQL: Superset shows everybody only the own ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import yaml

FOLDER = "saved_queries"
DATABASE, SCHEMA = "creditlens SQL", "reporting"
# How those that are made here are known among those that people saved.
MADE_HERE = json.dumps({"made_by": "creditlens dashboards"})


def read(assets: Path) -> list[dict[str, str]]:
    """The files, in the order of their names."""
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted((assets / FOLDER).glob("*.yaml"))]


def save(queries: Sequence[Mapping[str, str]], users: Iterable[Any]) -> None:
    """Give each user each of the queries as the files have them, and take away what was given and is in no file."""
    from superset import db
    from superset.models.core import Database
    from superset.models.sql_lab import SavedQuery

    database = db.session.query(Database).filter_by(database_name=DATABASE).one()
    given = {query.uuid: query for query in db.session.query(SavedQuery).filter_by(extra_json=MADE_HERE)}
    for user in users:
        for query in queries:
            own = uuid5(UUID(query["uuid"]), user.username)
            saved = given.pop(own, None)
            if saved is None:
                saved = SavedQuery(uuid=own, extra_json=MADE_HERE)
                db.session.add(saved)
            saved.user_id = saved.created_by_fk = saved.changed_by_fk = user.id
            saved.db_id, saved.schema = database.id, SCHEMA
            saved.label, saved.description, saved.sql = query["label"], query["description"], query["sql"]
    for saved in given.values():
        db.session.delete(saved)
    db.session.commit()
