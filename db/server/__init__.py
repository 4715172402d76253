"""The Postgres server: the embedded one, backup and restore."""
