"""What runs inside Superset: its configuration, our additions, our changes. It imports nothing else of ours."""
