"""Requests of customers about their own data: a copy of everything, or its erasure with the proof."""

from __future__ import annotations

import csv
import gzip
import html
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from sqlalchemy import Connection

from db import privacy, runs, schema
from db.errors import DatabaseError
from flows import backups, dashboards, services
from flows.loading import cohort_rows, former_distributions
from flows.settings import Settings
from flows.spreadsheets import plain
from scoring.cohort import cohorts
from scoring.contract import Applications

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
ID = "SK_ID_CURR"


class NotErasedError(DatabaseError):
    """Traces of the person were found after the erasure."""


def customer_hash(settings: Settings, customer_id: int) -> str:
    """The person's name in the record of requests."""
    return privacy.keyed_hash(settings.secrets()["privacy"], customer_id)


# --- access ---------------------------------------------------------------------------------------------------


def export(
    settings: Settings, customer_id: int, folder: Path, *, by: str, languages: Sequence[Language]
) -> dict[str, Any]:
    """Write everything held about one person as JSON and as a page per language; recorded.

    Returns the files and how much of what there is, as other programs rely on it; no files for an unknown id.
    """
    with services.database(settings) as engine:
        schema.require_current(engine)
        hashed = customer_hash(settings, customer_id)
        request_id = privacy.record(engine, kind="export", customer_hash=hashed, by=by)
        held: dict[str, list[dict[str, Any]]] = privacy.everything(engine, customer_id)
        held["requests"] = privacy.requests(engine, hashed)
        counts = {
            "applications": len({row["run_id"] for row in held["applications"]}),
            "scores": len(held["scores"]),
            "contributions": len(held["contributions"]),
            "rejected": len(held["rejected"]),
            "former": len({row["model_id"] for row in held["former"]}),
        }
        files: list[Path] = []
        if any(counts.values()):
            folder.mkdir(parents=True, exist_ok=True)
            made = datetime.now(UTC)
            document = {"customer_id": customer_id, "created_at": made.isoformat(timespec="seconds"), **held}
            stem = folder / f"customer-{customer_id}"
            files.append(_private(stem.with_suffix(".json"), json.dumps(document, default=str, indent=1)))
            for language in languages:
                page = render(customer_id, made, held, language)
                files.append(_private(folder / f"{stem.name}.{language}.html", page))
        privacy.complete(engine, request_id)
    return {"outcome": "exported" if files else "nothing", "files": [str(file) for file in files], **counts}


def _private(path: Path, content: str) -> Path:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    path.chmod(0o600)
    return path


@cache
def texts() -> Mapping[str, Mapping[Language, str]]:
    """The page's words by key and language."""
    content = (Path(__file__).parent / "texts" / "export.csv").read_text(encoding="utf-8")
    return {row["key"]: {"en": row["en"], "fr": row["fr"]} for row in csv.DictReader(content.splitlines())}


_SCORE_COLUMNS = ("date", "run", "score", "probability", "band", "decision", "percentile", "model")
_REJECTED_COLUMNS = ("as_of", "run_id", "source_name", "row_number", "column_name", "rule", "value")


