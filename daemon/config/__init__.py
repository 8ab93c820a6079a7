"""
The operator's settings: `load` reads every source and returns a checked `Config`.

Precedence, strongest first: `WEBHOOKD_…` variables, files in `$CREDENTIALS_DIRECTORY`,
`DATABASE_URL`, the TOML file, the defaults. An empty environment variable counts as not set.
"""

from daemon.config.config import Config
from daemon.config.durations import format_duration, parse_duration
from daemon.config.loading import load
from daemon.config.operator_tokens import OperatorToken
from daemon.config.sections import (
    Admin,
    Database,
    Delivery,
    Egress,
    Installation,
    Log,
    Notifications,
    Retention,
    Security,
)
from daemon.config.setting_types import LogFormat, LogLevel
from daemon.config.validators import PortRange

__all__ = [
    "Admin",
    "Config",
    "Database",
    "Delivery",
    "Egress",
    "Installation",
    "Log",
    "LogFormat",
    "LogLevel",
    "Notifications",
    "OperatorToken",
    "PortRange",
    "Retention",
    "Security",
    "format_duration",
    "load",
    "parse_duration",
]
