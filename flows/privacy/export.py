"""A person's copy of everything that is held: as JSON, and as a page to read in each language."""

from __future__ import annotations

import csv
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from db import schema
from db.people import rows as people_rows
from flows.files.spreadsheets import plain
from flows.installation import atomic
from flows.privacy.record import customer_hash
from flows.privacy.stores.base import NotTold, Store
from flows.privacy.stores.registry import every_store
from flows.services import database
from flows.settings import Settings

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")


def export(
    settings: Settings, customer_id: int, folder: Path, *, by: str, languages: Sequence[Language]
) -> dict[str, Any]:
    """Write everything held about one person as JSON and as a page per language; recorded.

    Returns the files and how much of what there is, as other programs rely on it; no files for an unknown id.
    """
    with database.database(settings) as engine:
        schema.require_current(engine)
        hashed = customer_hash(settings, customer_id)
        request_id = people_rows.record(engine, kind="export", customer_hash=hashed, by=by)
        held, not_told = _from_every(every_store(settings, engine), customer_id)
        counts = {
            "applications": len({row["run_id"] for row in held["applications"]}),
            "scores": len(held["scores"]),
            "contributions": len(held["contributions"]),
            "rejected": len(held["rejected"]),
            "former": len({row["model_id"] for row in held["former"]}),
            "assignments": len(held["assignments"]),
            "looks": len(held["looks"]),
        }
        files: list[Path] = []
        if any(counts.values()):
            folder.mkdir(parents=True, exist_ok=True)
            made = datetime.now(UTC)
            document = {
                "customer_id": customer_id,
                "created_at": made.isoformat(timespec="seconds"),
                **held,
                "looks_not_told": not_told,
            }
            stem = folder / f"customer-{customer_id}"
            files.append(_private(stem.with_suffix(".json"), json.dumps(document, default=str, indent=1)))
            for language in languages:
                page = render(customer_id, made, held, language, not_told)
                files.append(_private(folder / f"{stem.name}.{language}.html", page))
        people_rows.complete(engine, request_id)
    outcome = "exported" if files else "nothing"
    return {"outcome": outcome, "files": [str(file) for file in files], **counts, "looks_not_told": not_told}


def _from_every(
    stores: Sequence[Store], customer_id: int
) -> tuple[dict[str, list[dict[str, Any]]], NotTold | None]:
    """What every store tells the person that it holds; and why who looked is not known, if it is not."""
    told = [store.export(customer_id) for store in stores]
    subjects = {subject: rows for one in told for subject, rows in one.subjects.items()}
    return subjects, next((one.not_told for one in told if one.not_told is not None), None)


def _private(path: Path, content: str) -> Path:
    atomic.write(path, content, mode=0o600)
    return path


@cache
def texts() -> Mapping[str, Mapping[Language, str]]:
    """The page's words by key and language."""
    content = (Path(__file__).parent / "texts" / "export.csv").read_text(encoding="utf-8")
    return {row["key"]: {"en": row["en"], "fr": row["fr"]} for row in csv.DictReader(content.splitlines())}


