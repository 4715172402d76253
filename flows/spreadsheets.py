"""Text that a spreadsheet would run as a formula, made plain: for files and pages that people open in one."""

from __future__ import annotations

import re

# What starts a formula; some programs take the wide forms of East Asian fonts for the same.
_SIGN = r"[=+\-@|%＝＋－＠]"
_FORMULA = re.compile(rf'\s*"*\s*{_SIGN}|[\t\r\n]')
# Where a comma is the decimal sign, spreadsheets split lines at semicolons.
_AFTER_SEPARATOR = re.compile(rf';(?=[\s"]*{_SIGN})')
_NUMBER = re.compile(r"[+-]\d[\d.,]*(\s?%)?")


def plain(text: str) -> str:
    """The text, or, if it could be run as a formula, the same with an apostrophe before each such place."""
    if _NUMBER.fullmatch(text):
        return text
    text = _AFTER_SEPARATOR.sub(";'", text)
    return f"'{text}" if _FORMULA.match(text) else text
