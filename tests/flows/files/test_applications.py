"""Files are read right, or refused with a sentence that names file and place."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import time
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.files.applications import SourceError, Survey, batches, find, read, require_unchanged, survey
from scoring.contract import Checked, check_rows
from scoring.errors import ColumnsError
from scoring.features import input_features
from scoring.sample import applications

TEXT = applications(7, seed=5).write_csv()


def surveyed(tmp_path: Path, content: bytes, name: str = "a.csv", chunk_rows: int = 3) -> Survey:
    path = tmp_path / name
    path.write_bytes(content)
    return survey(path, chunk_rows=chunk_rows, scratch=tmp_path / "scratch")


def everything(found: Survey) -> pl.DataFrame:
    return pl.concat([frame for _, frame, _ in batches(found)])


def reference() -> pl.DataFrame:
    return pl.read_csv(TEXT.encode(), infer_schema=False)


VARIANTS = {
    "as written": TEXT.encode(),
    "with a byte order mark": codecs.BOM_UTF8 + TEXT.encode(),
    "with carriage returns": TEXT.replace("\n", "\r\n").encode(),
    "without a last newline": TEXT.rstrip("\n").encode(),
    "with blank lines": TEXT.replace("\n", "\n\n").encode(),
    "with blank lines and carriage returns": TEXT.replace("\n", "\r\n\r\n").encode(),
}


@pytest.mark.parametrize("content", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("chunk_rows", [1, 3, 7, 100])
def test_a_file_reads_the_same(tmp_path: Path, content: bytes, chunk_rows: int) -> None:
    found = surveyed(tmp_path, content, chunk_rows=chunk_rows)
    assert found.rows == 7
    assert everything(found).equals(reference())
    assert [chunk.first_row for chunk in found.chunks] == list(range(1, 8, chunk_rows))


def test_gzip_and_parquet_read_the_same(tmp_path: Path) -> None:
    packed = surveyed(tmp_path, gzip.compress(TEXT.encode()), "a.csv.gz")
    assert everything(packed).equals(reference())
    applications(7, seed=5).write_parquet(tmp_path / "a.parquet")
    found = survey(tmp_path / "a.parquet", chunk_rows=3, scratch=tmp_path)
    frame = everything(found)
    accepted = check_rows(frame, first_row=1, labelled=False).accepted
    assert (accepted.customer_id == check_rows(reference(), first_row=1, labelled=False).accepted.customer_id).all()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tail=st.lists(st.sampled_from(["", ",", "," * 120, " , ,", "\t,"]), max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    is_ended=st.booleans(),
    block=st.sampled_from([1, 7, 1 << 20]),
    last=st.sampled_from([TEXT, TEXT.rstrip("\n") + ",,,\n"]),
)
def test_rows_without_any_value_at_the_end_are_no_applications_and_are_counted(
    tmp_path: Path, tail: list[str], end: str, is_ended: bool, block: int, last: str
) -> None:
    # The separators of a last application with empty fields belong to it.
    text = last if last == TEXT else "\n".join(f"{line},a,b,c" for line in TEXT.splitlines()[:-1])
    if last != TEXT:
        text += "\n" + TEXT.splitlines()[-1] + ",,,\n"
    content = text.replace("\n", end) + end.join(tail) + (end if is_ended and tail else "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.files.applications.delimited.BLOCK_BYTES", block)
        found = surveyed(tmp_path, content.encode())
    assert everything(found).equals(reference())
    empty = sum("," in line for line in tail)
    told = [note for note in found.notes if "without any value" in note]
    assert told == ([f"Rows without any value at the end of {found.path} are ignored: {empty}."] if empty else [])


def test_a_file_of_nothing_but_rows_without_values_has_no_applications(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no applications"):
        surveyed(tmp_path, TEXT.splitlines()[0].encode() + b"\n" + (b"," * 120 + b"\n") * 5)


def test_an_empty_row_between_others_is_still_a_broken_row(tmp_path: Path) -> None:
    lines = TEXT.splitlines()
    found = surveyed(tmp_path, "\n".join([*lines[:3], "," * 120, *lines[3:]]).encode())
    assert (found.rows, found.notes[1:]) == (8, ())
    assert everything(found)["SK_ID_CURR"].is_null().sum() == 1


@pytest.mark.parametrize(
    "names", [["part-0.csv"], ["part-1.csv", "part-0.csv", "_SUCCESS"], ["a.csv.gz", "b.csv.gz"]]
)
def test_a_folder_of_csv_parts_is_refused_and_it_is_said_what_to_do(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "application_test.csv"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(TEXT)
    with pytest.raises(SourceError, match=rf"{sorted(names)[-len(names[:2])]}.*join them into one"):
        survey(folder, chunk_rows=3, scratch=tmp_path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)] * 2),
        min_size=7,
        max_size=7,
    ),
    chunk_rows=st.integers(1, 5),
)
def test_any_quoted_text_comes_out_as_it_went_in(
    tmp_path: Path, cells: list[tuple[str, ...]], chunk_rows: int
) -> None:
    frame = reference().with_columns(
        pl.Series("NAME_TYPE_SUITE", [row[0] for row in cells]),
        pl.Series("OCCUPATION_TYPE", [row[1] for row in cells]),
    )
    found = surveyed(tmp_path, frame.write_csv(quote_style="always").encode(), chunk_rows=chunk_rows)
    expected = frame.with_columns(pl.all().replace("", None))
    assert everything(found).equals(expected)


def test_duplicate_ids_are_found_across_chunks(tmp_path: Path) -> None:
    lines = TEXT.splitlines()
    found = surveyed(tmp_path, "\n".join([*lines, lines[1], lines[6]]).encode(), chunk_rows=2)
    assert found.duplicates.tolist() == [8, 9]


@pytest.mark.parametrize("spelling", ["{}.0", " {} ", "0{}", "+{}", "{}e0"])
def test_an_id_that_is_spelt_in_another_way_is_the_same_id(tmp_path: Path, spelling: str) -> None:
    lines = TEXT.splitlines()
    first, rest = lines[1].split(",", 1)
    again = f"{spelling.format(first)},{rest}"
    found = surveyed(tmp_path, "\n".join([*lines, again]).encode())
    assert found.duplicates.tolist() == [8]


def test_ids_without_end_are_told_as_broken_rows(tmp_path: Path) -> None:
    lines = TEXT.splitlines()
    rest = lines[1].split(",", 1)[1]
    found = surveyed(tmp_path, "\n".join([*lines, f"1e999,{rest}", f"1e999,{rest}", f"-1e999,{rest}"]).encode())
    assert found.duplicates.tolist() == [9]


def test_rows_with_too_few_or_too_many_fields_are_described_and_the_others_kept(tmp_path: Path) -> None:
    lines = TEXT.splitlines()
    lines[2] = lines[2][:60]
    lines[5] += ",1,2"
    found = surveyed(tmp_path, "\n".join(lines).encode())
    described = [violation for _, _, violations in batches(found) for violation in violations]
    assert [(violation.row_number, violation.rule) for violation in described] == [(2, "fields"), (5, "fields")]
    assert "123 fields instead of 121" in (described[1].value or "")
    frame = everything(found)
    assert frame["SK_ID_CURR"].is_null().to_list() == [False, True, False, False, True, False, False]


REFUSED = {
    "empty": (b"", "is empty"),
    "header only": (TEXT.splitlines()[0].encode(), "no applications"),
    "utf-16": (TEXT.encode("utf-16"), "UTF-16; save it as UTF-8"),
    "latin-1": (TEXT.replace("Working", "Employé").replace("Commercial", "Employé").encode("latin-1"), "not UTF-8"),
    "nul bytes": (TEXT.encode()[:5000] + b"\0\0" + TEXT.encode()[5000:], "NUL"),
    "an unclosed quote": (TEXT.encode() + b'1,"Cash loans,F\n', "row 8: a quote is opened and never closed"),
    "a huge field": (TEXT.encode() + b"1," + b"x" * (2 << 20) + b"\n", "row 8: the record is longer"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        surveyed(tmp_path, content)
    assert "a.csv" in str(caught.value)


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
@pytest.mark.parametrize("place", ["before the last field", "after a first word"])
def test_a_row_that_a_carriage_return_splits_into_a_whole_one_and_a_rest_is_refused(
    tmp_path: Path, chunk_rows: int, place: str
) -> None:
    *others, last = TEXT.splitlines()
    start, end = last.rsplit(",", 1)
    split = f"{start},\r{end or '3.0'}" if place == "before the last field" else f"word\r{last}"
    content = "\n".join([*others, split, ""]).encode()
    # Found at the survey, before anything is opened.
    with pytest.raises(SourceError, match="not certain where a row ends"):
        everything(surveyed(tmp_path, content, chunk_rows=chunk_rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.replace("\n", "\r").encode(), "carriage returns alone"),
        (TEXT.replace("SK_ID_CURR", '"SK_ID_CURR', 1).encode(), "header: unexpected end of data"),
        (b"\n" + TEXT.encode(), "begins with an empty line"),
        (b"x" * (1 << 20) + TEXT.encode(), "first line is longer"),
        (TEXT.replace("SK_ID_CURR", "x" * 200_000, 1).encode(), "header: field larger than field limit"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        surveyed(tmp_path, content)


@pytest.mark.parametrize("names", ["X,X,X#2,X", ",,,", "0,1,2,AMT_CREDIT#2", '"a\nb","a,b",amt_credit,🙂'])
def test_other_columns_make_no_difference_whatever_they_are_called(tmp_path: Path, names: str) -> None:
    header, *rows = TEXT.splitlines()
    lines = [f"7,{header},{names}", *(f"x,{row},1,,ü,4" for row in rows)]
    found = surveyed(tmp_path, "\n".join(lines).encode())
    assert everything(found).equals(reference())
    assert len(found.columns.ignored) == 5


def test_a_header_of_very_many_columns_is_refused_at_once(tmp_path: Path) -> None:
    header, *rows = TEXT.splitlines()
    wide = ",".join(f"c{number}" for number in range(100_000))
    started = time.process_time()
    with pytest.raises(SourceError, match=r"a\.csv has 100,121 columns; at most 10,000 are read"):
        surveyed(tmp_path, f"{header},{wide}\n{rows[0]}\n".encode())
    assert time.process_time() - started < 5


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(TEXT.encode()))
    packed[10] = 0xFF
    with pytest.raises(SourceError, match="not a whole gzip file"):
        surveyed(tmp_path, bytes(packed), "a.csv.gz")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_half_a_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(TEXT.encode())
    with pytest.raises(SourceError, match="not a whole gzip file"):
        surveyed(tmp_path, packed[: len(packed) // 2], "a.csv.gz")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    applications(7).write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(SourceError, match="not a Parquet file"):
        surveyed(tmp_path, content[: len(content) // 2], "half.parquet")


def test_a_parquet_file_with_damaged_pages_is_refused(tmp_path: Path) -> None:
    applications(200).write_parquet(tmp_path / "whole.parquet")
    content = bytearray((tmp_path / "whole.parquet").read_bytes())
    content[4:2_000] = bytes(1_996)
    with pytest.raises(SourceError, match="not a sound Parquet file"):
        surveyed(tmp_path, bytes(content), "damaged.parquet")


def test_a_parquet_file_whose_names_are_damaged_is_refused(tmp_path: Path) -> None:
    applications(7).write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(SourceError, match="is not a Parquet file"):
        surveyed(tmp_path, content.replace(b"AMT_CREDIT", b"\x80MT_CREDIT"), "damaged.parquet")


@pytest.mark.parametrize("kind", [pl.Date, pl.Duration, pl.Binary, pl.List(pl.Int64)])
def test_a_parquet_column_of_a_type_that_is_neither_number_nor_text_is_refused(
    tmp_path: Path, kind: pl.DataType
) -> None:
    odd = applications(5).with_columns(pl.lit(None, dtype=kind).alias("DAYS_BIRTH"))
    odd.write_parquet(tmp_path / "odd.parquet")
    with pytest.raises(SourceError, match=r"column DAYS_BIRTH is of type .*; give numbers or text\."):
        survey(tmp_path / "odd.parquet", chunk_rows=3, scratch=tmp_path)


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="unknown kind"):
        surveyed(tmp_path, b"x", "a.xlsx")


def test_the_newest_names_are_found_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No application_train"):
        find(tmp_path, "application_train")
    with pytest.raises(SourceError, match="no folder"):
        find(tmp_path / "nowhere", "application_train")
    for name in ("application_train.csv", "application_train_more.csv.ZIP", "application_train.csv.bak", "x.csv"):
        (tmp_path / name).write_text("x")
    found = [path.name for path in find(tmp_path, "application_train")]
    assert found == ["application_train.csv", "application_train_more.csv.ZIP"]
    (tmp_path / "APPLICATION_TRAIN.CSV.gz").write_text("x")
    with pytest.raises(
        SourceError, match=r"holds APPLICATION_TRAIN\.CSV\.gz and application_train\.csv; keep the one"
    ):
        find(tmp_path, "application_train")


def test_real_files_are_read_whole(real_data: Path | None, tmp_path: Path) -> None:
    path = real_data / "application_test.csv" if real_data else tmp_path / "application_test.csv"
    if real_data is None:
        applications(5_000, seed=9).write_csv(path)
    found = survey(path, chunk_rows=1_024, scratch=tmp_path)
    accepted = sum(
        len(check_rows(frame, first_row=chunk.first_row, labelled=False).accepted)
        for chunk, frame, _ in batches(found)
    )
    assert (found.rows, accepted) == (5_000, 5_000)


# --- whole, and the same at the end ---------------------------------------------------------------------------


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(TEXT.encode()) - 1), end=st.sampled_from(("\n", "\r\n")))
def test_a_file_that_is_cut_anywhere_in_a_row_is_refused(tmp_path: Path, place: int, end: str) -> None:
    cut = TEXT.replace("\n", end).encode()[:place]
    header, *rows = cut.decode().split("\n")
    last = rows[-1].rstrip("\r") if rows else ""
    # A comma within quotes ends no field, and a quote that is left open ends no row.
    is_whole = last == "" or (last.count('"') % 2 == 0 and len(next(csv.reader([last]))) == 121)
    there = [row for row in rows if row.rstrip("\r")]
    if header.rstrip("\r") != TEXT.split("\n", 1)[0] or not there or not is_whole:
        with pytest.raises((SourceError, ColumnsError), match=r"a\.csv"):
            surveyed(tmp_path, cut)
        return
    found = surveyed(tmp_path, cut)
    assert found.rows == len(there)
    assert any("no line end" in note for note in found.notes) == (last != "")


@pytest.mark.parametrize("tail", ['1,"Cash loans', '1,Cash loans,"F', "1", '1,"a, b'])
def test_a_last_line_that_ends_in_a_row_is_not_whole(tmp_path: Path, tail: str) -> None:
    with pytest.raises(SourceError, match=r"a\.csv.*not whole"):
        surveyed(tmp_path, TEXT.encode() + tail.encode())


def test_a_last_character_that_is_cut_is_not_whole(tmp_path: Path) -> None:
    cut = TEXT.rstrip("\n").rsplit(",", 2)[0].encode() + ",é,é".encode()[:-1]
    with pytest.raises(SourceError, match="not whole: it ends in the middle of a character"):
        surveyed(tmp_path, cut)


def test_a_cut_archive_is_not_whole(tmp_path: Path) -> None:
    packed = zipped({"application_test.csv": TEXT.encode()})
    for place in (1, len(packed) // 2, len(packed) - 1):
        with pytest.raises(SourceError, match=r"a\.csv\.zip is not a whole zip file"):
            surveyed(tmp_path, packed[:place], "a.csv.zip")
    spoilt = bytearray(packed)
    spoilt[len(packed) // 2] ^= 0xFF
    with pytest.raises(SourceError, match=r"a\.csv\.zip is not a whole zip file"):
        surveyed(tmp_path, bytes(spoilt), "a.csv.zip")
    assert list((tmp_path / "scratch").iterdir()) == []


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def rename_over(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b"1", b"2"))
    other.replace(path)


def write_into(path: Path) -> None:
    """The same length, and even the same time: only the bytes tell."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        byte = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[Callable[[Path], None], str] = {
    grow: "was changed while it was read",
    shrink: "was changed while it was read",
    rename_over: "was replaced by another file",
    write_into: "was changed while it was read",
    Path.unlink: "was taken away",
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("change", "said"), CHANGES.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_a_file_that_is_changed_while_it_is_read_is_refused(
    tmp_path: Path, kind: str, change: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / f"a.{kind}"
    frame = applications(7, seed=5)
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    found = survey(path, chunk_rows=3, scratch=tmp_path / "scratch")
    require_unchanged(found)
    expected = everything(found)
    change(path)
    # Of a CSV file each chunk has a digest; a Parquet file is read again at the end.
    look = everything if change is write_into and kind == "csv" else require_unchanged
    with pytest.raises(SourceError, match=rf"a\.{kind} {said}"):
        look(found)
    if change in {rename_over, Path.unlink}:
        # The descriptor that the survey opened is read to the end: never a mix of two files.
        assert everything(found).equals(expected)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(SourceError, match=r"a\.csv is not a regular file"):
        survey(tmp_path / "a.csv", chunk_rows=3, scratch=tmp_path)


# --- containers and separators --------------------------------------------------------------------------------


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    applications(7, seed=5).write_parquet(buffer)
    return buffer.getvalue()


def delimited(separator: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    buffer = io.StringIO()
    rows = csv.reader(TEXT.splitlines())
    csv.writer(buffer, delimiter=separator, lineterminator="\n", quoting=quoting).writerows(rows)
    return buffer.getvalue()


CONTAINERS = {
    "A.CSV": TEXT.encode(),
    "a.tsv": delimited("\t").encode(),
    "a.txt": TEXT.encode(),
    "a.Csv.GZ": gzip.compress(TEXT.encode()),
    "a.csv.zip": zipped({"application_test.csv": TEXT.encode()}),
    "a.zip": zipped({"data/": b"", "data/A.CSV": TEXT.encode(), "__MACOSX/data/._A.CSV": b"x", ".DS_Store": b"y"}),
    "semicolons.csv": delimited(";").encode(),
    "tabs.csv": delimited("\t").encode(),
    "bars.csv": delimited("|").encode(),
    "quoted.csv": delimited(";", csv.QUOTE_ALL).encode(),
    "sep-line.csv": codecs.BOM_UTF8 + b"sep=;\r\n" + delimited(";").encode(),
    "sep-comma.csv": b'"sep=,"\n' + TEXT.encode(),
    "lower.csv": (TEXT.split("\n", 1)[0].lower() + "\n" + TEXT.split("\n", 1)[1]).encode(),
}


@pytest.mark.parametrize(("name", "content"), CONTAINERS.items(), ids=CONTAINERS.keys())
def test_containers_and_separators_that_people_have_read_the_same(
    tmp_path: Path, name: str, content: bytes
) -> None:
    found = surveyed(tmp_path, content, name)
    assert everything(found).equals(reference())
    require_unchanged(found)


@pytest.mark.parametrize("name", ["A.PARQUET", "a.pq", "a.parquet.zip"])
def test_parquet_is_known_under_its_other_names(tmp_path: Path, name: str) -> None:
    content = zipped({"a.parquet": parquet_bytes()}) if name.endswith("zip") else parquet_bytes()
    assert checked(surveyed(tmp_path, content, name)).rejected == 0


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.csv": b"x", "b.csv": b"y"}, r"should hold one file and holds 2 \('a\.csv', 'b\.csv'\)"),
        ({}, "should hold one file and holds 0"),
        ({"a.xlsx": b"x"}, r"holds 'a\.xlsx', neither a CSV nor a Parquet file"),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path: Path, members: dict[str, bytes], said: str) -> None:
    with pytest.raises(SourceError, match=rf"a\.zip {said}"):
        surveyed(tmp_path, zipped(members), "a.zip")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(TEXT.encode()), "a gzip file"),
        (zipped({"a": b"x"}), "a zip archive or an Excel workbook"),
        (parquet_bytes(), "a Parquet file"),
    ],
)
def test_a_file_under_a_wrong_name_is_refused_by_what_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=rf"a\.csv is {said} by its content"):
        surveyed(tmp_path, content)


