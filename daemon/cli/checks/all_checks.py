"""
All checks of an installation but that of its configuration, in the order of their dependence.

Checks change nothing. Each yields its findings one by one, so that ten thousand webhooks need
little memory and the first line appears at once.
"""

from collections.abc import AsyncIterator

from daemon.cli.checks.application_rows import check_application_rows
from daemon.cli.checks.database import (
    check_notifications,
    check_owner,
    check_partitions,
    check_permissions,
    check_restored_events,
    check_schema,
    check_schema_access,
    check_subscriptions,
    check_version,
)
from daemon.cli.checks.finding import Finding, Status, error
from daemon.cli.checks.limits import check_limits
from daemon.cli.checks.mail import check_mail
from daemon.cli.checks.pooler import check_pooler
from daemon.cli.checks.secrets import check_secrets
from daemon.cli.checks.webhooks import check_webhooks
from daemon.cli.support.databases import database_url
from daemon.config import Config
from daemon.config.policies import egress_policy, master_keys, webhook_limits
from daemon.core.errors import DatabaseUnavailableError
from daemon.secrets.encryption import Vault
from daemon.store import unbound_secrets
from daemon.store.connection import connected
from daemon.store.session import Connection


async def check_installation(loaded: Config) -> AsyncIterator[Finding]:
    """
    Run every check but that of the configuration, until one fails that later ones need.

    Raises ConfigError; UsageError if there is no database.
    """
    async for finding in check_mail(loaded):
        yield finding
    try:
        async with database_url(loaded, is_shown=True) as url:
            unexpected = await check_pooler(loaded, url)
            if unexpected is not None:
                yield unexpected
            # The other checks would fail behind it for reasons that mislead.
            pooled = loaded.database.pooled or unexpected is not None
            async with connected(url, pooled=pooled) as db:
                async for finding in check_database(db, loaded):
                    yield finding
    except DatabaseUnavailableError as failure:
        yield error("database", f"{loaded.database.display_name()}: {failure}")


async def check_database(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    """Check the server and the schema, then the role's permissions, then what is stored."""
    version = await check_version(db, loaded)
    yield version
    schema = await check_schema(db)
    yield schema
    if Status.ERROR in (version.status, schema.status):
        return
    permitted = True
    async for finding in check_permissions(db, with_api=bool(loaded.admin.tokens)):
        permitted &= finding.status is not Status.ERROR
        yield finding
    async for finding in check_schema_access(db):
        yield finding
    if permitted:
        async for finding in check_stored(db, loaded):
            yield finding


async def check_stored(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    """Check the installation, the partitions, notifications, replication, and the rows."""
    yield await check_owner(db, loaded)
    async for finding in check_partitions(db, loaded):
        yield finding
    async for finding in check_notifications(db):
        yield finding
    async for finding in check_subscriptions(db):
        yield finding
    async for finding in check_restored_events(db):
        yield finding
    vault = Vault(master_keys(loaded))
    vault.binding_pending = await unbound_secrets.any_waiting(db)
    async for finding in check_secrets(db, vault):
        yield finding
    schedules = loaded.delivery.retry_schedules.keys()
    async for finding in check_webhooks(db, egress_policy(loaded), vault, schedules=schedules):
        yield finding
    async for finding in check_limits(db, webhook_limits(loaded)):
        yield finding
    async for finding in check_application_rows(db):
        yield finding