def render(
    customer_id: int,
    made: datetime,
    held: Mapping[str, Sequence[Mapping[str, Any]]],
    language: Language,
    not_told: NotTold | None = None,
) -> str:
    """Everything held about one person as one page that needs nothing else."""
    say = {key: words[language] for key, words in texts().items()}
    body: list[str] = [
        f"<h1>{say['title'].format(customer_id=customer_id)}</h1>",
        f"<p>{say['made'].format(when=_when(made))}</p><p>{say['intro']}</p>",
        f"<h2>{say['scores']}</h2><p>{say['scores_intro']}</p>",
        _table(
            [
                say[key]
                for key in ("date", "run", "score", "probability", "band", "decision", "percentile", "model")
            ],
            [
                (
                    row["as_of"],
                    row["run_id"],
                    row["score"],
                    _percent(row["default_probability"], language),
                    row[f"band_{language}"],
                    row[f"decision_{language}"],
                    _number(row["percentile"], 1, language),
                    row["model_id"],
                )
                for row in held["scores"]
            ],
            say["none"],
        ),
    ]
    for run_id, rows in _by(held["contributions"], "run_id"):
        body.append(f"<h2>{say['why'].format(run=run_id, date=rows[0]['as_of'])}</h2><p>{say['why_intro']}</p>")
        columns = [say[key] for key in ("rank", "feature", "value", "points", "contribution", "meaning")]
        body.append(
            _table(
                columns,
                [
                    (
                        row["rank"],
                        row[f"label_{language}"],
                        row[f"value_{language}"],
                        _number(row["score_points"], 2, language, sign=True),
                        _number(row["contribution"], 4, language, sign=True),
                        row[f"description_{language}"],
                    )
                    for row in rows
                ],
            )
        )
    for run_id, rows in _by(held["applications"], "run_id"):
        first = rows[0]
        title = say["application"].format(run=run_id, date=first["as_of"], file=html.escape(first["source_name"]))
        body.append(f"<h2>{title}</h2>{_facts(rows, say, language)}")
    for model_id, rows in _by(held["former"], "model_id"):
        first = rows[0]
        outcome = say["defaulted" if first["target"] else "repaid"]
        body.append(f"<h2>{say['former'].format(model=model_id)}</h2>")
        body.append(
            f"<p>{say['former_intro'].format(outcome=outcome, score=first['score'])}"
            f" {_percent(first['default_probability'], language)}.</p>{_facts(rows, say, language)}"
        )
    body.append(f"<h2>{say['rejected']}</h2><p>{say['rejected_intro']}</p>")
    body.append(
        _table(
            [say[key] for key in ("date", "run", "file", "row", "column", "rule", "value")],
            [
                tuple(
                    row[key]
                    for key in ("as_of", "run_id", "source_name", "row_number", "column_name", "rule", "value")
                )
                for row in held["rejected"]
            ],
            say["none"],
        )
    )
    body.append(f"<h2>{say['assignments']}</h2><p>{say['assignments_intro']}</p>")
    body.append(
        _table(
            [say[key] for key in ("assigned_at", "advisor", "assigned_as", "by")],
            [
                (
                    _when(row["assigned_at"]),
                    row["username"],
                    say["one_by_one"]
                    if row["region_rating"] is None
                    else say["by_region"].format(rating=row["region_rating"]),
                    row["assigned_by"],
                )
                for row in held.get("assignments", ())
            ],
            say["none"],
        )
    )
    body.append(f"<h2>{say['looks']}</h2><p>{say['looks_intro']}</p>")
    body.append(
        _table(
            [say[key] for key in ("date", "user", "kind", "dashboard", "chart", "dataset", "cached")],
            [
                (
                    _when(row["looked_at"]),
                    row["username"],
                    say[f"look_{row['kind']}"],
                    *(row[column] for column in ("dashboard", "chart", "dataset")),
                    say["yes"] if row["cached"] else say["no"],
                )
                for row in held.get("looks", ())
            ],
            say[not_told or "none"],
        )
    )
    body.append(f"<h2>{say['requests']}</h2>")
    body.append(
        _table(
            [say[key] for key in ("date", "request", "by")],
            [
                (_when(row["requested_at"]), say[row["kind"]], row["requested_by"])
                for row in held.get("requests", ())
            ],
            say["none"],
        )
    )
    body.append(f"<h2>{say['rest']}</h2><p>{say['rest_intro']}</p>")
    title = say["title"].format(customer_id=customer_id)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"{''.join(body)}</body></html>\n"
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #bbb}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #e3e3e3}"
    "@media print{body{margin:0}h2{break-after:avoid}tr{break-inside:avoid}}"
)


def _facts(rows: Sequence[Mapping[str, Any]], say: Mapping[str, str], language: Language) -> str:
    columns = [say[key] for key in ("feature", "value", "column", "as_written", "meaning")]
    return _table(
        columns,
        [
            (
                row[f"label_{language}"],
                row[f"value_{language}"],
                row["column_name"],
                row["value"],
                row[f"description_{language}"],
            )
            for row in rows
        ],
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], none: str = "") -> str:
    if not rows:
        return f"<p>{none}</p>"
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = (
        "<tr>" + "".join(f"<td>{'' if cell is None else _cell(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(text: str) -> str:
    # Pages are copied into spreadsheets; the JSON file has every text as it was written.
    return html.escape(plain(text))


def _by(rows: Sequence[Mapping[str, Any]], key: str) -> Iterator[tuple[Any, list[Mapping[str, Any]]]]:
    for value, group in groupby(rows, key=lambda row: row[key]):
        yield value, list(group)


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _number(value: float, decimals: int, language: Language, *, sign: bool = False) -> str:
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text.replace(".", ",") if language == "fr" else text


def _percent(share: float, language: Language) -> str:
    return f"{_number(100 * share, 2, language)} %"