def test_columns_that_cannot_be_found_are_told_with_the_file_and_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(
        ColumnsError, match=r"a\.csv: .* are missing.* One column was found, 'SK_ID_CURR:NAME_CONTRACT"
    ):
        surveyed(tmp_path, TEXT.replace(",", ":").encode())
    applications(7).drop("AMT_CREDIT").write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ColumnsError, match=r"a\.parquet: Column AMT_CREDIT is missing"):
        survey(tmp_path / "a.parquet", chunk_rows=3, scratch=tmp_path)


def test_decimal_commas_are_read_where_shares_have_them(tmp_path: Path) -> None:
    commas = delimited(";").replace(".", ",")
    found = surveyed(tmp_path, commas.encode())
    assert found.decimal_comma
    expected = check_rows(reference(), first_row=1, labelled=False).accepted.values
    np.testing.assert_array_equal(checked(found).accepted.values, expected)
    # Amounts alone with commas may mean thousands: nothing is guessed.
    lines = [line.split(";") for line in delimited(";").splitlines()]
    lines[3][lines[0].index("AMT_CREDIT")] = "1,234"
    found = surveyed(tmp_path, "\n".join(";".join(line) for line in lines).encode())
    assert not found.decimal_comma
    assert [(bad.row_number, bad.rule) for bad in checked(found).violations] == [(3, "type")]


