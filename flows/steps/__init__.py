"""What a flow is made of: chunks, stages, rows, retries, recovery."""
