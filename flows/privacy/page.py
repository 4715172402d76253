"""The page that shows a person everything that is held: a template, its words, and how values are written."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flows.files.spreadsheets import plain
from flows.privacy.stores.base import NotTold

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
_SUBJECTS = ("applications", "scores", "contributions", "rejected", "former", "assignments", "requests", "looks")


def render(
    customer_id: int,
    made: datetime,
    held: Mapping[str, Sequence[Mapping[str, Any]]],
    language: Language,
    not_told: NotTold | None = None,
) -> str:
    """Everything held about one person as one page that needs nothing else; a subject that is left out is empty."""
    page = _environment().get_template("export.html.jinja")
    return page.render(
        customer_id=customer_id,
        made=made,
        held={subject: held.get(subject, ()) for subject in _SUBJECTS},
        language=language,
        not_told=not_told,
        say={key: words[language] for key, words in texts().items()},
        by=by,
        when=_when,
        number=partial(_number, language=language),
        percent=partial(_percent, language=language),
    ).lstrip()


@cache
def texts() -> Mapping[str, Mapping[Language, str]]:
    """The page's words by key and language."""
    content = (Path(__file__).parent / "texts" / "export.csv").read_text(encoding="utf-8")
    return {row["key"]: {"en": row["en"], "fr": row["fr"]} for row in csv.DictReader(content.splitlines())}


def by(rows: Sequence[Mapping[str, Any]], key: str) -> Iterator[tuple[Any, list[Mapping[str, Any]]]]:
    """Rows that follow each other with the same value of `key`, and that value."""
    for value, group in groupby(rows, key=lambda row: row[key]):
        yield value, list(group)


@cache
def _environment() -> Environment:
    """Escapes everything, and refuses a name that it was not given instead of leaving a gap."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["cell"] = _cell
    return made


def _cell(value: object) -> str:
    # Pages are copied into spreadsheets; the JSON file has every text as it was written.
    return "" if value is None else plain(str(value))


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _number(value: float, decimals: int, *, language: Language, sign: bool = False) -> str:
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text.replace(".", ",") if language == "fr" else text


def _percent(share: float, *, language: Language) -> str:
    return f"{_number(100 * share, 2, language=language)} %"
