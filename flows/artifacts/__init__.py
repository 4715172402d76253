"""What nights and trainings leave in Prefect for operators to read: a page, a table, and how far they are."""
