"""Every setting: its name, its shape, its default and its unit."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic.fields import FieldInfo

from daemon.config.validators import (
    Count,
    Duration,
    LogFormat,
    LogLevel,
    MailAddress,
    Network,
    Ports,
    Switch,
    _host,
    _host_header,
    _lower,
    _mail_server,
    _not_empty,
    _one_or_many,
    _page,
    plain,
    url_of,
    within,
)


class Section(BaseModel):
    """What all tables share: nothing unknown passes, nothing changes, no value is quoted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Database(Section):
    """Where PostgreSQL is."""

    url: Annotated[SecretStr, url_of("postgresql", "postgres", needs_host=False)] | None = None
    """postgresql://user:password@host:port/name; None means the embedded one."""

    pool_size: Annotated[Count, Field(ge=2, le=200)] = 8
    """Connections for deliveries, at most; the API has four more, and one listens."""

    def place(self) -> str:
        """Name the database for people: `postgresql://host:port/name`, no user, no password."""
        if self.url is None:
            return "the embedded PostgreSQL"
        parts = urlsplit(self.url.get_secret_value())
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Delivery(Section):
    """How deliveries are made, and when to give up."""

    concurrency: Annotated[Count, Field(ge=1, le=20_000)] = 512
    """Requests under way at once, in this daemon."""

    per_endpoint: Annotated[Count, Field(ge=1, le=20_000)] = 32
    """Requests under way at once to one webhook, in this daemon."""

    timeout: Annotated[Duration, within("100ms", "30s")] = timedelta(seconds=5)
    """For one attempt, from the name lookup to the last byte of the answer."""

    retry_schedule: Annotated[
        tuple[Annotated[Duration, within("10ms", "30d")], ...], Field(max_length=50)
    ] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=1),
        timedelta(hours=24),
    )
    """The waits after failed attempts; their number is the number of retries."""

    failing_after: Annotated[Count, Field(ge=1, le=1_000_000)] = 5
    """Failed attempts in a row after which a webhook counts as failing."""

    pause_after: Annotated[Count, Field(ge=1, le=1_000_000)] = 100
    """Failed attempts in a row after which a webhook is paused."""

    drain: Annotated[Duration, within("0s", "5m")] = timedelta(seconds=10)
    """Given to requests under way when the daemon is told to stop."""

    @model_validator(mode="after")
    def _failing_comes_before_paused(self) -> "Delivery":
        if self.failing_after > self.pause_after:
            raise ValueError(
                f"failing_after ({self.failing_after}) is more than"
                f" pause_after ({self.pause_after})"
            )
        return self


class Egress(Section):
    """Which targets may be called."""

    allow_http: Switch = False
    """Whether http:// is allowed beside https://."""

    allow_networks: tuple[Network, ...] = ()
    """Networks that may be called though they are not public."""

    allow_ports: Annotated[tuple[Ports, ...], AfterValidator(_not_empty)] = (
        (443, 443),
        (8443, 8443),
    )
    """Ports that may be called, as (lowest, highest) pairs."""

    proxy: Annotated[SecretStr, url_of("http", needs_host=True)] | None = None
    """http://user:password@host:port of an HTTP proxy (CONNECT) for all requests; None is none."""


class Admin(Section):
    """Where health, metrics and the API are served, and to whom."""

    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    """The address or name to listen on."""

    port: Annotated[Count, Field(ge=0, le=65535)] = 8484
    """The port to listen on; 0 takes any that is free."""

    tokens: tuple[Annotated[SecretStr, plain("a token", at_least=16)], ...] = ()
    """Operators' bearer tokens; none means that only health and metrics are served."""

    allowed_hosts: tuple[Annotated[str, AfterValidator(_host_header)], ...] = (
        "localhost",
        "127.0.0.1",
        "::1",
    )
    """Names by which the API may be addressed (the Host header)."""


class Security(Section):
    """Secrets at rest."""

    master_keys: Annotated[
        tuple[Annotated[SecretStr, plain("a master key", at_least=32)], ...],
        BeforeValidator(_one_or_many),
    ] = ()
    """Keys that encrypt webhooks' secrets, the newest first; none leaves them as they are."""


class Notifications(Section):
    """Mail to the administrator."""

    smtp_url: (
        Annotated[
            SecretStr,
            url_of("smtp", "smtps", needs_host=True),
            AfterValidator(_mail_server),
        ]
        | None
    ) = None
    """smtp://user:password@host:port or smtps://…; None sends no mail."""

    from_: MailAddress | None = Field(default=None, alias="from")
    """The sender's address."""

    to: Annotated[tuple[MailAddress, ...], BeforeValidator(_one_or_many)] = ()
    """The administrators' addresses, for webhooks that have none of their own."""

    console_url: Annotated[str, AfterValidator(_page)] | None = None
    """Where the console is, for links in the mails; None makes none."""

    @model_validator(mode="after")
    def _mail_needs_a_sender(self) -> "Notifications":
        if self.smtp_url is not None and self.from_ is None:
            raise ValueError("smtp_url is set, but not from: mail needs a sender's address")
        return self


class Retention(Section):
    """How long rows are kept."""

    events: Annotated[Duration, within("1s", "36500d")] = timedelta(days=90)
    """Age at which events are deleted that nothing waits for."""

    deliveries: Annotated[Duration, within("1s", "36500d")] = timedelta(days=30)
    """Age, since the attempt, at which deliveries are deleted that are over."""


class Log(Section):
    """What is written to stderr."""

    format: Annotated[LogFormat, BeforeValidator(_lower)] = "auto"
    """`auto` is console on a terminal, else JSON."""

    level: Annotated[LogLevel, BeforeValidator(_lower)] = "info"
    """The least severe lines that are written."""


class Config(Section):
    """All settings. `Config()` is the defaults; `load` makes the one that counts."""

    database: Database = Database()
    delivery: Delivery = Delivery()
    egress: Egress = Egress()
    admin: Admin = Admin()
    security: Security = Security()
    notifications: Notifications = Notifications()
    retention: Retention = Retention()
    log: Log = Log()

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, key: str) -> str | None:
        """Say where `"database.url"` was set: `config.toml:3`, a variable, a file, or None."""
        return self._origins.get(key)

    def differences(self, other: "Config", *, besides: str) -> list[str]:
        """Name the keys, `"delivery.timeout"`, that are set otherwise in `other`, but for one."""
        return [key for key in keys() if key != besides and self._at(key) != other._at(key)]

    def _at(self, key: str) -> object:
        section, name = key.split(".")
        return getattr(getattr(self, section), f"{name}_" if name == "from" else name)


def keys() -> dict[str, FieldInfo]:
    """Map every key, `"database.url"`, to its pydantic field."""
    found = {}
    for section, table in Config.model_fields.items():
        assert isinstance(table.annotation, type)
        assert issubclass(table.annotation, Section)
        for name, field in table.annotation.model_fields.items():
            found[f"{section}.{field.alias or name}"] = field
    return found
