"""A person's copy of everything that is held: as JSON, and as a page to read in each language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from db import schema
from db.people import rows as people_rows
from flows.installation import atomic
from flows.privacy.page import Language, render
from flows.privacy.record import customer_hash
from flows.privacy.stores.base import NotTold, Store
from flows.privacy.stores.registry import every_store
from flows.services import database
from flows.settings import Settings


def export(
    settings: Settings, customer_id: int, folder: Path, *, by: str, languages: Sequence[Language]
) -> dict[str, Any]:
    """Write everything held about one person as JSON and as a page per language; recorded.

    Returns the files and how much of what there is, as other programs rely on it; no files for an unknown id.
    """
    with database.database(settings) as engine:
        schema.require_current(engine)
        hashed = customer_hash(settings, customer_id)
        request_id = people_rows.record(engine, kind="export", customer_hash=hashed, by=by)
        held, not_told = _from_every(every_store(settings, engine), customer_id)
        counts = {
            "applications": len({row["run_id"] for row in held["applications"]}),
            "scores": len(held["scores"]),
            "contributions": len(held["contributions"]),
            "rejected": len(held["rejected"]),
            "former": len({row["model_id"] for row in held["former"]}),
            "assignments": len(held["assignments"]),
            "decisions": len(held["decisions"]),
            "reviews": len(held["reviews"]),
            "archived": len({(row["archive"], row["run_id"]) for row in held["archived"] if row["reached"]}),
            "looks": len(held["looks"]),
        }
        files: list[Path] = []
        if any(counts.values()):
            folder.mkdir(parents=True, exist_ok=True)
            made = datetime.now(UTC)
            document = {
                "customer_id": customer_id,
                "created_at": made.isoformat(timespec="seconds"),
                **held,
                "looks_not_told": not_told,
            }
            stem = folder / f"customer-{customer_id}"
            files.append(_private(stem.with_suffix(".json"), json.dumps(document, default=str, indent=1)))
            for language in languages:
                page = render(customer_id, made, held, language, not_told, retained_runs=settings.retained_runs)
                files.append(_private(folder / f"{stem.name}.{language}.html", page))
        people_rows.complete(engine, request_id)
    outcome = "exported" if files else "nothing"
    unreached = sorted({row["archive"] for row in held["archived"] if not row["reached"]})
    return {
        "outcome": outcome,
        "files": [str(file) for file in files],
        **counts,
        "archives_not_searched": unreached,
        "looks_not_told": not_told,
    }


def _from_every(
    stores: Sequence[Store], customer_id: int
) -> tuple[dict[str, list[dict[str, Any]]], NotTold | None]:
    """What every store tells the person that it holds; and why who looked is not known, if it is not."""
    told = [store.export(customer_id) for store in stores]
    subjects: dict[str, list[dict[str, Any]]] = {"archived": []}
    for one in told:
        for subject, rows in one.subjects.items():
            subjects.setdefault(subject, []).extend(rows)
    return subjects, next((one.not_told for one in told if one.not_told is not None), None)


def _private(path: Path, content: str) -> Path:
    atomic.write(path, content, mode=0o600)
    return path
