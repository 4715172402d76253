"""The explanation engine: exact path-dependent TreeSHAP."""
