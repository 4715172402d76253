"""What all commands share: exit codes, one answer for people or programs, errors as one sentence."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel

from db.errors import DRIVER_ERRORS, BusyError, DatabaseError, RefusedError
from flows import signals
from flows.cli.answers import Failure
from flows.files import applications
from flows.services import processes
from flows.settings import SettingsError
from scoring.errors import ScoringError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, for programs.")]


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    SUCCESS = 0
    FAILED = 1
    REFUSED = 2
    BUSY = 3


def say(json_output: bool, kind: type[BaseModel], answer: Mapping[str, Any] | list[Any], text: str) -> None:
    """Print the answer for a program, or the text for a person, on standard output.

    Parameters
    ----------
    kind: what programs were promised; an answer of other keys is an error of ours.
    """
    typer.echo(as_json(kind.model_validate(answer)) if json_output else text)


def as_json(answer: BaseModel) -> str:
    """The answer as programs read it; a key that was not given is left out."""
    return json.dumps(answer.model_dump(exclude_unset=True))


@contextmanager
def answering(json_output: bool) -> Iterator[None]:
    """Turn errors that are meant into one sentence on standard error and an exit code."""
    try:
        with signals.raised():
            yield
    except BusyError as error:
        fail(json_output, "busy", error, Exit.BUSY)
    except (ScoringError, applications.SourceError, SettingsError, RefusedError) as error:
        fail(json_output, "refused", error, Exit.REFUSED)
    except (DatabaseError, processes.ServiceError) as error:
        fail(json_output, "failed", error, Exit.FAILED)
    except OSError as error:
        fail(json_output, "failed", RuntimeError(of_system(error)), Exit.FAILED)
    except DRIVER_ERRORS as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        fail(json_output, "failed", RuntimeError(f"{type(error).__name__}: {reason}"), Exit.FAILED)
    except KeyboardInterrupt as error:
        fail(
            json_output, "failed", RuntimeError(str(error) or "Interrupted; run it again at any time."), Exit.FAILED
        )


def of_system(error: OSError) -> str:
    """What the operating system refused, as a sentence that names the file."""
    if error.strerror is None:
        return f"{type(error).__name__}: {error}".strip().splitlines()[0]
    place = f" {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"The disk is full; make room and run it again. Could not write{place or ' a file'}."
    return f"{error.strerror}:{place or ' ' + type(error).__name__}."


def fail(json_output: bool, outcome: Literal["failed", "refused", "busy"], error: Exception, code: Exit) -> None:
    """Say why, and end with the exit code."""
    if json_output:
        typer.echo(as_json(Failure(outcome=outcome, message=str(error))))
    typer.echo(f"creditlens: {error}", err=True)
    raise typer.Exit(code)
