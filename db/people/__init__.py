"""One person's rows, and texts that mention a person."""
