"""Who may what in Postgres: roles, portfolios, functions open to the public."""
