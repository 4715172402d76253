"""Errors that the settings raise; the message names the thing and the way out."""

from __future__ import annotations


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message names it and what it may be."""
