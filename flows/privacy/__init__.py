"""A person's rights: export and erasure over every store."""
