"""Writes Superset's asset files from one source: `source/*.yaml`, in English and in French."""
