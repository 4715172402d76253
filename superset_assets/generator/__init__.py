"""Writes Superset's asset files from one source: `definitions/*.yaml`, in English and in French."""
