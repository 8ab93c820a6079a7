"""Every setting: its name, its shape, its default and its unit."""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    Strict,
    model_validator,
)
from pydantic.fields import FieldInfo

from daemon.config.durations import format_duration, parse_duration
from daemon.core.policy.email_addresses import mailbox

ENCODE = "in a user name or password write : / ? # [ ] @ % as %3A %2F %3F %23 %5B %5D %40 %25"
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")


def within(least: str, most: str) -> AfterValidator:
    """Check a duration against bounds, both included."""
    low, high = parse_duration(least), parse_duration(most)

    def check(duration: timedelta) -> timedelta:
        if not low <= duration <= high:
            raise ValueError(f"{format_duration(duration)} is not between {least} and {most}")
        return duration

    return AfterValidator(check)


def plain(what: str, *, at_least: int = 1) -> AfterValidator:
    """Check a secret that travels in one line: visible ASCII only. Says nothing of its content."""

    def check(secret: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
            raise ValueError(f"{what} is empty, or has spaces or characters that are not ASCII")
        if len(secret.get_secret_value()) < at_least:
            raise ValueError(f"{what} has fewer than {at_least} characters: `openssl rand -hex 32`")
        return secret

    return AfterValidator(check)


def url_of(*schemes: str, needs_host: bool) -> AfterValidator:
    """Check a URL that may hold a password, and so is never shown, not even a part of it."""
    accepted = " or ".join(f"{scheme}://" for scheme in schemes)

    def check(secret: SecretStr) -> SecretStr:
        url = secret.get_secret_value()
        if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must be a URL that begins with {accepted}")
        if re.search(r"[\x00-\x20\x7f]", url):
            raise ValueError("has a space or control character; write it as %20 and the like")
        hosts = _hosts(url)
        if needs_host and not all(hosts):
            raise ValueError("names no host")
        return secret

    return AfterValidator(check)


def _hosts(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # Its message quotes the URL, password and all.
        raise ValueError(f"has a host that cannot be read ({ENCODE})") from None
    torn = "@" in parts.query and "@" not in parts.netloc
    if torn or parts.fragment or "@" in parts.path:
        raise ValueError(f"has a # or @ behind the host ({ENCODE})")
    named = [_HOST_AND_PORT.fullmatch(host) for host in parts.netloc.rpartition("@")[2].split(",")]
    for host in named:
        if host is None or not 0 < int(host["port"] or 1) < 65536:
            raise ValueError(f"has a port that is not a number from 1 to 65535 ({ENCODE})")
    return [host["host"] for host in named if host]


def _network(text: object) -> IPv4Network | IPv6Network:
    if isinstance(text, IPv4Network | IPv6Network):
        return text
    if not isinstance(text, str):  # ip_network would take 10 for 0.0.0.10
        raise ValueError('must be a network in quotes, like "10.0.0.0/8"')  # noqa: TRY004
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f'{error}; write a network like "10.0.0.0/8" or "fd00::/8"') from None


def _port_range(text: object) -> tuple[int, int]:
    """Read `"443"` or `"1024-65535"` as the lowest and the highest port, both included."""
    if isinstance(text, tuple) and len(text) == 2:
        low, high = text
    else:
        written = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", str(text))
        if written is None or isinstance(text, bool):
            raise ValueError('must be a port like "443" or a range like "1024-65535"')
        low, high = int(written[1]), int(written[2] or written[1])
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{low}-{high} is not within 1-65535, lowest first")
    return low, high


def _host(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", text):
            raise ValueError(
                "must be an address or a host name, without port or brackets"
            ) from None
    return text


def _host_header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]*-]+", text):
        raise ValueError(f"{text!r} is not a host name, with or without a port")
    return text


def _mail_address(text: str) -> str:
    try:
        mailbox(text)
    except ValueError:
        raise ValueError(
            f'{text!r} is not an address like "ops@example.com" or "Ops <ops@example.com>"'
        ) from None
    return text


def _mail_server(secret: SecretStr) -> SecretStr:
    parts = urlsplit(secret.get_secret_value())
    if parts.path.strip("/") or parts.query or "," in parts.netloc:
        raise ValueError("must name one host, and nothing behind it")
    return secret


def _page(url: str) -> str:
    """Check the address of a page, under which others lie; without the slash at its end."""
    if not re.fullmatch(r"https?://[^\s/?#@\\\"'<>]+(/[^\s?#\\\"'<>]*)?", url):
        raise ValueError("must be a URL like https://hooks.example.com, without user, ? and #")
    return url.rstrip("/")


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_empty(ports: tuple[Any, ...]) -> tuple[Any, ...]:
    if not ports:
        raise ValueError("must name at least one port")
    return ports


Count = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
PortRange = tuple[int, int]
Ports = Annotated[PortRange, BeforeValidator(_port_range)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


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
