"""Text that a spreadsheet would run as a formula, made plain: for files and pages that people open in one.

superset_assets/server/spreadsheets.py has the same rule for what Superset hands out, in an environment of its own.
"""

from __future__ import annotations

import re

# What starts a formula; some programs take the wide forms of East Asian fonts for the same.
_SIGN = r"[=+\-@|%＝＋－＠]"
_FORMULA = re.compile(rf'\s*"*\s*{_SIGN}|[\t\r\n]|\{{\s*=')
# Where a comma is the decimal sign, spreadsheets split lines at semicolons.
_AFTER_SEPARATOR = re.compile(rf';(?=[\s"]*{_SIGN})')
_NUMBER = re.compile(r"[+-](\d[\d.,]*|\.\d+)(e[+-]?\d+)?([ \u00a0\u202f]?%)?", re.IGNORECASE)


def plain(text: str) -> str:
    """The text, or, if it could be run as a formula, the same with an apostrophe before each such place."""
    if _NUMBER.fullmatch(text):
        return text
    text = _AFTER_SEPARATOR.sub(";'", text)
    return f"'{text}" if _FORMULA.match(text) else text