def checked(found: Survey, *, labelled: bool = False) -> Checked:
    """All rows through the contract at once."""
    return check_rows(
        everything(found), first_row=1, labelled=labelled, duplicates=found.duplicates,
        decimal_comma=found.decimal_comma,
    )  # fmt: skip


def test_a_folder_of_parquet_parts_is_read_as_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "a.parquet"
    folder.mkdir()
    frame = applications(7, seed=5)
    for number, rows in enumerate((frame[:0], frame[:3], frame[3:4].select(reversed(frame.columns)), frame[4:])):
        rows.write_parquet(folder / f"part-{number:05}.snappy.parquet")
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.snappy.parquet.crc").write_bytes(b"x")
    found = survey(folder, chunk_rows=2, scratch=tmp_path)
    assert [(chunk.first_row, chunk.rows) for chunk in found.chunks] == [(1, 2), (3, 1), (4, 1), (5, 2), (7, 1)]
    expected = check_rows(reference(), first_row=1, labelled=False).accepted.values
    np.testing.assert_array_equal(checked(found).accepted.values, expected)
    require_unchanged(found)
    frame[:1].write_parquet(folder / "part-00004.parquet")
    with pytest.raises(SourceError, match="got or lost a file while it was read"):
        require_unchanged(found)
    (folder / "_temporary").mkdir()
    with pytest.raises(SourceError, match="not whole: it holds _temporary"):
        survey(folder, chunk_rows=2, scratch=tmp_path)


