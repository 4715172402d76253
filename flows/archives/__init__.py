"""Nights as Parquet files: written whole, known afterwards, and emptied of people who were erased."""
