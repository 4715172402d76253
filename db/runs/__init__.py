"""The life of a run in Postgres: ledger, partitions, COPY, audit, pointer, statistics."""
