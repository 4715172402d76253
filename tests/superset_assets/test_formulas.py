"""Formulas that somebody wrote into an application stay text in every file that Superset hands out."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from xml.etree import ElementTree

import httpx
import polars as pl
import pytest
from sqlalchemy import text

from db.access import roles
from db.engine import psql_url, transaction
from scoring.errors import ScoringError
from tests.faults.broken_files import FORMULAS, rendered
from tests.superset_fixture import Superset

# An array formula, an address, and a formula in the next cell wherever lines are split at semicolons.
OTHERS = ("{=1+1}", "http://example.invalid/?leak", "quiet; =1+1", "＝1+1", '""=1+1', "-12.5")
WRITTEN = tuple(formula.strip() for formula in FORMULAS) + OTHERS
NAME = "=1+1.csv"
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def run_id(
    prefect_api: str, superset: Superset, new_frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """A night whose file has formulas as categories, amounts, a number and its name; refused, so readers stay."""
    from flows.nightly import nightly

    header = new_frame.columns
    rows = [["" if cell is None else str(cell) for cell in row] for row in new_frame.with_columns(pl.all()).rows()]
    for row, formula in zip(rows, WRITTEN, strict=False):
        row[header.index("ORGANIZATION_TYPE")] = formula
    for row, formula in zip(rows[100:], WRITTEN, strict=False):
        row[header.index("AMT_CREDIT")] = formula
    rows[200][header.index("SK_ID_CURR")] = FORMULAS[0]
    file = tmp_path_factory.mktemp("formulas") / NAME
    file.write_text(rendered(header, rows))
    # Installations of other tests on this server have given the role passwords of their own.
    assert roles.ensure_writer(superset.engine, superset.settings.secrets()["writer"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CREDITLENS_DATABASE_URL", psql_url(superset.engine.url))
        patch.setenv("CREDITLENS_STATE", str(superset.settings.state))
        with pytest.raises(ScoringError):
            nightly(file, date(2026, 3, 3))
    with superset.engine.connect() as connection:
        made = connection.scalar(text("SELECT max(run_id) FROM credit.scoring_run WHERE status = 'refused'"))
    assert made is not None
    yield made
    with transaction(superset.engine) as connection:
        connection.execute(text("DELETE FROM credit.scoring_run WHERE run_id = :run"), {"run": made})


@pytest.fixture(scope="module")
def ask(superset: Superset, run_id: int) -> Ask:
    """Asks for data of a chart on the portfolio's dashboard, of this run: (user, dataset, format, columns, ...)."""
    admin = superset.client("admin")
    dashboard = admin.get("/api/v1/dashboard/portfolio-en").json()["result"]["id"]
    charts = admin.get(f"/api/v1/dashboard/{dashboard}/charts").json()["result"]
    page = {"q": "(page_size:100)"}
    datasets = {one["table_name"]: one["id"] for one in admin.get("/api/v1/dataset/", params=page).json()["result"]}

    def asked(
        user: str,
        dataset: str,
        form: str,
        columns: list[Any],
        *,
        form_data: dict[str, Any] | None = None,
        kind: str = "full",
        **query: Any,
    ) -> httpx.Response:
        number = datasets[dataset]
        chart = next(one for one in charts if one["form_data"]["datasource"] == f"{number}__table")
        place = {"dashboardId": dashboard, "slice_id": chart["form_data"]["slice_id"]}
        body = {
            "datasource": {"id": number, "type": "table"},
            "queries": [
                {
                    "columns": columns,
                    "filters": [{"col": "run_id", "op": "==", "val": run_id}],
                    "row_limit": 1000,
                    **query,
                }
            ],
            "form_data": {**place, **(form_data or {})},
            "result_format": form,
            "result_type": kind,
        }
        answer = superset.client(user).post("/api/v1/chart/data", json=body)
        assert answer.status_code == 200, answer.text
        return answer

    return asked


def cells_of_csv(content: str) -> list[list[str]]:
    """Rows with their header."""
    return list(csv.reader(io.StringIO(content.lstrip("\ufeff"))))


