"""What a reader sees, as counts and checksums: the measure of every fault."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

# Everything about a run but its number and its place in history.
_SEEN = {
    "application": "SELECT * FROM reporting.application",
    "customer": (
        "SELECT customer_id, log_odds, default_probability, score, decision, band, percentile"
        " FROM reporting.customer"
    ),
    "customer_explanation": (
        "SELECT customer_id, feature_id, contribution, rank, raw_value, category_code"
        " FROM reporting.customer_explanation"
    ),
}
# Independent of the order of rows: a sum of the first 64 bits of each row's MD5.
_CHECKSUM = (
    "SELECT count(*), count(DISTINCT customer_id), sum(('x' || left(md5(t::text), 16))::bit(64)::bigint)::text"
    " FROM ({}) AS t"
)


@dataclass(frozen=True)
class Seen:
    """Rows, customers and checksum of each view, at one moment."""

    views: tuple[tuple[int, int, str], ...]

    @property
    def customers(self) -> tuple[int, ...]:
        return tuple(customers for _, customers, _ in self.views)


@dataclass(frozen=True)
class Reader:
    """The database as the analyst's role sees it."""

    engine: Engine

    def look(self) -> Seen:
        """All of the published run, in one transaction."""
        with self.engine.connect() as connection:
            # Sums over everything are the tests' own: unlike a dashboard's they would need room on a full disk.
            connection.execute(text("SET LOCAL work_mem = '512MB'"))
            return Seen(
                tuple(
                    tuple(connection.execute(text(_CHECKSUM.format(query))).one())  # type: ignore[misc]
                    for query in _SEEN.values()
                )
            )

    def value(self, query: str) -> object:
        with self.engine.connect() as connection:
            return connection.scalar(text(query))

    @property
    def run_id(self) -> int | None:
        """The run that readers see."""
        return self.value("SELECT run_id FROM reporting.published_run")  # type: ignore[return-value]

    def repeated_scores(self) -> int:
        """Scores of one customer and run that history shows more than once."""
        return int(
            self.value("SELECT count(*) - count(DISTINCT (customer_id, run_id)) FROM reporting.score_history")  # type: ignore[call-overload]
        )
