"""
The sections of the configuration: every setting with its name, type, default and unit.

Each class is one TOML table. The text below a setting describes it.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from daemon.config.database_name import database_name
from daemon.config.operator_tokens import OperatorToken, distinct, with_names
from daemon.config.setting_types import (
    Count,
    Duration,
    HostPattern,
    LogFormat,
    LogLevel,
    MailAddress,
    Network,
    Ports,
    Switch,
)
from daemon.config.url_validators import (
    mail_server,
    page_origin,
    page_url,
    secret_url,
    traces_url,
)
from daemon.config.validators import (
    allowed_recipient,
    at_least_one_port,
    host_header,
    host_or_address,
    installation_name,
    one_or_many,
    printable_secret,
    schedule_names,
    within,
)


class Section(BaseModel):
    """The base of all tables: unknown keys are errors, values are frozen, errors quote no value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Database(Section):
    """The PostgreSQL server."""

    url: Annotated[SecretStr, secret_url("postgresql", "postgres", needs_host=False)] | None = None
    """postgresql://user:password@host:port/name; None means the embedded PostgreSQL."""

    pooled: bool = False
    """Whether a pooler in transaction mode answers at the URL: no session is kept there."""

    direct_url: (
        Annotated[SecretStr, secret_url("postgresql", "postgres", needs_host=False)] | None
    ) = None
    """PostgreSQL itself, past the pooler: for LISTEN, a lock and migrate. None: by polling."""

    pool_size: Annotated[Count, Field(ge=2, le=200)] = 8
    """Maximum connections for deliveries; the API has five more, LISTEN and a lock one each."""

    @model_validator(mode="after")
    def _pooled_needs_a_url(self) -> "Database":
        if self.pooled and self.url is None:
            raise ValueError("pooled is set but url is not: no pooler precedes the embedded server")
        if self.direct_url is not None and not self.pooled:
            raise ValueError("direct_url is set but pooled is not: url then serves for everything")
        return self

    @property
    def keeps_sessions(self) -> bool:
        """Whether LISTEN and a lock of the session are to be had."""
        return not self.pooled or self.direct_url is not None

    def session_url(self) -> str | None:
        """Return the URL of PostgreSQL itself, if it is configured."""
        return None if self.direct_url is None else self.direct_url.get_secret_value()

    def display_name(self) -> str:
        """Return `postgresql://user@host:port/name`, without password and query."""
        if self.url is None:
            return "the embedded PostgreSQL"
        return database_name(self.url.get_secret_value())


class Installation(Section):
    """Which installation this is."""

    name: Annotated[str, AfterValidator(installation_name)] | None = None
    """The name of this installation; nothing is sent from a database with another. None: any."""


class Delivery(Section):
    """How deliveries are attempted, and when they are given up."""

    concurrency: Annotated[Count, Field(ge=1, le=20_000)] = 1024
    """Maximum concurrent requests of this daemon, those included whose results wait for storage."""

    per_endpoint: Annotated[Count, Field(ge=1, le=20_000)] = 32
    """Maximum concurrent requests of this daemon to one webhook."""

    timeout: Annotated[Duration, within("100ms", "30s")] = timedelta(seconds=5)
    """Limit for one attempt, from name lookup to the last byte of the response."""

    retry_schedule: Annotated[
        tuple[Annotated[Duration, within("10ms", "30d")], ...], Field(max_length=50)
    ] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        timedelta(hours=1),
        timedelta(hours=24),
    )
    """Waits after failed attempts; there are as many retries as entries."""

    retry_schedules: Annotated[
        dict[
            str,
            Annotated[tuple[Annotated[Duration, within("10ms", "30d")], ...], Field(max_length=50)],
        ],
        Field(max_length=50),
        AfterValidator(schedule_names),
    ] = Field(default_factory=dict)
    """Other schedules by name; a webhook may choose one."""

    failing_after: Annotated[Count, Field(ge=1, le=1_000_000)] = 5
    """Consecutive failed attempts after which a webhook counts as failing."""

    pause_after: Annotated[Count, Field(ge=1, le=1_000_000)] = 100
    """Consecutive failed attempts after which a webhook is paused."""

    failing_backoff: Annotated[Duration, within("0s", "1d")] = timedelta(minutes=1)
    """Longest wait between attempts to a webhook that is failing; 0s does not space them."""

    max_body_bytes: Annotated[Count, Field(ge=1024, le=32 * 1024 * 1024)] = 4 * 1024 * 1024
    """Maximum size of a request body; a larger one is recorded as failed, and never sent."""

    drain: Annotated[Duration, within("0s", "5m")] = timedelta(seconds=10)
    """Time for requests in flight to finish when the daemon stops."""

    @model_validator(mode="after")
    def _failing_is_not_after_paused(self) -> "Delivery":
        if self.failing_after > self.pause_after:
            raise ValueError(
                f"failing_after ({self.failing_after}) is more than"
                f" pause_after ({self.pause_after})"
            )
        return self


