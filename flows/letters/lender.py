"""What is the lender's own in a letter: name, address, signature and sentences of the law, from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from db.errors import RefusedError

EXAMPLE = Path(__file__).parent / "texts" / "lender.yaml"
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
# As long as still leaves a letter on one page.
Sentences = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TwoLines(_Strict):
    """A line in both languages."""

    en: Line
    fr: Line


class TwoTexts(_Strict):
    """A few sentences in both languages."""

    en: Sentences
    fr: Sentences


class Lender(_Strict):
    """Who writes, and what the law has him say."""

    name: Line
    address: Annotated[list[Line], Field(min_length=1, max_length=5)]
    contact: Annotated[list[Line], Field(max_length=3)]
    signature: TwoLines
    sources: TwoTexts
    review: TwoTexts
    correction: TwoTexts
    legal: TwoTexts
    notice: TwoLines | None = None


def read_lender(file: Path | None = None) -> Lender:
    """The lender of a file, or the example that comes with the program; RefusedError that names file and place."""
    path = file or EXAMPLE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Lender.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8'}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RefusedError(f"{path} is no YAML file: {str(error).splitlines()[0]}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise RefusedError(f"{path}: {place}: {first['msg']}.") from error
