"""
Validators of single settings: each takes a value and returns it, or raises ValueError.

The error's text follows the key in the message to the operator: `admin.host: must be …`.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pydantic import AfterValidator, SecretStr

from daemon.config.durations import format_duration, parse_duration
from daemon.core.policy.delivery_options import LONGEST_SCHEDULE_NAME, SCHEDULE_NAME
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.hosts import host_pattern
from daemon.core.policy.mail_recipients import AllowedRecipients
from daemon.core.policy.refusal import Refusal

PortRange = tuple[int, int]
Schedule = tuple[timedelta, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Accepts a duration between two bounds, both included; the reference shows them as written."""

    least: str
    most: str

    def __call__(self, duration: timedelta) -> timedelta:
        """Return the duration. Raises ValueError."""
        if not parse_duration(self.least) <= duration <= parse_duration(self.most):
            shown = format_duration(duration)
            raise ValueError(f"{shown} is not between {self.least} and {self.most}")
        return duration


def within(least: str, most: str) -> AfterValidator:
    """Accept a duration between two bounds, both included."""
    return AfterValidator(Bounds(least, most))


def printable_secret(noun: str, *, at_least: int = 1) -> AfterValidator:
    """Accept visible ASCII without spaces; messages call the value `noun` and never quote it."""

    def check(secret: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
            raise ValueError(f"{noun} is empty, or contains spaces or non-ASCII characters")
        if len(secret.get_secret_value()) < at_least:
            raise ValueError(f"{noun} has fewer than {at_least} characters: `openssl rand -hex 32`")
        return secret

    return AfterValidator(check)


def network(text: object) -> IPv4Network | IPv6Network:
    """Read a network in CIDR notation. Raises ValueError."""
    if isinstance(text, IPv4Network | IPv6Network):
        return text
    if not isinstance(text, str):  # ip_network would take 10 for 0.0.0.10
        raise ValueError('must be a network in quotes, like "10.0.0.0/8"')  # noqa: TRY004
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f'{error}; write a network like "10.0.0.0/8" or "fd00::/8"') from None


def port_range(text: object) -> PortRange:
    """
    Read `"443"` or `"1024-65535"` as the lowest and the highest port, both included.

    Raises ValueError.
    """
    if isinstance(text, tuple) and len(text) == 2:
        low, high = text
    else:
        parsed = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", str(text))
        if parsed is None or isinstance(text, bool):
            raise ValueError('must be a port like "443" or a range like "1024-65535"')
        low, high = int(parsed[1]), int(parsed[2] or parsed[1])
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{low}-{high} is not within 1-65535, lowest first")
    return low, high


def host_or_address(text: str) -> str:
    """Accept an IP address or a host name. Raises ValueError."""
    try:
        ip_address(text)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", text):
            raise ValueError(
                "must be an address or a host name, without port or brackets"
            ) from None
    return text


def domain_pattern(text: str) -> str:
    """Accept a domain name, or `*.` and one, in its ASCII form. Raises ValueError."""
    pattern = host_pattern(text.strip())
    if isinstance(pattern, Refusal):
        raise ValueError(  # noqa: TRY004
            f'{text!r} is not a name like "hooks.example.com" or "*.example.com";'
            " addresses go into allow_networks or deny_networks"
        )
    return pattern


def host_header(text: str) -> str:
    """Accept a value of the Host header, with or without a port. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]*-]+", text):
        raise ValueError(f"{text!r} is not a host name, with or without a port")
    return text


def installation_name(text: str) -> str:
    """Accept the name of an installation. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}", text):
        raise ValueError(
            "must be 1 to 100 letters, digits, spaces and . _ -, and begin with a letter or digit"
        )
    return text


def mail_address(text: str) -> str:
    """Accept an address with or without a display name. Raises ValueError."""
    try:
        parse_address(text)
    except ValueError:
        raise ValueError(
            f'{text!r} is not an address like "ops@example.com" or "Ops <ops@example.com>"'
        ) from None
    return text


def allowed_recipient(text: str) -> str:
    """Accept an address without a display name, or an @domain. Raises ValueError."""
    try:
        AllowedRecipients.of([text])
    except ValueError:
        raise ValueError(
            f'{text!r} is neither an address like "ops@example.com" nor a domain like'
            ' "@example.com"'
        ) from None
    return text


def schedule_names(schedules: dict[str, Schedule]) -> dict[str, Schedule]:
    """Accept names that webhooks can have. Raises ValueError."""
    for name in schedules:
        if not re.fullmatch(SCHEDULE_NAME, name):
            raise ValueError(
                f"{name[:80]!r} is not a name of at most {LONGEST_SCHEDULE_NAME} characters:"
                " a-z, 0-9, - and _"
            )
    return schedules


def lower_case(text: object) -> object:
    """Ignore case; a value that is not text passes to the next validator."""
    return text.lower() if isinstance(text, str) else text


def one_or_many(value: object) -> object:
    """Accept a single text where a list is expected."""
    return [value] if isinstance(value, str) else value


def at_least_one_port(ports: tuple[PortRange, ...]) -> tuple[PortRange, ...]:
    """Reject an empty list. Raises ValueError."""
    if not ports:
        raise ValueError("must name at least one port")
    return ports
