"""Whether a text, or a JSON document, speaks of a person by the number; and the same without it.

A number is a person's only where it stands whole, not inside a longer one, a decimal, a digest, a UUID or a date,
and only where nothing beside it says that it counts or names something else: `row_limit: 10000` is nobody. What
stands under `customer_id` is a person for certain. Between the two, in what people typed or in a log, the doubt is
decided for the person; in what others rely on (a chart, a dashboard: `certain`) it is decided for the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from db.application import APPLICATION_COLUMNS

PERSON = frozenset({"customer_id", "customerid", "customer_ids", "customer", "client", "sk_id_curr"})
# Names of columns that hold amounts, days, counts: a number compared with one of them is no person.
COLUMNS = frozenset(name.lower() for name, _ in APPLICATION_COLUMNS)
# How far beside a number is looked for what it is.
_REACH = 240

_WHOLES = (
    re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE),
    re.compile(r"(?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[+-]\d\d:?\d\d)?)?(?!\d)"),
    re.compile(r"(?<![\d:])\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?![\d:])"),
    re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\d,])"),
    re.compile(r"(?<![\w.])\d+(?:\.\d+)+(?![\w])"),
)
_COUNTED = re.compile(
    r"(?:\b(?:limit|offset|first|next|top|rows?|runs?|models?|line|port|pid|process|chunk|page)\s+\#?|/[a-z_]+/"
    # As the night's own log lists runs.
    r"|\bruns (?:closed|dropped): (?:\d+, )*)$",
    re.IGNORECASE,
)
_QUOTES = r"[\"'`\]\\\s]*"
_OPERATOR = r"(?:=+|<>|!=|[<>]=?|:|[*+%/-]|\b(?:not\s+)?(?:in|between|like|ilike)\b)"
_COMPARED = re.compile(
    rf"(?<![\w.-])([A-Za-z_][\w.-]*){_QUOTES}(?:::\w+\s*)?{_OPERATOR}[=\s(\[{{!\"'\\%]*(?:[\d.'\"\\]+\s*(?:,|\band\b)\s*['\"\\]*)*$",
    re.IGNORECASE,
)
_COMPARED_AFTER = re.compile(r"^['\"\s]*(?:=+|<>|!=|[<>]=?)\s*[\"\w.]*?([A-Za-z_]\w*)\b")
_CALLED = re.compile(
    r"\b(?:customer|client|sk_id_curr)(?:\s+(?:no\.?|n°|number|id|nr\.?))?[\s:#=]*$", re.IGNORECASE
)
_NUMBERS = (
    *("count", "limit", "size", "page", "offset", "version", "port", "pid", "index", "seconds", "ms", "time"),
    *("timestamp", "ts", "duration", "rows?", "level", "line", "runs?", "models?", "slice", "dashboard", "chart"),
    *("dataset", "height", "width", "force", "delay", "retries", "total", "progress", "timeout", "hash", "digest"),
    *("sha256", "checksum", "bytes", "rate", "decimals", "key", "uuid", "customers", "applications"),
)
_OTHER = re.compile(rf"(?:[_.-]ids?|[a-z]Ids?|(?:^|[_.-])(?:{'|'.join(_NUMBERS)}))$")
# Under these, documents of Superset hold what was chosen in a filter.
_CHOSEN = frozenset({"val", "value", "values", "comparator", "label", "defaultvalue"})


class Without(NamedTuple):
    """A text or document without the number, and how often it stood there."""

    content: Any
    times: int


@cache
def _whole(customer_id: int) -> re.Pattern[str]:
    # An escape (`%22`, `\n`) right before the number is no part of it.
    return re.compile(
        rf"(?:(?<![^\W_])(?<!\d\.)|(?<=%[0-9A-Fa-f]{{2}})|(?<=\\[nrt]))0*{customer_id}(?:\.0+)?(?![^\W_]|\.\d)"
    )


def spans(
    text: str, customer_id: int, *, others: Collection[str] = COLUMNS, certain: bool = False
) -> Iterator[tuple[int, int]]:
    """Where the text speaks of the person: from, to.

    Parameters
    ----------
    others: lower-case names that a number of somebody's would not be compared with.
    certain: only where the text itself says that the number is a customer's.
    """
    for match in _whole(customer_id).finditer(text):
        start, end = match.span()
        person = _is_person(text, start, end, others)
        # Written as a decimal it is a customer's where that is said, and else a measurement.
        if person or (person is None and not certain and "." not in match[0]):
            yield start, end


def _is_person(text: str, start: int, end: int, others: Collection[str]) -> bool | None:
    """None where the text does not say."""
    offset = max(0, start - _REACH)
    before, after = text[offset:start], text[end : end + _REACH]
    near = text[max(0, start - 40) : end + 40]
    place = start - max(0, start - 40)
    for pattern in _WHOLES:
        if any(found.start() <= place and place + end - start <= found.end() and len(found[0]) > end - start
               for found in pattern.finditer(near)):  # fmt: skip
            return False
    if "%" in before:
        before = unquote(before)
    if _CALLED.search(before):
        return True
    if _COUNTED.search(before):
        return False
    for compared in (_COMPARED.search(before), _COMPARED_AFTER.search(after)):
        if compared is not None:
            said = _named(compared[1], others)
            if said is not None:
                return said
    return None


def _named(name: str, others: Collection[str]) -> bool | None:
    """Whether what stands under a name is a person's number; None if the name does not say."""
    last = name.rpartition(".")[2]
    if last.lower() in PERSON:
        return True
    return False if last.lower() in others or name.lower() in others or _OTHER.search(name) else None