def test_a_folder_without_parts_or_with_parts_of_different_files_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(SourceError, match="no Parquet file in the folder"):
        survey(folder, chunk_rows=2, scratch=tmp_path)
    applications(2).write_parquet(folder / "1.parquet")
    applications(2).drop("AMT_CREDIT").write_parquet(folder / "2.parquet")
    with pytest.raises(SourceError, match=r"2\.parquet has other columns than .*1\.parquet"):
        survey(folder, chunk_rows=2, scratch=tmp_path)


# --- what is in Parquet ---------------------------------------------------------------------------------------


def column_of(table: pa.Table, name: str, array: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, array)


PARQUET_KINDS: dict[str, Callable[[pa.ChunkedArray], pa.Array]] = {
    "int8": lambda column: column.cast(pa.int8()),
    "uint64": lambda column: column.cast(pa.uint64()),
    "float16": lambda column: pa.array(np.array(column.to_pylist(), dtype=np.float16)),
    "decimal": lambda column: pa.array([Decimal(value) for value in column.to_pylist()], pa.decimal128(12, 2)),
    "text": lambda column: column.cast(pa.string()),
    "large text": lambda column: column.cast(pa.large_string()),
    "text view": lambda column: column.cast(pa.string_view()),
    "dictionary of texts": lambda column: column.cast(pa.string()).dictionary_encode(),
    "dictionary of numbers": lambda column: column.dictionary_encode(),
}


