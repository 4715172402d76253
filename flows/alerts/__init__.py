"""How the last night ended, and telling somebody."""
