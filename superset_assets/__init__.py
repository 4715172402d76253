"""Dashboards as code: what Superset imports, what writes it, and what runs inside Superset."""