@pytest.mark.parametrize("kind", PARQUET_KINDS)
def test_numbers_are_read_however_parquet_holds_them(tmp_path: Path, kind: str) -> None:
    table = applications(7, seed=5).to_arrow()
    for name in ("CNT_CHILDREN", "HOUR_APPR_PROCESS_START"):
        table = column_of(table, name, PARQUET_KINDS[kind](table[name]))
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    found = survey(tmp_path / "a.parquet", chunk_rows=3, scratch=tmp_path)
    expected = check_rows(reference(), first_row=1, labelled=False).accepted.values
    np.testing.assert_array_equal(checked(found).accepted.values, expected)


def test_amounts_of_decimals_are_the_very_numbers(tmp_path: Path) -> None:
    amounts = ["2500000.49", "16777217.00", "0.07", "123456789.10", "1.10", "70.07", "999999999.99"]
    table = applications(7, seed=5).to_arrow()
    table = column_of(table, "AMT_ANNUITY", pa.array([Decimal(amount) for amount in amounts], pa.decimal128(12, 2)))
    parquet.write_table(table, tmp_path / "a.parquet")
    accepted = checked(survey(tmp_path / "a.parquet", chunk_rows=3, scratch=tmp_path)).accepted
    column = [feature.name for feature in input_features()].index("AMT_ANNUITY")
    assert accepted.values[:, column].tolist() == [float(amounts[row - 1]) for row in accepted.row_number]


