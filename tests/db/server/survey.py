"""All rows of a database, counted and summed up, to be compared."""

from __future__ import annotations

from sqlalchemy import URL

from db.server import manifest, programs


def survey(url: URL) -> dict[str, manifest.TableState]:
    with programs.open_connection(url) as connection:
        return manifest.survey(connection, manifest.SCHEMAS)
