"""Where a night is, seen from outside: the statements of its sessions, the ledger, the page of its pure stages."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg
from sqlalchemy import Engine

from db.engine import APPLICATION_NAME, psql_url
from tests.faults.nights import NOTED

STAGES = (
    "survey",
    "check",
    "score",
    "explain",
    "similar",
    "copy new_customer",
    "copy score",
    "copy shap_value",
    "copy told",
    "index",
    "audit",
    "attach",
    "pointer",
    "published",
    "retire",
)

_STATEMENTS = {
    "copy new_customer": r'^COPY "credit"\."new_customer_',
    "copy score": r'^COPY "credit"\."score_',
    "copy shap_value": r'^COPY "credit"\."shap_value_',
    # Reasons, similar customers and offers are few rows each, and one COPY after the other.
    "copy told": r'^COPY "credit"\."(reason|similar_(customer|member)|what_if|what_if_summary)_r',
    "index": r"ADD PRIMARY KEY|^CREATE INDEX|^ANALYZE",
    "audit": r"AS not_finite|WITH counting|"
    r"per_customer|^\s*SELECT count\(\*\), count\(s\.customer_id\)|credit\.run_check",
    "attach": r"ATTACH PARTITION",
    "pointer": r"^UPDATE credit\.scoring_run SET status='published'|^UPDATE credit\.scoring_run SET status=\$|"
    r"INSERT INTO credit\.published_run",
    "retire": r"credit\.past_score|retired_at=|DETACH PARTITION|^DROP TABLE",
}
_QUERY = """
SELECT coalesce((SELECT jsonb_agg(jsonb_build_array(state, left(query, 400)) ORDER BY query_start)
                 FROM pg_stat_activity
                 WHERE application_name = %(application)s AND datname = current_database()
                   AND pid <> ALL (%(known)s)), '[]'),
       (SELECT max(run_id) FROM credit.scoring_run),
       (SELECT run_id FROM credit.published_run)
"""


@dataclass(frozen=True)
class Seen:
    """The night's sessions as (state, statement), the newest last; the newest run; the readers' run."""

    sessions: list[tuple[str, str]]
    newest: int
    pointer: int

    @property
    def working(self) -> list[str]:
        """Statements of transactions under way."""
        return [statement for state, statement in self.sessions if state != "idle"]


class Watch:
    """A session of its own that looks at the night's sessions."""

    def __init__(self, engine: Engine) -> None:
        engine.dispose()
        self._connection = psycopg.connect(psql_url(engine.url), autocommit=True, application_name="watch")
        self._known: list[int] = []
        self.before = 0

    def begin(self) -> None:
        """Whatever is there now is not the night that comes."""
        rows = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [APPLICATION_NAME]
        ).fetchall()
        self._known = [pid for (pid,) in rows]
        self.before = self.look().newest or 0

    def look(self) -> Seen:
        row = self._connection.execute(_QUERY, {"application": APPLICATION_NAME, "known": self._known}).fetchone()
        assert row is not None
        return Seen([(state, statement) for state, statement in row[0]], row[1], row[2])

    def at(self, stage: str, seen: Seen) -> bool:
        """Whether the night has come to the stage, as far as the database knows."""
        opened = (seen.newest or 0) > self.before
        if stage == "survey":
            return bool(seen.sessions)
        if stage in NOTED:
            return opened
        if stage == "published":
            return opened and seen.pointer == seen.newest
        # A run before it may have its retirement put right when a night begins.
        statements = "\n".join(seen.working if stage != "retire" else [text for _, text in seen.sessions])
        return opened and any(re.search(_STATEMENTS[stage], line) for line in statements.split("\n"))

    def stages(self, noted: set[str]) -> set[str]:
        """All stages that are under way in a night that stands still."""
        seen = self.look()
        if (seen.newest or 0) <= self.before:
            return {"survey"} if seen.sessions else {"start"}
        found = {
            stage
            for stage, pattern in _STATEMENTS.items()
            if any(re.search(pattern, statement, re.MULTILINE) for statement in seen.working)
        }
        found |= noted
        if seen.pointer == seen.newest:
            retiring = any(re.search(_STATEMENTS["retire"], statement) for _, statement in seen.sessions)
            return {"retire"} if retiring or found & {"retire"} else {"published"}
        if found:
            return found
        if self._value("SELECT count(*) FROM pg_inherits WHERE inhrelid = to_regclass(%s)", seen.newest):
            return {"attach"}
        if self._connection.execute(
            "SELECT 1 FROM credit.run_check WHERE run_id = %s LIMIT 1", [seen.newest]
        ).fetchone():
            return {"audit"}
        return {"between"}

    def _value(self, query: str, run_id: int) -> int:
        row = self._connection.execute(query, [f"credit.shap_value_r{run_id:08d}"]).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self._connection.close()
