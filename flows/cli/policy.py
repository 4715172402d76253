"""Commands about the lender's policy: read it, try another, put it in force."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from db import registry, schema
from db.decisions import policies
from db.decisions.policies import PolicyRecord
from db.errors import RefusedError
from flows.cli import answers
from flows.cli.console import Json, answering, say
from flows.cli.operations import By, somebody
from flows.cli.wording import line_text, simulation_text
from flows.services import database
from flows.settings import load_settings
from flows.steps.rows import policy_rows
from flows.steps.run_policy import policy_of
from scoring.errors import PolicyError
from scoring.policy import LARGEST_TEXT, Line, Policy, default_policy, parse_policy

app = typer.Typer(
    help="Read the lender's policy, try another, and put it in force: what may score, what may be told, where the"
    " line is.",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(help="A policy as a YAML file; `creditlens policy show` prints one.")]


@app.command()
def show(
    policy_id: Annotated[
        int | None, typer.Argument(help="Number of a version (default: the one in force).", show_default=False)
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="The one that comes with creditlens.")] = False,
    json_output: Json = False,
) -> None:
    """Print a policy, as a file that can be changed and put in force."""
    if default:
        policy = default_policy()
        answer = {"policy_id": None, "sha256": policy.sha256, "text": policy.text}
        say(json_output, answers.PolicyShown, answer, policy.text.rstrip("\n"))
        return
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        record = policies.current(engine) if policy_id is None else policies.get(engine, policy_id)
        answer = version_json(record, policies.current(engine)) | {"text": record.text}
        say(json_output, answers.PolicyShown, answer, record.text.rstrip("\n"))


@app.command()
def check(file: File, json_output: Json = False) -> None:
    """Read a policy without using it; say what is wrong with it, by line, or what it would do."""
    with answering(json_output):
        policy = read(file)
        answer = {
            "sha256": policy.sha256,
            "barred": list(policy.barred),
            "directions": dict(policy.directions),
            **_limits(policy),
        }
        say(
            json_output, answers.PolicyChecked, answer, f"{file} is a policy that can be used.\n{line_text(policy)}"
        )


@app.command(name="set")
def put_in_force(
    file: File,
    reason: Annotated[str, typer.Option("--reason", help="Why; the record keeps it.")],
    by: By = None,
    json_output: Json = False,
) -> None:
    """Put a policy in force: the next night decides by it, without a new training.

    What may score and the directions hold for a model from its training on. If the current model may use what the
    policy bars, the next night is refused until `creditlens train` has made another.
    """
    settings = load_settings()
    with answering(json_output):
        policy = read(file)
        if not reason.strip():
            raise RefusedError("Say why with --reason: the record keeps it.")
        with database.database(settings) as engine:
            schema.require_current(engine)
            record, new = policies.put_in_force(engine, policy_rows(policy), by=somebody(by), reason=reason.strip())
            needs_training, other_directions = _trained_otherwise(engine, policy)
        answer = {
            "outcome": "set" if new else "unchanged",
            **version_json(record, record),
            "needs_training": needs_training,
        }
        said = "is in force: the next night decides by it" if new else "is in force already; nothing was changed"
        text = f"Policy {record.policy_id} {said}.\n{line_text(policy)}"
        if needs_training:
            text += "\nThe current model may use what it bars: run `creditlens train` before the next night."
        elif other_directions:
            text += "\nIts directions hold from the next `creditlens train` on."
        say(json_output, answers.PolicySet, answer, text)


@app.command()
def history(json_output: Json = False) -> None:
    """List every version that was ever in force, the newest first."""
    settings = load_settings()
    with answering(json_output), database.database(settings) as engine:
        schema.require_current(engine)
        found = policies.history(engine)
        current = policies.current(engine)
        lines = [
            f"{'->' if record.policy_id == current.policy_id else '  '} {record.policy_id:>4}"
            f"  {record.set_at:%Y-%m-%d %H:%M}  {record.sha256[:12]}  {record.set_by}: {record.reason}"
            for record in found
        ]
        answer = {"policies": [version_json(record, current) for record in found]}
        say(json_output, answers.PolicyHistory, answer, "\n".join(lines))


@app.command()
def simulate(
    file: Annotated[
        Path | None, typer.Argument(help="A policy to try (default: the one in force).", show_default=False)
    ] = None,
    gain: Annotated[
        float | None, typer.Option(help="What a credit that is repaid brings; with --loss.", show_default=False)
    ] = None,
    loss: Annotated[
        float | None,
        typer.Option(help="What a credit that is not repaid costs, in the same unit.", show_default=False),
    ] = None,
    json_output: Json = False,
) -> None:
    """Show what each line would do: who would be accepted, who of them would default, and what it would bring.

    Counted on the former customers, each scored by a model that had not seen them. Nothing is changed.
    """
    from flows.operations import simulation

    settings = load_settings()
    with answering(json_output):
        figures = _figures(gain, loss)
        policy = read(file) if file else None
        with database.database(settings) as engine:
            schema.require_current(engine)
            policy = policy or policy_of(policies.current(engine))
            options = simulation.simulate_line(engine, policy, figures)
        text = simulation_text(options, policy, figures)
        say(json_output, answers.PolicySimulated, [asdict(option) for option in options], text)


def read(file: Path) -> Policy:
    """The policy in a file. Raises PolicyError, in a sentence that names file and line."""
    with file.open("rb") as stream:
        content = stream.read(LARGEST_TEXT + 1)
    try:
        return parse_policy(content.decode("utf-8-sig"), str(file))
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file} is no text in UTF-8 (byte {error.start + 1:,}).") from None


def version_json(record: PolicyRecord, current: PolicyRecord) -> dict[str, Any]:
    """A version of the policy, as other programs rely on it."""
    found = asdict(record)
    for name in ("text", "by_program"):
        del found[name]
    return {**found, "set_at": record.set_at.isoformat(), "is_current": record.policy_id == current.policy_id}


def _limits(policy: Policy) -> dict[str, Any]:
    if policy.line is None:
        return {"decides_by": "scores", "accept_below": None, "decline_from": None}
    accept_below, decline_from = policy.line.limits()
    return {"decides_by": "figures", "accept_below": accept_below, "decline_from": decline_from}


def _figures(gain: float | None, loss: float | None) -> Line | None:
    from scoring.simulation import uniform

    if gain is None and loss is None:
        return None
    if gain is None or loss is None or not (0 < gain < float("inf") and 0 < loss < float("inf")):
        raise RefusedError("Give both --gain and --loss, each more than 0 and in the same unit.")
    return uniform(gain, loss)


def _trained_otherwise(engine: Engine, policy: Policy) -> tuple[bool, bool]:
    """Whether the current model may use what the policy bars, and whether it knows other directions."""
    record = registry.current_model(engine)
    if record is None:
        return False, False
    trained = policy_of(policies.get(engine, record.policy_id))
    return not set(policy.barred) <= set(trained.barred), dict(policy.directions) != dict(trained.directions)