@pytest.mark.parametrize("value", [b"Fam\xffily", b"\xed\xa0\x80", b"Fam\x00ily"])
def test_text_in_parquet_that_is_no_text_costs_that_value_only(tmp_path: Path, value: bytes) -> None:
    table = applications(7, seed=5).to_arrow()
    cells = [value, *(name.encode() if name else None for name in table["NAME_TYPE_SUITE"].to_pylist()[1:])]
    broken = pa.Array.from_buffers(pa.string(), 7, pa.array(cells, pa.binary()).buffers())
    parquet.write_table(column_of(table, "NAME_TYPE_SUITE", broken), tmp_path / "a.parquet")
    found = checked(survey(tmp_path / "a.parquet", chunk_rows=3, scratch=tmp_path))
    assert found.rejected == 0
    ((_, shown),) = found.unknown
    assert shown.isprintable()


def test_other_columns_of_parquet_may_hold_anything(tmp_path: Path) -> None:
    table = applications(7, seed=5).to_arrow()
    for name, array in {
        "list": pa.array([[1]] * 7),
        "struct": pa.array([{"AMT_CREDIT": 1}] * 7),
        "map": pa.array([[("a", 1)]] * 7, pa.map_(pa.string(), pa.int64())),
        "": pa.array([None] * 7, pa.date32()),
        "time": pa.array([0] * 7, pa.timestamp("ns")),
        "twice": pa.array(range(7)),
        "bytes": pa.array([b"\xff"] * 7),
    }.items():
        table = table.append_column(name, array)
    table = table.append_column("twice", pa.array(range(7)))
    parquet.write_table(table, tmp_path / "a.parquet")
    found = survey(tmp_path / "a.parquet", chunk_rows=3, scratch=tmp_path)
    assert len(found.columns.ignored) == 8
    assert checked(found).rejected == 0


