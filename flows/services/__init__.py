"""The services around a run: database, Prefect, Superset, and the processes that run them."""