def without(text: str, customer_id: int, instead: str, **options: Any) -> Without:
    """The text with `instead` in the place of the number, wherever it speaks of the person."""
    parts, last, times = [], 0, 0
    for start, end in spans(text, customer_id, **options):
        parts += [text[last:start], instead]
        last, times = end, times + 1
    return Without("".join([*parts, text[last:]]), times)


# --- documents ------------------------------------------------------------------------------------------------


def without_in(
    content: str, customer_id: int, *, others: Collection[str] = COLUMNS, certain: bool = False
) -> Without:
    """The same for a text that may be JSON, with 0 for the number; what is not touched stays as it was written."""
    parsed = _parsed(content)
    if parsed is None:
        return without(content, customer_id, "0", others=others, certain=certain)
    found = _Walk(customer_id, others, certain).value(parsed, None)
    return Without(json.dumps(found.content), found.times) if found.times else Without(content, 0)


def _parsed(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


class _Walk:
    """A way through a document. What a place is about goes along: a person, surely something else, or unknown."""

    def __init__(self, customer_id: int, others: Collection[str], certain: bool) -> None:
        self._id = customer_id
        self._options: dict[str, Any] = {"others": others, "certain": certain}
        self._others = others
        self._certain = certain

    def value(self, node: Any, person: bool | None, *, chosen: bool = False) -> Without:
        """`chosen`: the place holds what somebody chose, of whatever column."""
        if isinstance(node, dict):
            return self._object(node, person)
        if isinstance(node, list):
            found = [self.value(one, person, chosen=chosen) for one in node]
            return Without([one.content for one in found], sum(one.times for one in found))
        if isinstance(node, str):
            return self._text(node, person)
        number = isinstance(node, (int, float)) and not isinstance(node, bool) and node == self._id
        counts = person or (person is None and chosen and not self._certain)
        return Without(0, 1) if number and counts else Without(node, 0)

    def _text(self, text: str, person: bool | None) -> Without:
        parsed = _parsed(text)
        if parsed is not None:
            found = self.value(parsed, person)
            return Without(json.dumps(found.content), found.times) if found.times else Without(text, 0)
        if person is False:
            return Without(text, 0)
        if person and re.fullmatch(rf"\s*0*{self._id}(?:\.0*)?\s*", text):
            return Without("0", 1)
        return without(text, self._id, "0", **({**self._options, "certain": False} if person else self._options))

    def _object(self, node: dict[str, Any], person: bool | None) -> Without:
        made, times = {}, 0
        filtered = self._filtered(node)
        for key, child in node.items():
            about = self._about(key, child, person, filtered)
            name = key
            if not key.isdigit() or about:
                renamed = self._text(key, about)
                name, times = renamed.content, times + renamed.times
            found = self.value(
                child, about, chosen=key.lower() in _CHOSEN or (about is None and key == "filterState")
            )
            made[name], times = found.content, times + found.times
        return Without(made, times)

    def _about(self, key: str, child: Any, person: bool | None, filtered: bool | None) -> bool | None:
        if key.lower() in PERSON and not isinstance(child, dict):
            return True
        if filtered is not None and (key.lower() in _CHOSEN or key in {"filterState", "defaultDataMask"}):
            return filtered
        if person:
            return True
        if isinstance(child, dict):
            return person if key in {"filterState", "extraFormData"} else None
        said = _named(key, self._others)
        return False if said is False or key == "id" else person

    def _filtered(self, node: dict[str, Any]) -> bool | None:
        """Whether the object is a filter on a person's number; None if it is no filter, or does not say of what."""
        for key in ("col", "column", "subject", "columnName", "column_name"):
            if key in node and any(chosen in node for chosen in ("val", "value", "values", "comparator")):
                return self._is_number_of_a_person(node[key])
        extra = node.get("extraFormData")
        if isinstance(extra, dict) and isinstance(extra.get("filters"), list) and extra["filters"]:
            columns = [one.get("col") for one in extra["filters"] if isinstance(one, dict)]
            return any(self._is_number_of_a_person(column) for column in columns)
        if isinstance(node.get("targets"), list) and node["targets"]:
            columns = [one.get("column") for one in node["targets"] if isinstance(one, dict)]
            known = [column for column in columns if column]
            return any(self._is_number_of_a_person(column) for column in known) if known else None
        return None

    def _is_number_of_a_person(self, column: Any) -> bool:
        if isinstance(column, dict):
            column = column.get("name") or column.get("column_name") or column.get("sqlExpression") or ""
        return str(column).strip().strip('"').rpartition(".")[2].lower() in PERSON
