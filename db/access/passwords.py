"""Passwords as the server keeps them: no statement, and so no log of one, has a password in clear."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql


def kept(connection: psycopg.Connection[Any], role: str, password: str) -> sql.Literal:
    """What a server keeps of a role's password (SCRAM-SHA-256, RFC 5803), for a statement that sets it."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return sql.Literal(verifier.decode())
