"""What the database layer raises on purpose; the driver's own errors pass through otherwise."""

import psycopg
from sqlalchemy.exc import OperationalError, SQLAlchemyError

# What the driver and SQLAlchemy raise when Postgres refuses, fails or goes away in the middle.
DRIVER_ERRORS = (psycopg.Error, SQLAlchemyError)


class DatabaseError(Exception):
    """Base of the errors below; the message is one sentence for a person."""


class DatabaseUnavailableError(DatabaseError):
    """Postgres did not answer, or refused the credentials."""


class RefusedError(DatabaseError):
    """What was asked for makes no sense or must not be done; nothing was changed."""


class AddressError(RefusedError, DatabaseUnavailableError):
    """The address of a database is none; the message does not repeat it, because it may hold a password."""


class PoolerError(RefusedError, DatabaseUnavailableError):
    """Between us and Postgres is a pooler that keeps no session for us."""


class BusyError(DatabaseError):
    """Another run holds the lock."""


class NotMigratedError(DatabaseError):
    """The schema is missing or older than this program."""


class AuditFailedError(DatabaseError):
    """A check of the written run failed; nothing was published."""


class EmbeddedPostgresError(DatabaseError):
    """The embedded server could not be set up, started or stopped."""


# A connection that was lost or refused, by the driver itself, through SQLAlchemy, or as a person is told.
LOST_CONNECTION = (DatabaseUnavailableError, psycopg.OperationalError, OperationalError)
