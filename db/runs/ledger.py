"""The run ledger: lock, open, publish, refuse, fail, retire, and what a killed run leaves to put right."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import OperationalError

from db import cohort
from db.engine import connect, driver, transaction
from db.errors import BusyError, DatabaseUnavailableError
from db.models import (
    RUN_PARTITIONED,
    former_category,
    former_customer,
    former_distribution,
    former_risk,
    metadata,
    model_version,
    past_score,
    policy,
    published_run,
    rejected_application,
    run_check,
    score,
    scoring_run,
    unknown_category,
)
from db.runs.partitions import Staging, attach, detach_and_drop, partitions

# Any number will do, as long as every creditlens uses the same: the lock is per database.
RUN_LOCK = 0x43524544


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the ledger, as programs and people are told about it."""

    run_id: int
    as_of: date
    model_id: int
    source_name: str
    status: str
    customers: int | None
    rejected: int | None
    unknown_categories: int | None
    stage_seconds: Mapping[str, float]
    message: str | None
    started_at: datetime
    published_at: datetime | None
    policy_id: int

    @property
    def seconds(self) -> float:
        """Wall seconds from opening to publication; NaN if it was not published."""
        ended = self.published_at
        return float("nan") if ended is None else round((ended - self.started_at).total_seconds(), 3)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the audit looked at; a failed check of severity "fail" keeps the run from being published."""

    name: str
    severity: str
    observed: str
    expected: str
    passed: bool


_RUN_COLUMNS = [scoring_run.c[name] for name in Run.__dataclass_fields__]


class Lock:
    """The advisory lock that keeps runs apart, held by a session of its own.

    If this process is killed the server lets it go; if the server restarts, it is lost.
    """

    def __init__(self, connection: Connection, key: int) -> None:
        self._connection = connection
        self._key = key

    def require_held(self) -> None:
        """Raise DatabaseUnavailableError if the session that held the lock is gone."""
        try:
            self._connection.execute(select(1))
            self._connection.commit()
        except OperationalError as error:
            raise DatabaseUnavailableError(
                "Postgres ended the session that kept other runs out; nothing was published, run it again."
            ) from error

    def release(self) -> None:
        """Let it go; one that was lost is gone already."""
        with suppress(OperationalError):
            self._connection.scalar(select(func.pg_advisory_unlock(self._key)))
            self._connection.commit()


@contextmanager
def exclusive(engine: Engine, key: int = RUN_LOCK) -> Iterator[Lock]:
    """Hold the advisory lock for the block. Raises BusyError at once if somebody else has it."""
    with connect(engine) as connection:
        taken = connection.scalar(select(func.pg_try_advisory_lock(key)))
        connection.commit()
        if not taken:
            raise BusyError("Another run is under way; try again when it has finished (see `creditlens status`).")
        lock = Lock(connection, key)
        try:
            yield lock
        finally:
            lock.release()


def is_held(connection: Connection, key: int = RUN_LOCK) -> bool:
    """Whether anybody holds the advisory lock of this database, by a session or a transaction."""
    query = text(
        "SELECT 1 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
        " WHERE l.locktype = 'advisory' AND l.classid = 0 AND l.objid = :key AND l.objsubid = 1 AND l.granted"
        "   AND d.datname = current_database()"
    )
    return connection.scalar(query, {"key": key}) is not None


def recover(engine: Engine) -> list[int]:
    """Put right what killed runs left: close their ledger rows, drop their tables; the runs concerned.

    The caller holds the run lock, so a run that still says "running" belongs to nobody.
    """
    with transaction(engine) as connection:
        orphans = connection.scalars(
            update(scoring_run)
            .where(scoring_run.c.status == "running")
            .values(status="failed", message="The run was interrupted.", finished_at=func.clock_timestamp())
            .returning(scoring_run.c.run_id)
        ).all()
        retained = scoring_run.c.status == "published", scoring_run.c.retired_at.is_(None)
        published = set(connection.scalars(select(scoring_run.c.run_id).where(*retained)))
        models = set(connection.scalars(select(model_version.c.model_id)))
        found = partitions(driver(connection))
    for name, key, attached in found:
        table = metadata.tables[f"{metadata.schema}.{name}"]
        owner = published if table in RUN_PARTITIONED else models
        if not attached or key not in owner:
            detach_and_drop(engine, table, key)
    return list(orphans)


def find_unchanged(
    engine: Engine, *, source_sha256: str, model_id: int, as_of: date | None, policy_id: int | None = None
) -> Run | None:
    """The published run of the same input, model and policy that makes a new one needless, if there is one.

    With a date: any published run of that date; without: the run that readers see.
    """
    query = select(*_RUN_COLUMNS).where(
        scoring_run.c.status == "published",
        scoring_run.c.source_sha256 == source_sha256,
        scoring_run.c.model_id == model_id,
        # One that was put in force again is the same.
        scoring_run.c.policy_id.in_(
            select(policy.c.policy_id).where(
                policy.c.sha256.in_(select(policy.c.sha256).where(policy.c.policy_id == _policy(policy_id)))
            )
        ),
    )
    if as_of is None:
        query = query.where(scoring_run.c.run_id == select(published_run.c.run_id).scalar_subquery())
    else:
        query = query.where(scoring_run.c.as_of == as_of)
    with connect(engine) as connection:
        row = connection.execute(query.order_by(scoring_run.c.run_id.desc()).limit(1)).one_or_none()
    return Run(**row._mapping) if row else None


def open_run(
    engine: Engine,
    *,
    as_of: date,
    model_id: int,
    source_name: str,
    source_sha256: str,
    policy_id: int | None = None,
) -> int:
    """A new row in the ledger with status "running"; its run_id. Without `policy_id`, the one in force decides."""
    with transaction(engine) as connection:
        run_id: int = connection.execute(
            insert(scoring_run)
            .values(
                as_of=as_of,
                model_id=model_id,
                source_name=source_name,
                source_sha256=source_sha256,
                policy_id=_policy(policy_id),
                status="running",
            )
            .returning(scoring_run.c.run_id)
        ).scalar_one()
    return run_id


def _policy(policy_id: int | None) -> Any:
    return select(func.max(policy.c.policy_id)).scalar_subquery() if policy_id is None else policy_id


def running(engine: Engine) -> int | None:
    """The newest run that the ledger says is under way; it belongs to whoever holds the run lock, if anybody."""
    query = select(scoring_run.c.run_id).where(scoring_run.c.status == "running")
    with connect(engine) as connection:
        return connection.scalar(query.order_by(scoring_run.c.run_id.desc()).limit(1))


def record_input(
    engine: Engine,
    run_id: int,
    rejections: Sequence[Mapping[str, Any]],
    unknown: Mapping[tuple[str, str], int],
    *,
    accepted: int,
    rejected: int,
) -> None:
    """Write down what the contract made of the rows that were read; repeating it changes nothing.

    The counts are in the ledger from now on, whatever becomes of the run.

    Parameters
    ----------
    rejections: the rows that were rejected.
    unknown: how often each category occurs that the dictionary does not know.
    accepted, rejected: how many rows.
    """
    with transaction(engine) as connection:
        connection.execute(
            update(scoring_run)
            .where(scoring_run.c.run_id == run_id, scoring_run.c.status == "running")
            .values(customers=accepted, rejected=rejected, unknown_categories=sum(unknown.values()))
        )
        connection.execute(delete(rejected_application).where(rejected_application.c.run_id == run_id))
        connection.execute(delete(unknown_category).where(unknown_category.c.run_id == run_id))
        if rejections:
            connection.execute(insert(rejected_application), [{"run_id": run_id, **row} for row in rejections])
        if unknown:
            connection.execute(
                insert(unknown_category),
                [
                    {"run_id": run_id, "column_name": column, "value": value, "customers": count}
                    for (column, value), count in unknown.items()
                ],
            )


def claim_chunk(stage: Staging, run_id: int, first_row: int, rows: int) -> bool:
    """Whether this transaction may load the chunk; False if another one has done so.

    Waits for one that is about to: of two workers with the same chunk, one loads it.
    """
    claimed = stage.connection.execute(
        "INSERT INTO credit.run_chunk (run_id, first_row, rows) VALUES (%s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING run_id",
        [run_id, first_row, rows],
    ).fetchone()
    return claimed is not None


def record_checks(engine: Engine, run_id: int, checks: Sequence[Check]) -> None:
    """Write down what the audit saw; repeating it replaces it."""
    with transaction(engine) as connection:
        connection.execute(delete(run_check).where(run_check.c.run_id == run_id))
        if checks:
            rows = [
                {name: getattr(check, name) for name in Check.__dataclass_fields__} | {"run_id": run_id}
                for check in checks
            ]
            connection.execute(insert(run_check), rows)


def publish(
    engine: Engine,
    run_id: int,
    *,
    customers: int,
    rejected: int,
    unknown_categories: int,
    stage_seconds: Mapping[str, float],
) -> bool:
    """Attach the run's partitions, then move the readers' pointer in one short transaction.

    Returns whether readers now see this run: a late run for an older date is kept in history only. Asked again
    after an answer that was lost on its way, it changes nothing.

    A plan knows the partitions there were when it was made. So the partitions come in a transaction before the
    pointer's, and readers have one snapshot for a whole transaction (`db.access.roles`), taken before its first
    plan: whoever sees the pointer also sees where it points.
    """
    with transaction(engine) as connection:
        if _is_published(connection, run_id):
            return connection.scalar(select(published_run.c.run_id)) == run_id
        # Readers are never blocked by this; the limit is for another writer's forgotten lock.
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        attach(driver(connection), RUN_PARTITIONED, run_id)
    with transaction(engine) as connection:
        as_of = connection.execute(
            update(scoring_run)
            .where(scoring_run.c.run_id == run_id)
            .values(
                status="published",
                customers=customers,
                rejected=rejected,
                unknown_categories=unknown_categories,
                stage_seconds=dict(stage_seconds),
                published_at=func.clock_timestamp(),
                finished_at=func.clock_timestamp(),
            )
            .returning(scoring_run.c.as_of)
        ).scalar_one()
        newest = connection.scalar(
            select(scoring_run.c.as_of).join(published_run, published_run.c.run_id == scoring_run.c.run_id)
        )
        current = newest is None or as_of >= newest
        if current:
            pointer = upsert(published_run).values(run_id=run_id)
            connection.execute(pointer.on_conflict_do_update(index_elements=["singleton"], set_={"run_id": run_id}))
        return current


def _is_published(connection: Connection, run_id: int) -> bool:
    return connection.scalar(select(scoring_run.c.status).where(scoring_run.c.run_id == run_id)) == "published"


def close_unpublished(
    engine: Engine,
    run_id: int,
    *,
    status: str,
    message: str,
    stage_seconds: Mapping[str, float] | None = None,
) -> bool:
    """End a run that is not published, as "refused" (its input) or "failed" (anything else); whether it was so.

    A run that is published after all keeps its tables and its status. It may be asked again after it failed.
    """
    with transaction(engine) as connection:
        connection.execute(
            update(scoring_run)
            .where(scoring_run.c.run_id == run_id, scoring_run.c.status == "running")
            .values(
                status=status,
                message=message,
                stage_seconds=dict(stage_seconds or {}),
                finished_at=func.clock_timestamp(),
            )
        )
        published = _is_published(connection, run_id)
    if not published:
        drop_run_tables(engine, run_id)
    return not published


def drop_run_tables(engine: Engine, run_id: int) -> None:
    """Drop whatever tables the run has; those of a published run must not be given."""
    for table in RUN_PARTITIONED:
        detach_and_drop(engine, table, run_id)


def beyond_retention(engine: Engine, *, retained_runs: int) -> list[int]:
    """The published runs whose details `retire` would drop, the newest first; not those that were withdrawn."""
    with connect(engine) as connection:
        newest_first = connection.execute(
            select(scoring_run.c.run_id, scoring_run.c.as_of)
            .where(scoring_run.c.status == "published", scoring_run.c.retired_at.is_(None))
            .order_by(scoring_run.c.as_of.desc(), scoring_run.c.run_id.desc())
        ).all()
        current = connection.scalar(select(published_run.c.run_id))
    dates = dict(newest_first)
    before = next((run_id for run_id, as_of in dates.items() if current in dates and as_of < dates[current]), None)
    return [run_id for run_id in list(dates)[max(2, retained_runs) :] if run_id not in {current, before}]


def retire(engine: Engine, *, retained_runs: int, keep: Collection[int] = ()) -> list[int]:
    """Drop the details (not the scores) of all but the newest `retained_runs` published runs; their ids.

    Withdrawn runs have none left. The run that readers see, and the newest of the date before it, with which it is
    compared, are always kept. Former customers go with the last run that their model scored, unless it is the
    current one.

    Parameters
    ----------
    keep: runs whose details stay although they are beyond the retention.
    """
    with connect(engine) as connection:
        withdrawn = connection.scalars(
            select(scoring_run.c.run_id).where(
                scoring_run.c.status == "withdrawn", scoring_run.c.retired_at.is_(None)
            )
        ).all()
    beyond = [run_id for run_id in beyond_retention(engine, retained_runs=retained_runs) if run_id not in keep]
    retired = [*beyond, *withdrawn]
    for run_id in retired:
        with transaction(engine) as connection:
            columns = [column.name for column in past_score.columns]
            scores = select(*[score.c[name] for name in columns]).where(score.c.run_id == run_id)
            connection.execute(insert(past_score).from_select(columns, scores))
            connection.execute(
                update(scoring_run).where(scoring_run.c.run_id == run_id).values(retired_at=func.clock_timestamp())
            )
    _drop_retired(engine)
    _retire_models(engine)
    return retired


def _drop_retired(engine: Engine) -> None:
    """Drop the tables of retired runs that are still there: of one whose answer was lost when it was retired."""
    with transaction(engine) as connection:
        there = {key for name, key, _ in partitions(driver(connection)) if name != former_customer.name}
        query = select(scoring_run.c.run_id).where(
            scoring_run.c.retired_at.is_not(None), scoring_run.c.run_id.in_(there)
        )
        left = connection.scalars(query).all()
    for run_id in left:
        drop_run_tables(engine, run_id)


def _retire_models(engine: Engine) -> None:
    with transaction(engine) as connection:
        in_use = set(
            connection.scalars(select(scoring_run.c.model_id).where(scoring_run.c.retired_at.is_(None)))
        ) | set(connection.scalars(select(model_version.c.model_id).where(model_version.c.stage != "retired")))
        unused = [
            key
            for name, key, _ in partitions(driver(connection))
            if name == former_customer.name and key not in in_use
        ]
        for table in (former_distribution, former_category, former_risk):
            connection.execute(delete(table).where(table.c.model_id.in_(unused)))
        cohort.remove(connection, unused)
    for model_id in unused:
        detach_and_drop(engine, former_customer, model_id)


def failed_warnings(engine: Engine, run_id: int) -> list[Check]:
    """The run's checks that did not pass and did not stop its publication."""
    query = select(*[run_check.c[name] for name in Check.__dataclass_fields__]).where(
        run_check.c.run_id == run_id, run_check.c.severity == "warn", ~run_check.c.passed
    )
    with connect(engine) as connection:
        return [Check(**row._mapping) for row in connection.execute(query.order_by(run_check.c.name))]


