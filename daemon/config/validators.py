"""Types of settings, and how each is judged."""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, Strict

from daemon.config.durations import format_duration, parse_duration
from daemon.core.policy.email_addresses import parse_address

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
        parse_address(text)
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
