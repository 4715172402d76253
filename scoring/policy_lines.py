"""Reading a policy's YAML: whatever breaks a rule is named by its line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from scoring.errors import PolicyError

_MERGE = "tag:yaml.org,2002:merge"
_KINDS = {"bool": bool, "int": int, "float": float, "str": str, "null": type(None)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of the file: what it is called in messages, and the line it begins in."""

    file: str
    name: str
    line: int
    node: Any

    def fail(self, problem: str) -> NoReturn:
        """Raise PolicyError that names the line."""
        raise PolicyError(f"{self.file} line {self.line}: {problem}")

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Entry]:
        """The parts of a mapping whose keys are known."""
        found = self.mapping()
        for name, entry in found.items():
            if name not in (*required, *optional):
                entry.fail(f"{self.name} knows no {name!r}, only {', '.join((*required, *optional))}.")
        for name in required:
            if name not in found:
                self.fail(f"{self.name} needs {name!r}.")
        return found

    def mapping(self) -> dict[str, Entry]:
        """The parts of a mapping whose keys are free."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"{self.name} must be a list of names with values.")
        found: dict[str, Entry] = {}
        for key, value in self.node.value:
            named = Entry(self.file, str(key.value), _line(key), value)
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                named.fail(f"{self.name} has a name that is no word.")
            if key.value in found:
                named.fail(f"{self.name} names {key.value!r} twice.")
            found[key.value] = named
        return found

    def items(self, name: str) -> Iterator[Entry]:
        """The parts of a list, each of which is called `name`."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"{self.name} must be a list.")
        for node in self.node.value:
            yield Entry(self.file, name, _line(node), node)

    def value(self) -> object:
        """A single value, typed as YAML types it."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"{self.name} must be one value.")
        kind = self.node.tag.rpartition(":")[2]
        if kind not in _KINDS:
            self.fail(f"{self.name} is {self.node.value!r}, which is no word, number, yes or no.")
        return yaml.SafeLoader("").construct_object(self.node)

    def words(self) -> str:
        """A text that is not empty."""
        value = self.value()
        if not isinstance(value, str) or not value.strip():
            self.fail(f"{self.name} must be a text.")
        if any(not letter.isprintable() for letter in value):
            self.fail(f"{self.name} has a character that cannot be shown.")
        return value.strip()

    def choice(self, choices: Sequence[str]) -> str:
        """One of some words."""
        value = self.value()
        if value not in choices:
            self.fail(f"{self.name} is {self.node.value!r}; it must be one of {', '.join(choices)}.")
        return str(value)

    def yes(self) -> bool:
        """Yes or no."""
        value = self.value()
        if not isinstance(value, bool):
            self.fail(f"{self.name} is {self.node.value!r}; it must be yes or no.")
        return value

    def number(self) -> float:
        """A finite number."""
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.fail(f"{self.name} is {self.node.value!r}; it must be a number.")
        return float(value)

    def positive(self) -> float:
        """A finite number over 0."""
        value = self.number()
        if value <= 0:
            self.fail(f"{self.name} is {self.node.value}; it must be more than 0.")
        return value

    def whole(self, least: int, most: int) -> int:
        """A whole number within limits."""
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.fail(f"{self.name} is {self.node.value!r}; it must be a whole number from {least} to {most}.")
        return value

    def both_languages(self) -> tuple[str, str]:
        """A text in English and in French."""
        parts = self.fields(("en", "fr"))
        return parts["en"].words(), parts["fr"].words()


def read(file: str, text: str) -> Entry:
    """A policy as a whole. Raises PolicyError, naming the line, for what is not YAML."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{file} line {line}: this is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PolicyError(f"{file} is not YAML: {str(error).splitlines()[0]}.") from None
    if node is None:
        raise PolicyError(f"{file} line 1: the file is empty.")
    return Entry(file, "a policy", 1, node)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
