"""Typed settings, built once at the edge and passed down; secrets are made on first use and kept 0600."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from db.server.embedded import EmbeddedPostgres
from flows import clock
from flows.errors import SettingsError as SettingsError
from flows.installation import secret_store
from flows.installation.machine import processors
from flows.installation.secret_files import SecretFiles

PROJECT = Path(__file__).resolve().parents[1]
SUPERSET_KEYS = ("secret_key", "jwt_key", "guest_key", "async_key")
SECRETS = (
    *("postgres", "migrator", "analyst", "dashboard", "superset", "privacy", "writer", "viewer", "compliance"),
    "decider",
    *(f"superset_{key}" for key in SUPERSET_KEYS),
)
SCHEMES = {"notify_url": ("http", "https"), "smtp_url": ("smtp", "smtps"), "redis_url": ("redis", "rediss")}


class Settings(BaseSettings):
    """Every setting has a default; set one as an environment variable `CREDITLENS_<NAME>`.

    A secret one may be in a file, whose path is in `CREDITLENS_<NAME>_FILE`.
    """

    model_config = SettingsConfigDict(env_prefix="CREDITLENS_", frozen=True, extra="ignore", env_ignore_empty=True)

    state: Annotated[Path, Field(description="Folder of everything that is kept: Postgres, secrets, logs")] = (
        PROJECT / ".creditlens"
    )
    data: Annotated[
        Path | None,
        Field(description="Folder with application_train and application_test; synthetic ones without"),
    ] = None
    database_url: Annotated[
        SecretStr | None,
        Field(
            validation_alias=AliasChoices("CREDITLENS_DATABASE_URL", "DATABASE_URL"),
            description="A Postgres 15+ to use instead of the embedded one (also read from DATABASE_URL)",
        ),
    ] = None
    time_zone: Annotated[str, Field(description="Zone of the schedule and of a run's date")] = "Europe/Paris"
    cron: Annotated[str, Field(description="When the nightly flow runs")] = "30 2 * * *"
    threads: Annotated[int, Field(ge=1, le=256, description="Threads for training, scoring and explaining")] = (
        Field(default_factory=processors)
    )
    chunk_rows: Annotated[
        int, Field(ge=1, le=1_000_000, description="Applications per chunk; bounds a run's memory")
    ] = 4_096
    rejected_share: Annotated[
        float, Field(ge=0, le=1, description="Share of rejected rows above which a run is refused")
    ] = 0.01
    unknown_share: Annotated[
        float,
        Field(ge=0, le=1, description="Share of unknown values in a category column above which a file is refused"),
    ] = 0.5
    smallest_night_share: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the customers of earlier nights below which a night is a warning"),
    ] = 0.5
    refused_night_share: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the customers of earlier nights below which a file is refused"),
    ] = 0.0
    retained_runs: Annotated[
        int, Field(ge=2, le=1000, description="Runs whose details are kept; scores are kept for ever")
    ] = 8
    archive: Annotated[
        Path | None,
        Field(description="Folder to which nights are archived as Parquet before their details are dropped"),
    ] = None
    decision_years: Annotated[
        int,
        Field(ge=1, le=100, description="Years that decisions of people and reviews are kept after the last one"),
    ] = 10
    trials: Annotated[int, Field(ge=0, le=1000, description="Random search trials when training")] = 8
    synthetic_former: Annotated[int, Field(ge=500, description="Synthetic former customers without data")] = 20_000
    synthetic_new: Annotated[int, Field(ge=1, description="Synthetic new customers without data")] = 5_000
    dask: Annotated[
        str | None,
        Field(
            pattern=r"^(local:\d+|[a-z]+://.+)$",
            description="Score on Dask: a scheduler's address such as tcp://host:8786, or local:N for N processes",
        ),
    ] = None
    prefect_port: Annotated[int, Field(ge=0, le=65535, description="Port of the local Prefect server")] = 4200
    prefect_database_url: Annotated[
        SecretStr | None,
        Field(description="The Postgres database of a Prefect server elsewhere; erasures look into it"),
    ] = None
    letter_template: Annotated[
        Path | None, Field(description="File of the lender's name, address and sentences for letters")
    ] = None
    dashboards: Annotated[bool, Field(description="Whether `up` also sets up the dashboards")] = True
    dashboards_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://\S+$", description="Address that people open the dashboards by, for links to them"
        ),
    ] = None
    superset_host: Annotated[str, Field(description="Address that the dashboards listen on")] = "127.0.0.1"
    superset_port: Annotated[int, Field(ge=0, le=65535, description="Port of the dashboards")] = 8088
    superset_tls: Annotated[
        bool, Field(description="The dashboards are behind a proxy with TLS: cookies go over it only")
    ] = False
    superset_locale: Annotated[Literal["en", "fr"], Field(description="Language before one is chosen")] = "en"
    superset_sign_on: Annotated[
        Path | None, Field(description="File of settings by which people sign in with OAuth or LDAP")
    ] = None
    superset_database_url: Annotated[
        SecretStr | None,
        Field(description="An empty database for Superset's own tables, where it cannot be made beside the data"),
    ] = None
    redis_url: Annotated[
        SecretStr | None,
        Field(description="A Redis that several servers of the dashboards share: answers, wrong passwords"),
    ] = None
    superset_log_days: Annotated[
        int, Field(ge=1, le=36_500, description="Days that Superset's log of who looked at what is kept")
    ] = 365

    stale_hours: Annotated[
        float, Field(gt=0, description="Hours since the newest publication after which `status` is not healthy")
    ] = 26.0
    night_grace_minutes: Annotated[
        int,
        Field(ge=0, le=10_000, description="Minutes after which a night that was due and has not ended is missing"),
    ] = 120
    notify_url: Annotated[
        SecretStr | None,
        Field(description="Webhook that is told of failed, refused and missing nights: POST, JSON"),
    ] = None
    smtp_url: Annotated[
        SecretStr | None,
        Field(description="Mail server, smtp://user:password@host:587 or smtps://..., for notify_email"),
    ] = None
    notify_email: Annotated[
        str | None, Field(pattern=r"^[^@\s]+@[^@\s]+$", description="Address that is told the same by e-mail")
    ] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Besides the environment: files, for what is secret. Neither wins: both at once are refused."""
        files = SecretFiles(settings_cls, {name: cls._variables(name) for name in cls._secret_fields()})
        return init_settings, env_settings, files

    @classmethod
    def _secret_fields(cls) -> list[str]:
        return [name for name, field in cls.model_fields.items() if SecretStr in get_args(field.annotation)]

    @classmethod
    def _variables(cls, name: str) -> tuple[str, ...]:
        """The environment variables of a field."""
        alias = cls.model_fields[name].validation_alias
        if isinstance(alias, AliasChoices):
            return tuple(str(choice) for choice in alias.choices)
        return (f"CREDITLENS_{name.upper()}",)

    @field_validator("notify_url", "smtp_url", "redis_url")
    @classmethod
    def _address(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = SCHEMES[info.field_name or ""]
        if value is not None:
            address = urlsplit(value.get_secret_value())
            if address.scheme not in schemes or not address.hostname:
                # The value is a secret: it is not repeated.
                raise ValueError(f"should be an address that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return value

    @field_validator("notify_email")
    @classmethod
    def _has_mail_server(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("smtp_url") is None:
            raise ValueError("an e-mail needs a mail server in CREDITLENS_SMTP_URL")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value!r} is not a time zone; use a name such as Europe/Paris") from None
        return value

    @field_validator("cron")
    @classmethod
    def _cron_happens(cls, value: str) -> str:
        # The default is not looked at, so that only another one costs the import of what parses it.
        clock.check_cron(value)
        return " ".join(value.split())

    @field_validator("state", "data", "letter_template", "superset_sign_on")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @field_validator("archive")
    @classmethod
    def _resolved(cls, value: Path | None) -> Path | None:
        # Archives are known by their folders, each by one.
        return value.expanduser().resolve() if value else value

    def today(self) -> date:
        """Today's date in the lender's time zone."""
        return self.date_of(datetime.now(UTC))

    def date_of(self, moment: datetime) -> date:
        """The date of a moment in the lender's time zone."""
        return moment.astimezone(ZoneInfo(self.time_zone)).date()

    def secrets(self, *more: str) -> dict[str, str]:
        """The generated passwords by role, made on first use and kept in `state` readable by its owner only.

        With those that are named, such as a user's of the dashboards.

        Raises SettingsError for a file that others may read or own, that is damaged, or with a password that is too
        short.
        """
        return secret_store.read_or_make(self.state, (*SECRETS, *more))

    def embedded(self) -> EmbeddedPostgres:
        """The embedded server of this installation (not started by this call)."""
        secrets = self.secrets()
        return EmbeddedPostgres(self.state / "postgres", secrets["postgres"], secrets["migrator"])


def load_settings() -> Settings:
    """Settings from the environment. Raises SettingsError naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        name = name if name.startswith("CREDITLENS_") or name == "DATABASE_URL" else f"CREDITLENS_{name}"
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
