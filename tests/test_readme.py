"""What the READMEs promise: their queries run as the reader, their commands and settings are those that exist."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import typer.main
from sqlalchemy import Engine, text

from db.access import roles
from db.engine import make_engine
from flows.cli.main import app
from flows.settings import Settings

PROJECT = Path(__file__).resolve().parents[1]
FILES = [
    PROJECT / "README.md",
    *sorted(PROJECT.glob("*/README.md")),
    PROJECT / "flows" / "OPERATIONS.md",
    PROJECT / "flows" / "GROWTH.md",
]
README = "\n".join(file.read_text(encoding="utf-8") for file in FILES)
QUERIES = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def reader(installation, files, new_frame: pl.DataFrame, reader_passwords):
    """The reader's engine on an installation with two nights."""
    from flows.nightly import nightly
    from flows.training import training

    training([files[0]])
    nightly(files[1], Settings().today() - timedelta(days=1))
    later = installation.folder / "later.csv"
    new_frame.with_columns(pl.col("AMT_CREDIT") * 1.2).write_csv(later)
    nightly(later)
    with installation.engine.begin() as connection:
        # Of synthetic customers all are accepted: as if none had been the first time.
        connection.execute(text("UPDATE credit.score SET decision = 'review' WHERE run_id = 1"))
    url = installation.engine.url.set(username=roles.ANALYST, password=reader_passwords[roles.ANALYST])
    engine = make_engine(url)
    yield engine
    engine.dispose()


def test_there_are_ten_queries_and_five_of_several_customers_and_other_runs() -> None:
    assert len(QUERIES) == 10 + 5


@pytest.mark.parametrize("query", QUERIES, ids=[str(number) for number in range(1, len(QUERIES) + 1)])
def test_a_query_of_the_readme_gives_rows_to_the_reader(reader: Engine, query: str) -> None:
    with reader.connect() as connection:
        rows = connection.execute(text(query.replace("100005", "500005"))).all()
    assert rows


def test_the_api_functions_answer_and_an_unknown_id_gives_no_rows(reader: Engine) -> None:
    with reader.connect() as connection:
        ids = connection.scalars(text("SELECT * FROM reporting.new_customer_index()")).all()
        assert sorted(ids) == list(range(500_001, 500_301))
        customer = connection.execute(text("SELECT * FROM reporting.new_customer(500005)")).mappings().one()
        score = connection.scalar(text("SELECT score FROM reporting.customer WHERE customer_id = 500005"))
        assert (customer["customer_id"], customer["score"]) == (500_005, score)
        shap = connection.execute(text("SELECT * FROM reporting.shap_values(500005)")).all()
        assert len(shap) == 128
        for function in ("new_customer", "shap_values"):
            assert connection.execute(text(f"SELECT * FROM reporting.{function}(1)")).all() == []


def test_every_command_is_in_the_readme() -> None:
    commands = typer.main.get_command(app).commands
    assert [name for name in commands if f"`creditlens {name}" not in README] == []


def test_every_setting_is_in_the_readme() -> None:
    assert [name for name in Settings.model_fields if f"CREDITLENS_{name.upper()}" not in README] == []


def test_every_view_is_in_the_readme(reader: Engine) -> None:
    with reader.connect() as connection:
        views = connection.scalars(
            text("SELECT table_name FROM information_schema.views WHERE table_schema = 'reporting'")
        ).all()
    assert [view for view in views if f"`{view}`" not in README] == []


def test_every_file_that_the_readme_names_is_there() -> None:
    named = set(re.findall(r"\b((?:flows|db|scoring|migrations|tests)/[\w/]+\.py)\b", README))
    assert [name for name in named if not (PROJECT / name).exists()] == []


def test_the_front_door_is_short() -> None:
    assert len(FILES[0].read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PROJECT)))
def test_every_link_and_picture_of_a_readme_leads_somewhere(file: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8"))
    for place, _, heading in (link.partition("#") for link in links if not link.startswith("http")):
        target = file.parent / place if place else file
        assert target.exists(), place
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
