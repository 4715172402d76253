"""Everything that speaks to Postgres, and the only door to it."""
