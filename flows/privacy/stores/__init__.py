"""The stores that may hold people: a module each, and `registry`, which lists them all."""
