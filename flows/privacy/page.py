"""The page that shows a person everything that is held: a template, its words, and how values are written."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flows.files.spreadsheets import plain
from flows.privacy.stores.base import NotTold

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
_SUBJECTS = (
    "applications", "scores", "reasons", "offers", "similar", "contributions", "rejected", "former", "codes",
    "assignments", "requests", "looks", "decisions", "reviews",
    "archived",
)  # fmt: skip
# What the summary names: the strongest few, none that rounds to nothing.
_TOLD_REASONS = 4
_TOLD_POINTS = 0.05


def render(
    customer_id: int,
    made: datetime,
    held: Mapping[str, Sequence[Mapping[str, Any]]],
    language: Language,
    not_told: NotTold | None = None,
    *,
    retained_runs: int,
) -> str:
    """Everything held about one person as one page that needs nothing else; a subject that is left out is empty.

    It begins with the newest score in plain words. Earlier nights are folded; looks are counted by day and person.
    `retained_runs` is of how many nights the details are kept.
    """
    page = _environment().get_template("export.html.jinja")
    subjects = {subject: held.get(subject, ()) for subject in _SUBJECTS}
    say = {key: words[language] for key, words in texts().items()}
    last = subjects["scores"][-1] if subjects["scores"] else None
    return page.render(
        customer_id=customer_id,
        made=made,
        held=subjects,
        language=language,
        not_told=not_told,
        say=say,
        last=last,
        last_reasons=_of(subjects["reasons"], last),
        last_movers=_movers(subjects["contributions"], last),
        outcomes=[rows[0] for _, rows in by(subjects["former"], "model_id")][-1:],
        counts={
            "applications": len({row["run_id"] for row in subjects["applications"]}),
            "scores": len(subjects["scores"]),
            "reasons": len(subjects["reasons"]),
            "offers": len(subjects["offers"]),
            "similar": len(subjects["similar"]),
            "contributions": len(subjects["contributions"]),
            "former_rows": len(subjects["former"]),
            "codes": len(subjects["codes"]),
            "rejected": len(subjects["rejected"]),
            "assignments": len(subjects["assignments"]),
            "decisions": len(subjects["decisions"]),
            "reviews": len(subjects["reviews"]),
            "looks": len(subjects["looks"]),
            "archived": len(_archived(subjects["archived"])),
            "requests": len(subjects["requests"]),
        },
        archived=_archived(subjects["archived"]),
        looks=_looks(subjects["looks"], say),
        retained_runs=retained_runs,
        by=by,
        day=partial(_day, language=language),
        when=partial(_when, language=language),
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


def _of(rows: Sequence[Mapping[str, Any]], last: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Those of the run of the newest score."""
    return [row for row in rows if last is not None and row["run_id"] == last["run_id"]]


def _movers(
    contributions: Sequence[Mapping[str, Any]], last: Mapping[str, Any] | None
) -> dict[str, list[Mapping[str, Any]]]:
    """What lowered and what raised the newest score most and may be told as a reason, each strongest first."""
    told = [row for row in _of(contributions, last) if row["may_be_told"]]
    ordered = sorted(told, key=lambda row: float(row["score_points"]))
    return {
        "lowers": [row for row in ordered if row["score_points"] < -_TOLD_POINTS][:_TOLD_REASONS],
        "raises": [row for row in reversed(ordered) if row["score_points"] > _TOLD_POINTS][:_TOLD_REASONS],
    }


def _archived(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By archive and night: how many rows, and score and decision. One that could not be opened has no night."""

    def key(row: Mapping[str, Any]) -> tuple[str, str, int]:
        return row["archive"], str(row.get("as_of", "")), int(row.get("run_id", 0))

    return [
        {
            "archive": archive,
            "day": date.fromisoformat(day) if day else None,
            "run_id": run_id or None,
            "rows": len(group) if day else None,
            "score": next((row["score"] for row in group if row.get("table") == "score"), None),
        }
        for (archive, day, run_id), group in (
            (value, list(rows)) for value, rows in groupby(sorted(rows, key=key), key=key)
        )
    ]


def _looks(rows: Sequence[Mapping[str, Any]], say: Mapping[str, str]) -> list[dict[str, Any]]:
    """Looks by day and person, the newest day first: how many, of which kinds, in which dashboards."""

    def key(row: Mapping[str, Any]) -> tuple[date, str]:
        return row["looked_at"].astimezone(UTC).date(), row["username"] or ""

    return [
        {
            "day": day,
            "username": username,
            "count": len(group),
            "kinds": sorted({say[f"look_{row['kind']}"] for row in group}),
            "dashboards": sorted({row["dashboard"] for row in group if row["dashboard"]}),
        }
        for (day, username), group in (
            (value, list(rows)) for value, rows in groupby(sorted(rows, key=key, reverse=True), key=key)
        )
    ]


def _day(day: date, *, language: Language) -> str:
    return f"{day:%d/%m/%Y}" if language == "fr" else f"{day.day} {day:%B %Y}"


def _when(moment: datetime, *, language: Language) -> str:
    at = moment.astimezone(UTC)
    return f"{_day(at.date(), language=language)}{' à' if language == 'fr' else ','} {at:%H:%M} UTC"


def _number(value: float, decimals: int, *, language: Language, sign: bool = False) -> str:
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text.replace(".", ",") if language == "fr" else text


def _percent(share: float, *, language: Language) -> str:
    return f"{_number(100 * share, 2, language=language)} %"
