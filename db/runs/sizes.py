"""How much room the database takes, and what a run adds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from db.engine import connect


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on disk, indexes included.

    Attributes
    ----------
    database_bytes: the whole database.
    run_bytes: mean of the details of a retained run, None before the first.
    retained_runs: runs whose details are there.
    daily_bytes: scores of one run, which stay when its details go; None before the first.
    """

    database_bytes: int
    run_bytes: int | None
    retained_runs: int
    daily_bytes: int | None


def sizes(engine: Engine) -> Sizes:
    """The database's sizes now."""
    query = text(
        """
        WITH part AS (
            SELECT p.relname::text AS parent, right(c.relname::text, 8) AS run,
                   pg_total_relation_size(c.oid) AS bytes
            FROM pg_inherits AS i
            JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'r'
            JOIN pg_class AS p ON p.oid = i.inhparent AND p.relnamespace = 'credit'::regnamespace
            WHERE p.relname IN (
                'new_customer', 'score', 'shap_value', 'reason', 'what_if', 'what_if_summary', 'similar_customer',
                'similar_member'
            )
        )
        SELECT pg_database_size(current_database()),
               (SELECT sum(bytes) / count(DISTINCT run) FROM part)::bigint,
               (SELECT count(DISTINCT run) FROM part),
               (SELECT avg(bytes) FROM part WHERE parent = 'score')::bigint
        """
    )
    with connect(engine) as connection:
        return Sizes(*connection.execute(query).one())
