"""What all answers have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

# A date or a time, as text.
Moment = Annotated[str, BeforeValidator(str)]
OnOff = Literal["on", "off"]


class Answer(BaseModel):
    """An object without any key that is not named here."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Failure(Answer):
    """What a command prints instead of its answer when it could not do what it was asked for."""

    outcome: Literal["failed", "refused", "busy"]
    message: str
