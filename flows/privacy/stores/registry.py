"""All stores of an installation: export, erase and the search for what is left walk this list and no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import URL, Engine

from flows.privacy.stores.archives import archives
from flows.privacy.stores.base import Store
from flows.privacy.stores.cached_answers import CachedAnswers
from flows.privacy.stores.database import Database
from flows.privacy.stores.elsewhere import Backups, OtherPrefect, ServerLog, ServicesOutput
from flows.privacy.stores.prefect_database import PrefectDatabase
from flows.privacy.stores.prefect_postgres import PrefectPostgres
from flows.privacy.stores.shared_answers import SharedAnswers
from flows.privacy.stores.state_folder import InputFolder, StateFolder
from flows.privacy.stores.superset_database import SupersetDatabase
from flows.services import superset
from flows.settings import Settings


def every_store(settings: Settings, engine: Engine) -> tuple[Store, ...]:
    """Every store, in the order in which people are erased from them.

    The database comes first, for everything else is made from it. The answers that were made from it go right
    after it, and Prefect's server, which has to wait meanwhile, comes last.
    """
    database = Database(settings, engine)
    superset_database = SupersetDatabase(superset.existing_metadata_url(settings, engine))
    return (
        database,
        CachedAnswers(settings, database, superset_database),
        SharedAnswers(settings, database, superset_database),
        superset_database,
        StateFolder(settings),
        *archives(settings),
        PrefectDatabase(settings),
        PrefectPostgres(settings),
        InputFolder(settings),
        ServerLog(settings),
        OtherPrefect(settings),
        ServicesOutput(),
        Backups(),
    )


def restored_stores(settings: Settings, engine: Engine, superset_url: URL | None) -> tuple[Store, ...]:
    """Those that a restore brings back."""
    return Database(settings, engine), *([SupersetDatabase(superset_url)] if superset_url is not None else [])


def reachable(stores: Iterable[Store]) -> Iterator[Store]:
    """Those that are there and can be looked into, each asked when its turn has come."""
    return (store for store in stores if store.there() and store.why_not() is None)