def earlier_customers(engine: Engine, run_id: int, *, nights: int) -> list[int]:
    """Customers of the last published run of each of the newest dates, of runs before this one."""
    last_of_each_date = (
        select(func.max(scoring_run.c.run_id))
        .where(scoring_run.c.status == "published", scoring_run.c.run_id < run_id)
        .group_by(scoring_run.c.as_of)
        .order_by(scoring_run.c.as_of.desc())
        .limit(nights)
    )
    query = select(scoring_run.c.customers).where(scoring_run.c.run_id.in_(last_of_each_date))
    with connect(engine) as connection:
        return [count for count in connection.scalars(query) if count is not None]


def published(engine: Engine) -> Run | None:
    """The run that readers see, None before the first one."""
    query = select(*_RUN_COLUMNS).join(published_run, published_run.c.run_id == scoring_run.c.run_id)
    with connect(engine) as connection:
        row = connection.execute(query).one_or_none()
    return Run(**row._mapping) if row else None


def latest(engine: Engine) -> Run | None:
    """The run opened last, whatever became of it."""
    with connect(engine) as connection:
        row = connection.execute(select(*_RUN_COLUMNS).order_by(scoring_run.c.run_id.desc()).limit(1)).one_or_none()
    return Run(**row._mapping) if row else None


