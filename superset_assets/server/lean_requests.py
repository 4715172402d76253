"""What Superset does again and again while it answers one chart, done once.

As it comes, one chart costs an advisor about 60 queries and 6 commits in Superset's own database: dozens of lookups
of permissions, and a row in the log for each inner step, after each of which it reads its objects anew. A
dashboard asks for several charts at once, so this, and not our data, is what a reader waits for. What is left are
11 queries and one commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import g
from superset.security import SupersetSecurityManager
from superset.utils.log import DBEventLogger

from superset_assets.server import changes, viewer
from superset_assets.server.request_records import CHART_DATA, SAMPLES, look, remember

SECONDS_REMEMBERED = 15.0
INNER_STEPS = frozenset(
    {
        "ChartDataRestApi.json_dumps",
        "QueryObject.post_processing",
        "_get_data_response",
        "execute_sql",
        "load_into_dataframe",
    }
)


@changes.derives(
    "Superset's log has one row for each request, which says what was looked at.",
    upstream="apache/superset#33283",
    log_with_context="(self, action, duration=None, object_ref=None, log_to_statsd=True, database=None,"
    " **payload_override)",
)
class RequestLog(DBEventLogger):
    """Superset's log with one row per request: who asked for what is all in it, the inner steps are not."""

    def log_with_context(self, action: str, *args: Any, **payload: Any) -> None:
        """Write a row unless it is an inner step of a request that has one; with what was looked at."""
        if action in INNER_STEPS:
            return
        if (looked := look()) is not None:
            payload["look"] = looked
            # By whichever address: the log's view knows one name for all that are like it.
            action, payload["road"] = (action if action == SAMPLES else CHART_DATA), action
        super().log_with_context(action, *args, **payload)


class Memory:
    """Answers that are remembered for a few seconds; asked by several threads at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answers: dict[Hashable, tuple[float, Any]] = {}

    def __call__(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """The answer to `key`, by `ask` if it is not remembered."""
        now = time.monotonic()
        with self._lock:
            known = self._answers.get(key)
        if known is not None and known[0] > now:
            return known[1]
        answer = ask()
        with self._lock:
            if len(self._answers) > 10_000:
                self._answers.clear()
            self._answers[key] = (now + self._seconds, answer)
        return answer


@changes.derives(
    "What a role may is looked up once in some seconds, not dozens of times for each chart; nobody can register.",
    register_superset_registeruser_view="True",
    exist_permission_on_roles="(self, view_name, permission_name, role_ids)",
    user_view_menu_names="(self, permission_name)",
    is_item_public="(self, permission_name, view_name)",
    raise_for_access="(self, dashboard=None, chart=None, database=None, datasource=None, query=None,"
    " query_context=None, table=None, viz=None, sql=None, catalog=None, schema=None, template_params=None)",
)
class SecurityManager(SupersetSecurityManager):
    """Superset's own, which remembers what a role may for some seconds.

    Whether a user is active, and which roles are theirs, is looked up for every request as before: taking a role
    from somebody works at once, taking a right or a dashboard from a role within SECONDS_REMEMBERED.
    """

    # The page for registering oneself is there even where nobody may.
    register_superset_registeruser_view = False
    _rights = Memory(SECONDS_REMEMBERED)

    def exist_permission_on_roles(self, view_name: str, permission_name: str, role_ids: list[int]) -> bool:
        """Whether one of the roles has the permission."""
        key = ("has", view_name, permission_name, frozenset(role_ids))
        ask = super().exist_permission_on_roles
        return bool(self._rights(key, lambda: ask(view_name, permission_name, role_ids)))

    def user_view_menu_names(self, permission_name: str) -> set[str]:
        """On what the current user has the permission."""
        if g.user.is_anonymous or getattr(g.user, "groups", None):
            return set(super().user_view_menu_names(permission_name))
        key = ("names", permission_name, frozenset(role.id for role in g.user.roles))
        ask = super().user_view_menu_names
        return set(self._rights(key, lambda: ask(permission_name)))

    def is_item_public(self, permission_name: str, view_name: str) -> bool:
        """Whether everybody has the permission, signed in or not."""
        ask = super().is_item_public
        return bool(self._rights(("public", permission_name, view_name), lambda: ask(permission_name, view_name)))

    def raise_for_access(self, *args: Any, **asked: Any) -> None:
        """Raise SupersetSecurityException unless the current user may what is asked for.

        That somebody may see a chart on a dashboard is remembered, a refusal is not. Superset reads for it the
        dashboard, its roles, all its charts and all their datasets.
        """
        ask = super().raise_for_access
        if "query_context" in asked:
            remember(asked["query_context"])
        key = (
            None if args or asked.keys() != {"query_context"} else self._chart_on_dashboard(asked["query_context"])
        )
        if key is None:
            ask(*args, **asked)
        else:
            self._rights(key, lambda: ask(**asked))

    def _chart_on_dashboard(self, query_context: Any) -> Hashable:
        """All that Superset's decision about an ordinary chart depends on, None for anything else."""
        form = query_context.form_data or {}
        chart, dashboard = form.get("slice_id"), form.get("dashboardId")
        if (
            not (type(chart) is type(dashboard) is int and chart and dashboard)
            or form.get("type") is not None
            or form.get("parent_slice_id") is not None
            or g.user.is_anonymous
            or self.is_guest_user()
        ):
            return None
        roles = frozenset(role.id for role in self.get_user_roles())
        return "chart", g.user.id, roles, query_context.datasource.uid, chart, dashboard


@dataclass(frozen=True)
class ChartSettings:
    """All that is needed of a saved chart while its data is asked for."""

    cache_timeout: int | None


@changes.replaces(
    "superset.common.query_context_factory.QueryContextFactory._get_slice",
    "(self, slice_id)",
    why="How long a saved chart's data may be kept is looked up once in some seconds.",
)
def remember_charts(find: changes.Original) -> changes.Original:
    """Remember for some seconds how long a chart's data may be kept.

    Superset reads the chart and its dataset for it, by a query that filters by what the user may see.
    """
    remember = Memory(SECONDS_REMEMBERED)

    def settings(self: Any, slice_id: Any) -> ChartSettings | None:
        def ask() -> ChartSettings | None:
            found = find(self, slice_id)
            return None if found is None else ChartSettings(found.cache_timeout)

        user = viewer.current_user()
        known: ChartSettings | None = remember((None if user is None else user.id, str(slice_id)), ask)
        return known

    return settings


@changes.replaces(
    "superset.models.core.make_url_safe",
    "(raw_url)",
    why="A database's address is taken apart once, not ninety times for each chart.",
)
def read_addresses_once(read: changes.Original) -> changes.Original:
    """Remember what comes of an address: it never changes."""

    @lru_cache(maxsize=256)
    def once(address: Any) -> Any:
        return read(address)

    return once
