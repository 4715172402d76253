"""What people decided, as who looks after the database sees it: kept for years, and then forgotten as a whole."""

from __future__ import annotations

from sqlalchemy import Engine

from db.engine import driver, transaction

# Whoever has an open review is kept, and whoever had anything happen to him since.
_EXPIRED = """
SELECT d.customer_id
FROM credit.decision AS d
LEFT JOIN credit.review AS r ON r.customer_id = d.customer_id
LEFT JOIN credit.review_conclusion AS c ON c.review_id = r.review_id
GROUP BY d.customer_id
HAVING greatest(max(d.decided_at), max(r.asked_at), max(c.concluded_at)) < now() - make_interval(years => %s)
    AND count(*) FILTER (WHERE r.review_id IS NOT NULL AND c.review_id IS NULL) = 0
ORDER BY d.customer_id
"""


def forget_expired(engine: Engine, years: int) -> int:
    """Remove the decisions and reviews of customers of whom nothing was recorded for so long; how many customers.

    Through the door that erasing opens, customer by customer (migration 0017).
    """
    with transaction(engine) as connection:
        server = driver(connection)
        expired = [customer for (customer,) in server.execute(_EXPIRED, [years]).fetchall()]
        for customer in expired:
            server.execute("SELECT set_config('creditlens.erased_customer', %s, true)", [str(customer)])
            for table in ("review_conclusion", "review", "decision"):
                server.execute(f"DELETE FROM credit.{table} WHERE customer_id = %s".encode(), [customer])
    return len(expired)
