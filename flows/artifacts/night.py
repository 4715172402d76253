"""The page and the table of checks that a night leaves in Prefect, whatever became of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import Engine

from db.runs.ledger import Check
from db.runs.overview import Overview, overview
from flows.alerts.last_night import outcome_of
from flows.artifacts.server import of_this_run
from flows.artifacts.words import Language, number, plain, table, words
from flows.installation import identity
from flows.services import superset
from flows.settings import Settings

log = logging.getLogger("creditlens")
LINKS = ("portfolio", "worklist", "customer")

Outcome = Literal["published", "history", "unchanged", "refused", "failed"]


class ShownNight:
    """What is known of a night when it ends.

    Attributes
    ----------
    run_id: the run that it opened, or, unchanged, the one that it found.
    unchanged: whether there was nothing new to publish.
    is_current: whether readers see the run that it published.
    """

    def __init__(self) -> None:
        self.run_id: int | None = None
        self.unchanged = False
        self.is_current = True
        self._seen: Overview | None = None

    @contextmanager
    def read_from(self, engine: Engine) -> Iterator[None]:
        """Look at the run in the ledger when the block ends, however it ends."""
        try:
            yield
        finally:
            if self.run_id is not None:
                try:
                    self._seen = overview(engine, self.run_id)
                except Exception as error:
                    # The database may be what failed.
                    log.warning("What the night's page tells could not be read (%s).", type(error).__name__)

    def leave(self, settings: Settings, error: BaseException | None) -> None:
        """Put page and checks into Prefect, if there is a flow run and its server answers."""
        server = of_this_run(error)
        if server is None:
            return
        language, name = settings.superset_locale, identity.of(settings.state).name
        say = words(language)
        outcome, why = self._outcome(error)
        text = page(self._seen, outcome, why, language, links=superset.address(settings))
        server.create("markdown", f"night-{name}", text, say["night_about"])
        if self._seen and self._seen.checks:
            rows = check_rows(self._seen.checks, language)
            server.create("table", f"night-checks-{name}", rows, say["checks_about"])

    def _outcome(self, error: BaseException | None) -> tuple[Outcome, str | None]:
        published = self._seen is not None and self._seen.run.status == "published"
        if self.unchanged:
            return "unchanged", None
        if error is None or published:
            # What fails after the publication takes nothing back.
            return "published" if self.is_current else "history", None if error is None else outcome_of(error)[1]
        outcome, why = outcome_of(error)
        return "refused" if outcome == "refused" else "failed", why


def page(
    seen: Overview | None, outcome: Outcome, why: str | None, language: Language, *, links: str | None = None
) -> str:
    """The night as Markdown.

    Parameters
    ----------
    seen: its run, None for a night that came to none.
    why: what is told of an outcome that is not good.
    links: the address of the dashboards, None where it is not known.
    """
    say = words(language)
    title = say["night"].format(date=seen.run.as_of.isoformat()) if seen else say["night_without_run"]
    parts = [f"# {title}", f"**{say['outcome']}**: {say[outcome]}."]
    if why:
        parts.append(f"**{say['why']}**: {plain(why)}")
    if seen is not None:
        parts += _of_run(seen, language)
    if links:
        addresses = [f"- [{say[f'link_{one}']}]({links}/superset/dashboard/{one}-{language}/)" for one in LINKS]
        parts.append("\n".join([f"## {say['dashboards']}", "", *addresses]))
    return "\n\n".join(parts) + "\n"


def _of_run(seen: Overview, language: Language) -> list[str]:
    say, run = words(language), seen.run
    failed = [check for check in seen.checks if not check.passed]
    facts = [
        ("run", str(run.run_id)),
        ("date", run.as_of.isoformat()),
        ("file", plain(run.source_name)),
        ("model", str(run.model_id)),
        ("policy", str(run.policy_id)),
        ("customers", number(run.customers, language=language)),
        ("rejected", number(run.rejected, language=language)),
        ("unknown", number(run.unknown_categories, language=language)),
        ("seconds", number(run.seconds if run.published_at else None, 1, language=language)),
        ("mean_score", number(seen.mean_score, 1, language=language)),
        ("approval_rate", _percent(seen.approval_rate, language)),
        ("checks", say["checks_of"].format(passed=len(seen.checks) - len(failed), failed=len(failed))),
    ]
    (first, *others) = [(say[key], value) for key, value in facts]
    parts = [table(first, others)]
    if failed:
        parts += [f"## {say['not_passed']}", _checks(failed, language)]
    if seen.refused:
        rows = [(plain(one.column), plain(one.rule), number(one.rows, language=language)) for one in seen.refused]
        parts += [f"## {say['rejected_why']}", table((say["column"], say["rule"], say["rows"]), rows)]
    if seen.drifting or seen.score_psi is not None:
        drift = [(say["score_psi"], number(seen.score_psi, 4, language=language))]
        drift += [
            (plain(one.label_fr if language == "fr" else one.label_en), number(one.psi, 4, language=language))
            for one in seen.drifting
        ]
        parts += [f"## {say['drift']}", table((say["feature"], say["psi"]), drift)]
    if run.stage_seconds:
        stages = [(plain(stage), number(took, 3, language=language)) for stage, took in run.stage_seconds.items()]
        parts += [f"## {say['stages']}", table((say["stage"], say["seconds"]), stages)]
    return parts


def _percent(share: float | None, language: Language) -> str:
    return number(share) if share is None else f"{number(100 * share, 1, language=language)} %"


def _checks(checks: list[Check], language: Language) -> str:
    say = words(language)
    header = [say[key] for key in ("check", "severity", "observed", "expected")]
    rows = [
        (plain(one.name), say[f"severity_{one.severity}"], plain(one.observed), plain(one.expected))
        for one in checks
    ]
    return table(header, rows)


def check_rows(checks: tuple[Check, ...], language: Language) -> list[dict[str, str]]:
    """The checks as Prefect shows a table; those that did not pass first."""
    say = words(language)
    return [
        {
            say["check"]: check.name,
            say["passed"]: say["yes" if check.passed else "no"],
            say["severity"]: say[f"severity_{check.severity}"],
            say["observed"]: check.observed,
            say["expected"]: check.expected,
        }
        for check in checks
    ]
