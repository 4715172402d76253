"""The contract: every broken row is taken out and described, every other one goes through unchanged."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.contract import ID, MISSING_WORDS, Applications, Checked, Violation, check_rows, match_columns
from scoring.errors import ColumnsError
from scoring.features import application_columns, by_name, input_features


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.all().cast(pl.String))


def broken(frame: pl.DataFrame, column: str, value: str | None, row: int = 3) -> Checked:
    cells = as_text(frame).head(10)
    cells = cells.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    )
    return check_rows(cells, first_row=1, labelled=False)


BAD_CELLS = [
    ("AMT_CREDIT", "1.234,56", "type"),
    ("AMT_CREDIT", "a lot", "type"),
    ("AMT_CREDIT", "inf", "finite"),
    ("AMT_CREDIT", "NaN", "required"),
    ("AMT_CREDIT", "NULL", "required"),
    ("AMT_CREDIT", "4,5", "type"),
    ("AMT_CREDIT", "1\x002", "type"),
    ("AMT_CREDIT", "-5", "range"),
    ("AMT_CREDIT", None, "required"),
    ("AMT_INCOME_TOTAL", "0", "range"),
    ("CNT_CHILDREN", "1.5", "whole"),
    ("CNT_CHILDREN", "-1", "range"),
    ("DAYS_BIRTH", "9461", "range"),
    ("DAYS_BIRTH", "-999999", "range"),
    ("DAYS_EMPLOYED", "365242", "range"),
    ("EXT_SOURCE_2", "1.01", "range"),
    ("FLAG_EMAIL", "2", "range"),
    ("FLAG_EMAIL", "maybe", "type"),
    ("CNT_CHILDREN", "yes", "type"),
    ("CODE_GENDER", "None", "required"),
    ("CODE_GENDER", None, "required"),
    ("ORGANIZATION_TYPE", "  ", "required"),
    ("SK_ID_CURR", None, "required"),
    ("SK_ID_CURR", "abc", "type"),
    ("SK_ID_CURR", "99999999999", "range"),
    ("SK_ID_CURR", "-3", "range"),
]


@pytest.mark.parametrize(("column", "value", "rule"), BAD_CELLS, ids=lambda part: repr(part))
def test_a_bad_cell_takes_its_row_out_and_no_other(
    new_frame: pl.DataFrame, column: str, value: str | None, rule: str
) -> None:
    checked = broken(new_frame, column, value)
    assert checked.rejected == 1
    assert checked.accepted.row_number.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert [(found.row_number, found.column_name, found.rule) for found in checked.violations] == [
        (4, column, rule)
    ]
    assert checked.violations[0].value == ((value or "").strip().replace("\x00", "\\x00") or None)


GOOD_CELLS = [
    ("DAYS_EMPLOYED", "365243"),
    ("REGION_RATING_CLIENT_W_CITY", "-1"),
    ("AMT_ANNUITY", None),
    ("AMT_CREDIT", " 45000.0 "),
    ("AMT_CREDIT", "4.5e4"),
    ("OCCUPATION_TYPE", None),
    ("CNT_CHILDREN", "2.0"),
    ("AMT_ANNUITY", "NaN"),
    ("AMT_ANNUITY", "\\N"),
    ("OCCUPATION_TYPE", "NULL"),
    ("FLAG_EMAIL", "Yes"),
]


@pytest.mark.parametrize(("column", "value"), GOOD_CELLS, ids=lambda part: repr(part))
def test_an_unusual_cell_that_keeps_the_rules_goes_through(
    new_frame: pl.DataFrame, column: str, value: str | None
) -> None:
    assert broken(new_frame, column, value).rejected == 0


def test_an_unknown_category_is_scored_as_unknown_and_counted(new_frame: pl.DataFrame) -> None:
    checked = broken(new_frame, "ORGANIZATION_TYPE", "Space travel")
    assert checked.rejected == 0
    assert checked.unknown == {("ORGANIZATION_TYPE", "Space travel"): 1}
    column = [feature.name for feature in input_features()].index("ORGANIZATION_TYPE")
    assert checked.accepted.values[3, column] == 0


def test_text_and_numbers_mean_the_same(new_frame: pl.DataFrame) -> None:
    typed = check_rows(new_frame, first_row=1, labelled=False).accepted
    text = check_rows(as_text(new_frame), first_row=1, labelled=False).accepted
    np.testing.assert_array_equal(typed.values, text.values)
    np.testing.assert_array_equal(typed.customer_id, text.customer_id)


def test_accepted_values_are_the_files_own(new_frame: pl.DataFrame, new: Applications) -> None:
    for position, feature in enumerate(input_features()):
        raw = new_frame[feature.name]
        if feature.dtype == "category":
            codes = {category.value: float(category.code) for category in feature.categories}
            expected = np.array([np.nan if value is None else codes[value] for value in raw])
        else:
            expected = raw.cast(pl.Float64).to_numpy()
        np.testing.assert_array_equal(new.values[:, position], expected, err_msg=feature.name)


def test_every_rejected_row_is_described_however_much_is_wrong_in_the_rows_before_it(
    new_frame: pl.DataFrame,
) -> None:
    cells = as_text(new_frame).head(60).with_columns(pl.lit("?").alias(name) for name in application_columns()[1:])
    checked = check_rows(cells, first_row=1, labelled=False)
    assert checked.rejected == 60
    assert [violation.row_number for violation in checked.violations] == sorted(
        violation.row_number for violation in checked.violations
    )
    assert {violation.row_number for violation in checked.violations} == set(range(1, 61))
    assert len(checked.violations) <= 60 * 10


def test_a_second_row_with_the_same_id_is_taken_out(new_frame: pl.DataFrame) -> None:
    checked = check_rows(new_frame.head(5), first_row=101, labelled=False, duplicates=np.array([103]))
    assert [(found.row_number, found.rule) for found in checked.violations] == [(103, "unique")]
    assert 103 not in checked.accepted.row_number


def test_a_torn_row_is_described_once(new_frame: pl.DataFrame) -> None:
    cells = as_text(new_frame).head(3)
    cells = cells.with_columns(pl.when(pl.int_range(pl.len()) != 1).then(pl.all()).name.keep())
    torn = Violation(2, None, ID, "fields", "13 fields instead of 121")
    checked = check_rows(cells, first_row=1, labelled=False, malformed=[torn])
    assert checked.violations == [torn]
    assert checked.rejected == 1


def test_a_missing_column_is_named() -> None:
    header = [name for name in application_columns() if name not in {"AMT_CREDIT", "EXT_SOURCE_1"}]
    with pytest.raises(ColumnsError, match="Columns AMT_CREDIT, EXT_SOURCE_1 are missing"):
        match_columns(header, labelled=False)


def test_the_outcome_belongs_to_former_customers_only() -> None:
    found = match_columns(application_columns(), labelled=False)
    assert (found.ignored, found.respelt) == ((), ())
    with pytest.raises(ColumnsError, match="Column TARGET is missing"):
        match_columns(application_columns(), labelled=True)


def test_a_column_that_stands_there_twice_is_named() -> None:
    with pytest.raises(ColumnsError, match="Column AMT_CREDIT is there more than once"):
        match_columns([*application_columns(), "AMT_CREDIT"], labelled=False)


def test_extra_columns_are_reported_whatever_they_are_called_and_however_often() -> None:
    found = match_columns(["X", "", *application_columns(), "", "X", "amt_credit"], labelled=False)
    assert found.ignored == ("X", "column 2", "column 124", "X", "amt_credit")
    assert found.positions["SK_ID_CURR"] == 2


def test_names_in_another_case_are_found_and_reported() -> None:
    found = match_columns([f" {name.lower()}" for name in application_columns()], labelled=False)
    assert list(found.positions.values()) == list(range(121))
    assert found.respelt[0] == (" sk_id_curr", "SK_ID_CURR")
    with pytest.raises(ColumnsError, match="Column AMT_CREDIT is there more than once"):
        match_columns([*(name.lower() for name in application_columns()), "Amt_Credit"], labelled=False)


def test_a_header_of_very_many_columns_takes_no_time() -> None:
    header = [*application_columns(), *(f"X{number % 30_000}" for number in range(100_000))]
    started = time.process_time()
    assert len(match_columns(header, labelled=False).ignored) == 100_000
    # What was quadratic took minutes.
    assert time.process_time() - started < 5


FLAG_SPELLINGS = [("Y", "N"), ("y", "n"), ("1", "0"), ("1.0", "0.0"), ("true", "FALSE"), ("Yes", "no"), ("T", "F")]


@pytest.mark.parametrize(("yes", "no"), FLAG_SPELLINGS)
def test_yes_and_no_are_read_however_they_are_spelt(new_frame: pl.DataFrame, yes: str, no: str) -> None:
    expected = check_rows(new_frame, first_row=1, labelled=False)
    words = {"Y": yes, "N": no, "Yes": yes, "No": no}
    numbers = [
        feature.name for feature in input_features() if feature.kind == "flag" and feature.dtype != "category"
    ]
    respelt = new_frame.with_columns(
        pl.col("FLAG_OWN_CAR", "FLAG_OWN_REALTY", "EMERGENCYSTATE_MODE").replace(words),
        pl.col(numbers).cast(pl.String).replace({"1": yes, "0": no}),
    )
    found = check_rows(respelt, first_row=1, labelled=False)
    np.testing.assert_array_equal(found.accepted.values, expected.accepted.values)
    assert (found.rejected, found.unknown) == (0, {})
    counted = sum(count for (name, _), count in found.respelt.items() if name == "FLAG_OWN_CAR")
    assert counted == (0 if yes == "Y" else 300)


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title, lambda word: f"  {word} "])
def test_a_known_word_in_another_case_is_that_word(new_frame: pl.DataFrame, change: Callable[[str], str]) -> None:
    expected = check_rows(new_frame, first_row=1, labelled=False)
    names = [feature.name for feature in input_features() if feature.dtype == "category"]
    changed = new_frame.with_columns(pl.col(names).map_elements(change, pl.String))
    found = check_rows(changed, first_row=1, labelled=False)
    np.testing.assert_array_equal(found.accepted.values, expected.accepted.values)
    assert found.unknown == {}


@pytest.mark.parametrize(
    "word", ["NaN", "nan", "NA", "N/A", "#N/A", "NULL", "null", "None", "\\N", "<NA>", " Null "]
)
def test_every_way_to_write_missing_is_the_same_in_every_column(new_frame: pl.DataFrame, word: str) -> None:
    nullable = [feature.name for feature in input_features() if feature.nullable]
    empty = check_rows(
        new_frame.with_columns(pl.lit(None, pl.String).alias(name) for name in nullable),
        first_row=1,
        labelled=False,
    )
    found = check_rows(
        new_frame.with_columns(pl.lit(word).alias(name) for name in nullable), first_row=1, labelled=False
    )
    np.testing.assert_array_equal(found.accepted.values, empty.accepted.values)
    assert (found.rejected, found.unknown) == (0, {})
    for feature in input_features():
        if not feature.nullable:
            assert broken(new_frame, feature.name, word).violations[0].rule == "required", feature.name


def test_a_number_that_is_none_is_missing_too(new_frame: pl.DataFrame) -> None:
    found = check_rows(new_frame.with_columns(AMT_ANNUITY=pl.lit(float("nan"))), first_row=1, labelled=False)
    assert found.rejected == 0
    assert np.isnan(found.accepted.values[:, 7]).all()


def test_no_word_for_missing_is_a_known_value() -> None:
    known = {category.value.casefold() for feature in input_features() for category in feature.categories}
    assert not known & MISSING_WORDS


def test_decimal_commas_are_read_where_the_file_has_them_and_nothing_else_is_guessed(
    new_frame: pl.DataFrame,
) -> None:
    expected = check_rows(new_frame, first_row=1, labelled=False)
    commas = as_text(new_frame).with_columns(pl.col(pl.String).str.replace(".", ",", literal=True))
    names = [feature.name for feature in input_features() if feature.dtype == "category"]
    commas = commas.with_columns(new_frame[name] for name in names)
    found = check_rows(commas, first_row=1, labelled=False, decimal_comma=True)
    np.testing.assert_array_equal(found.accepted.values, expected.accepted.values)
    for doubtful in ("1.234", "1.234,5", "1,234,567"):
        cells = commas.with_columns(
            pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(doubtful)).otherwise("AMT_CREDIT").alias("AMT_CREDIT")
        )
        checked = check_rows(cells, first_row=1, labelled=False, decimal_comma=True)
        assert [(bad.row_number, bad.rule, bad.value) for bad in checked.violations] == [(4, "type", doubtful)]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum])
def test_a_dictionary_of_texts_is_read_by_its_texts(new_frame: pl.DataFrame, kind: type) -> None:
    def packed(name: str) -> pl.Series:
        text = new_frame[name].cast(pl.String)
        return text.cast(pl.Categorical if kind is pl.Categorical else pl.Enum(text.drop_nulls().unique()))

    expected = check_rows(new_frame, first_row=1, labelled=False).accepted.values
    frame = new_frame.with_columns(packed(name) for name in ("CNT_CHILDREN", "EXT_SOURCE_1", "CODE_GENDER"))
    np.testing.assert_array_equal(check_rows(frame, first_row=1, labelled=False).accepted.values, expected)


def test_control_characters_are_shown_as_escapes_that_postgres_takes(new_frame: pl.DataFrame) -> None:
    checked = broken(new_frame, "NAME_TYPE_SUITE", "Fam\x00i\x1bly")
    assert checked.unknown == {("NAME_TYPE_SUITE", "Fam\\x00i\\x1bly"): 1}


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_rows_accepted_and_rejected_add_up_whatever_is_written_into_cells(data: st.DataObject) -> None:
    from scoring.sample import applications

    frame = as_text(applications(6, seed=3))
    names = list(application_columns())
    for _ in range(data.draw(st.integers(0, 5))):
        column = data.draw(st.sampled_from(names))
        cells = frame[column].to_list()
        cells[data.draw(st.integers(0, 5))] = data.draw(st.one_of(st.none(), st.text(max_size=12)))
        frame = frame.with_columns(pl.Series(column, cells, dtype=pl.String))
    checked = check_rows(frame, first_row=1, labelled=False)
    assert len(checked.accepted) + checked.rejected == 6
    described = {violation.row_number for violation in checked.violations}
    assert described == set(range(1, 7)) - set(checked.accepted.row_number.tolist())
    for position, feature in enumerate(input_features()):
        column_values = checked.accepted.values[:, position]
        present = column_values[~np.isnan(column_values)]
        if feature.dtype != "category" and len(present):
            allowed = present != feature.missing_code
            assert (present[allowed] >= (feature.minimum if feature.minimum is not None else -np.inf)).all()
            assert (present[allowed] <= (feature.maximum if feature.maximum is not None else np.inf)).all()


def test_the_contract_names_all_121_columns() -> None:
    assert len(application_columns()) == 121
    assert all(by_name()[name].dtype in {"int", "float", "category"} for name in application_columns())
