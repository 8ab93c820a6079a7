"""
What `webhookd check` looks at, in the order in which one thing needs the other.

Each look yields findings as it makes them, so that ten thousand webhooks take no memory and no
patience; nothing is changed by looking.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from daemon import config, logs, wiring
from daemon.cli.checks.database import on_permissions, on_version
from daemon.cli.checks.finding import Finding, Mark
from daemon.cli.checks.webhooks import on_secrets, on_webhooks
from daemon.cli.support.options import connected, database_of
from daemon.config import Config
from daemon.config.sources import CONFIG_VARIABLE, PLACES
from daemon.core.errors import (
    DatabaseUnavailableError,
    EmbeddedPostgresError,
    MailError,
    SchemaError,
)
from daemon.core.model.ids import WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.secrets.vault import Vault
from daemon.store import migrations
from daemon.store.database import Connection


async def all_findings(path: Path | None) -> AsyncIterator[Finding]:
    """Every check, until one fails that the others need. Raises ConfigError."""
    loaded = config.load(path)
    logs.configure(loaded.log.format, "error")
    yield on_configuration(path)
    async for finding in on_mail(loaded):
        yield finding
    try:
        async with database_of(loaded) as url, connected(url) as db:
            async for finding in on_database(db, loaded):
                yield finding
    except (DatabaseUnavailableError, EmbeddedPostgresError) as error:
        yield Finding(Mark.WRONG, "database", f"{loaded.database.place()}: {error}")


async def on_database(db: Connection, loaded: Config) -> AsyncIterator[Finding]:
    version = await on_version(db, loaded)
    yield version
    try:
        await migrations.verify(db)
    except SchemaError as error:
        yield Finding(Mark.WRONG, "schema", str(error))
        return
    if version.mark is Mark.WRONG:
        return
    yield Finding(Mark.GOOD, "schema", f"up to date: {migrations.known()[-1].name}")
    wrong = False
    async for finding in on_permissions(db, loaded):
        wrong |= finding.mark is Mark.WRONG
        yield finding
    if not wrong:
        vault = Vault(wiring.master_keys(loaded))
        async for finding in on_secrets(db, vault):
            yield finding
        async for finding in on_webhooks(db, wiring.egress_policy(loaded), vault):
            yield finding


def on_configuration(path: Path | None) -> Finding:
    """Which file it was."""
    named = path or os.environ.get(CONFIG_VARIABLE)
    file = Path(named) if named else next((place for place in PLACES if place.exists()), None)
    found = str(file) if file else "no file: defaults and environment alone"
    return Finding(Mark.GOOD, "configuration", found)


async def on_mail(loaded: Config) -> AsyncIterator[Finding]:
    """Whether the mail server lets us in; no mail is sent."""
    mailer = wiring.configured_mailer(loaded)
    if mailer is None:
        return
    try:
        async with mailer.session():
            pass
    except MailError as error:
        yield Finding(Mark.WRONG, "mail", str(error))
    else:
        yield Finding(Mark.GOOD, "mail", f"{mailer.server} lets us in")
    if not loaded.notifications.to:
        told = "notifications.to names nobody: who has no notification_email is not told"
        yield Finding(Mark.REMARK, "mail", told)


# What the daemon's own statements do to each table.
NEEDED = {
    "webhooks": ("SELECT", "UPDATE"),
    "webhook_deliveries": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_events": ("SELECT", "UPDATE", "DELETE"),
    "webhook_event_inbox": ("SELECT", "UPDATE", "DELETE"),
    "webhook_notices": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_replays": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhookd_migrations": ("SELECT",),
}
NEEDED_BY_API = [("webhooks", "INSERT"), ("webhooks", "DELETE")]
LACKING = """
    SELECT needed.name, needed.privilege, to_regclass(needed.name) IS NULL AS unseen,
           current_user::text AS role
      FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
     WHERE to_regclass(needed.name) IS NULL
        OR NOT has_table_privilege(to_regclass(needed.name), needed.privilege)
"""
# Functions that may have been taken from PUBLIC. Those of triggers run whoever may call them.
FUNCTIONS = ("pg_notify(text, text)", "pg_current_snapshot()")
LACKING_FUNCTIONS = """
    SELECT name, current_user::text AS role
      FROM unnest($1::text[]) AS name
     WHERE to_regprocedure(name) IS NULL
        OR NOT has_function_privilege(to_regprocedure(name), 'EXECUTE')
"""
# Without its triggers a table still takes rows, and nobody hears of them.
SILENT_TRIGGERS = """
    SELECT wanted.name, wanted.on_table
      FROM (VALUES ('webhook_events_arrived', 'webhook_events'),
                   ('webhook_deliveries_due', 'webhook_deliveries'),
                   ('webhooks_resumed', 'webhooks'),
                   ('webhooks_secret_written', 'webhooks'),
                   ('webhooks_fresh_start', 'webhooks')) AS wanted (name, on_table)
      LEFT JOIN pg_trigger AS t ON t.tgname = wanted.name AND t.tgrelid = to_regclass(on_table)
     WHERE t.tgenabled IS DISTINCT FROM 'O' AND t.tgenabled IS DISTINCT FROM 'A'
"""


WEBHOOKS = """
    SELECT id, tenant_id, endpoint_url, event_types, event_filters, is_active,
           secret_key, previous_secret_key, custom_headers, client_certificate, client_key
      FROM webhooks
     ORDER BY tenant_id, id
"""


def _stored(row: Any) -> StoredSecrets:
    return StoredSecrets(
        WebhookId(row["id"]),
        row["secret_key"],
        row["previous_secret_key"],
        row["custom_headers"],
        row["client_certificate"],
        row["client_key"],
    )