def latest_ended(engine: Engine) -> Run | None:
    """The run opened last of those that are not under way, whatever became of it."""
    query = select(*_RUN_COLUMNS).where(scoring_run.c.status != "running")
    with connect(engine) as connection:
        row = connection.execute(query.order_by(scoring_run.c.run_id.desc()).limit(1)).one_or_none()
    return Run(**row._mapping) if row else None


def last_published(engine: Engine) -> Run | None:
    """The run that was published last, whatever its date; None before the first."""
    query = select(*_RUN_COLUMNS).where(scoring_run.c.status == "published")
    with connect(engine) as connection:
        row = connection.execute(query.order_by(scoring_run.c.published_at.desc()).limit(1)).one_or_none()
    return Run(**row._mapping) if row else None


def is_under_way(engine: Engine) -> bool:
    """Whether anybody holds the run lock: a night, training, or whatever else keeps nights out."""
    with connect(engine) as connection:
        return is_held(connection)


def get(engine: Engine, run_id: int) -> Run:
    """One run of the ledger. Raises sqlalchemy.exc.NoResultFound for an unknown one."""
    with connect(engine) as connection:
        row = connection.execute(select(*_RUN_COLUMNS).where(scoring_run.c.run_id == run_id)).one()
    return Run(**row._mapping)
