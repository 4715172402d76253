"""Texts that a spreadsheet would run as a formula, made plain in every file that Superset hands out.

Values of a dashboard come from the files of a lender, so from anybody. Superset 6.1.0 puts an apostrophe before
formulas in the cells of its CSV and Excel files, and leaves out what is done here: tables that it streams (100,000
rows, or a request that says so; any query of SQL Lab); headers and row labels, which a pivoted table makes of
values; `{=...}` and addresses, of which its Excel writer makes formulas and links; what follows a semicolon, where
a French Excel splits a line; line ends that it does not quote. Numbers stay numbers. The rule is that of
flows/files/spreadsheets.py, of which nothing can be called from Superset's environment; a test holds one to the
other.
"""

from __future__ import annotations

import io
import re
from typing import Any

import pandas as pd

from superset_assets.server import changes

CELLS = "What a spreadsheet would run as a formula is plain text in every file."
KNOWN_CELLS = "apache/superset#43396"
# What starts a formula; some programs take the wide forms of East Asian fonts for the same.
_SIGN = r"[=+\-@|%＝＋－＠]"
_FORMULA = re.compile(rf'\s*"*\s*{_SIGN}|[\t\r\n]|\{{\s*=')
# Where a comma is the decimal sign, spreadsheets split lines at semicolons.
_AFTER_SEPARATOR = re.compile(rf';(?=[\s"]*{_SIGN})')
_NUMBER = re.compile(r"[+-](\d[\d.,]*|\.\d+)(e[+-]?\d+)?([ \u00a0\u202f]?%)?", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n?")


def plain(value: Any) -> Any:
    """The value, or, of text that could be run as a formula, the same with an apostrophe before each such place."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    # Of line ends, only this one is sure to be quoted.
    text = _AFTER_SEPARATOR.sub(";'", _LINE_END.sub("\n", value))
    return f"'{text}" if _FORMULA.match(text) else text


def plain_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with `plain` cells, headers and row labels; columns without text are left as they are."""
    made = frame.rename(columns=plain)
    if not isinstance(frame.index, pd.RangeIndex):
        made = made.rename(index=plain).rename_axis(index=plain)
    for place, kind in enumerate(made.dtypes):
        if pd.api.types.is_object_dtype(kind):
            cells = [plain(value) for value in made.iloc[:, place]]
            made.isetitem(place, pd.Series(cells, index=made.index, dtype=object))
    return made


def to_csv(frame: pd.DataFrame, **options: Any) -> Any:
    """In the place of superset.utils.csv.df_to_escaped_csv."""
    return plain_table(frame).to_csv(escapechar="\\", **options)


def to_excel(frame: pd.DataFrame, **options: Any) -> bytes:
    """In the place of superset.utils.excel.df_to_excel."""
    output = io.BytesIO()
    text_stays_text = {"options": {"strings_to_formulas": False, "strings_to_urls": False}}
    with pd.ExcelWriter(output, engine="xlsxwriter", engine_kwargs=text_stays_text) as writer:
        plain_table(frame).to_excel(writer, **options)
    return output.getvalue()


class _PlainWriter:
    """A CSV writer whose rows are plain."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def writerow(self, row: Any) -> Any:
        return self._writer.writerow([plain(value) for value in row])


@changes.replaces("superset.utils.csv.escape_value", "(value)", why=CELLS, upstream=KNOWN_CELLS)
def cells(_original: changes.Original) -> changes.Original:
    """What makes one cell plain."""
    return plain


@changes.replaces("superset.utils.csv.df_to_escaped_csv", "(df, **kwargs)", why=CELLS, upstream=KNOWN_CELLS)
def csv_files(_original: changes.Original) -> changes.Original:
    """What makes a CSV file."""
    return to_csv


@changes.replaces("superset.utils.excel.df_to_excel", "(df, **kwargs)", why=CELLS, upstream=KNOWN_CELLS)
def excel_files(_original: changes.Original) -> changes.Original:
    """What makes an Excel file."""
    return to_excel


@changes.replaces(
    "superset.commands.streaming_export.base.BaseStreamingCSVExportCommand._write_csv_header",
    "(self, columns, csv_writer, buffer)",
    why=CELLS,
    upstream=KNOWN_CELLS,
)
def streamed_header(write: changes.Original) -> changes.Original:
    """What writes the header of a CSV file that is streamed."""

    def write_header(self: Any, columns: list[str], csv_writer: Any, buffer: io.StringIO) -> Any:
        return write(self, columns, _PlainWriter(csv_writer), buffer)

    return write_header


@changes.replaces(
    "superset.commands.streaming_export.base.BaseStreamingCSVExportCommand._process_rows",
    "(self, result_proxy, csv_writer, buffer, limit)",
    why=CELLS,
    upstream=KNOWN_CELLS,
)
def streamed_rows(process: changes.Original) -> changes.Original:
    """What writes the rows of a CSV file that is streamed."""

    def process_rows(self: Any, result_proxy: Any, csv_writer: Any, buffer: io.StringIO, limit: int | None) -> Any:
        return process(self, result_proxy, _PlainWriter(csv_writer), buffer, limit)

    return process_rows


@changes.replaces(
    "superset.charts.data.api.ChartDataRestApi._should_use_streaming",
    "(self, result, form_data=None)",
    why="No export of a chart is streamed: while it is, nobody is known to look any more.",
    upstream="apache/superset#40465",
)
def stream_no_chart(_original: changes.Original) -> changes.Original:
    """Have no export of a chart streamed.

    The worklist, which may have 100,000 rows, would be; but then nobody is known to look any more, and the
    connection that tells Postgres who does (see viewer.py) is refused.
    """
    return lambda *_args, **_options: False
