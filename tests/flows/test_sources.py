"""Files are read right, or refused with a sentence that names file and place."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.sources import SourceError, Survey, batches, find, survey
from scoring.contract import check_rows
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
    cells=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)] * 3),
        min_size=1,
        max_size=12,
    ),
    chunk_rows=st.integers(1, 5),
)
def test_any_quoted_text_comes_out_as_it_went_in(
    tmp_path: Path, cells: list[tuple[str, ...]], chunk_rows: int
) -> None:
    frame = pl.DataFrame(cells, schema=["SK_ID_CURR", "B", "C"], orient="row").with_columns(
        pl.col("SK_ID_CURR").replace("", "-")
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


def test_columns_that_are_there_twice_are_read_whatever_the_others_are_called(tmp_path: Path) -> None:
    header, *rows = TEXT.splitlines()
    lines = [f"{header},X,X,X#2,X", *(f"{row},1,2,3,4" for row in rows)]
    frame = everything(surveyed(tmp_path, "\n".join(lines).encode()))
    assert frame.width == header.count(",") + 5
    assert [frame[:, place][0] for place in range(-4, 0)] == ["1", "2", "3", "4"]


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
    for name in ("application_train.csv", "application_train_more.csv", "application_train.csv.bak"):
        (tmp_path / name).write_text("x")
    found = [path.name for path in find(tmp_path, "application_train")]
    assert found == ["application_train.csv", "application_train_more.csv"]


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
