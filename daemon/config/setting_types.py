"""Types of settings, each with its validators."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Strict

from daemon.config.durations import parse_duration
from daemon.config.validators import (
    PortRange,
    domain_pattern,
    lower_case,
    mail_address,
    network,
    port_range,
)

Count = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(network)]
HostPattern = Annotated[str, AfterValidator(domain_pattern)]
Ports = Annotated[PortRange, BeforeValidator(port_range)]
MailAddress = Annotated[str, AfterValidator(mail_address)]
LogFormat = Annotated[Literal["auto", "console", "json"], BeforeValidator(lower_case)]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lower_case)
]
