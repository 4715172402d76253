"""Saved queries of SQL Lab: those of migrations/README.md, which a test runs as the reader."""

from __future__ import annotations

import re
from pathlib import Path

from superset_assets.generator.identity import uuid_of

README = Path(__file__).resolve().parents[2] / "migrations" / "README.md"
_QUERY = re.compile(r"([^\n]+(?:\n[^\n]+)*)\n\n```sql\n(.*?)```", re.DOTALL)
# No customer's number: who is erased must not come back with the next `creditlens dashboards`.
_ONE = "(SELECT min(customer_id) FROM reporting.new_customer_index()) /* or a number */"
_SEVERAL = "ARRAY(SELECT customer_id FROM reporting.new_customer_index() LIMIT 3)"


def queries(readme: Path = README) -> dict[str, dict[str, str]]:
    """Each query with its title, its description and the SQL, by the name of its file."""
    found = {}
    for said, sql in _QUERY.findall(readme.read_text(encoding="utf-8")):
        description = " ".join(said.split())
        title = re.split(r"[,:;(.]", description)[0].strip()
        name = re.sub(r"[^a-z]+", "_", title.lower()).strip("_")
        found[name] = {
            "label": title,
            "description": description,
            "sql": re.sub(r"ARRAY\[[0-9, ]+\]", _SEVERAL, re.sub(r"(?<== )\d{6}(?=;?\n| )", _ONE, sql)).strip()
            + "\n",
            "uuid": uuid_of("saved query", name),
            "version": "1.0.0",
        }
    return found
