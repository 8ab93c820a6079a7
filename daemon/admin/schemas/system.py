"""How the installation is doing."""

from datetime import datetime

from daemon.admin.schemas.base import ResponseModel
from daemon.admin.schemas.stats import StatsPoint


class SystemLoop(ResponseModel):
    """A part of the daemon that works in turns."""

    name: str
    ok: bool
    last_turn_seconds_ago: float
    """Since its last successful turn."""


class SystemLag(ResponseModel):
    """How far this daemon is behind, in seconds, as `/readyz` says."""

    ok: bool
    fanout_seconds: float
    dispatch_seconds: float
    results_seconds: float
    oldest_due_seconds: float
    oldest_postponed_seconds: float
    oldest_held_seconds: float


class SystemThroughput(ResponseModel):
    """The attempts of all webhooks."""

    per_second: float
    """Over the last five whole minutes, as are the next two."""
    success_rate: float | None
    p95_ms: int | None
    series: list[StatsPoint]
    """The last 12 hours, in at most 100 points."""
    complete: bool
    """False while some of the latest attempts are not counted yet."""


class FailingHost(ResponseModel):
    """A host at which webhooks are failing."""

    host: str | None
    """Null for what is no URL."""
    webhooks: int
    tenants: int
    failing_since: datetime | None
    failures: int
    """The largest number in a row."""


class MailQueue(ResponseModel):
    """Notices by email."""

    configured: bool
    waiting: int
    """10,000 stands for more, here and below."""
    given_up: int
    oldest_seconds: float | None
    """How long the oldest one has been due."""


class SystemDatabase(ResponseModel):
    """The database; sizes are in bytes, with indexes."""

    version: str
    schema_version: str
    database_bytes: int
    deliveries_bytes: int
    events_bytes: int
    waiting_events: int
    """Events whose deliveries are not all decided; 10,000 stands for more."""
    partitions: int
    """Of the deliveries; 0 if they are in one table."""
    connections: int
    """Of all clients of the server."""
    max_connections: int
    oldest_transaction_seconds: float | None
    notification_queue_usage: float
    """From 0 to 1."""


class System(ResponseModel):
    """The daemon that answers, and what all daemons share."""

    version: str
    started_at: datetime
    ready: bool
    attention: list[str]
    """Sentences about what should be looked at; empty if all is well."""
    loops: list[SystemLoop]
    lag: SystemLag
    throughput: SystemThroughput
    failing_hosts: list[FailingHost]
    """Those with most failing webhooks; 20 at most."""
    mail: MailQueue
    database: SystemDatabase
