"""Alembic migrations and the versioned files of the reporting views."""