def test_any_chunk_of_parquet_reads_by_itself(tmp_path: Path) -> None:
    applications(50, seed=5).write_parquet(tmp_path / "a.parquet", row_group_size=7)
    found = survey(tmp_path / "a.parquet", chunk_rows=4, scratch=tmp_path)
    for (_, expected, _), chunk in zip(batches(found), found.chunks, strict=True):
        assert read(found, chunk)[0].equals(expected)


# --- input that contradicts itself ----------------------------------------------------------------------------


def test_a_broken_row_gives_way_to_its_correction_and_both_are_accounted_for(tmp_path: Path) -> None:
    lines = [line.split(",") for line in TEXT.splitlines()]
    correction = list(lines[2])
    lines[2][lines[0].index("AMT_CREDIT")] = "1.234,56"
    later = list(lines[4])
    later[lines[0].index("AMT_CREDIT")] = "45000.0"
    content = "\n".join(",".join(f'"{cell}"' for cell in line) for line in [*lines, correction, later]).encode()
    found = surveyed(tmp_path, content, chunk_rows=2)
    result = checked(found)
    assert result.accepted.row_number.tolist() == [1, 3, 4, 5, 6, 7, 8]
    assert [(bad.row_number, bad.rule) for bad in result.violations] == [(2, "type"), (9, "unique")]
