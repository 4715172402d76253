"""What migrations do about the views of schema `reporting`: drop them before a change of what they read.

They are made anew after the migrations, from their files (`db.views`).
"""

from __future__ import annotations

from sqlalchemy import Connection


def drop_views(connection: Connection) -> None:
    """Drop schema `reporting` with everything in it; nothing happens if it is not there."""
    connection.exec_driver_sql("DROP SCHEMA IF EXISTS reporting CASCADE")
