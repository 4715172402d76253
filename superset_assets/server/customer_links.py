"""Addresses of the pages that show one customer, as they are written and as they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

WORKLIST = "worklist"
# Dashboards that show one customer and are nothing without.
OF_ONE = ("customer", "compare")
PAGES = (WORKLIST, *OF_ONE, "portfolio")
CUSTOMER, STATE_KEY, STATE, PERMALINK = "customer", "native_filters_key", "native_filters", "permalink_key"
FILTER = "NATIVE_FILTER-customer"
LARGEST = 2**31 - 1
# Digits, or groups of three with one separator between them, as people paste them. Nothing else is taken for a
# number: 100005.0 is not 1000050.
_NUMBER = re.compile(r"[0-9]{1,18}|[0-9]{1,3}(?:([\s,.'’])[0-9]{3}(?:\1[0-9]{3}){0,4})")


@dataclass(frozen=True)
class Place:
    """A dashboard in a language."""

    page: str
    language: str

    @property
    def path(self) -> str:
        return f"/superset/dashboard/{self.page}-{self.language}/"

    def address(self, customer: int | None = None, **more: str) -> str:
        """The page, with one customer's data where it shows one."""
        if self.page not in OF_ONE or customer is None:
            return f"{self.path}?{urlencode(more)}" if more else self.path
        chosen = f"extraFormData:(filters:!((col:customer_id,op:'==',val:{customer})))"
        shown = f"filterState:(value:!({customer},{customer}))"
        state = quote(f"({FILTER}:({chosen},{shown},id:{FILTER}))", safe="():!,'=")
        return f"{self.path}?{urlencode({CUSTOMER: customer, **more})}&{STATE}={state}"


def place_of(slug: str, languages: Iterable[str]) -> Place | None:
    """The page that a dashboard's name means; None of a dashboard that is not ours."""
    page, _, language = slug.rpartition("-")
    return Place(page, language) if page in PAGES and language in set(languages) else None


def number(typed: str) -> int | None:
    """The number that somebody typed, which may be grouped as in 100 005; None if it is none."""
    found = _NUMBER.fullmatch(typed.strip())
    return int("".join(re.findall(r"[0-9]", found[0]))) if found else None


def customer_in_address(arguments: Mapping[str, str]) -> str | None:
    """The customer that an address of ours, or one that Superset wrote, is about; as typed."""
    return arguments.get(CUSTOMER) or customer_in_filters(arguments)


def customer_in_filters(arguments: Mapping[str, str]) -> str | None:
    """The customer whose data an address gives to the charts."""
    found = re.search(rf"{FILTER}:.*?val:!?\(?'?(-?\d+)", arguments.get(STATE, ""))
    return found[1] if found else None


def customer_in_state(state: str | None) -> str | None:
    """The same in what Superset keeps of a page's filters (JSON), None if there is none."""
    try:
        mask: Any = json.loads(state or "null")
        return str(mask[FILTER]["extraFormData"]["filters"][0]["val"])
    except (ValueError, LookupError, TypeError):
        return None
