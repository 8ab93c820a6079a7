"""
What the operator decides: `load` finds it, checks all of it at once, and makes a frozen `Config`.

The strongest wins: `WEBHOOKD_…` variables, then files in `$CREDENTIALS_DIRECTORY`, then
`DATABASE_URL`, then the TOML file, then the defaults. A setting that is empty in the environment
counts as not set.
"""

from daemon.config.durations import format_duration, parse_duration
from daemon.config.sections import (
    Admin,
    Config,
    Database,
    Delivery,
    Egress,
    Log,
    Notifications,
    Retention,
    Security,
)
from daemon.config.sources import load
from daemon.config.validators import LogFormat, LogLevel, PortRange

__all__ = [
    "Admin",
    "Config",
    "Database",
    "Delivery",
    "Egress",
    "Log",
    "LogFormat",
    "LogLevel",
    "Notifications",
    "PortRange",
    "Retention",
    "Security",
    "format_duration",
    "load",
    "parse_duration",
]