def cells_of_excel(content: bytes) -> list[list[str | float]]:
    """Rows with their header, after a look whether any cell is a formula or a link."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        names = file.namelist()
        assert not [name for name in names if "/_rels/sheet" in name]
        shared = ["".join(part.itertext()) for part in ElementTree.fromstring(file.read("xl/sharedStrings.xml"))]
        sheet = ElementTree.fromstring(file.read("xl/worksheets/sheet1.xml"))
    assert not list(sheet.iter(f"{MAIN}f")) and not list(sheet.iter(f"{MAIN}hyperlink"))
    rows: list[list[str | float]] = []
    for row in sheet.iter(f"{MAIN}row"):
        cells: list[str | float] = []
        for cell in row:
            value = cell.findtext(f"{MAIN}v") or ""
            cells.append(shared[int(value)] if cell.get("t") == "s" else float(value) if value else "")
        rows.append(cells)
    return rows


def runs_as_a_formula(cell: str) -> bool:
    """Whether some spreadsheet would take the cell for more than text or a number."""
    if re.fullmatch(r"-\d+(\.\d+)?", cell):
        return False
    parts = [cell, *cell.split(";")[1:]]
    return any(re.match(r'[\s"]*[=+\-@|%＝＋－＠]|[\t\r\n]|\{=', part) for part in parts)


def require_harmless(rows: list[list[Any]], wanted: tuple[str, ...] = WRITTEN) -> None:
    """No cell runs, and all of the texts are there behind their apostrophes."""
    cells = [cell for row in rows for cell in row if isinstance(cell, str)]
    assert not [cell for cell in cells if runs_as_a_formula(cell)]
    read = {cell.replace("'", "") for cell in cells}
    assert {one.replace("'", "") for one in wanted} <= read


@pytest.mark.parametrize("user", ["advisor", "analyst"])
@pytest.mark.parametrize(("dataset", "column"), [("rejected_row", "value"), ("unknown_category", "value")])
def test_text_of_a_file_is_harmless_in_a_charts_csv_and_excel(
    ask: Ask, user: str, dataset: str, column: str
) -> None:
    wanted = tuple(one for one in WRITTEN if dataset == "unknown_category" or one != "-12.5")
    as_csv = cells_of_csv(ask(user, dataset, "csv", ["value", "source_name"]).text)
    as_excel = cells_of_excel(ask(user, dataset, "xlsx", ["value", "source_name"]).content)
    for rows in (as_csv, as_excel):
        require_harmless(rows, (*wanted, NAME))
    shown = ask(user, dataset, "json", ["value", "source_name"]).json()["result"][0]["data"]
    assert {row["value"] for row in shown} >= set(wanted)


def test_the_number_of_a_rejected_row_may_be_a_formula(ask: Ask) -> None:
    require_harmless(cells_of_csv(ask("advisor", "rejected_row", "csv", ["customer_id"]).text), FORMULAS[:1])


def test_a_tab_or_a_line_end_hides_no_formula(ask: Ask) -> None:
    # Read as spreadsheets do, to which a line end outside of quotes is one, whichever it is.
    for code in (9, 10, 13, 32):
        hidden = {"expressionType": "SQL", "sqlExpression": f"chr({code}) || value", "label": "hidden"}
        rows: list[list[Any]] = [
            *cells_of_csv(ask("analyst", "rejected_row", "csv", [hidden]).text),
            *cells_of_excel(ask("analyst", "rejected_row", "xlsx", [hidden]).content),
        ]
        assert len(rows) > 2 * len(FORMULAS)
        assert not [cell for row in rows for cell in row if runs_as_a_formula(str(cell))]


def test_negative_numbers_stay_numbers(ask: Ask) -> None:
    negative = {"expressionType": "SQL", "sqlExpression": "-sum(row_number)::float / 8", "label": "negative"}
    rows = cells_of_csv(ask("analyst", "rejected_row", "csv", ["rule"], metrics=[negative]).text)
    assert all(float(number) < 0 for _, number in rows[1:])
    rows_in_excel = cells_of_excel(ask("analyst", "rejected_row", "xlsx", ["rule"], metrics=[negative]).content)
    assert all(isinstance(number, float) and number < 0 for _, number in rows_in_excel[1:])
    unknown = cells_of_csv(ask("advisor", "unknown_category", "csv", ["value"]).text)
    assert ["-12.5"] in unknown


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_texts_that_become_headers_or_row_labels_are_harmless(ask: Ask, form: str) -> None:
    count = {"expressionType": "SIMPLE", "aggregate": "SUM", "column": {"column_name": "customers"}, "label": "n"}
    pivot = {
        "operation": "pivot",
        "options": {"index": ["source_name"], "columns": ["value"], "aggregates": {"n": {"operator": "sum"}}},
    }
    flat = {"operation": "flatten", "options": {"reset_index": False}}
    answer = ask(
        "advisor",
        "unknown_category",
        form,
        ["source_name", "value"],
        metrics=[count],
        post_processing=[pivot, flat],
    )
    rows: list[list[Any]] = (
        list(cells_of_csv(answer.text)) if form == "csv" else list(cells_of_excel(answer.content))
    )
    cells = [str(cell) for row in rows for cell in row]
    assert not [cell for cell in cells if runs_as_a_formula(cell)]
    assert any("HYPERLINK" in cell for cell in cells) and any(NAME in cell for cell in cells)


@pytest.mark.parametrize("viz_type", ["table", "pivot_table_v2"])
def test_a_table_as_the_page_shows_it_is_harmless_as_csv(ask: Ask, viz_type: str) -> None:
    count = {"expressionType": "SIMPLE", "aggregate": "SUM", "column": {"column_name": "customers"}, "label": "n"}
    shape = {"viz_type": viz_type, "groupbyRows": ["value"], "groupbyColumns": ["source_name"], "metrics": ["n"]}
    answer = ask(
        "advisor",
        "unknown_category",
        "csv",
        ["value", "source_name"],
        metrics=[count],
        kind="post_processed",
        form_data={**shape, "aggregateFunction": "Sum"},
    )
    cells = [cell for row in cells_of_csv(answer.text) for cell in row]
    assert any("HYPERLINK" in cell for cell in cells) and any(NAME in cell for cell in cells)
    assert not [cell for cell in cells if runs_as_a_formula(cell)]


def test_a_table_of_up_to_100_000_rows_is_harmless_and_whole(ask: Ask) -> None:
    """Superset would stream it, as it comes without a look at what it streams."""
    asked = ("advisor", "rejected_row", "csv", ["row_number", "value", "source_name"])
    order = {"orderby": [["row_number", True]]}
    large = cells_of_csv(ask(*asked, **order, form_data={"row_limit": 100_000}).text)
    require_harmless(large, (*(one for one in WRITTEN if one != "-12.5"), NAME))
    assert large == cells_of_csv(ask(*asked, **order).text)


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_what_is_asked_in_sql_is_harmless_as_csv(superset: Superset, run_id: int, way: str) -> None:
    client = superset.client("analyst")
    databases = client.get("/api/v1/database/").json()["result"]
    sql = next(one["id"] for one in databases if one["database_name"] == "creditlens SQL")
    query = {
        "database_id": sql,
        "sql": f'SELECT value AS "=1+1", chr(9) || value AS b, -customers AS n FROM reporting.unknown_category'
        f" WHERE run_id = {run_id}",
        "client_id": f"formula{way[0]}",
    }
    asked = client.post("/api/v1/sqllab/execute/", json=query)
    assert asked.status_code == 200, asked.text
    if way == "whole":
        answer = client.get(f"/api/v1/sqllab/export/{query['client_id']}/")
    else:
        answer = client.post("/api/v1/sqllab/export_streaming/", data={"client_id": query["client_id"]})
    assert answer.status_code == 200, answer.text
    rows = cells_of_csv(answer.text)
    require_harmless(rows, (*WRITTEN, "=1+1"))
    assert {row[2] for row in rows[1:]} == {"-1", "-2"}