def render(
    customer_id: int, made: datetime, held: Mapping[str, Sequence[Mapping[str, Any]]], language: Language
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


# --- erasure --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a person was found: counts by place, and files that are not ours to change."""

    found: dict[str, int]
    foreign_files: list[str] = field(default_factory=list)


def search(settings: Settings, customer_id: int) -> Traces:
    """Look for the id in every store: both databases, the files of the state folder, the input files."""
    with services.database(settings) as engine:
        schema.require_current(engine)
        found = privacy.find(engine, customer_id)
        superset = backups.superset_url(settings, engine)
    if superset is not None:
        found |= privacy.find_in_superset(superset, customer_id)
    foreign = []
    for path in _state_files(settings):
        hits = _hits(path, customer_id)
        if hits and _ours(settings, path):
            found[str(path)] = hits
        elif hits:
            foreign.append(str(path))
    for path in _input_files(settings):
        if _hits(path, customer_id):
            foreign.append(str(path))
    return Traces(found, foreign)


def erase(settings: Settings, customer_id: int, *, by: str) -> dict[str, Any]:
    """Remove every trace of one person, search all stores for what is left, and record it by a keyed hash.

    Returns what was removed where, as other programs rely on it. Raises NotErasedError if anything is left,
    BusyError while a run is under way.
    """
    with services.database(settings) as engine, runs.exclusive(engine):
        schema.require_current(engine)
        request_id = privacy.record(engine, kind="erase", customer_hash=customer_hash(settings, customer_id), by=by)
        removed = privacy.erase(engine, customer_id, describe=describe_former)
        scrubbed = privacy.scrub(engine, sorted(removed))
        superset = backups.superset_url(settings, engine)
        if superset is not None:
            removed |= privacy.erase_in_superset(superset, customer_id)
        for path in _state_files(settings):
            hits = _hits(path, customer_id) if _ours(settings, path) else 0
            if hits:
                _clean(settings, path, customer_id)
                removed[str(path)] = hits
        cached = dashboards.drop_answers(settings)
        left = search(settings, customer_id)
        if left.found:
            places = "; ".join(f"{place} ({count})" for place, count in left.found.items())
            raise NotErasedError(f"Traces of customer {customer_id} are left: {places}.")
        privacy.complete(engine, request_id)
    return {
        "outcome": "erased",
        "request_id": request_id,
        "removed": removed,
        "vacuumed": scrubbed,
        "cached_results_dropped": cached,
        "files_not_ours": left.foreign_files,
    }


def describe_former(connection: Connection, model_id: int) -> None:
    """Say anew what is said of a model's former customers as a whole: quantiles, categories, bitmaps."""
    frame = pl.read_csv(privacy.former_rows(connection, model_id), infer_schema=False).cast(pl.Float64)
    former = Applications(
        frame["customer_id"].cast(pl.Int32).to_numpy(),
        frame.drop("customer_id", "target", "log_odds").to_numpy(order="fortran"),
        frame["target"].cast(pl.Int8).to_numpy(),
        np.arange(1, len(frame) + 1),
    )
    distributions, categories = former_distributions(former)
    privacy.replace_descriptions(
        connection,
        model_id,
        distributions=distributions,
        categories=categories,
        cohorts=cohort_rows(cohorts(former, frame["log_odds"].to_numpy())),
    )


def _state_files(settings: Settings) -> list[Path]:
    """Files of the state folder but the server's own, which SQL looks into, and programs that it copied."""
    home = settings.state / "postgres"
    apart = [home.resolve() / "data", *home.resolve().glob("server-*")]
    files = [path for path in settings.state.rglob("*") if path.is_file() and not path.is_symlink()]
    # The server's folder may be a link to elsewhere, which rglob does not follow.
    if home.is_symlink():
        files += [path for path in home.resolve().glob("*") if path.is_file()]
    return sorted(
        path
        for path in files
        if not any(path.resolve().is_relative_to(folder) for folder in apart)
        and not path.is_relative_to(dashboards.answers(settings))
    )


def _input_files(settings: Settings) -> list[Path]:
    if settings.data is None:
        return []
    return sorted(path for path in settings.data.glob("application_*") if path.is_file())


def _ours(settings: Settings, path: Path) -> bool:
    """Whether the program wrote the file: its synthetic data, unpacked copies, logs, Prefect's own database."""
    return (
        path.suffix in {".log"}
        or path.is_relative_to(settings.state / "scratch")
        or path.is_relative_to(settings.state / "prefect")
        or path.is_relative_to(settings.state / "superset")
        or path.name in {"night.json", "command.log"}
        or (path.parent == settings.state / "data" and path.name.startswith("application_"))
    )


def _hits(path: Path, customer_id: int) -> int:
    """How often the file speaks of the person: rows of a table of applications, mentions in any other file."""
    try:
        if path.name.endswith((".csv", ".csv.gz", ".parquet")):
            rows = _table_rows(path, customer_id)
            if rows is not None:
                return rows
        return _mentions(path, customer_id)
    except FileNotFoundError:
        return 0


def _table_rows(path: Path, customer_id: int) -> int | None:
    """Rows of this id in a table of applications; None if it is none that can be read as such."""
    try:
        scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
        ids = scan.select(pl.col(ID).cast(pl.String).str.strip_chars()).filter(
            pl.col(ID).str.contains(rf"^0*{customer_id}(\.0*)?$")
        )
        return int(ids.select(pl.len()).collect(engine="streaming").item())
    except (pl.exceptions.PolarsError, OSError):
        return None


def _mentions(path: Path, customer_id: int) -> int:
    pattern = re.compile(privacy.id_pattern(customer_id).encode())
    count, tail = 0, b""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            while block := file.read(1 << 22):
                # A number that a block's end cuts is counted with the next one.
                text = tail + block
                cut = max(text.rfind(b"\n") + 1, len(text) - 64)
                count += sum(match.end() <= cut for match in pattern.finditer(text))
                tail = text[cut:]
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return count
    return count + len(pattern.findall(tail))


def _clean(settings: Settings, path: Path, customer_id: int) -> None:
    if path.is_relative_to(settings.state / "scratch"):
        path.unlink(missing_ok=True)
    elif path.parent == settings.state / "data":
        _without_rows(path, customer_id)
    elif ".db" in path.name and path.is_relative_to(settings.state / "prefect"):
        _clean_sqlite(path.with_name(path.name.partition(".db")[0] + ".db"), customer_id)
    else:
        _blacken(path, customer_id)


def _without_rows(path: Path, customer_id: int) -> None:
    """Write the file anew without the person's rows; it is replaced when it is whole."""
    partial = path.with_suffix(".partial")
    with path.open(encoding="utf-8", newline="") as old, partial.open("w", encoding="utf-8", newline="") as new:
        header = old.readline()
        column = next(csv.reader([header])).index(ID)
        new.write(header)
        for line in old:
            if str(customer_id) in line and next(csv.reader([line]))[column].strip() == str(customer_id):
                continue
            new.write(line)
    partial.chmod(path.stat().st_mode & 0o777)
    partial.replace(path)


def _blacken(path: Path, customer_id: int) -> None:
    """Write x over the number where it stands: a log that is being written to may not change its length."""
    pattern = re.compile(privacy.id_pattern(customer_id).encode())
    with path.open("r+b") as file:
        content = file.read()
        for match in pattern.finditer(content):
            file.seek(match.start())
            file.write(b"x" * (match.end() - match.start()))


def _clean_sqlite(path: Path, customer_id: int) -> None:
    """Take the number out of every text of Prefect's database, and what it stood in off the disk."""
    pattern = re.compile(privacy.id_pattern(customer_id))
    with closing(sqlite3.connect(path, timeout=30)) as connection, _in_one_sentence(path):
        connection.execute("PRAGMA secure_delete = ON")
        connection.create_function("blackened", 1, lambda text: pattern.sub("0", text))
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = blackened("{column}")'
                    f' WHERE typeof("{column}") = \'text\' AND instr("{column}", ?) > 0',
                    [str(customer_id)],
                )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _in_one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise NotErasedError(f"{path} could not be cleaned ({error}); stop Prefect, then erase again.") from error
