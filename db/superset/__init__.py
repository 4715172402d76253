"""Superset's own database: metadata, people in it, who looked at whom."""