class Egress(Section):
    """Which targets the daemon may call."""

    allow_http: Switch = False
    """Whether http:// URLs are allowed besides https://."""

    allow_networks: tuple[Network, ...] = ()
    """Networks that may be called although they are not public."""

    deny_networks: tuple[Network, ...] = ()
    """Networks that may not be called although they are public, or in `allow_networks`."""

    allow_hosts: tuple[HostPattern, ...] = ()
    """Names, or `*.` and a name, that may be looked up although they are not public."""

    deny_hosts: tuple[HostPattern, ...] = ()
    """Names, or `*.` and a name, that may not be called although they are public."""

    allow_ports: Annotated[tuple[Ports, ...], AfterValidator(at_least_one_port)] = (
        (443, 443),
        (8443, 8443),
    )
    """Ports that may be called, as (lowest, highest) pairs."""

    proxy: Annotated[SecretStr, secret_url("http", needs_host=True)] | None = None
    """http://user:password@host:port of an HTTP proxy (CONNECT) for all requests; None: direct."""

    public_addresses: tuple[Network, ...] = ()
    """Addresses or networks from which requests reach customers, shown to them."""


class Limits(Section):
    """Limits on what tenants create over the API; the application's rows are served anyway."""

    webhooks_per_tenant: Annotated[Count, Field(ge=0, le=1_000_000)] = 500
    """Maximum webhooks of one tenant; 0 is no limit."""

    webhooks_per_host: Annotated[Count, Field(ge=0, le=1_000_000)] = 50
    """Maximum webhooks of one tenant at one host; 0 is no limit."""

    replayed_mib_per_day: Annotated[Count, Field(ge=0, le=1_000_000_000)] = 4096
    """MiB of event data that replays and retries copy for one tenant in a day; 0 is no limit."""

    changes_per_day: Annotated[Count, Field(ge=0, le=1_000_000_000)] = 10_000
    """Changes in a day over the API and console by one tenant's tokens and links; 0 is no limit."""


class Admin(Section):
    """The server of health, metrics and the API."""

    host: Annotated[str, AfterValidator(host_or_address)] = "127.0.0.1"
    """The address or name to listen on."""

    port: Annotated[Count, Field(ge=0, le=65535)] = 8484
    """The port to listen on; 0 picks a free one."""

    tokens: Annotated[
        tuple[OperatorToken, ...], BeforeValidator(with_names), AfterValidator(distinct)
    ] = ()
    """Operators' bearer tokens; without any, only health and metrics are served."""

    allowed_hosts: tuple[Annotated[str, AfterValidator(host_header)], ...] = (
        "localhost",
        "127.0.0.1",
        "::1",
    )
    """Accepted values of the Host header, besides the host of public_url."""

    public_url: Annotated[str, AfterValidator(page_url)] | None = None
    """The URL at which people reach this server; what links in mails begin with."""

    allowed_origins: tuple[Annotated[str, AfterValidator(page_origin)], ...] = ()
    """Origins of web pages that may call the API from a browser."""

    trusted_proxies: tuple[Network, ...] = ()
    """Networks of reverse proxies; only they are believed when they name a request's client."""


class Security(Section):
    """Secrets at rest."""

    master_keys: Annotated[
        tuple[Annotated[SecretStr, printable_secret("a master key", at_least=32)], ...],
        BeforeValidator(one_or_many),
    ] = ()
    """Keys that encrypt webhooks' secrets, newest first; without any, secrets stay as written."""


class Notifications(Section):
    """Mail about endpoints that fail or are paused."""

    smtp_url: (
        Annotated[
            SecretStr,
            secret_url("smtp", "smtps", needs_host=True),
            AfterValidator(mail_server),
        ]
        | None
    ) = None
    """smtp://user:password@host:port or smtps://…; None sends no mail."""

    from_: MailAddress | None = Field(default=None, alias="from")
    """The sender's address."""

    to: Annotated[tuple[MailAddress, ...], BeforeValidator(one_or_many)] = ()
    """The administrators' addresses, for webhooks without a notification_email."""

    allowed_recipients: Annotated[
        tuple[Annotated[str, AfterValidator(allowed_recipient)], ...], BeforeValidator(one_or_many)
    ] = ()
    """Addresses and @domains that webhooks may name without confirmation; `to` always may be."""

    console_url: Annotated[str, AfterValidator(page_url)] | None = None
    """The console's URL, for links in mails; None links to a page below admin.public_url."""

    @model_validator(mode="after")
    def _mail_needs_a_sender(self) -> "Notifications":
        if self.smtp_url is not None and self.from_ is None:
            raise ValueError("smtp_url is set but from is not: mail needs a sender")
        return self


class Retention(Section):
    """How long rows are kept."""

    events: Annotated[Duration, within("1s", "36500d")] = timedelta(days=90)
    """Age at which events are deleted, unless a delivery still needs them."""

    deliveries: Annotated[Duration, within("1s", "36500d")] = timedelta(days=30)
    """Age since the attempt at which finished deliveries are deleted."""

    audit: Annotated[Duration, within("1s", "36500d")] = timedelta(days=400)
    """Age at which audit records are deleted."""


class Tracing(Section):
    """Spans of attempts for OpenTelemetry; needs the extra `otel`."""

    otlp_endpoint: Annotated[str, AfterValidator(traces_url)] | None = None
    """Where spans are sent by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces."""

    sample_percent: Annotated[Count, Field(ge=1, le=100)] = 100
    """How many of a hundred attempts have a span that is sent."""

    propagate: Switch = False
    """Whether requests to receivers carry the header traceparent with the ids of their span."""


class Log(Section):
    """The log on stderr."""

    format: LogFormat = "auto"
    """`auto` is console on a terminal, JSON otherwise."""

    level: LogLevel = "info"
    """The lowest level that is written."""
